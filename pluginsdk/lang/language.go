package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// count is the placeholder of the number in counted texts.
const count = "count"

// Language is one catalogue, with English behind it for what it lacks. Safe for concurrent use.
type Language struct {
	tag      Tag
	rtl      bool
	texts    func() texts
	replaced texts     // by the site, before texts is called for the first time
	english  *Language // nil: this is it
}

// Tag is the language's BCP 47 tag.
func (l *Language) Tag() Tag { return l.tag }

// Code is the tag as it stands in <html lang> and Content-Language.
func (l *Language) Code() string { return l.tag.String() }

// Name is what the language calls itself, for a choice of languages.
func (l *Language) Name() string { return l.Text("language.name") }

// Direction is "rtl" for scripts written from right to left, and else "ltr".
func (l *Language) Direction() string {
	if l.rtl {
		return "rtl"
	}
	return "ltr"
}

func rightToLeft(tag Tag) bool {
	script, _ := tag.Script()
	return slices.Contains([]string{"Arab", "Hebr", "Thaa", "Syrc", "Nkoo", "Adlm", "Rohg"}, script.String())
}

// Text is the text of a key; args are the names and values of its placeholders, in turn. A key that does not exist is shown
// as ⟨key⟩ and a placeholder without a value as {name}: Strict makes errors of both.
func (l *Language) Text(key string, args ...any) string {
	s, _ := l.write(key, nil, args)
	return s
}

// Plural is Text for a counted text: n is its {count} and chooses the form.
func (l *Language) Plural(key string, n int, args ...any) string {
	s, _ := l.write(key, &n, args)
	return s
}

// Has reports whether there is a text, in this language or in English.
func (l *Language) Has(key string) bool {
	return len(l.texts()[key]) > 0 || l.english != nil && l.english.Has(key)
}

func (l *Language) write(key string, n *int, args []any) (string, error) {
	entries := l.texts()[key]
	if len(entries) == 0 {
		if l.english != nil {
			return l.english.write(key, n, args)
		}
		return "⟨" + key + "⟩", fmt.Errorf("there is no text %s", key)
	}
	which := noForm
	if n != nil {
		which = form(l.tag, *n)
	}
	at := slices.IndexFunc(entries, func(e entry) bool { return e.form == which })
	if at < 0 {
		return "⟨" + key + "⟩", fmt.Errorf("the text %s: counted and plain texts are different things", key)
	}
	var err error
	if len(args)%2 != 0 {
		err = fmt.Errorf("the text %s: placeholders are names and values in turn", key)
	}
	var b strings.Builder
	for _, p := range entries[at].parts {
		if p.name == "" {
			b.WriteString(p.words)
			continue
		}
		if p.name == count && n != nil {
			b.WriteString(strconv.Itoa(*n))
			continue
		}
		v, ok := value(p.name, args)
		if !ok {
			err = fmt.Errorf("the text %s lacks a value for {%s}", key, p.name)
			b.WriteString("{" + p.name + "}")
			continue
		}
		b.WriteString(l.isolate(v))
	}
	return b.String(), err
}

func value(name string, args []any) (string, bool) {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == name {
			return fmt.Sprint(args[i+1]), true
		}
	}
	return "", false
}

// isolate keeps a value of another direction from turning the words around it (UAX #9 §2.7).
func (l *Language) isolate(v string) string {
	if l.rtl && strings.ContainsFunc(v, func(r rune) bool {
		return unicode.IsLetter(r) && !unicode.Is(unicode.Arabic, r) && !unicode.Is(unicode.Hebrew, r)
	}) {
		return "\u2068" + v + "\u2069"
	}
	return v
}

// Date is a point in time, to the minute, in UTC: "1 February 2026 at 03:04 UTC".
func (l *Language) Date(t time.Time) string {
	return l.Text("language.moment", "date", l.Day(t), "time", t.UTC().Format("15:04"))
}

// Day is a day in UTC: "1 February 2026".
func (l *Language) Day(t time.Time) string {
	t = t.UTC()
	return l.Text("language.day", "day", t.Day(), "month", l.Text("language.month."+strconv.Itoa(int(t.Month()))), "year", t.Year())
}

// Span is a length of time: "10 minutes", "48 hours", "30 days". It never says more than d, but at least a minute.
func (l *Language) Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d > 2*day && d%day == 0:
		return l.Plural("language.days", int(d/day))
	case d >= 2*day, d >= 2*time.Hour && d%time.Hour == 0:
		return l.Plural("language.hours", int(d/time.Hour))
	}
	return l.Plural("language.minutes", max(1, int(d/time.Minute)))
}

// Strict is a Language for templates: what is wrong with a text is an error instead of being shown to people.
type Strict struct{ *Language }

// Strict returns the language for templates.
func (l *Language) Strict() Strict { return Strict{l} }

// Text is Language.Text.
func (s Strict) Text(key string, args ...any) (string, error) { return s.write(key, nil, args) }

// Plural is Language.Plural.
func (s Strict) Plural(key string, n int, args ...any) (string, error) { return s.write(key, &n, args) }

// Places says in which file each text stands, by key, for tests and tools.
func (l *Language) Places() map[string]string {
	out := map[string]string{}
	for key, entries := range l.texts() {
		out[key] = entries[0].file
	}
	return out
}

// Plain are the texts that are not counted, as they stand in the catalogue, {names} included.
func (l *Language) Plain() map[string]string {
	out := map[string]string{}
	for key, entries := range l.texts() {
		if entries[0].form != noForm {
			continue
		}
		var b strings.Builder
		for _, p := range entries[0].parts {
			if p.name != "" {
				b.WriteString("{" + p.name + "}")
			} else {
				b.WriteString(p.words)
			}
		}
		out[key] = b.String()
	}
	return out
}
