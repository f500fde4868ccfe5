package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestReload_pages changes an adopter's own pages and words under a running server: what is right shows at the next reload, what is wrong
// is named with file and line and changes nothing.
func TestReload_pages(t *testing.T) {
	t.Parallel()
	own := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(own, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page := func(text string) string {
		return `{{define "main"}}<h1>{{.Title}}</h1><p>` + text + `</p>{{template "form" .Form}}{{end}}`
	}
	write("pages/templates/login.html", page("ours"))
	write("messages/en/ours.txt", "page.login.title = Welcome\nmail.confirm_email.subject = Hello from {service}\n")
	write("mail/confirm_email.txt", `{{define "body"}}Our letter: {{.Code}} {{.Link}}{{end}}`)
	s := setup{extra: "messages = " + strconv.Quote(filepath.Join(own, "messages")) + "\nmail {\n  dev = true\n  templates = " + strconv.Quote(filepath.Join(own, "mail")) + "\n}\n"}
	s.plugins = "pages = " + strconv.Quote(filepath.Join(own, "pages")) + "\n"
	in := newInstance(t, s)
	in.start()
	login := func() string {
		t.Helper()
		res, err := http.Get(in.url + "/login")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %v", res.Status, err)
		}
		return string(b)
	}
	shows := func(parts ...string) {
		t.Helper()
		got := login()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("no %q in %s", part, got)
			}
		}
	}
	shows("<h1>Welcome</h1>", "<p>ours</p>")
	if out := in.cli("reload"); !strings.Contains(out, "nothing is different") {
		t.Errorf("reload said %q", out)
	}

	for name, text := range map[string]string{
		"pages/templates/login.html": "{{define \"main\"}}\n{{.Body.Nope}}{{end}}",
		"messages/en/ours.txt":       "# ours\npage.login.nope = x\n",
		"mail/confirm_email.txt":     "{{define \"body\"}}\n{{.Nope}}{{end}}",
	} {
		was, err := os.ReadFile(filepath.Join(own, name))
		if err != nil {
			t.Fatal(err)
		}
		write(name, text)
		out, errOut, err := in.tryCLI("reload")
		if err == nil || !strings.Contains(out+errOut, filepath.Join(own, name)+":2") {
			t.Errorf("%s: %v %s%s", name, err, out, errOut)
		}
		shows("<h1>Welcome</h1>", "<p>ours</p>")
		write(name, string(was))
	}

	write("pages/templates/login.html", page("newer"))
	if out := in.cli("reload"); !strings.Contains(out, "Reloaded: pages.") {
		t.Errorf("reload said %q", out)
	}
	shows("<h1>Welcome</h1>", "<p>newer</p>")
	write("messages/en/ours.txt", "page.login.title = Come in\nmail.confirm_email.subject = Greetings from {service}\n")
	write("mail/confirm_email.txt", `{{define "body"}}Our new letter: {{.Code}} {{.Link}}{{end}}`)
	if out := in.cli("reload"); !strings.Contains(out, "Reloaded: mail.templates, messages.") {
		t.Errorf("reload said %q", out)
	}
	shows("<h1>Come in</h1>", "<p>newer</p>")
	in.must(http.StatusAccepted, "POST", "/v1/register", "", map[string]any{"email": "ada@example.com", "password": testPassword})
	if m := in.mailTo("ada@example.com", "confirm_email"); m.Subject != "Greetings from Sigra" || !strings.HasPrefix(m.Text, "Our new letter: ") {
		t.Errorf("%+v", m)
	}

	// Without the setting the built-in pages are back.
	s.plugins = ""
	in.configure(s)
	if out := in.cli("reload"); !strings.Contains(out, "Reloaded: pages.") {
		t.Errorf("reload said %q", out)
	}
	if got := login(); strings.Contains(got, "newer") || !strings.Contains(got, "<h1>Come in</h1>") {
		t.Error(got)
	}
}
