package account_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
)

func TestParseUsername(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]account.Username{
		"ada":                     {Display: "ada", Key: "ada"},
		"Ada.Lovelace":            {Display: "Ada.Lovelace", Key: "ada.lovelace"},
		"  Ada  ":                 {Display: "Ada", Key: "ada"},
		"a_b-c.d9":                {Display: "a_b-c.d9", Key: "a_b-c.d9"},
		"Ａｄａ":                     {Display: "Ada", Key: "ada"}, // full-width
		"Jürgen":                  {Display: "Jürgen", Key: "jürgen"},
		"Ju\u0308rgen":            {Display: "Jürgen", Key: "jürgen"},
		"ΣΊΣΥΦΟΣ":                 {Display: "ΣΊΣΥΦΟΣ", Key: "σίσυφοσ"},
		"Straße":                  {Display: "Straße", Key: "strasse"},
		"Ольга":                   {Display: "Ольга", Key: "ольга"},
		"ليلى":                    {Display: "ليلى", Key: "ليلى"},
		"דוד":                     {Display: "דוד", Key: "דוד"},
		"さくら花":                    {Display: "さくら花", Key: "さくら花"},
		"हिन्दी":                  {Display: "हिन्दी", Key: "हिन्दी"},
		"123":                     {Display: "123", Key: "123"},
		strings.Repeat("a", 32):   {},
		strings.Repeat("ü", 32):   {Display: strings.Repeat("ü", 32), Key: strings.Repeat("ü", 32)},
		"":                        {},
		"ab":                      {},
		strings.Repeat("b", 33):   {},
		"ada@example.org":         {},
		"a b c":                   {},
		".ada":                    {},
		"ada.":                    {},
		"a..b":                    {},
		"a.-b":                    {},
		"ada!":                    {},
		"\u0301ada":               {}, // begins with a mark
		"p\u0430ypal":             {}, // a Cyrillic letter among Latin ones
		"ada\u200dlove":           {}, // joiner
		"ada\u202elove":           {}, // bidi override
		"ada\x00love":             {},
		"\u212aelvin":             {Display: "Kelvin", Key: "kelvin"}, // the Kelvin sign
		"ﬁne":                     {},                                 // ligature
		"adaליל":                  {},
		"\xffada":                 {},
		"😀😀😀":                     {},
		strings.Repeat("a", 4096): {},
	} {
		got, err := account.ParseUsername(in)
		if in == strings.Repeat("a", 32) { // could be read as an id
			want = account.Username{}
		}
		if got != want || (err == nil) != (want.Key != "") {
			t.Errorf("%+q: %+v, %v; want %+v", in, got, err, want)
		}
		if err != nil && (fault.KindOf(err) != fault.Invalid || fault.From(err).Field != "username") {
			t.Errorf("%+q: %v", in, err)
		}
	}
}

func TestUsername_reserved(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{"Admin": false, "a.d-m_in": false, "ROOT": false, "No-Reply": false, "adminton": true, "ada": true} {
		u, err := account.ParseUsername(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Chosen(); (err == nil) != ok || !ok && fault.From(err).Code != "username_reserved" {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// What is parsed is a fixed point, is no address and no id, and folds to what its lower case folds to.
func FuzzParseUsername(f *testing.F) {
	for _, s := range []string{"ada", "Ada.Lovelace", "Jürgen", "ΣΊΣΥΦΟΣ", "İstanbul", "ليلى", "さくら花", "Ａｄａ", "a\u0345b\u0300c", "ﬀﬀﬀ", "ǅabc", "Ω\u0300ab", "\u1e9eab", "가나다"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := account.ParseUsername(s)
		if err != nil {
			if u != (account.Username{}) || !errors.As(err, new(*fault.Error)) {
				t.Fatalf("%+q: %+v, %v", s, u, err)
			}
			return
		}
		for _, again := range []string{u.Display, u.Key} {
			if v, err := account.ParseUsername(again); err != nil || v.Key != u.Key {
				t.Fatalf("%+q: %+v, and its form %+q: %+v, %v", s, u, again, v, err)
			}
		}
		if v, err := account.ParseUsername(u.Display); err != nil || v.Display != u.Display {
			t.Fatalf("%+q: shown as %+q, which is shown as %+q, %v", s, u.Display, v.Display, err)
		}
		for _, form := range []string{u.Display, u.Key} {
			if n := utf8.RuneCountInString(form); n < account.MinUsername || n > account.MaxUsername || strings.ContainsAny(form, "@ \t\r\n\x00<>\"'&/\\") {
				t.Fatalf("%+q: %+q", s, form)
			}
		}
		if _, err := account.ParseEmail(u.Display); err == nil {
			t.Fatalf("%+q is an address", u.Display)
		}
	})
}
