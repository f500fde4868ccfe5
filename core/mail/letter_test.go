package mail_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/net/html"

	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/mail"
)

const base = "https://id.example.test"

func letters(t testing.TB, cfg mail.LettersConfig) *mail.Letters {
	t.Helper()
	if cfg.Service == "" {
		cfg.Service = "Böhm & <Sons>"
	}
	l, err := mail.NewLetters(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t testing.TB, l *mail.Letters, d mail.Letter) mail.Message {
	t.Helper()
	m, err := l.Write(d)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var leftover = regexp.MustCompile(`[⟨⟩{}]|<no value>|%!|\(nil\)|0001-01-01|&amp;amp;|&amp;lt;`)

// Every purpose in every language, with its longest and its shortest details.
func TestLetters_everyPurposeInEveryLanguage(t *testing.T) {
	t.Parallel()
	l := letters(t, mail.LettersConfig{})
	if got := l.Languages(); !slices.Equal(got, []string{"ar", "de", "en", "es", "fr"}) {
		t.Fatal(got)
	}
	english := map[string]mail.Message{}
	for _, code := range []string{"en", "ar", "de", "es", "fr"} {
		for _, p := range mail.Purposes() {
			d := mail.Sample(p, base)
			if d.Language = code; d.Link != "" {
				d.Link += "&x=<y>"
			}
			full := write(t, l, d)
			checkLetter(t, d, full)
			d.IP, d.Device, d.Name, d.Address = "", "", "", ""
			checkLetter(t, d, write(t, l, d))
			if code == "en" {
				english[p] = full
			} else if e := english[p]; e.Subject == full.Subject || e.Text == full.Text {
				t.Errorf("%s in %s is in English", p, code)
			}
		}
	}
	for p, want := range map[string][]string{
		mail.ConfirmEmail: {"Your code: 123456\n", "Both work for 48 hours, once."}, mail.PasswordChanged: {"When: 1 February 2026 at 03:04 UTC\nBrowser: Firefox on Linux\nIP address: 192.0.2.17\n"},
		mail.MagicLink: {"Your code: 123456\n", "When: 1 February 2026", "Browser: Firefox on Linux", "IP address: 192.0.2.17"}, mail.EmailChangeNotice: {"24 hours", "New address: lovelace@example.org"},
		mail.RecoveryCodeUsed: {"3 codes are left.", "Make new codes soon"}, mail.OAuthLinked: {"Google was linked", "An account at Google can now"}, mail.MFAAdded: {"Method: Authenticator app"},
		mail.DeletionScheduled: {"Day of deletion: 3 March 2026", "keep your account"}, mail.EmailChanged: {"undo the change. That works for 24 hours"}, mail.OTP: {"Your code: 123456\n", "10 minutes"},
	} {
		for _, s := range want {
			if !strings.Contains(strings.Join(strings.Fields(english[p].Subject+" "+english[p].Text), " "), strings.Join(strings.Fields(s), " ")) {
				t.Errorf("%s lacks %q:\n%s\n\n%s", p, s, english[p].Subject, english[p].Text)
			}
		}
	}
	for p, m := range english { // ASVS 5.0 6.3.7: a notice says what to do if it was somebody else
		if p != mail.PasswordSetLink && p != mail.AccountDeleted && p != mail.Test && !strings.Contains(m.Text, "f this was not you") && !strings.Contains(m.Text, "If you didn't") {
			t.Errorf("%s does not say what to do if it was not you:\n%s", p, m.Text)
		}
	}
}

func checkLetter(t *testing.T, d mail.Letter, m mail.Message) {
	t.Helper()
	name := d.Purpose + " in " + d.Language
	if m.Subject == "" || strings.ContainsAny(m.Subject, "\r\n") || len([]rune(m.Subject)) > 100 || d.Code != "" && strings.Contains(m.Subject, d.Code) {
		t.Errorf("%s: subject %q", name, m.Subject)
	}
	if m.Language != d.Language || m.To.Address != d.To || m.Purpose != d.Purpose {
		t.Errorf("%s: %+v", name, m)
	}
	if s := leftover.FindString(m.Subject + m.Text + strings.ReplaceAll(m.HTML[strings.Index(m.HTML, "</style>"):], "<y>", "")); s != "" {
		t.Errorf("%s: %q was left over:\n%s", name, s, m.Text)
	}
	for what, s := range map[string]string{"link": d.Link, "code": d.Code} {
		if !strings.Contains(m.Text, s) || !strings.Contains(m.HTML, html.EscapeString(s)) && what == "code" {
			t.Errorf("%s lacks its %s", name, what)
		}
	}
	if !strings.Contains(m.Text, "Böhm & <Sons>") || strings.Contains(m.HTML, "<Sons>") || !strings.Contains(m.HTML, "Böhm &amp; &lt;Sons&gt;") {
		t.Errorf("%s: the service's name", name)
	}
	if len(m.HTML) > 100_000 || len(m.Text) > 5000 || !strings.HasSuffix(m.Text, "\n") || strings.Contains(m.Text, "\n\n\n") || strings.HasPrefix(m.Text, "\n") {
		t.Errorf("%s: %d and %d bytes:\n%s", name, len(m.HTML), len(m.Text), m.Text)
	}
	for _, l := range strings.Split(m.Text, "\n") {
		if len([]rune(l)) > 76 && l != d.Link {
			t.Errorf("%s: a long line: %s", name, l)
		}
	}
	checkHTML(t, name, d, m.HTML)
}

// checkHTML wants a document that fetches nothing, runs nothing and leads nowhere but to the link.
func checkHTML(t *testing.T, name string, d mail.Letter, body string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	dir := "ltr"
	if d.Language == "ar" {
		dir = "rtl"
	}
	var headings, links int
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "a", "table", "tbody", "tr", "th", "td", "bdi", "strong", "footer":
		default:
			t.Errorf("%s: a <%s>", name, n.Data)
		}
		if n.Data == "h1" {
			headings++
		}
		for _, a := range n.Attr {
			switch {
			case n.Data == "html":
				if a.Key == "lang" && a.Val != d.Language || a.Key == "dir" && a.Val != dir {
					t.Errorf("%s: %s=%s", name, a.Key, a.Val)
				}
			case a.Key == "href":
				links++
				u, err := url.Parse(a.Val)
				if err != nil || u.Scheme+"://"+u.Host != base || u.Query().Get("token") != "not-a-token" || u.Query().Get("x") != "<y>" {
					t.Errorf("%s: a link to %s", name, a.Val)
				}
			case slices.Contains([]string{"class", "dir", "scope", "charset", "name", "content"}, a.Key):
			default:
				t.Errorf("%s: an attribute %s of <%s>", name, a.Key, n.Data)
			}
		}
	}
	if headings != 1 || (links == 1) != (d.Link != "") {
		t.Errorf("%s: %d headings, %d links", name, headings, links)
	}
	for _, no := range []string{"url(", "@import", "http-equiv", "<!--"} {
		if strings.Contains(body, no) {
			t.Errorf("%s: the HTML has %q", name, no)
		}
	}
}

func TestLetters_counts(t *testing.T) {
	t.Parallel()
	l := letters(t, mail.LettersConfig{})
	for count, want := range map[int]struct {
		text string
		warn bool
	}{0: {"That was the last one.", true}, 1: {"One code", true}, 3: {"3 codes", true}, 4: {"4 codes", false}, 9: {"9 codes", false}} {
		d := mail.Sample(mail.RecoveryCodeUsed, base)
		d.Count = count
		m := write(t, l, d)
		text := strings.Join(strings.Fields(m.Text), " ")
		if want.text == "One code" {
			want.text = "1 code is left."
		}
		if !strings.Contains(text, want.text) || strings.Contains(text, "Make new codes soon") != want.warn || strings.Contains(m.HTML, "Make new codes soon") != want.warn {
			t.Errorf("%d:\n%s", count, m.Text)
		}
	}
	d := mail.Sample(mail.EmailChanged, base)
	d.Valid = 0 // to the new address
	if m := write(t, l, d); strings.Contains(m.Text, "undo") || !strings.Contains(m.HTML, "Secure my account") {
		t.Errorf("%s", m.Text)
	}
}

// What a stranger's browser or passkey is called can't become markup, a link or another line.
func TestLetters_hostileNames(t *testing.T) {
	t.Parallel()
	l := letters(t, mail.LettersConfig{})
	for hostile, want := range map[string]string{
		`<a href="https://evil.example">win</a>`:           `a href="https:/evil. example"win/a`,
		"win at www.evil.example":                          "win at www. evil. example",
		"javascript:alert(1)":                              "javascript: alert(1)",
		"write to eve@evil.example":                        "write to eveevil. example",
		"Firefox 120.0 on Linux":                           "Firefox 120.0 on Linux",
		"two\r\nlines\u2028three\x00\x1b[31m \u202eturned": "two lines three [31m turned",
		strings.Repeat("long ", 50):                        strings.Repeat("long ", 12) + "…",
	} {
		d := mail.Sample(mail.PasskeyAdded, base)
		d.Device, d.Name, d.IP = hostile, hostile, hostile
		m := write(t, l, d)
		if strings.Count(m.Text, ": "+strings.TrimSpace(want)+"\n") != 3 {
			t.Errorf("%q:\n%s", hostile, m.Text)
		}
		d.Link += "&x=<y>"
		d.Language = "en"
		checkHTML(t, hostile, d, write(t, l, d).HTML)
	}
}

func TestLetters_missing(t *testing.T) {
	t.Parallel()
	l := letters(t, mail.LettersConfig{})
	for name, change := range map[string]func(*mail.Letter){
		"link": func(d *mail.Letter) { d.Link = "" }, "code": func(d *mail.Letter) { d.Code = "" }, "validity": func(d *mail.Letter) { d.Valid = 0 }, "time": func(d *mail.Letter) { d.When = time.Time{} },
		"purpose": func(d *mail.Letter) { d.Purpose = "nonsense" }, "a link that is none": func(d *mail.Letter) { d.Link = "javascript:alert(1)" }, "a path": func(d *mail.Letter) { d.Link = "/x" },
		"due":      func(d *mail.Letter) { *d = mail.Sample(mail.DeletionScheduled, base); d.Due = time.Time{} },
		"method":   func(d *mail.Letter) { *d = mail.Sample(mail.MFAAdded, base); d.Method = "" },
		"unknown":  func(d *mail.Letter) { *d = mail.Sample(mail.MFAAdded, base); d.Method = "telepathy" },
		"provider": func(d *mail.Letter) { *d = mail.Sample(mail.OAuthLinked, base); d.Provider = "" },
	} {
		d := mail.Sample(mail.MagicLink, base)
		if change(&d); d.Purpose == "" {
			t.Fatal(name)
		}
		if m, err := l.Write(d); err == nil {
			t.Errorf("%s: %s", name, m.Text)
		}
	}
	for _, service := range []string{"a\r\nBcc: eve@example.org", "", "\xff"} {
		if _, err := mail.NewLetters(mail.LettersConfig{Service: service}); err == nil {
			t.Errorf("the service name %q was taken", service)
		}
	}
}

func TestLetters_languages(t *testing.T) {
	t.Parallel()
	c, err := lang.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.WithDefault("de"); err != nil {
		t.Fatal(err)
	}
	l := letters(t, mail.LettersConfig{Catalogues: c, Service: strings.Repeat("x", 64)})
	for language, want := range map[string]string{"": "de", "fr-CA": "fr", "tr": "de", "rubbish!": "de", "en": "en"} {
		d := mail.Sample(mail.ConfirmEmail, base)
		d.Language = language
		if m := write(t, l, d); m.Language != want {
			t.Errorf("%q: %s", language, m.Language)
		}
	}
	for _, p := range mail.Purposes() { // the longest name that the configuration takes
		for _, code := range l.Languages() {
			d := mail.Sample(p, base)
			d.Language = code
			if m := write(t, l, d); len([]rune(m.Subject)) > 100 {
				t.Errorf("%s in %s: %q", p, code, m.Subject)
			}
		}
	}
}

func TestLetters_replacedTemplates(t *testing.T) {
	t.Parallel()
	files := func(m map[string]string) fstest.MapFS {
		out := fstest.MapFS{}
		for name, text := range m {
			out[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return out
	}
	l := letters(t, mail.LettersConfig{Templates: files(map[string]string{
		"confirm_email.txt":   "{{define \"body\"}}Ours: {{.Code}} {{.Link}} {{.Validity}} {{.Own \"intro\"}}{{end}}\n",
		"password_reset.html": `{{define "body"}}<p>{{template "ours" .}}</p>{{template "button" .}}{{end}}{{define "ours"}}{{.Code}} {{.Service}}{{end}}`,
		".gitignore":          "x",
	})})
	if m := write(t, l, mail.Sample(mail.ConfirmEmail, base)); !strings.HasPrefix(m.Text, "Ours: 123456 https://id.example.test/example?token=not-a-token 48 hours\nSomebody") || !strings.Contains(m.HTML, "Confirm address") {
		t.Errorf("%s", m.Text)
	}
	for _, c := range []struct{ name, file, text, want string }{
		{"a name that is none", "confirm_mail.txt", "x", "confirm_mail.txt: there is no such template"},
		{"an ending that is none", "confirm_email.md", "x", "confirm_email.md: there is no such template"},
		{"no template", "confirm_email.txt", "{{define \"body\"}}\n{{.Code}\n{{end}}", "confirm_email.txt:2: "},
		{"an unknown field", "confirm_email.txt", "{{define \"body\"}}{{.Code}}\n{{.Lnk}}{{end}}", "confirm_email.txt:2: "},
		{"an unknown field in HTML", "confirm_email.html", "{{define \"body\"}}\n\n{{.Lnk}}{{end}}", "confirm_email.html:3: "},
		{"an unknown text", "confirm_email.txt", "{{define \"body\"}}{{.Own \"into\"}}{{end}}", "there is no text mail.notice.into"},
		{"a text that is counted", "confirm_email.txt", "{{define \"body\"}}{{.Say \"language.hours\"}}{{end}}", "confirm_email.txt:1: "},
		{"no code", "confirm_email.txt", "{{define \"body\"}}{{.Link}}{{end}}", "confirm_email.txt: the code is not in the message"},
		{"no link", "confirm_email.html", "{{define \"body\"}}{{.Code}}{{end}}", "confirm_email.html: the link is not in the message"},
		{"outside of body", "confirm_email.html", "<html>{{.Code}} {{.Link}}</html>", "is never shown"},
		{"a part that nothing uses", "confirm_email.html", "{{define \"boddy\"}}x{{end}}", `it defines "boddy", which nothing uses; the parts of the layout are body, button, code, details, link, notice`},
		{"a context that can't be", "confirm_email.html", "{{define \"body\"}}<a href='{{if .Code}}x{{else}}'{{end}}>{{end}}", "confirm_email.html:1: "},
		{"a broken layout", "layout.html", "{{if}}", "layout.html:1: "},
		{"large", "layout.html", strings.Repeat("x", 100<<10+1), "larger than 100 KiB"},
	} {
		_, err := mail.NewLetters(mail.LettersConfig{Service: "S", Templates: files(map[string]string{c.file: c.text})})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func BenchmarkNewLetters(b *testing.B) {
	c, err := lang.Load(nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		letters(b, mail.LettersConfig{Catalogues: c})
	}
}

func BenchmarkWrite(b *testing.B) {
	l := letters(b, mail.LettersConfig{})
	for b.Loop() {
		write(b, l, mail.Sample(mail.MagicLink, base))
	}
}
