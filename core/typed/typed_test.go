package typed_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/typed"
)

func TestDigits(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"493021": "493021", " 493 021\n": "493021", "493-021": "493021", "493–021": "493021", "493\u2212021": "493021", "493\u00a0021": "493021",
		"٤٩٣٠٢١": "493021", "۴۹۳۰۲۱": "493021", "४९३०२१": "493021", "๔๙๓๐๒๑": "493021", "４９３０２１": "493021", "𝟒𝟗𝟑𝟎𝟐𝟏": "493021",
		"٤٩٣ ٠٢١": "493021", "\u200f٤٩٣٠٢١\u200e": "493021", "49\u00ad30\u200b21": "493021", "٤٩٣021": "493021",
		"49302": "", "4930211": "", "49302a": "", "": "", "49302²": "", "49302½": "", "49302Ⅳ": "", "493.021": "", strings.Repeat(" ", 300) + "493021": "",
	} {
		got, ok := typed.Digits(in, 6)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", in, got, ok, want)
		}
	}
}

func TestCode_letters(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"ab12-CD34": "ab12CD34", "ＡＢ１２ ｃｄ": "AB12cd", "ä-1": "ä1", "a\tb": "ab"} {
		if got := typed.Code(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Every script's digits are read: each run of ten counts from zero to nine.
func TestDigits_everyScript(t *testing.T) {
	t.Parallel()
	n := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.Is(unicode.Nd, r) {
			continue
		}
		want := string(rune('0' + n%10))
		if got, ok := typed.Digits(string(r), 1); !ok || got != want {
			t.Fatalf("%U: %q %v, want %q", r, got, ok, want)
		}
		n++
	}
	if n%10 != 0 || n < 600 {
		t.Errorf("%d digits", n)
	}
}

func FuzzCode(f *testing.F) {
	f.Add("٤٩٣-٠٢١")
	f.Add("\xff\u200f")
	f.Fuzz(func(t *testing.T, in string) {
		once := typed.Code(in)
		if !utf8.ValidString(in) {
			return
		}
		if twice := typed.Code(once); twice != once {
			t.Fatalf("%q is read as %q, and that as %q", in, once, twice)
		}
		if got, ok := typed.Digits(in, 6); ok && len(got) != 6 {
			t.Fatalf("%q: %q", in, got)
		}
	})
}
