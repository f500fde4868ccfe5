package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
)

var errNoMail = fault.New(fault.NotFound, "mail_not_found", "This message is not in the inbox (any more).")

// Inbox is the development mailbox.
type Inbox interface {
	List(ctx context.Context, to string) ([]mail.Received, error)
	Get(ctx context.Context, id uuid.UUID) (mail.Received, error) // fault NotFound
}

// devMail is the development inbox. Everybody's mail is in it, so it answers the machine that Sigra runs on and no other.
type devMail struct {
	*kit
	inbox Inbox
}

// Mount adds the pages.
func (p *devMail) Mount(m *mounter) {
	m.page("/dev/mail", nearby, p.list)
	m.page("/dev/mail/{id}", nearby, p.message)
	m.page("/dev/mail/{id}/html", nearby, p.messageHTML)
}

// letter is a message in the list and on its page.
type letter struct {
	ID                string
	To, From, Subject string
	Purpose           string
	At                time.Time
	Machine           string
	HasHTML           bool
	Text              []span
	Preview           string
}

// span is a piece of a text: words, or a link in it.
type span struct{ Text, Link string }

func letterOf(m mail.Received) letter {
	at := m.ReceivedAt.UTC()
	return letter{
		ID: m.ID.String(), To: m.To.Address, From: m.From.Address, Subject: m.Subject, Purpose: m.Purpose,
		At: at, Machine: at.Format(time.RFC3339), HasHTML: m.HTML != "",
		Text: linked(m.Text), Preview: preview(m.Text),
	}
}

func preview(text string) string {
	s := strings.Join(strings.Fields(text), " ")
	if r := []rune(s); len(r) > 120 {
		return string(r[:120]) + "…"
	}
	return s
}

// linked finds the web addresses in a text. Only http and https become links.
func linked(text string) []span {
	var out []span
	for text != "" {
		i := strings.Index(text, "http")
		for i >= 0 && !strings.HasPrefix(text[i:], "http://") && !strings.HasPrefix(text[i:], "https://") {
			j := strings.Index(text[i+4:], "http")
			if j < 0 {
				i = -1
				break
			}
			i += 4 + j
		}
		if i < 0 {
			return append(out, span{Text: text})
		}
		end := strings.IndexFunc(text[i:], func(r rune) bool { return r <= ' ' || strings.ContainsRune(`<>"'`+"`", r) })
		if end < 0 {
			end = len(text) - i
		}
		link := strings.TrimRight(text[i:i+end], ".,;:!?)]}")
		if i > 0 {
			out = append(out, span{Text: text[:i]})
		}
		out = append(out, span{Text: link, Link: link})
		text = text[i+len(link):]
	}
	return out
}

func (p *devMail) list(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	list, err := p.inbox.List(r.Context(), "")
	if err != nil {
		p.Error(w, r, err)
		return
	}
	letters := make([]letter, len(list))
	for i, m := range list {
		letters[i] = letterOf(m)
	}
	v := p.view(r, "page.dev.title")
	v.Shape, v.Body = "wide", letters
	p.render(w, r, http.StatusOK, "dev-inbox", v)
}

func (p *devMail) received(w http.ResponseWriter, r *http.Request) (mail.Received, bool) {
	id, err := uuid.Parse(mux.Vars(r)["id"])
	if err != nil {
		p.Error(w, r, errNoMail)
		return mail.Received{}, false
	}
	m, err := p.inbox.Get(r.Context(), id)
	if err != nil {
		p.Error(w, r, err)
		return mail.Received{}, false
	}
	return m, true
}

func (p *devMail) message(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	m, ok := p.received(w, r)
	if !ok {
		return
	}
	v := p.view(r, "page.dev.title")
	v.Title, v.Shape, v.Body = m.Subject, "wide", letterOf(m)
	// The frame shows the message's HTML, from a page of its own.
	w.Header().Set("Referrer-Policy", "no-referrer")
	p.renderWith(w, r, http.StatusOK, "dev-message", v, p.policy(v)+"; frame-src 'self'")
}

// messagePolicy is for a mail's HTML: it may style itself, load nothing, run nothing, and its links open in the whole
// window. The sandbox makes it an origin of its own, which can read nothing of Sigra's.
const messagePolicy = "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; " +
	"default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

func (p *devMail) messageHTML(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	m, ok := p.received(w, r)
	if !ok {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", messagePolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(`<!doctype html><base target="_top">` + m.HTML))
}
