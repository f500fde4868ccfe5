package web

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
)

// OwnSessions is people's own sessions.
type OwnSessions interface {
	ListSessions(ctx context.Context, p principal.Principal) ([]session.Session, error)
	EndSession(ctx context.Context, p principal.Principal, id uuid.UUID) error
	SignOutElsewhere(ctx context.Context, p principal.Principal) (session.Ended, error)
}

// accountSessions is the live sessions of whoever is signed in.
type accountSessions struct {
	*ownKit
	flows OwnSessions
}

// Mount adds the page.
func (p *accountSessions) Mount(m *mounter) {
	m.page("/account/sessions", own, p.sessions)
	m.form("/account/sessions", ownTakes, p.end)
	m.form("/account/sessions/elsewhere", ownTakes, p.signOutElsewhere)
}

// ownSession is one of them.
type ownSession struct {
	ID          string
	Name        string // of the browser
	IP          string
	This        bool
	First, Last time.Time
}

// sessionsPage is what the page of them shows.
type sessionsPage struct {
	Back   Link
	List   []ownSession
	Others bool
}

func (p *accountSessions) sessions(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	list, err := p.flows.ListSessions(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.sessions.title")
	out := make([]ownSession, len(list))
	for i, s := range list {
		out[i] = ownSession{
			ID: s.ID.String(), Name: browserName(v.L.Language, s.UserAgent), IP: s.IP, This: s.ID == who.SessionID, First: s.CreatedAt, Last: s.LastSeenAt,
		}
	}
	v.Body = sessionsPage{p.accountLink(v.L.Language), out, len(out) > 1}
	p.render(w, r, http.StatusOK, "sessions", v)
}

func (p *accountSessions) end(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	id, err := uuid.Parse(r.PostForm.Get("id"))
	if err != nil {
		see(w, "/account/sessions")
		return
	}
	err = p.flows.EndSession(r.Context(), who, id)
	if err != nil && fault.KindOf(err) != fault.NotFound { // gone is gone
		p.refusedOwn(w, r, err, "/account/sessions")
		return
	}
	see(w, "/account/sessions?notice=session-ended")
}

func (p *accountSessions) signOutElsewhere(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	if _, err := p.flows.SignOutElsewhere(r.Context(), who); err != nil {
		p.refusedOwn(w, r, err, "/account/sessions")
		return
	}
	see(w, "/account/sessions?notice=signed-out-elsewhere")
}
