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

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

//go:embed messages
var messages embed.FS

// Source is the language that all others are translated from.
const Source = "en"

// mostErrors bounds how much a broken file has to say.
const mostErrors = 20

// Load reads the built-in catalogues and, where override is not nil, those that replace texts or add languages. Every mistake is an *Error with file
// and line; several are joined.
func Load(override fs.FS) (*Catalogues, error) {
	builtin, err := fs.Sub(messages, "messages")
	if err != nil {
		return nil, err
	}
	languages, errs := readAll(builtin)
	english := languages[Source]
	for _, l := range languages {
		errs = append(errs, l.complete(english)...)
	}
	if override != nil && len(errs) == 0 {
		over, oerrs := readAll(override)
		errs = append(errs, oerrs...)
		for code, l := range over {
			errs = append(errs, l.known(english)...)
			if have := languages[code]; have != nil {
				have.replace(l)
			} else {
				languages[code] = l
			}
		}
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(errs[:min(len(errs), mostErrors)]...)
	}
	return newCatalogues(languages), nil
}

// readAll reads a folder of languages.
func readAll(root fs.FS) (map[string]*Language, []error) {
	folders, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, []error{fmt.Errorf("message catalogues: %w", err)}
	}
	out := map[string]*Language{}
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
		l, lerrs := readLanguage(root, tag)
		out[tag.String()], errs = l, append(errs, lerrs...)
	}
	return out, errs
}

func readLanguage(root fs.FS, tag Tag) (*Language, []error) {
	l := &Language{tag: tag, rtl: rightToLeft(tag), texts: map[string]map[string]entry{}}
	files, err := fs.ReadDir(root, tag.String())
	if err != nil {
		return l, []error{fmt.Errorf("message catalogue: %w", err)}
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
			if err := l.add(e); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return l, append(errs, l.checkForms()...)
}

func (l *Language) add(e entry) error {
	have := l.texts[e.key]
	for form, old := range have {
		switch {
		case form == e.form:
			return e.wrong("%s stands a second time; the first is in %s, line %d", label(e.key, form), old.file, old.line)
		case form == noForm || e.form == noForm:
			return e.wrong("%s stands with plural forms and without; the other is in %s, line %d", e.key, old.file, old.line)
		}
	}
	if have == nil {
		have = map[string]entry{}
		l.texts[e.key] = have
	}
	have[e.form] = e
	return nil
}

func label(key, form string) string {
	if form == noForm {
		return key
	}
	return key + "[" + form + "]"
}

// checkForms wants exactly the plural forms that the language's rules use.
func (l *Language) checkForms() (errs []error) {
	needs := forms(l.tag)
	for key, texts := range l.texts {
		if _, plain := texts[noForm]; plain {
			continue
		}
		e := l.first(key)
		for _, form := range needs {
			if _, ok := texts[form]; !ok {
				errs = append(errs, e.wrong("%s is missing: numbers have the forms %s in this language", label(key, form), strings.Join(needs, ", ")))
			}
		}
		for form, e := range texts {
			if !slices.Contains(needs, form) {
				errs = append(errs, e.wrong("%s is never used: numbers have the forms %s in this language", label(key, form), strings.Join(needs, ", ")))
			}
		}
	}
	return errs
}

// first is the entry of a key that stands first, for where to point at.
func (l *Language) first(key string) entry {
	return slices.MinFunc(slices.Collect(maps.Values(l.texts[key])), func(a, b entry) int {
		if a.file != b.file {
			return strings.Compare(a.file, b.file)
		}
		return a.line - b.line
	})
}

// forms are the plural forms that whole numbers have in a language.
func forms(tag Tag) []string {
	used := map[string]bool{}
	for n := range 1001 {
		used[form(tag, n)] = true
	}
	used[form(tag, 1_000_000)] = true
	var out []string
	for _, f := range []string{"zero", "one", "two", "few", "many", "other"} {
		if used[f] {
			out = append(out, f)
		}
	}
	return out
}

func form(tag Tag, n int) string {
	if n < 0 {
		n = -n
	}
	return formNames[plural.Cardinal.MatchPlural(tag, n%10_000_000, 0, 0, 0, 0)]
}

// complete reports what a built-in language lacks of English or has beyond it.
func (l *Language) complete(english *Language) []error {
	errs := l.known(english)
	for key := range english.texts {
		texts, ok := l.texts[key]
		if !ok {
			e := english.first(key)
			errs = append(errs, &Error{File: l.tag.String(), Problem: fmt.Sprintf("%s is missing; English has it in %s, line %d", key, e.file, e.line)})
			continue
		}
		for form, e := range texts {
			for _, name := range english.placeholders(key) {
				if !slices.Contains(e.names(), name) && !(name == count && slices.Contains([]string{"zero", "one", "two"}, form)) {
					errs = append(errs, e.wrong("%s lacks the placeholder {%s}", label(key, form), name))
				}
			}
		}
	}
	return errs
}

// known reports keys and placeholders that English doesn't have.
func (l *Language) known(english *Language) (errs []error) {
	for key, texts := range l.texts {
		source, ok := english.texts[key]
		_, sourcePlain := source[noForm]
		names := english.placeholders(key)
		for form, e := range texts {
			switch {
			case !ok:
				errs = append(errs, e.wrong("there is no text %s%s", key, suggestion(key, english.texts)))
				continue
			case sourcePlain && form != noForm:
				errs = append(errs, e.wrong("%s has no plural forms", key))
			case !sourcePlain && form == noForm:
				errs = append(errs, e.wrong("%s needs its plural forms: %s", key, strings.Join(forms(l.tag), ", ")))
			}
			for _, name := range e.names() {
				if !slices.Contains(names, name) {
					errs = append(errs, e.wrong("%s has the placeholder {%s}, and there is %s", label(key, form), name, list(names)))
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

// replace takes over what another file of the same language says.
func (l *Language) replace(by *Language) { maps.Copy(l.texts, by.texts) }
