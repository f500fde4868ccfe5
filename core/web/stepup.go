package web

import (
	"context"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/session"
)

// StepUps is proving anew who is signed in.
type StepUps interface {
	StepUpMethods(ctx context.Context, p principal.Principal) ([]string, error)
	StepUpPasskey(ctx context.Context, p principal.Principal) (passkey.Ceremony, error)
	StepUpMail(ctx context.Context, p principal.Principal) (flow string, err error)
	StepUp(ctx context.Context, p principal.Principal, f factor.Proof) (session.Issued, error)
}

// stepUp is where whoever is signed in proves anew who they are.
type stepUp struct {
	*kit
	flows StepUps
}

// Mount adds the pages.
func (p *stepUp) Mount(m *mounter) {
	m.page("/step-up", own, p.showStepUp)
	m.form("/step-up", endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.SignedIn, Body: passwordForm}, p.prove)
	m.form("/step-up/mail", endpoint.Rules{Limit: ratelimit.Mail, Access: endpoint.SignedIn, Body: smallForm}, p.mail)
	m.script("/step-up/passkey/options", ownTells, "/step-up", p.passkeyOptions)
	m.script("/step-up/passkey/finish", endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.SignedIn, Body: credentialForm}, "/step-up", p.passkey)
}

// mayStepUp reports whether somebody who is signed in can show anew who they are.
func (p *signIn) mayStepUp(who principal.Principal) bool {
	return p.stepUps && who.Kind == principal.User && who.ImpersonatorID == uuid.Nil
}

// second gives the ways that are second factors.
func second(methods []string) []string {
	return slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == factor.Password || m == factor.Mail })
}

func (p *stepUp) showStepUp(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	q := r.URL.Query()
	p.askStepUp(w, r, who, q.Get("method"), q.Get("return_to"), q.Get("aal"), nil)
}

// askStepUp shows the page; refused is what was wrong with what was shown before, or nil.
func (p *stepUp) askStepUp(w http.ResponseWriter, r *http.Request, who principal.Principal, asked, returnTo, aal string, refused *fault.Error) {
	methods, err := p.flows.StepUpMethods(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	if aal == principal.AAL2 {
		if methods = second(methods); len(methods) == 0 {
			p.needsFactor(w, r, who, returnTo)
			return
		}
	}
	method := chosen(methods, asked)
	v := p.signedIn(p.view(r, "page.step_up.title"), who, "/step-up")
	l := v.L.Language
	v.Shape, v.Nav = "narrow", nil
	v.Here, v.Errand = p.stepUpPath(returnTo, aal), p.errandOn(l, returnTo, Cancelled)
	body := challenge{
		Lead: l.Text("page.step_up.lead_" + method), Others: otherWays(l, v.Here, methods, method),
		Cancel: Link{Title: l.Text("page.step_up.other_account"), Path: p.asOther(returnTo)},
	}
	f := p.stepUpForm(l, who, method, cookie.StepUp.Token(r) != "")
	carried := p.returnField(returnTo)
	if aal != "" {
		carried = append(carried, hidden{"aal", aal})
	}
	if f == nil {
		body.Passkey = &passkeyForm{
			Kind: "stepup", Options: "/step-up/passkey/options", Finish: "/step-up/passkey/finish", Submit: l.Text("page.passkey.use"),
			Hidden: carried, Texts: passkeyTextsIn(l),
		}
		v.Scripts = passkeyScripts
	} else {
		f.Hidden = append(f.Hidden, carried...)
		if method == factor.Mail && cookie.StepUp.Token(r) != "" {
			body.Lead = l.Text("page.step_up.mailed")
		}
	}
	status := http.StatusOK
	if refused != nil {
		status = statusOf(refused.Kind)
		retryAfter(w, refused)
		if f == nil {
			f = &form{}
		}
		p.refuse(l, f, refused)
	}
	v.Form, v.Body = f, body
	p.render(w, r, status, "challenge", v)
}

func (p *stepUp) stepUpForm(l *lang.Language, who principal.Principal, method string, mailed bool) *form {
	if method == factor.Mail && !mailed {
		return &form{Action: "/step-up/mail", Submit: l.Text("page.step_up.send")}
	}
	f := factorForm(l, method)
	if f == nil {
		return nil
	}
	f.Action = "/step-up"
	if method == factor.Password {
		f.Fields = append([]field{whose(l, who.Email)}, f.Fields...)
	}
	return f
}

// needsFactor says that a page asks for a second factor, which this account has not got.
func (p *stepUp) needsFactor(w http.ResponseWriter, r *http.Request, who principal.Principal, returnTo string) {
	v := p.signedIn(p.view(r, "page.step_up.needed_title"), who, "/step-up")
	l := v.L.Language
	v.Errand = p.errandOn(l, returnTo, Impossible)
	v.Body = over{l.Text("page.step_up.needed"), "/account", l.Text("page.step_up.to_account")}
	p.render(w, r, http.StatusForbidden, "expired", v)
}

func (p *stepUp) prove(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	returnTo, method := r.PostForm.Get("return_to"), r.PostForm.Get("method")
	in, err := p.flows.StepUp(r.Context(), who, factor.Proof{
		Method: method, Code: r.PostForm.Get("code"), Password: r.PostForm.Get("password"), Flow: cookie.StepUp.Token(r),
	})
	if err == nil {
		p.renewed(w, r, in)
		see(w, p.onward(returnTo))
		return
	}
	ft := fault.From(err)
	switch {
	case ft.Kind == fault.Unauthenticated && ft.Code == "unauthenticated": // the session ended meanwhile
		see(w, p.SignIn(returnTo, 0, "", false))
	case reshow(ft) || ft.Kind == fault.RateLimited:
		p.askStepUp(w, r, who, method, returnTo, r.PostForm.Get("aal"), ft)
	default:
		p.Error(w, r, err)
	}
}

// mail mails a code, to who has nothing else to show.
func (p *stepUp) mail(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	returnTo := r.PostForm.Get("return_to")
	flow, err := p.flows.StepUpMail(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	cookie.StepUp.Set(w, flow)
	see(w, p.stepUpPath(returnTo, r.PostForm.Get("aal")))
}

func (p *stepUp) passkeyOptions(w http.ResponseWriter, r *http.Request, who principal.Principal, _ answered) {
	c, err := p.flows.StepUpPasskey(r.Context(), who)
	p.offer(w, r, c, err)
}

func (p *stepUp) passkey(w http.ResponseWriter, r *http.Request, who principal.Principal, a answered) {
	in, err := p.flows.StepUp(r.Context(), who, a.factor())
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	p.renewed(w, r, in)
	p.goOn(w, r, p.onward(a.Fields["return_to"]))
}
