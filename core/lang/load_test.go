package lang_test

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sigra-auth/sigra/core/lang"
)

func load(t testing.TB, override fs.FS) *lang.Catalogues {
	t.Helper()
	c, err := lang.Load(override)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files makes a folder of "de/mail.txt" → text.
func files(m map[string]string) fs.FS {
	out := fstest.MapFS{}
	for name, text := range m {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// Every language has every key of English, with the same placeholders and the forms of its own numbers. This fails with the lines to mend.
func TestVerify(t *testing.T) {
	t.Parallel()
	if err := lang.Verify(lang.Messages()); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ english, german, want string }{
		{"a.b = x\na.c = y", "a.b = x", "de: a.c is missing; English has it in en/x.txt, line 2"},
		{"a.b = x", "a.b = x\na.c = y", "de/x.txt:2: there is no text a.c; did you mean a.b?"},
		{"a.b = {x} {y}", "a.b = {y}", "de/x.txt:1: a.b lacks the placeholder {x}"},
		{"a.b[one] = one\na.b[other] = {count}", "a.b[one] = eins\na.b[other] = viele", "de/x.txt:2: a.b[other] lacks the placeholder {count}"},
		{"a.b[one] = one\na.b[other] = {count} {x}", "a.b[one] = eins {x}\na.b[other] = {count} {x}", "en/x.txt:1: a.b[one] lacks the placeholder {x}"},
		{"a.b[one] = one\na.b[other] = {count}", "a.b[one] = eins\na.b[other] = {count}", ""},
	} {
		err := lang.Verify(files(map[string]string{"en/x.txt": c.english, "de/x.txt": c.german}))
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s: %v, want %s", c.german, err, c.want)
		}
	}
	c := load(t, nil)
	if got := c.Codes(); !slices.Equal(got, []string{"ar", "de", "en", "es", "fr"}) {
		t.Fatalf("%v", got)
	}
	for _, l := range c.All() {
		if (l.Direction() == "rtl") != (l.Code() == "ar") {
			t.Errorf("%s is written %s", l.Code(), l.Direction())
		}
		if l.Name() == "English" && l.Code() != "en" {
			t.Errorf("%s calls itself %s", l.Code(), l.Name())
		}
	}
}

// A file holds the keys of its own name, so that everybody finds them.
func TestMessages_lieInTheirFile(t *testing.T) {
	t.Parallel()
	for _, l := range load(t, nil).All() {
		for key, file := range l.Places() {
			if prefix := strings.TrimSuffix(path.Base(file), ".txt") + "."; !strings.HasPrefix(key, prefix) {
				t.Errorf("%s: %s does not start with %s", file, key, prefix)
			}
		}
	}
}

func TestLoad_override(t *testing.T) {
	t.Parallel()
	c := load(t, files(map[string]string{
		"de/ours.txt":        "# ours\nlanguage.name = Hochdeutsch\n",
		"de/notes.md":        "not a message file",
		"en/ours.txt":        "language.name = Plain English",
		"nl/language.txt":    "language.name = Nederlands\nlanguage.hours[one] = {count} uur\nlanguage.hours[other] = {count} uur\n",
		"pt-BR/language.txt": "\ufefflanguage.name = Português\r\n    do\r\n\r\n    Brasil\r\n",
		".git/x.txt":         "rubbish",
	}))
	if got := c.Codes(); !slices.Equal(got, []string{"ar", "de", "en", "es", "fr", "nl", "pt-BR"}) {
		t.Fatalf("%v", got)
	}
	for accept, want := range map[string]string{"de": "Hochdeutsch", "nl-BE": "Nederlands", "pt-BR": "Português do Brasil", "fr": "Français", "en": "Plain English"} {
		if got := c.For(c.Match(accept, "")).Name(); got != want {
			t.Errorf("%s: %q", accept, got)
		}
	}
	nl := c.For(c.Match("nl", ""))
	if h, m := nl.Plural("language.hours", 3), nl.Plural("language.minutes", 1); h != "3 uur" || m != "1 minute" {
		t.Errorf("%q, and in English what is missing: %q", h, m)
	}
}

func TestLoad_mistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, text, want string }{
		{"unknown key", "de/x.txt", "\nlanguage.nam = x", "de/x.txt:2: there is no text language.nam; did you mean language.name?"},
		{"unknown placeholder", "de/x.txt", "language.day = {day} {moon}", "de/x.txt:1: language.day has the placeholder {moon}, and there is only {day}, {month}, {year}"},
		{"placeholder where there is none", "de/x.txt", "language.name = {service}", "and there is none"},
		{"twice", "de/x.txt", "language.name = a\nlanguage.name = b", "de/x.txt:2: language.name stands a second time; the first is in de/x.txt, line 1"},
		{"plural form missing", "de/x.txt", "language.hours[one] = x", "de/x.txt:1: language.hours[other] is missing: numbers have the forms one, other in this language"},
		{"plural form too many", "de/x.txt", "language.hours[one] = x\nlanguage.hours[other] = {count}\nlanguage.hours[few] = y", "de/x.txt:3: language.hours[few] is never used"},
		{"no plural forms", "de/x.txt", "language.hours = {count}", "language.hours needs its plural forms: one, other"},
		{"plural forms of what has none", "de/x.txt", "language.name[one] = a\nlanguage.name[other] = b", "language.name has no plural forms"},
		{"both", "de/x.txt", "language.hours[one] = a\nlanguage.hours = b", "with plural forms and without"},
		{"invented form", "de/x.txt", "language.hours[dual] = a", `"dual" is not a plural form`},
		{"no text", "de/x.txt", "language.name =", "language.name has no text"},
		{"no key", "de/x.txt", "Language = x", `"Language" is not a key`},
		{"no equals sign", "de/x.txt", "language.name Deutsch", "de/x.txt:1: neither a comment nor key = text"},
		{"starts in the middle", "de/x.txt", "   x\n", "there is no text before it"},
		{"open brace", "de/x.txt", "language.day = {day", "a { that is never closed"},
		{"closing brace", "de/x.txt", "language.day = day}", "a } that closes nothing"},
		{"strange placeholder", "de/x.txt", "language.day = {Day of}", "has the placeholder {Day of}"},
		{"control character", "de/x.txt", "language.name = a\x07b", "control character"},
		{"line separator", "de/x.txt", "language.name = a\u2028b", "control character or a line separator"},
		{"turned text", "de/x.txt", "language.name = a\u202eb", "control character"},
		{"not UTF-8", "de/x.txt", "language.name = \xff", "de/x.txt: the file is not UTF-8"},
		{"long", "de/x.txt", "language.name = " + strings.Repeat("x", 4001), "longer than 4000 bytes"},
		{"huge", "de/x.txt", strings.Repeat("#", 1<<20+1), "larger than 1 MiB"},
		{"no language", "deutsch/x.txt", "language.name = x", "deutsch: the folder is not named by a language"},
		{"spelt otherwise", "DE/x.txt", "language.name = x", "DE: the folder is not named by a language"},
		{"no folder", "de.txt", "language.name = x", "de.txt: message files lie in a folder per language, such as en/de.txt"},
	} {
		_, err := lang.Load(files(map[string]string{c.file: c.text}))
		var e *lang.Error
		if err == nil || !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
	if _, err := lang.Load(files(map[string]string{"de/x.txt": strings.Repeat("rubbish\n", 1000)})); err == nil || strings.Count(err.Error(), "\n") > 20 {
		t.Errorf("a broken file has much to say: %v", err)
	}
	if _, err := lang.Load(files(map[string]string{"de/x.txt": "language.name = " + strings.Repeat("x", 4000)})); err != nil {
		t.Errorf("the longest text: %v", err)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b, nil)
	}
}
