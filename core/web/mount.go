package web

import (
	"net/http"
	"path"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
)

// domain is a part of the pages that belongs together, over the flows it calls.
type domain interface {
	Mount(m *mounter)
}

// kit is what every domain makes its pages with.
type kit struct {
	*renderer
	ReturnTo
	*arrivals
	*scripts
	*directory
}

// Bodies of forms. A field's byte takes up to three when it is encoded; a password has up to 4096 characters of four bytes, and the address to
// return to is long, too.
const (
	smallForm      = 16 << 10
	passwordForm   = 64 << 10
	credentialForm = 64 << 10 // with what a passkey answers, certificates among it
)

// The rules that most pages and forms have.
var (
	open      = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.Anyone}                                  // a page for everybody
	uses      = endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.Anyone}                                    // a page whose address is good once
	nearby    = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.ThisMachine}                             // a page for whoever develops here
	takes     = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.Anyone, Body: smallForm}                 // a form for everybody
	tells     = takes                                                                                              // what a script begins with
	shows     = endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.Anyone, Body: credentialForm}              // what a script ends with
	guesses   = endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.Anyone, Body: smallForm}                   // a form that takes a code or a link
	mails     = endpoint.Rules{Limit: ratelimit.Mail, Access: endpoint.Anyone, Body: smallForm}                    // a form that has an email sent
	hashes    = endpoint.Rules{Limit: ratelimit.Hash, Access: endpoint.Anyone, Body: passwordForm}                 // a form that takes a password
	own       = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.SignedIn}                                // a page of one's own
	recent    = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.SignedIn, Recent: true}                  // one for who has just proved who they are
	ownTakes  = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.SignedIn, Body: smallForm}               // a form of one's own
	ownTells  = ownTakes                                                                                           // what a script of one's own begins with
	ownRecent = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.SignedIn, Recent: true, Body: smallForm} // a form for who has just proved who they are
)

// handler answers a request. who is whoever is signed in, where the rules ask for somebody, and nobody elsewhere. The form was
// read before who was found out, so that nothing waits between that and what the handler does.
type handler func(w http.ResponseWriter, r *http.Request, who principal.Principal)

// scriptHandler answers a script, which has sent a.
type scriptHandler func(w http.ResponseWriter, r *http.Request, who principal.Principal, a answered)

// route is an address with its handler.
type route struct {
	method, path string
	handler      http.Handler
}

// mounter collects the routes of the domains, each with what it declares. Without a class and an access it mounts nothing.
type mounter struct {
	*kit
	recent func(r *http.Request, who principal.Principal) error
	routes []route
	rules  endpoint.Table
	errs   []error
}

func (m *mounter) add(method, path string, rules endpoint.Rules, h http.HandlerFunc) {
	if err := m.rules.Add(method, path, rules); err != nil {
		m.errs = append(m.errs, err)
		return
	}
	m.routes = append(m.routes, route{method, path, h})
}

// page adds a page to look at.
func (m *mounter) page(path string, rules endpoint.Rules, show handler) {
	m.add(http.MethodGet, path, rules, func(w http.ResponseWriter, r *http.Request) {
		if who, ok := m.admit(w, r, rules, r.URL.RequestURI()); ok {
			show(w, r, who)
		}
	})
}

// form adds what takes a form. Whoever has to prove first who they are comes back to the page that the form is on: the one at its
// address, or the one above.
func (m *mounter) form(address string, rules endpoint.Rules, take handler) {
	_, onPage := m.rules.Find(http.MethodGet, address)
	m.add(http.MethodPost, address, rules, func(w http.ResponseWriter, r *http.Request) {
		if err := readForm(w, r, rules.Body); err != nil {
			m.Error(w, r, err)
			return
		}
		back := r.URL.Path
		if !onPage {
			back = path.Dir(back)
		}
		if who, ok := m.admit(w, r, rules, back); ok {
			take(w, r, who)
		}
	})
}

// script adds what takes the JSON of a page's script. back is where whoever has to sign in or to prove who they are goes on.
func (m *mounter) script(address string, rules endpoint.Rules, back string, take scriptHandler) {
	m.add(http.MethodPost, address, rules, func(w http.ResponseWriter, r *http.Request) {
		a, err := readAnswer(w, r, rules.Body)
		var who principal.Principal
		if err == nil {
			who, err = m.judge(w, r, rules)
		}
		switch {
		case err == nil:
			take(w, r, who, a)
		case rules.Access == endpoint.SignedIn:
			m.ownScriptFailed(w, r, err, back)
		default:
			m.scriptFailed(w, r, err)
		}
	})
}

var (
	errSignedOut = fault.New(fault.Unauthenticated, "unauthenticated", "You are not signed in any more.")
	errElsewhere = fault.New(fault.Denied, "local_only", "This page is for the machine that Sigra runs on, and no other.")
)

// judge holds whoever asks against the rules.
func (m *mounter) judge(w http.ResponseWriter, r *http.Request, rules endpoint.Rules) (principal.Principal, error) {
	switch rules.Access {
	case endpoint.Anyone:
		return principal.Principal{}, nil
	case endpoint.ThisMachine:
		if !request.From(r.Context()).Local {
			return principal.Principal{}, errElsewhere
		}
		return principal.Principal{}, nil
	}
	who, ok, err := m.visitor(w, r)
	switch {
	case err != nil:
		return who, err
	case !ok:
		return who, errSignedOut
	case rules.Recent:
		return who, m.recent(r, who)
	}
	return who, nil
}

// admit is judge for people: they are sent to sign in, or to prove anew who they are, and come back. False means that the
// answer is given.
func (m *mounter) admit(w http.ResponseWriter, r *http.Request, rules endpoint.Rules, back string) (principal.Principal, bool) {
	who, err := m.judge(w, r, rules)
	switch {
	case err == nil:
		return who, true
	case err == errSignedOut:
		see(w, m.SignIn(r.URL.RequestURI(), 0, "", false))
	default:
		m.refusedOwn(w, r, err, back)
	}
	return who, false
}
