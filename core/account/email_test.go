package account_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
)

func TestParseEmail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"ada@example.org", "ada@example.org"},
		{"  Ada.Lovelace+news@Example.ORG \n", "ada.lovelace+news@example.org"},
		{"o'brien@example.org", "o'brien@example.org"},
		{"JOSE\u0301@example.org", "josé@example.org"}, // decomposed becomes NFC, then lower case
		{"ada@BÜCHER.example", "ada@xn--bcher-kva.example"},
		{"ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		{"ada@localhost", "ada@localhost"},
		{"ΣΊΣΥΦΟΣ@example.org", "σίσυφοσ@example.org"}, // letter by letter: no context rules
		{"аda@example.org", "аda@example.org"},         // Cyrillic а stays another address
		{strings.Repeat("a", 64) + "@example.org", strings.Repeat("a", 64) + "@example.org"},
	} {
		got, err := account.ParseEmail(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseEmail(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
		if again, err := account.ParseEmail(got); err != nil || again != got {
			t.Errorf("ParseEmail(%q) is not its own fixed point: %q, %v", got, again, err)
		}
	}
}

func TestParseEmail_refused(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty": "", "no at": "ada", "no local": "@example.org", "no domain": "ada@", "two ats": "a@b@example.org",
		"space inside": "a da@example.org", "tab": "a\tda@example.org", "newline": "ada\n@example.org", "CRLF and a header": "ada@example.org\r\nBcc: x@y.org",
		"NUL": "ada\x00@example.org", "invalid UTF-8": "ad\xff@example.org", "angle": "Ada <ada@example.org>", "comma": "ada,bob@example.org",
		"quoted": `"ada"@example.org`, "leading dot": ".ada@example.org", "double dot": "a..da@example.org", "trailing dot": "ada.@example.org",
		"bidi override": "\u202eada@example.org", "zero width joiner": "a\u200dda@example.org", "soft hyphen": "a\u00adda@example.org",
		"no-break space": "a\u00a0da@example.org", "Kelvin sign": "\u212Aelvin@example.org", "dotted capital I": "\u0130da@example.org",
		"no dot in domain": "ada@example", "empty label": "ada@example..org", "underscore domain": "ada@ex_ample.org", "hyphen label": "ada@-example.org",
		"trailing dot domain": "ada@example.org.", "address literal": "ada@[127.0.0.1]",
		"long local": strings.Repeat("a", 65) + "@example.org", "long": "a@" + strings.Repeat("a.", 130) + "org", "huge": strings.Repeat("a", 1<<20) + "@example.org",
		"unassigned": "a\U0003fffdda@example.org", "private use": "a\ue000da@example.org",
	} {
		if got, err := account.ParseEmail(in); err == nil || fault.KindOf(err) != fault.Invalid || fault.From(err).Field != "email" {
			t.Errorf("%s: ParseEmail(%.40q) = %q, %v; want it refused", name, in, got, err)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"ada@example.org", "A@B.c", "\u212A@x.y", "JOSE\u0301@bücher.example", "a@xn--a.b", "@", "ﬁ@ﬁ.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := account.ParseEmail(s)
		if err != nil {
			return
		}
		if len(got) > account.MaxEmail || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00 <>,;\"") || strings.Count(got, "@") != 1 {
			t.Fatalf("ParseEmail(%q) let %q through", s, got)
		}
		if again, err := account.ParseEmail(got); err != nil || again != got {
			t.Fatalf("ParseEmail(%q) = %q is not a fixed point: %q, %v", s, got, again, err)
		}
	})
}
