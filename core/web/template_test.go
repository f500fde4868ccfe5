package web_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/net/html"

	"github.com/gorilla/mux"

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

// TestOverride holds that an adopter's files replace the built-in ones, at start and while pages are served.
func TestOverride(t *testing.T) {
	t.Parallel()
	p, err := web.New(web.Config{
		BaseURL: "http://localhost:8484", Services: noFlows(nil),
		Override: fstest.MapFS{
			"templates/plugin.html": {Data: []byte(`{{define "main"}}<p>ours</p><img src="{{asset "img/logo.svg"}}" alt="">{{.Body}}{{end}}`)},
			"assets/img/logo.svg":   {Data: []byte(`<svg/>`)},
			"README.md":             {Data: []byte(`whose they are`)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := mux.NewRouter()
	p.Mount(r)
	get := func(path string, want int) string {
		t.Helper()
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		return w.Body.String()
	}
	shows := func(parts ...string) string {
		t.Helper()
		page, err := p.Render(t.Context(), web.PluginPage{Title: "Title", BodyHTML: "<b>body</b>", Path: "/x"})
		for _, part := range parts {
			if err != nil || !strings.Contains(page.HTML, part) {
				t.Fatalf("no %s: %v %s", part, err, page.HTML)
			}
		}
		return page.HTML
	}
	logo := regexp.MustCompile(`src="([^"]+)"`).FindStringSubmatch(shows("<p>ours</p><img", "<b>body</b>"))[1]
	if got := get(logo, 200); got != "<svg/>" {
		t.Errorf("the logo is %q", got)
	}

	// What is wrong changes nothing.
	if err := p.Use(nil, fstest.MapFS{"templates/plugin.html": {Data: []byte(`{{define "main"}}{{.Nope}}{{end}}`)}}); err == nil {
		t.Error("a broken template was taken")
	}
	shows("<p>ours</p>")
	if err := p.Use(nil, fstest.MapFS{"templates/plugin.html": {Data: []byte(`{{define "main"}}<p>newer</p>{{.Body}}{{end}}`)}, "assets/img/logo.svg": {Data: []byte(`<svg id="new"/>`)}}); err != nil {
		t.Fatal(err)
	}
	shows("<p>newer</p>")
	if got := get(logo, 200); got != `<svg id="new"/>` { // a page that is open finds what there is now
		t.Errorf("the logo is %q", got)
	}
	if err := p.Use(nil, nil); err != nil {
		t.Fatal(err)
	}
	if page := shows("<b>body</b>"); strings.Contains(page, "newer") {
		t.Error("what was taken away is still there")
	}
	get(logo, 404)
}

// TestOverride_mistakes: every one is found before a page is shown, and says where it is.
func TestOverride_mistakes(t *testing.T) {
	t.Parallel()
	if err := web.Check(nil, web.Builtin()); err != nil {
		t.Errorf("what is built in: %v", err)
	}
	for _, c := range []struct{ name, file, text, want string }{
		{"no template", "templates/login.html", "{{define \"main\"}}\n{{.Title}\n{{end}}", "templates/login.html:2: "},
		{"not closed", "templates/login.html", "{{define \"main\"}}\n{{if .Title}}\n", "templates/login.html:3: "},
		{"an unknown field", "templates/login.html", "{{define \"main\"}}\n\n{{.Body.Forgotten}}{{end}}", `templates/login.html:3: executing "main" at <.Body.Forgotten>: can't evaluate field Forgotten`},
		{"an unknown field where nothing is", "templates/passkeys.html", "{{define \"main\"}}\n{{if .Body.List}}x{{else}}\n{{.Nope}}{{end}}{{end}}", "templates/passkeys.html:3: "},
		{"an unknown field where a part is missing", "templates/authenticator.html", "{{define \"main\"}}\n{{if .Body.Secret}}x{{else}}\n{{.Nope}}{{end}}{{end}}", "templates/authenticator.html:3: "},
		{"an unknown field in a list", "templates/devices.html", "{{define \"main\"}}{{range .Body.List}}\n{{.Model}}{{end}}{{end}}", "templates/devices.html:2: "},
		{"an unknown field of a field", "templates/parts.html", "{{define \"form\"}}{{range .Rows}}\n{{.Nope}}{{end}}{{end}}{{define \"passkey\"}}{{end}}{{define \"dev-mail\"}}{{end}}{{define \"problem\"}}{{end}}{{define \"field\"}}{{end}}", "templates/parts.html:2: "},
		{"an unknown text", "templates/reset.html", "{{define \"main\"}}\n{{.L.Text \"page.reset.nope\"}}{{end}}", "templates/reset.html:2: "},
		{"an unknown asset", "templates/layout.html", "<html>\n<link href=\"{{asset \"ours.css\"}}\">{{template \"main\" .}}", `there is no asset "ours.css"`},
		{"an unknown part", "templates/login.html", "{{define \"main\"}}\n{{template \"fourm\" .Form}}{{end}}", `templates/login.html:2: `},
		{"a context that can't be", "templates/login.html", "{{define \"main\"}}\n<a href='{{if .Title}}x{{else}}'{{end}}>{{end}}", "templates/login.html:2: "},
		{"no page", "templates/login.html", "{{define \"mian\"}}x{{end}}", "templates/login.html: it does not define the page"},
		{"outside of the page", "templates/login.html", "{{define \"main\"}}x{{end}}\n\n<p>{{.Title}}</p>", "templates/login.html:3: what stands outside"},
		{"a name that is none", "templates/signin.html", "x", "templates/signin.html: there is no such template; the names are account-form.html, "},
		{"not among the templates", "login.html", "x", "login.html: templates belong into templates/"},
		{"not among the assets", "ours.css", "x", "ours.css: style sheets, images, fonts and scripts belong into assets/"},
		{"no asset", "assets/page.html", "<script>", "assets/page.html: assets are style sheets"},
		{"large", "templates/layout.html", strings.Repeat("x", 100<<10+1), "templates/layout.html: the file is larger than 100 KiB"},
	} {
		err := web.Check(nil, fstest.MapFS{c.file: {Data: []byte(c.text)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}
