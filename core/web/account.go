package web

import (
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// fewCodes is how many recovery codes are few enough to say so.
const fewCodes = 3

// ownKit is the kit of the pages of somebody's own account.
type ownKit struct {
	*kit
	account OwnAccount
}

// account-form is the page that asks for one thing: a form with words around it.
type asking struct {
	Back    Link     // the page it belongs to; without a path it belongs to none
	Lead    string   // below the heading
	More    []string // further paragraphs
	Aside   string   // below the form
	Aside2  Link     // and a link behind it
	Choices []Link   // what to do instead of a form; the first is the usual one
	Mailed  bool     // a mail is on its way
}

// refusedOwn answers what a page of the account can't mend by itself. Where a fresh proof is missing it asks for one, and back
// is the page to come back to.
func (p *arrivals) refusedOwn(w http.ResponseWriter, r *http.Request, err error, back string) {
	if needsProof(err) {
		see(w, p.stepUpPath(back, ""))
		return
	}
	p.Error(w, r, err)
}

// needsProof tells whether somebody only has to show anew who they are.
func needsProof(err error) bool {
	f := fault.From(err)
	return f.Kind == fault.Denied && f.Code == "step_up_required"
}

// comesBack tells whether the form that a fault is the answer to is shown once more, with what was typed.
func comesBack(w http.ResponseWriter, ft *fault.Error) bool {
	retryAfter(w, ft)
	return reshow(ft) || ft.Kind == fault.RateLimited
}

// ownView starts a page of the account.
func (p *renderer) ownView(r *http.Request, who principal.Principal, title string, args ...any) view {
	v := p.signedIn(p.view(r, title, args...), who, "/account")
	v.BackTo = p.goTo.application(v.L.Language, r)
	if key := "page.account.notice." + strings.ReplaceAll(r.URL.Query().Get("notice"), "-", "_"); r.Method == http.MethodGet && v.L.Has(key) {
		v.Notice = v.L.Language.Text(key)
	}
	return v
}

func (p *renderer) ask(w http.ResponseWriter, r *http.Request, status int, v view, f *form, body asking) {
	v.Form, v.Body = f, body
	p.render(w, r, status, "account-form", v)
}

func (p *renderer) accountLink(l *lang.Language) Link {
	return Link{Title: l.Text("page.layout.account"), Path: "/account"}
}

// lastOne explains why the last way in, or the last second factor where everybody needs one, stays; it reports
// whether that is what err says.
func (p *ownKit) lastOne(w http.ResponseWriter, r *http.Request, who principal.Principal, err error, back Link) bool {
	ft := fault.From(err)
	app := Link{Path: "/account/authenticator"}
	passkey := Link{Path: "/account/passkeys/new"}
	var key string
	var choices []Link
	switch ft.Code {
	case "last_way_in":
		key, choices = "page.account.last_way.", []Link{{Path: "/account/password"}, passkey}
	case "second_factor_required":
		key, choices = "page.account.last_factor.", []Link{app, passkey}
	default:
		return false
	}
	own, err := p.account.Overview(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return true
	}
	if own.PasskeyLimit == 0 {
		choices = choices[:1]
	}
	v := p.ownView(r, who, key+"title")
	l := v.L.Language
	for i, c := range choices {
		switch c.Path {
		case "/account/password":
			choices[i].Title = l.Text("page.account.last_way.password")
		case app.Path:
			choices[i].Title = l.Text("page.account.last_factor.authenticator")
		default:
			choices[i].Title = l.Text("page.account.last_way.passkey")
		}
	}
	p.ask(w, r, statusOf(ft.Kind), v, nil, asking{Back: back, Lead: l.Text(key + "lead"), Choices: choices})
	return true
}
