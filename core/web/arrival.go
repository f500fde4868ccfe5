package web

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
)

// arrivals knows who is at a browser, and goes on once they have shown who they are.
type arrivals struct {
	*renderer
	ReturnTo
	callers *principal.Chain // knows the session cookie alone
	cookie  cookie.SessionCookie
	signOut func(ctx context.Context, token string) error
}

// resolve tells whose session a request's cookie holds. Pages know no other credential: what else a browser sends along, for a
// proxy in front perhaps, is nothing to them.
func (p *arrivals) resolve(r *http.Request) (principal.Principal, error) {
	return p.callers.ResolveCredential(r.Context(), principal.Credential{Cookie: p.cookie.Token(r)})
}

// visitor says who a request's session cookie belongs to. A cookie that is good for nothing is taken back.
func (p *arrivals) visitor(w http.ResponseWriter, r *http.Request) (principal.Principal, bool, error) {
	if p.cookie.Token(r) == "" {
		return principal.Principal{}, false, nil
	}
	who, err := p.resolve(r)
	switch {
	case err == nil:
		return who, true, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		p.cookie.Clear(w)
		return principal.Principal{}, false, nil
	}
	return principal.Principal{}, false, err
}

// arrive goes on after somebody has shown who they are, by whichever method: with the session and to where they were going; or, while
// a second factor is asked for, to the page that does. A session the browser had before ends: nobody can be left
// signed in as somebody else without seeing it (ASVS 5.0 7.2.4).
func (p *arrivals) arrive(w http.ResponseWriter, r *http.Request, in auth.SignedIn, returnTo string) {
	next := p.land(w, r, in, returnTo)
	if in.Codes != nil {
		p.showCodes(w, r, in.Principal, in.Codes, "", next)
		return
	}
	see(w, next)
}

// land is arrive without an answer: it hands the cookies over and says where to go on.
func (p *arrivals) land(w http.ResponseWriter, r *http.Request, in auth.SignedIn, returnTo string) (next string) {
	if in.Pending != nil {
		cookie.Pending.Set(w, in.Pending.Flow)
		to, ok := p.carried(returnTo)
		if !ok {
			to = p.onward("")
		}
		return "/login/second-factor?" + url.Values{"return_to": {to}}.Encode()
	}
	if old := p.cookie.Token(r); old != "" && old != in.Token {
		if err := p.signOut(r.Context(), old); err != nil && fault.KindOf(err) == fault.Internal {
			p.log.Warn("the session before this sign-in was not ended", "error", err)
		}
	}
	p.giveSession(w, session.Issued{Token: in.Token, Principal: in.Principal, Persistent: in.Persistent}, in.Device)
	for _, f := range []cookie.Flow{cookie.Pending, cookie.Join, cookie.Magic, cookie.Reset, cookie.Return} {
		if f.Token(r) != "" {
			f.Clear(w)
		}
	}
	next = p.onward(returnTo)
	p.fromApplication(w, next, true)
	return next
}

// giveSession hands a session over, and what the browser is to keep in its device cookie; empty: what it has.
func (p *arrivals) giveSession(w http.ResponseWriter, in session.Issued, device string) {
	var until time.Time
	if in.Persistent {
		until = in.Principal.ExpiresAt
	}
	p.cookie.Set(w, in.Token, until)
	if device != "" {
		cookie.SetDevice(w, device)
	}
}

// afterFlow sends on who has no sign-up waiting: to where they were going, or to sign in.
func (p *arrivals) afterFlow(w http.ResponseWriter, r *http.Request, returnTo string) {
	switch _, ok, err := p.visitor(w, r); {
	case err != nil:
		p.Error(w, r, err)
	case ok:
		see(w, p.onward(returnTo))
	default:
		see(w, p.carry("/login", returnTo))
	}
}

// renewed gives the browser its session's new token.
func (p *arrivals) renewed(w http.ResponseWriter, r *http.Request, in session.Issued) {
	p.giveSession(w, in, "")
	if cookie.StepUp.Token(r) != "" {
		cookie.StepUp.Clear(w)
	}
}
