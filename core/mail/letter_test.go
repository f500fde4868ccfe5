package mail_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/mail"
)

func TestLetters(t *testing.T) {
	t.Parallel()
	l, err := mail.NewLetters(`Böhm & <Sons>`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		purpose string
		has     []string
	}{
		{mail.ConfirmEmail, []string{"042042", "https://a.test/confirm?token=x&y=1", "48 hours"}},
		{mail.AlreadyRegistered, []string{"https://a.test/confirm?token=x&y=1"}},
		{mail.PasswordSetLink, []string{"https://a.test/confirm?token=x&y=1", "48 hours"}},
		{mail.PasswordChanged, []string{"1 February 2026 at 03:04 UTC", "192.0.2.1"}},
		{mail.AccountDeleted, []string{"1 February 2026 at 03:04 UTC"}},
	} {
		m, err := l.Write(mail.Letter{
			Purpose: c.purpose, To: "ada@example.org", Link: "https://a.test/confirm?token=x&y=1", Code: "042042", Valid: 48 * time.Hour,
			When: time.Date(2026, 2, 1, 3, 4, 5, 0, time.UTC), IP: "192.0.2.1",
		})
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == "" || strings.ContainsAny(m.Subject, "\r\n") || !strings.Contains(m.Subject, "Böhm & <Sons>") && c.purpose != "" || strings.HasPrefix(m.Text, "\n") {
			t.Errorf("%s: subject %q", c.purpose, m.Subject)
		}
		if strings.Contains(m.HTML, "<Sons>") || !strings.Contains(m.HTML, "Böhm &amp; &lt;Sons&gt;") {
			t.Errorf("%s: the service's name is not escaped", c.purpose)
		}
		for _, s := range c.has {
			if !strings.Contains(m.Text, s) {
				t.Errorf("%s: the text lacks %q", c.purpose, s)
			}
			if !strings.Contains(m.HTML, strings.ReplaceAll(s, "&", "&amp;")) {
				t.Errorf("%s: the HTML lacks %q", c.purpose, s)
			}
		}
		for _, no := range []string{"<script", "src=", "<link", "@import", "url("} { // nothing is fetched, nothing tells that it was read
			if strings.Contains(m.HTML, no) {
				t.Errorf("%s: the HTML has %q", c.purpose, no)
			}
		}
		for _, line := range strings.Split(m.Text, "\n") {
			if len(line) > 120 {
				t.Errorf("%s: a line of %d bytes", c.purpose, len(line))
			}
		}
	}
	m, err := l.Write(mail.Letter{Purpose: mail.ConfirmEmail, To: "ada@example.org", Link: "javascript:alert(1)", Code: `"><script>`, Valid: time.Hour})
	if err != nil || strings.Contains(m.HTML, `href="javascript:`) || strings.Contains(m.HTML, "<script>") {
		t.Errorf("hostile values: %s, %v", m.HTML, err)
	}
	if _, err := mail.NewLetters("a\r\nBcc: eve@example.org"); err == nil {
		t.Error("a service name with a line break was taken")
	}
	if _, err := l.Write(mail.Letter{Purpose: "nonsense"}); err == nil {
		t.Error("an unknown purpose was written")
	}
}
