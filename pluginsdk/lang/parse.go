package lang

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/feature/plural"
)

// Bounds of a file; a catalogue is some hundred lines.
const (
	maxFile = 1 << 20
	maxText = 4000
)

// Error is a mistake in a file of an adopter's own: of messages here, of templates and assets where they are read.
type Error struct {
	File    string
	Line    int // 0: the file as a whole
	Problem string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

// formNames are CLDR's plural forms, in x/text's order.
var formNames = []string{"other", "zero", "one", "two", "few", "many"}

// isWord reports whether s is of a-z, 0-9 and _.
func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' })
}

// isKey reports whether s is words with dots between them.
func isKey(s string) bool {
	words := 0
	for w := range strings.SplitSeq(s, ".") {
		if !isWord(w) {
			return false
		}
		words++
	}
	return words > 1
}

// form is the plural form of a number.
func form(tag Tag, n int) string {
	if n < 0 {
		n = -n
	}
	return formNames[plural.Cardinal.MatchPlural(tag, n%10_000_000, 0, 0, 0, 0)]
}

// forms are the plural forms that whole numbers have in a language.
func forms(tag Tag) []string {
	used := map[string]bool{form(tag, 1_000_000): true}
	for n := range 201 {
		used[form(tag, n)] = true
	}
	var out []string
	for _, f := range []string{"zero", "one", "two", "few", "many", "other"} {
		if used[f] {
			out = append(out, f)
		}
	}
	return out
}

const noForm = "" // the form of a text that is not counted

// part is a piece of a text: words, or the name of a placeholder.
type part struct{ words, name string }

// entry is one line of a file, read.
type entry struct {
	key, form string
	parts     []part
	file      string
	line      int
}

func (e entry) wrong(format string, args ...any) *Error {
	return &Error{File: e.file, Line: e.line, Problem: fmt.Sprintf(format, args...)}
}

// label is the key as it stands in the file.
func (e entry) label() string {
	if e.form == noForm {
		return e.key
	}
	return e.key + "[" + e.form + "]"
}

// names are the placeholders of an entry, each once.
func (e entry) names() []string {
	var out []string
	for _, p := range e.parts {
		if p.name != "" && !slices.Contains(out, p.name) {
			out = append(out, p.name)
		}
	}
	return out
}

// parse reads a message file. It goes on after a mistake, so that all of them are reported at once.
func parse(file string, src []byte) (entries []entry, errs []error) {
	wrong := func(line int, format string, args ...any) {
		errs = append(errs, &Error{File: file, Line: line, Problem: fmt.Sprintf(format, args...)})
	}
	if len(src) > maxFile {
		wrong(0, "the file is larger than 1 MiB")
		return nil, errs
	}
	if !utf8.Valid(src) {
		wrong(0, "the file is not UTF-8")
		return nil, errs
	}
	type definition struct {
		key, text string
		line      int
	}
	var defs []definition
	for i, line := range strings.Split(strings.TrimPrefix(string(src), "\ufeff"), "\n") {
		n := i + 1
		line = strings.TrimRight(line, " \t\r")
		words := strings.TrimLeft(line, " \t")
		switch {
		case words == "" || line[0] == '#':
		case len(words) < len(line): // goes on
			if len(defs) == 0 {
				wrong(n, "the line starts with white space, but there is no text before it that could go on")
				continue
			}
			last := &defs[len(defs)-1]
			last.text = strings.TrimLeft(last.text+" "+words, " ")
		default:
			key, text, ok := strings.Cut(line, "=")
			if !ok {
				wrong(n, "neither a comment nor key = text; a line that belongs to the text above starts with white space")
				continue
			}
			defs = append(defs, definition{strings.TrimRight(key, " \t"), strings.TrimLeft(text, " \t"), n})
		}
		if len(errs) >= mostErrors {
			return nil, errs
		}
	}
	for _, d := range defs {
		e, problem := parseEntry(d.key, d.text)
		if problem != "" {
			if wrong(d.line, "%s", problem); len(errs) >= mostErrors {
				return nil, errs
			}
			continue
		}
		e.file, e.line = file, d.line
		entries = append(entries, e)
	}
	return entries, errs
}

func parseEntry(key, text string) (e entry, problem string) {
	e.key = key
	if at := strings.IndexByte(key, '['); at >= 0 && strings.HasSuffix(key, "]") {
		e.key, e.form = key[:at], key[at+1:len(key)-1]
		if !slices.Contains(formNames, e.form) {
			return e, fmt.Sprintf("%q is not a plural form: zero, one, two, few, many or other", e.form)
		}
	}
	switch {
	case !isKey(e.key):
		return e, fmt.Sprintf("%q is not a key: words of a-z, 0-9 and _ with dots between them", e.key)
	case text == "":
		return e, e.key + " has no text"
	case len(text) > maxText:
		return e, fmt.Sprintf("%s is longer than %d bytes", e.key, maxText)
	case strings.ContainsFunc(text, forbidden):
		return e, e.key + " has a control character or a line separator in it"
	}
	e.parts, problem = parseText(text)
	if problem != "" {
		problem = e.key + " " + problem
	}
	return e, problem
}

// forbidden are characters that would make a second line, or another header, of a text; and the invisible ones that turn the
// direction of what follows them.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == utf8.RuneError
}

func parseText(text string) (parts []part, problem string) {
	var words strings.Builder
	flush := func() {
		if words.Len() > 0 {
			parts = append(parts, part{words: words.String()})
			words.Reset()
		}
	}
	for len(text) > 0 {
		at := strings.IndexAny(text, "{}")
		if at < 0 {
			words.WriteString(text)
			break
		}
		words.WriteString(text[:at])
		brace := text[at]
		text = text[at+1:]
		if text != "" && text[0] == brace { // doubled: the brace itself
			words.WriteByte(brace)
			text = text[1:]
			continue
		}
		if brace == '}' {
			return nil, "has a } that closes nothing; a brace itself is written }}"
		}
		name, rest, ok := strings.Cut(text, "}")
		if !ok {
			return nil, "has a { that is never closed; a brace itself is written {{"
		}
		if !isWord(name) {
			return nil, fmt.Sprintf("has the placeholder {%s}: a name of a-z, 0-9 and _ is needed; a brace itself is written {{", name)
		}
		flush()
		parts, text = append(parts, part{name: name}), rest
	}
	flush()
	return parts, ""
}
