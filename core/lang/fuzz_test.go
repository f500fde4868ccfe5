package lang_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/lang"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A file is either refused with a place in it, or its texts are one line each of clean UTF-8.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"language.name = x", "language.hours[one] = a\nlanguage.hours[other] = {count}", "language.day = {{{day}}}\n  goes on\n# comment\n", "\ufeff", "=", "[", "a.b[", "language.name = {", "\r\n \t=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		c, err := lang.Load(files(map[string]string{"de/x.txt": src}))
		if err != nil {
			if !strings.Contains(err.Error(), "de/x.txt") {
				t.Fatalf("no place: %v", err)
			}
			return
		}
		l := c.For(c.Match("de", ""))
		for key := range l.Places() {
			for _, s := range []string{l.Text(key), l.Plural(key, 1), l.Plural(key, 5)} {
				if s == "" || !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\u2028\u202e") {
					t.Fatalf("%s: %q", key, s)
				}
			}
		}
	})
}

// Whatever a browser sends, the answer is a language there is, the same each time.
func FuzzMatch(f *testing.F) {
	c := load(f, nil)
	for _, s := range []string{"de-CH,de;q=0.9,*;q=0.1", "x-private", "i-klingon,zh-Hant-TW", "de-u-co-phonebk-x-y", "a-b-c-d-e-f-g", ";;;q=,,", "und", "und-Arab"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, accept, preferred string) {
		tag := c.Match(accept, preferred)
		if !slices.Contains(c.Codes(), tag.String()) || c.Match(accept, preferred) != tag || c.For(tag).Tag() != tag {
			t.Fatalf("%q, %q: %s", accept, preferred, tag)
		}
	})
}
