package lang

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

//go:embed messages
var base embed.FS

// Source is the language that all others are translated from.
const Source = "en"

// mostErrors bounds how much a broken file has to say.
const mostErrors = 20

// Load prepares catalogues whose source has been tested (see Verify) and reads, where override is not nil, those that replace
// texts or add languages. Every mistake in an override is an *Error with file and line; several are joined. A language of the
// source is read when it is first used.
func Load(source, override fs.FS) (*Catalogues, error) {
	languages, err := lazy(source)
	if err != nil {
		return nil, err
	}
	if override != nil {
		over, errs := readAll(override)
		english, _ := readLanguage(source, language.English) // as it is built in
		for code, t := range over {
			tag := language.Make(code)
			errs = append(errs, known(tag, t, english)...)
			if l := languages[code]; l != nil {
				l.replaced = t
			} else {
				languages[code] = newLanguage(tag, func() texts { return t })
			}
		}
		if len(errs) > 0 {
			return nil, join(errs)
		}
	}
	return newCatalogues(languages), nil
}

// New reads a plugin's catalogues: a folder per language, "en" among them and complete. The texts of Base come with them.
func New(root fs.FS) (*Catalogues, error) {
	if err := Verify(root); err != nil {
		return nil, err
	}
	folders, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, fmt.Errorf("message catalogues: %w", err)
	}
	all, err := lazy(Merge(Base(), root))
	if err != nil {
		return nil, err
	}
	languages := map[string]*Language{}
	for _, f := range folders {
		if l := all[f.Name()]; l != nil {
			languages[f.Name()] = l
		}
	}
	if languages[Source] == nil {
		return nil, errors.New("message catalogues: there is no folder " + Source)
	}
	return newCatalogues(languages), nil
}

// MustNew is New for embedded catalogues, which a test has seen to be right.
func MustNew(root fs.FS) *Catalogues {
	c, err := New(root)
	if err != nil {
		panic(err)
	}
	return c
}

// Verify reads a whole set of catalogues and reports whatever is not as doc.go says of what is built in.
func Verify(root fs.FS) error {
	languages, errs := readAll(root)
	english := languages[Source]
	for code, t := range languages {
		tag := language.Make(code)
		errs = append(append(errs, known(tag, t, english)...), complete(tag, t, english)...)
	}
	return join(errs)
}

// Base are the texts that every program needs: names of months, lengths of time.
func Base() fs.FS {
	sub, err := fs.Sub(base, "messages")
	if err != nil {
		panic(err) // the path is a constant and valid
	}
	return sub
}

func lazy(root fs.FS) (map[string]*Language, error) {
	folders, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, fmt.Errorf("message catalogues: %w", err)
	}
	out := map[string]*Language{}
	for _, f := range folders {
		tag := language.Make(f.Name())
		out[f.Name()] = newLanguage(tag, sync.OnceValue(func() texts {
			t, _ := readLanguage(root, tag) // without mistakes: see Verify
			return t
		}))
	}
	return out, nil
}

func join(errs []error) error {
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs[:min(len(errs), mostErrors)]...)
}

// texts are the entries of a catalogue by key: one, or one per plural form.
type texts map[string][]entry

// readAll reads a folder of languages.
func readAll(root fs.FS) (map[string]texts, []error) {
	folders, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, []error{fmt.Errorf("message catalogues: %w", err)}
	}
	out := map[string]texts{}
	var errs []error
	for _, f := range folders {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		if !f.IsDir() {
			if strings.HasSuffix(f.Name(), ".txt") {
				errs = append(errs, &Error{File: f.Name(), Problem: "message files lie in a folder per language, such as en/" + f.Name()})
			}
			continue
		}
		tag, err := language.Parse(f.Name())
		if err != nil || tag.String() != f.Name() || tag == language.Und {
			errs = append(errs, &Error{File: f.Name(), Problem: "the folder is not named by a language, such as de or pt-BR"})
			continue
		}
		t, terrs := readLanguage(root, tag)
		out[tag.String()], errs = t, append(errs, terrs...)
	}
	return out, errs
}

func readLanguage(root fs.FS, tag Tag) (texts, []error) {
	t := texts{}
	files, err := fs.ReadDir(root, tag.String())
	if err != nil {
		return t, []error{fmt.Errorf("message catalogue: %w", err)}
	}
	var errs []error
	for _, f := range files {
		name := path.Join(tag.String(), f.Name())
		if f.IsDir() || !strings.HasSuffix(name, ".txt") || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("message catalogue: %w", err))
			continue
		}
		entries, perrs := parse(name, src)
		errs = append(errs, perrs...)
		for _, e := range entries {
			if err := t.add(e); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return t, append(errs, t.checkForms(tag)...)
}

func (t texts) add(e entry) error {
	for _, old := range t[e.key] {
		switch {
		case old.form == e.form:
			return e.wrong("%s stands a second time; the first is in %s, line %d", e.label(), old.file, old.line)
		case old.form == noForm || e.form == noForm:
			return e.wrong("%s stands with plural forms and without; the other is in %s, line %d", e.key, old.file, old.line)
		}
	}
	t[e.key] = append(t[e.key], e)
	return nil
}

// checkForms wants exactly the plural forms that the language's rules use.
func (t texts) checkForms(tag Tag) (errs []error) {
	var needs []string
	for key, entries := range t {
		if entries[0].form == noForm {
			continue
		}
		if needs == nil {
			needs = forms(tag)
		}
		for _, form := range needs {
			if !slices.ContainsFunc(entries, func(e entry) bool { return e.form == form }) {
				errs = append(errs, entries[0].wrong("%s[%s] is missing: numbers have the forms %s in this language", key, form, strings.Join(needs, ", ")))
			}
		}
		for _, e := range entries {
			if !slices.Contains(needs, e.form) {
				errs = append(errs, e.wrong("%s is never used: numbers have the forms %s in this language", e.label(), strings.Join(needs, ", ")))
			}
		}
	}
	return errs
}

// placeholders are the names that a text has, in any of its forms.
func (t texts) placeholders(key string) []string {
	var out []string
	for _, e := range t[key] {
		for _, n := range e.names() {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out
}

// complete reports what a language lacks of English.
func complete(tag Tag, t, english texts) (errs []error) {
	for key, source := range english {
		if len(t[key]) == 0 {
			errs = append(errs, &Error{File: tag.String(), Problem: fmt.Sprintf("%s is missing; English has it in %s, line %d", key, source[0].file, source[0].line)})
			continue
		}
		for _, e := range t[key] {
			for _, name := range english.placeholders(key) {
				if !slices.Contains(e.names(), name) && !(name == count && slices.Contains([]string{"zero", "one", "two"}, e.form)) {
					errs = append(errs, e.wrong("%s lacks the placeholder {%s}", e.label(), name))
				}
			}
		}
	}
	return errs
}

// known reports keys and placeholders that English doesn't have.
func known(tag Tag, t, english texts) (errs []error) {
	for key, entries := range t {
		source := english[key]
		if len(source) == 0 {
			errs = append(errs, entries[0].wrong("there is no text %s%s", key, suggestion(key, english)))
			continue
		}
		names := english.placeholders(key)
		for _, e := range entries {
			switch {
			case source[0].form == noForm && e.form != noForm:
				errs = append(errs, e.wrong("%s has no plural forms", key))
			case source[0].form != noForm && e.form == noForm:
				errs = append(errs, e.wrong("%s needs its plural forms: %s", key, strings.Join(forms(tag), ", ")))
			}
			for _, name := range e.names() {
				if !slices.Contains(names, name) {
					errs = append(errs, e.wrong("%s has the placeholder {%s}, and there is %s", e.label(), name, list(names)))
				}
			}
		}
	}
	return errs
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return "only {" + strings.Join(names, "}, {") + "}"
}

// newLanguage makes a language whose texts are read when they are needed.
func newLanguage(tag Tag, read func() texts) *Language {
	l := &Language{tag: tag, rtl: rightToLeft(tag)}
	l.texts = sync.OnceValue(func() texts {
		t := read()
		if l.replaced != nil {
			t = maps.Clone(t)
			maps.Copy(t, l.replaced)
		}
		return t
	})
	return l
}
