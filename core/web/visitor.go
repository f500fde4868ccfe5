package web

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
)

// visitor says who a request's session cookie belongs to. A cookie that is good for nothing is taken back.
func (p *Pages) visitor(w http.ResponseWriter, r *http.Request) (principal.Principal, bool, error) {
	token := cookie.SessionToken(r)
	if token == "" {
		return principal.Principal{}, false, nil
	}
	who, err := p.cfg.Sessions.Resolve(r.Context(), token)
	switch {
	case err == nil:
		return who, true, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		cookie.ClearSession(w)
		return principal.Principal{}, false, nil
	}
	return principal.Principal{}, false, err
}

// member lets only signed-in people through; others are sent to sign in and come back.
func (p *Pages) member(w http.ResponseWriter, r *http.Request) (principal.Principal, bool) {
	who, ok, err := p.visitor(w, r)
	switch {
	case err != nil:
		p.Error(w, r, err)
		return who, false
	case !ok:
		see(w, p.SignIn(r.URL.RequestURI(), 0, "", false))
		return who, false
	}
	return who, true
}

// arrive goes on after somebody has shown who they are, by whichever method: with the session and to the address; or, while
// a second factor is asked for, to the page that does. A session the browser had before ends: nobody can be left
// signed in as somebody else without seeing it (ASVS 5.0 7.2.4).
func (p *Pages) arrive(w http.ResponseWriter, r *http.Request, in auth.SignedIn, address string) {
	next := p.land(w, r, in, address)
	if in.Codes != nil {
		p.showCodes(w, r, in.Principal, in.Codes, "", next)
		return
	}
	see(w, next)
}

// land is arrive without an answer: it hands the cookies over and says where to go on.
func (p *Pages) land(w http.ResponseWriter, r *http.Request, in auth.SignedIn, address string) (next string) {
	if in.Pending != nil {
		cookie.Pending.Set(w, in.Pending.Flow)
		return "/login/second-factor?" + url.Values{"return_to": {address}}.Encode()
	}
	if old := cookie.SessionToken(r); old != "" && old != in.Token {
		if err := p.cfg.Auth.SignOut(r.Context(), old); err != nil && fault.KindOf(err) == fault.Internal {
			p.log.Warn("the session before this sign-in was not ended", "error", err)
		}
	}
	p.giveSession(w, session.Issued{Token: in.Token, Principal: in.Principal, Persistent: in.Persistent}, in.Device)
	for _, f := range []cookie.Flow{cookie.Pending, cookie.Join, cookie.Magic, cookie.Reset, cookie.Return} {
		if f.Token(r) != "" {
			f.Clear(w)
		}
	}
	return address
}

// giveSession hands a session over, and what the browser is to keep in its device cookie; empty: what it has.
func (p *Pages) giveSession(w http.ResponseWriter, in session.Issued, device string) {
	var until time.Time
	if in.Persistent {
		until = in.Principal.ExpiresAt
	}
	cookie.SetSession(w, in.Token, until)
	if device != "" {
		cookie.SetDevice(w, device)
	}
}

// onward is where to go after signing in: what return_to asks for, if it may, or the account.
func (p *Pages) onward(returnTo string) string {
	if to, ok := p.returnTo.Safe(returnTo); ok {
		return to
	}
	return "/account"
}

// carry puts a safe return_to on an address of the sign-in family.
func (p *Pages) carry(path, returnTo string) string {
	if to, ok := p.returnTo.Safe(returnTo); ok {
		return path + "?" + url.Values{"return_to": {to}}.Encode()
	}
	return path
}

// returnField carries it through a form.
func (p *Pages) returnField(returnTo string) []hidden {
	if to, ok := p.returnTo.Safe(returnTo); ok {
		return []hidden{{"return_to", to}}
	}
	return nil
}

// remember keeps where somebody was going while they look for a mail: the link in it leads to another page of this browser.
func (p *Pages) remember(w http.ResponseWriter, returnTo string) {
	if to, ok := p.returnTo.Safe(returnTo); ok {
		cookie.Return.Set(w, base64.RawURLEncoding.EncodeToString([]byte(to)))
	}
}

// remembered is where the person was going, or "". It is judged again where it is used.
func remembered(r *http.Request) string {
	to, err := base64.RawURLEncoding.DecodeString(cookie.Return.Token(r))
	if err != nil {
		return ""
	}
	return string(to)
}
