package mail

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	html "html/template"
	"io/fs"
	"slices"
	"strings"
	"sync"
	text "text/template"
	"text/template/parse"

	"github.com/sigra-auth/sigra/core/lang"
)

//go:embed letters
var letters embed.FS

// Templates are the built-in templates, to start from when replacing them.
func Templates() fs.FS {
	sub, err := fs.Sub(letters, "letters")
	if err != nil {
		panic(err) // the path is a constant and valid
	}
	return sub
}

const (
	textLayout = "layout.txt"
	htmlLayout = "layout.html"
)

// written are the templates of one purpose.
type written struct {
	text *text.Template
	html *html.Template
	// version is the same on all nodes that write with the same sources, and another when any of them changes.
	version string
}

// readTemplates prepares the templates of every purpose: the layout, with the purpose's own file over it where there is one. They are parsed when
// they are first used.
func readTemplates(override fs.FS) (map[string]func() (written, error), error) {
	files, err := templateFiles(override)
	if err != nil {
		return nil, err
	}
	layouts := sync.OnceValues(func() (written, error) {
		t, err := text.New(textLayout).Option("missingkey=error").Parse(files[textLayout])
		if err != nil {
			return written{}, lang.TemplateError("", err)
		}
		h, err := html.New(htmlLayout).Option("missingkey=error").Parse(files[htmlLayout])
		if err != nil {
			return written{}, lang.TemplateError("", err)
		}
		return written{text: t, html: h}, nil
	})
	out := map[string]func() (written, error){}
	for _, p := range Purposes() {
		out[p] = sync.OnceValues(func() (written, error) { return readPurpose(p, files, layouts) })
	}
	return out, nil
}

func readPurpose(purpose string, files map[string]string, layouts func() (written, error)) (w written, err error) {
	base, err := layouts()
	if err != nil {
		return w, err
	}
	if w.text, err = base.text.Clone(); err != nil {
		return w, err
	}
	if w.html, err = base.html.Clone(); err != nil {
		return w, err
	}
	var textParts, htmlParts []string
	for _, t := range base.text.Templates() {
		textParts = append(textParts, t.Name())
	}
	for _, t := range base.html.Templates() {
		htmlParts = append(htmlParts, t.Name())
	}
	if src, ok := files[purpose+".txt"]; ok {
		if _, err := w.text.New(purpose + ".txt").Parse(src); err != nil {
			return w, lang.TemplateError("", err)
		}
		if err := checkParts(purpose+".txt", src, textParts); err != nil {
			return w, err
		}
	}
	if src, ok := files[purpose+".html"]; ok {
		if _, err := w.html.New(purpose + ".html").Parse(src); err != nil {
			return w, lang.TemplateError("", err)
		}
		if err := checkParts(purpose+".html", src, htmlParts); err != nil {
			return w, err
		}
	}
	sum := sha256.New()
	for _, name := range []string{textLayout, htmlLayout, purpose + ".txt", purpose + ".html"} {
		fmt.Fprintf(sum, "%d:%s", len(files[name]), files[name])
	}
	w.version = hex.EncodeToString(sum.Sum(nil)[:8])
	return w, nil
}

// checkParts refuses what would be read and never shown: the file of a purpose only replaces parts of the layout.
func checkParts(name, src string, parts []string) error {
	file, err := text.New(name).Parse(src)
	if err != nil {
		return lang.TemplateError("", err)
	}
	parts = slices.DeleteFunc(slices.Sorted(slices.Values(parts)), func(p string) bool { return strings.Contains(p, ".") })
	for _, t := range file.Templates() {
		switch {
		case t.Name() == name:
			if !parse.IsEmptyTree(t.Root) {
				return &lang.Error{File: name, Problem: `what stands outside of {{define "body"}} … {{end}} is never shown`}
			}
		case !slices.Contains(parts, t.Name()) && strings.Count(src, `"`+t.Name()+`"`) < 2:
			return &lang.Error{File: name, Problem: fmt.Sprintf("it defines %q, which nothing uses; the parts of the layout are %s", t.Name(), strings.Join(parts, ", "))}
		}
	}
	return nil
}

// templateFiles are the sources by name, replaced ones among them.
func templateFiles(override fs.FS) (map[string]string, error) {
	files := map[string]string{}
	if err := addFiles(files, Templates(), func(string) error { return nil }); err != nil {
		return nil, err
	}
	if override == nil {
		return files, nil
	}
	known := func(name string) error {
		base := strings.TrimSuffix(strings.TrimSuffix(name, ".html"), ".txt")
		if base == name || base != "layout" && !slices.Contains(Purposes(), base) {
			return &lang.Error{File: name, Problem: "there is no such template; the names are layout.html, layout.txt and, with either ending, " + strings.Join(Purposes(), ", ")}
		}
		return nil
	}
	return files, addFiles(files, override, known)
}

// maxTemplate bounds a file.
const maxTemplate = 100 << 10

func addFiles(files map[string]string, from fs.FS, check func(name string) error) error {
	entries, err := fs.ReadDir(from, ".")
	if err != nil {
		return fmt.Errorf("mail templates: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := check(e.Name()); err != nil {
			return err
		}
		b, err := fs.ReadFile(from, e.Name())
		if err != nil {
			return fmt.Errorf("mail templates: %w", err)
		}
		if len(b) > maxTemplate {
			return &lang.Error{File: e.Name(), Problem: "the file is larger than 100 KiB"}
		}
		files[e.Name()] = string(b)
	}
	return nil
}
