package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	html "html/template"
	"strings"
	text "text/template"
	"time"
)

// The purposes of the core's own messages.
const (
	ConfirmEmail      = "confirm_email"
	AlreadyRegistered = "already_registered"
	PasswordSetLink   = "password_set_link"
	PasswordChanged   = "password_changed"
	AccountDeleted    = "account_deleted"
)

var purposes = []string{ConfirmEmail, AlreadyRegistered, PasswordSetLink, PasswordChanged, AccountDeleted}

//go:embed letters
var letters embed.FS

// Letter is what the core's own messages are written from. Which fields one uses is up to its text.
type Letter struct {
	Purpose string
	To      string // an address
	Link    string // secret, where it carries a token
	Code    string // secret
	Valid   time.Duration
	When    time.Time
	IP      string
}

// Letters writes messages. Safe for concurrent use.
type Letters struct {
	service string
	text    map[string]*text.Template
	html    map[string]*html.Template
}

// NewLetters reads the texts and writes each once, so that a mistake in them shows at start and not in a flow.
func NewLetters(service string) (*Letters, error) {
	if !line(service) {
		return nil, errors.New("mail: the service's name has a line break, a control character or is not UTF-8")
	}
	l := &Letters{service: service, text: map[string]*text.Template{}, html: map[string]*html.Template{}}
	for _, p := range purposes {
		var err error
		if l.text[p], err = text.New(p+".txt").Option("missingkey=error").ParseFS(letters, "letters/"+p+".txt"); err != nil {
			return nil, fmt.Errorf("mail %s: %w", p, err)
		}
		if l.html[p], err = html.New("layout.html").Option("missingkey=error").ParseFS(letters, "letters/layout.html", "letters/"+p+".html"); err != nil {
			return nil, fmt.Errorf("mail %s: %w", p, err)
		}
		m, err := l.Write(Letter{Purpose: p, To: "somebody@example.org", Link: "https://example.org/x", Code: "000000", Valid: time.Hour, When: time.Unix(0, 0)})
		if err != nil {
			return nil, err
		}
		m.From = Address{Address: "somebody@example.org"}
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("mail %s: %w", p, err)
		}
	}
	return l, nil
}

type view struct {
	Letter
	Service, Subject, Language, Validity, When string
}

// Write makes the message. The first line of a text is the subject, and the second is empty.
func (l *Letters) Write(d Letter) (Message, error) {
	t, ok := l.text[d.Purpose]
	if !ok {
		return Message{}, fmt.Errorf("no mail for the purpose %q", d.Purpose)
	}
	v := view{Letter: d, Service: l.service, Language: "en", Validity: span(d.Valid), When: d.When.UTC().Format("2 January 2006 at 15:04 UTC")}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return Message{}, fmt.Errorf("write mail %s: %w", d.Purpose, err)
	}
	subject, body, _ := strings.Cut(b.String(), "\n")
	v.Subject = strings.TrimSpace(subject)
	b.Reset()
	if err := l.html[d.Purpose].Execute(&b, v); err != nil {
		return Message{}, fmt.Errorf("write mail %s: %w", d.Purpose, err)
	}
	m := Message{
		Purpose: d.Purpose, To: Address{Address: d.To}, Subject: v.Subject, Text: strings.TrimLeft(body, "\n"), HTML: b.String(), Language: v.Language,
		Variables: map[string]string{"service": l.service},
	}
	for k, val := range map[string]string{"link": d.Link, "code": d.Code, "ip": d.IP} {
		if val != "" {
			m.Variables[k] = val
		}
	}
	if d.Valid > 0 {
		m.Variables["validity"] = v.Validity
	}
	if !d.When.IsZero() {
		m.Variables["when"] = d.When.UTC().Format(time.RFC3339)
	}
	return m, nil
}

// span says a duration for people: "48 hours", "10 minutes".
func span(d time.Duration) string {
	n, unit := int(d/time.Hour), "hour"
	if d < 2*time.Hour {
		n, unit = int(d/time.Minute), "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
