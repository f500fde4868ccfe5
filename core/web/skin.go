package web

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"

	"github.com/sigra-auth/sigra/core/lang"
)

// skin is what an adopter may replace: words, templates and assets. Pages has one at a time and changes it as a whole.
type skin struct {
	texts     *lang.Catalogues
	languages map[string]*lang.Language
	templates templates
	builtin   templates // nil: nothing is overridden
	assets    *assets
}

// newSkin reads everything and tries the templates of an overriding folder, so that a mistake in one shows here and not on a page.
func newSkin(texts *lang.Catalogues, override fs.FS) (*skin, error) {
	s := &skin{texts: texts, languages: map[string]*lang.Language{}}
	var err error
	if s.texts == nil {
		if s.texts, err = lang.Load(nil); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	for _, l := range s.texts.All() {
		s.languages[l.Code()] = l
	}
	if s.assets, err = loadAssets(override); err != nil {
		return nil, err
	}
	if s.templates, err = loadTemplates(override, s.assets); err != nil || override == nil {
		return s, err
	}
	if s.builtin, err = loadTemplates(nil, s.assets); err != nil {
		return nil, err
	}
	return s, s.try()
}

// Check reports what is wrong with a folder of overrides, see Config.Override.
func Check(texts *lang.Catalogues, override fs.FS) error {
	_, err := newSkin(texts, override)
	return err
}

// Use changes words, templates and assets while pages are served. Where something is wrong with them it changes nothing.
func (p *renderer) Use(texts *lang.Catalogues, override fs.FS) error {
	s, err := newSkin(texts, override)
	if err == nil {
		p.skin.Store(s)
	}
	return err
}

// maxTemplate bounds a file.
const maxTemplate = 100 << 10

// sources are the texts of all templates, replaced ones among them.
func sources(override fs.FS) (map[string]string, error) {
	out := map[string]string{}
	files, err := fs.ReadDir(embedded, "templates")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		b, err := fs.ReadFile(embedded, "templates/"+f.Name())
		if err != nil {
			return nil, err
		}
		out[f.Name()] = string(b)
	}
	if override == nil {
		return out, nil
	}
	if err := strays(override); err != nil {
		return nil, err
	}
	files, err = fs.ReadDir(override, "templates")
	if errors.Is(err, fs.ErrNotExist) { // a folder may hold assets only
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name := "templates/" + f.Name()
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		if _, known := out[f.Name()]; !known || f.IsDir() {
			names := strings.Join(sortedKeys(out), ", ")
			return nil, &lang.Error{File: name, Problem: "there is no such template; the names are " + names}
		}
		b, err := fs.ReadFile(override, name)
		if err != nil {
			return nil, err
		}
		if len(b) > maxTemplate {
			return nil, &lang.Error{File: name, Problem: "the file is larger than 100 KiB"}
		}
		out[f.Name()] = string(b)
	}
	return out, nil
}

// strays refuses what lies in an overriding folder itself, where it would be read by nobody.
func strays(override fs.FS) error {
	files, err := fs.ReadDir(override, ".")
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		if path.Ext(f.Name()) == ".html" {
			return &lang.Error{File: f.Name(), Problem: "templates belong into templates/"}
		}
		if _, asset := mediaTypes[path.Ext(f.Name())]; asset {
			return &lang.Error{File: f.Name(), Problem: "style sheets, images, fonts and scripts belong into assets/"}
		}
	}
	return nil
}

func loadTemplates(override fs.FS, a *assets) (templates, error) {
	files, err := sources(override)
	if err != nil {
		return nil, err
	}
	base := template.New("").Option("missingkey=error").Funcs(template.FuncMap{"asset": a.url})
	for _, name := range shared {
		if _, err := base.New(name).Parse(files[name]); err != nil {
			return nil, lang.TemplateError("templates/", err)
		}
	}
	out := templates{}
	for _, name := range sortedKeys(files) {
		if slices.Contains(shared, name) {
			continue
		}
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if _, err := t.New(name).Parse(files[name]); err != nil {
			return nil, lang.TemplateError("templates/", err)
		}
		if err := whole(name, files[name]); err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(name, ".html")] = t
	}
	return out, nil
}

// whole holds that a page's file defines the page and has nothing that is never shown.
func whole(name, text string) error {
	trees := map[string]*parse.Tree{}
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", trees); err != nil {
		return lang.TemplateError("templates/", err)
	}
	if trees["main"] == nil {
		return &lang.Error{File: "templates/" + name, Problem: `it does not define the page: {{define "main"}} … {{end}}`}
	}
	if own := trees[name]; own != nil && !parse.IsEmptyTree(own.Root) {
		return &lang.Error{File: "templates/" + name, Line: strings.Count(text[:firstText(own.Root)], "\n") + 1, Problem: `what stands outside of {{define "main"}} … {{end}} is never shown`}
	}
	return nil
}

// firstText is where the first node begins that shows something.
func firstText(list *parse.ListNode) int {
	for _, n := range list.Nodes {
		t, ok := n.(*parse.TextNode)
		if !ok {
			return int(n.Position())
		}
		if rest := strings.TrimLeft(string(t.Text), " \t\r\n"); rest != "" {
			return int(n.Position()) + len(t.Text) - len(rest)
		}
	}
	return 0
}

// try makes every page of samples, once with everything that it can have and in leaner forms.
func (s *skin) try() error {
	for _, name := range sortedKeys(s.templates) {
		for _, f := range fillings {
			v := sample(name, f)
			v.L = s.texts.Default().Strict()
			err := s.templates[name].ExecuteTemplate(io.Discard, "layout.html", v)
			var at texttemplate.ExecError
			if f == bare && errors.As(err, &at) && strings.Contains(at.Err.Error(), "nil pointer evaluating") {
				continue // pages don't come without what their template always asks for
			}
			if err != nil {
				return lang.TemplateError("templates/", err)
			}
		}
	}
	return nil
}
