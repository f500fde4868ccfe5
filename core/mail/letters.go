package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sigra-auth/sigra/core/lang"
)

// maxLetterSubject is how long a subject gets before it is cut: what mail programs show at most.
const maxLetterSubject = 100

// LettersConfig of Letters.
type LettersConfig struct {
	Service    string           // the service's name, as people know it
	Catalogues *lang.Catalogues // nil: the built-in ones
	Templates  fs.FS            // files that replace templates of the same names; nil: none
}

// Letters writes messages in all languages there are. Safe for concurrent use.
type Letters struct {
	service string
	now     atomic.Pointer[templateSet]
}

// templateSet is what messages are written with.
type templateSet struct {
	catalogues *lang.Catalogues
	templates  map[string]func() (written, error)
}

// Use has the messages written as next writes them, from now on. The service keeps its name.
func (l *Letters) Use(next *Letters) { l.now.Store(next.now.Load()) }

// NewLetters makes Letters. With templates of the site's own it writes each message once in each language, so that a mistake in them shows at
// start and not in a flow; an error names the file and the line. What is built in is tested and not read before it is used.
func NewLetters(cfg LettersConfig) (*Letters, error) {
	if !line(cfg.Service) || cfg.Service == "" {
		return nil, errors.New("mail: the service's name is empty, has a line break or a control character, or is not UTF-8")
	}
	l, s := &Letters{service: cfg.Service}, &templateSet{catalogues: cfg.Catalogues}
	var err error
	if s.catalogues == nil {
		if s.catalogues, err = lang.Load(nil); err != nil {
			return nil, err
		}
	}
	if s.templates, err = readTemplates(cfg.Templates); err != nil {
		return nil, err
	}
	l.now.Store(s)
	if cfg.Templates == nil {
		return l, nil
	}
	for _, p := range Purposes() {
		for _, in := range s.catalogues.All() {
			d := Sample(p, "https://example.org")
			d.Language = in.Code()
			if err := l.try(d); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// try writes a letter and looks whether what the person needs is in both parts.
func (l *Letters) try(d Letter) error {
	m, err := l.Write(d)
	if err != nil {
		return err
	}
	m.From = Address{Address: "somebody@example.org"}
	if err := m.Check(); err != nil {
		return fmt.Errorf("mail %s: %w", d.Purpose, err)
	}
	for _, part := range []struct{ name, body string }{{".txt", m.Text}, {".html", m.HTML}} {
		for what, v := range map[string]string{"link": d.Link, "code": d.Code} {
			if !strings.Contains(part.body, v) {
				return &lang.Error{File: d.Purpose + part.name, Problem: "the " + what + " is not in the message"}
			}
		}
	}
	return nil
}

// Languages are the codes of the languages that letters can be written in.
func (l *Letters) Languages() []string { return l.now.Load().catalogues.Codes() }

// Write makes the message.
func (l *Letters) Write(d Letter) (Message, error) {
	if err := d.check(); err != nil {
		return Message{}, err
	}
	d.Device, d.Name, d.Provider, d.Address, d.IP = sanitize(d.Device), sanitize(d.Name), sanitize(d.Provider), oneLine(d.Address), address(d.IP)
	s := l.now.Load()
	t, err := s.templates[d.Purpose]()
	if err != nil {
		return Message{}, err
	}
	in := s.catalogues.For(s.catalogues.Match("", d.Language))
	v := view{Letter: d, Service: l.service, Lang: in.Code(), Dir: in.Direction(), language: in}
	subject, err := v.Own("subject")
	if err != nil {
		return Message{}, fmt.Errorf("mail %s: %w", d.Purpose, err)
	}
	v.Subject = shorten(subject)
	m := Message{Purpose: d.Purpose, To: Address{Address: d.To}, Subject: v.Subject, Language: in.Code(), Variables: l.variables(d, in), ValidFor: d.Valid, Category: category(d.Purpose),
		UserID: d.UserID, TemplateVersion: t.version}
	var b bytes.Buffer
	if err := t.text.Execute(&b, v); err != nil {
		return Message{}, lang.TemplateError("", err)
	}
	m.Text = wrap(b.String())
	b.Reset()
	if err := t.html.Execute(&b, v); err != nil {
		return Message{}, lang.TemplateError("", err)
	}
	m.HTML = b.String()
	return m, nil
}

// variables are what a mailer that writes messages of its own gets.
func (l *Letters) variables(d Letter, in *lang.Language) map[string]string {
	out := map[string]string{"service": l.service}
	for k, v := range map[string]string{
		"link": d.Link, "code": d.Code, "ip": d.IP, "device": d.Device, "method": d.Method, "provider": d.Provider, "name": d.Name, "address": d.Address,
	} {
		if v != "" {
			out[k] = v
		}
	}
	if d.Valid > 0 {
		out["validity"] = in.Span(d.Valid)
	}
	if d.Purpose == RecoveryCodeUsed {
		out["count"] = fmt.Sprint(d.Count)
	}
	for k, t := range map[string]time.Time{"when": d.When, "due": d.Due} {
		if !t.IsZero() {
			out[k] = t.UTC().Format(time.RFC3339)
		}
	}
	return out
}

func shorten(subject string) string {
	if r := []rune(subject); len(r) > maxLetterSubject {
		return strings.TrimRight(string(r[:maxLetterSubject-1]), " ") + "…"
	}
	return subject
}
