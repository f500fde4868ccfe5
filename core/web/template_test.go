package web_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/net/html"

	"github.com/sigra-auth/sigra/core/web"
)

// TestTemplates_nothingInline parses every template as HTML: what the Content-Security-Policy forbids must not be
// there in the first place.
func TestTemplates_nothingInline(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range inline(string(b)) {
			t.Errorf("%s: %s", file, p)
		}
		if strings.Contains(string(b), "template.HTML") || strings.Contains(string(b), "safe") {
			t.Errorf("%s escapes from escaping", file)
		}
	}
	css, err := os.ReadFile("assets/sigra.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"@import", "http:", "https:", "margin-left", "margin-right", "padding-left", "padding-right", " left:", " right:", "text-align: left", "text-align: right", "float:"} {
		if strings.Contains(string(css), word) {
			t.Errorf("the style sheet has %q: it loads nothing from elsewhere and knows start and end, not left and right", word)
		}
	}
}

// inline lists the scripts and styles in a document that are not in files of their own.
func inline(text string) (found []string) {
	z := html.NewTokenizer(strings.NewReader(text))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return found
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			if tag.Data == "script" && (attr(tag, "src") == "" || z.Next() != html.EndTagToken) {
				found = append(found, "<script> with a text")
			}
			if tag.Data == "style" || tag.Data == "base" || tag.Data == "object" || tag.Data == "embed" {
				found = append(found, "<"+tag.Data+">")
			}
			for _, a := range tag.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
					found = append(found, tag.Data+" "+a.Key+"="+a.Val)
				}
			}
		}
	}
}

// TestOverride holds that an adopter's files replace the built-in ones, and that a broken one is found at start.
func TestOverride(t *testing.T) {
	t.Parallel()
	build := func(over fs.FS) (*web.Pages, error) {
		return web.New(web.Config{BaseURL: "http://localhost:8484", Services: web.Services{Auth: noAuth{}, Sessions: noSessions{}}, Override: over})
	}
	p, err := build(fstest.MapFS{
		"templates/plugin.html": {Data: []byte(`{{define "main"}}<p>ours</p>{{.Body}}{{end}}`)},
		"assets/brand.css":      {Data: []byte(`:root{--accent:red}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := p.Render(t.Context(), "Title", "<b>body</b>", nil, "/x")
	if err != nil || !strings.Contains(page, "<p>ours</p><b>body</b>") {
		t.Errorf("%v %s", err, page)
	}
	// One that fails on a page only gives way to the built-in one: nobody is kept out by a misspelt name.
	if p, err = build(fstest.MapFS{"templates/plugin.html": {Data: []byte(`{{define "main"}}<p>ours</p>{{.Nope}}{{end}}`)}}); err != nil {
		t.Fatal(err)
	}
	if page, err = p.Render(t.Context(), "Title", "<b>body</b>", nil, "/x"); err != nil || !strings.Contains(page, "<b>body</b>") || strings.Contains(page, "ours") {
		t.Errorf("%v %s", err, page)
	}
	for name, over := range map[string]fs.FS{
		"template": fstest.MapFS{"templates/login.html": {Data: []byte(`{{define "main"}}{{.Nope`)}},
		"asset":    fstest.MapFS{"assets/page.html": {Data: []byte(`<script>`)}},
	} {
		if _, err := build(over); err == nil || web.Check(over) == nil {
			t.Errorf("a broken %s was taken", name)
		}
	}
}
