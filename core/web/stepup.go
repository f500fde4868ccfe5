package web

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
)

// mayStepUp reports whether somebody who is signed in can show anew who they are.
func (p *Pages) mayStepUp(who principal.Principal) bool {
	return p.cfg.SecondFactors != nil && who.Kind == principal.User && who.ImpersonatorID == uuid.Nil
}

// stepUpPath is where they do. aal is what it must lead to; empty: any.
func (p *Pages) stepUpPath(returnTo, aal string) string {
	q := url.Values{}
	if to, ok := p.returnTo.Safe(returnTo); ok {
		q.Set("return_to", to)
	}
	if aal != "" {
		q.Set("aal", aal)
	}
	if len(q) == 0 {
		return "/step-up"
	}
	return "/step-up?" + q.Encode()
}

// second gives the ways that are second factors.
func second(methods []string) []string {
	return slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == factor.Password || m == factor.Mail })
}

func (p *Pages) showStepUp(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	p.askStepUp(w, r, who, q.Get("method"), q.Get("return_to"), q.Get("aal"), nil)
}

// askStepUp shows the page; refused is what was wrong with what was shown before, or nil.
func (p *Pages) askStepUp(w http.ResponseWriter, r *http.Request, who principal.Principal, asked, returnTo, aal string, refused *fault.Error) {
	methods, err := p.cfg.SecondFactors.StepUpMethods(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	if aal == principal.AAL2 {
		if methods = second(methods); len(methods) == 0 {
			p.needsFactor(w, r, who)
			return
		}
	}
	method := chosen(methods, asked)
	v := p.signedIn(p.view(r, "page.step_up.title"), who, "/step-up")
	l := v.L.Language
	v.Shape, v.Nav = "narrow", nil
	v.Here = p.stepUpPath(returnTo, aal)
	body := challenge{
		Lead: l.Text("page.step_up.lead_" + method), Others: otherWays(l, v.Here, methods, method),
		Cancel: Link{Title: l.Text("page.step_up.other_account"), Path: "/login?" + url.Values{"switch": {"1"}, "return_to": {p.onward(returnTo)}}.Encode()},
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

func (p *Pages) stepUpForm(l *lang.Language, who principal.Principal, method string, mailed bool) *form {
	if method == factor.Mail && !mailed {
		return &form{Action: "/step-up/mail", Submit: l.Text("page.step_up.send")}
	}
	f := p.factorForm(l, method)
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
func (p *Pages) needsFactor(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	v := p.signedIn(p.view(r, "page.step_up.needed_title"), who, "/step-up")
	l := v.L.Language
	v.Body = over{l.Text("page.step_up.needed"), "/account", l.Text("page.step_up.to_account")}
	p.render(w, r, http.StatusForbidden, "expired", v)
}

func (p *Pages) stepUp(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	returnTo, method := r.PostForm.Get("return_to"), r.PostForm.Get("method")
	in, err := p.cfg.SecondFactors.StepUp(r.Context(), who, factor.Proof{
		Method: method, Code: code(r, method), Password: r.PostForm.Get("password"), Flow: cookie.StepUp.Token(r),
	})
	if err == nil {
		p.renewed(w, r, in)
		see(w, p.onward(returnTo))
		return
	}
	ft := fault.From(err)
	switch {
	case ft.Kind == fault.Unauthenticated && ft.Code == "unauthenticated": // the session ended meanwhile
		see(w, p.SignIn(p.onward(returnTo), 0, "", false))
	case reshow(ft) || ft.Kind == fault.RateLimited:
		p.askStepUp(w, r, who, method, returnTo, r.PostForm.Get("aal"), ft)
	default:
		p.Error(w, r, err)
	}
}

// renewed gives the browser its session's new token.
func (p *Pages) renewed(w http.ResponseWriter, r *http.Request, in session.Issued) {
	p.giveSession(w, in, "")
	if cookie.StepUp.Token(r) != "" {
		cookie.StepUp.Clear(w)
	}
}

// stepUpMail mails a code, to who has nothing else to show.
func (p *Pages) stepUpMail(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	returnTo := r.PostForm.Get("return_to")
	flow, err := p.cfg.SecondFactors.StepUpMail(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	cookie.StepUp.Set(w, flow)
	see(w, p.stepUpPath(returnTo, r.PostForm.Get("aal")))
}

// asker is who a script speaks for; false means that the answer is given.
func (p *Pages) asker(w http.ResponseWriter, r *http.Request) (principal.Principal, answered, bool) {
	a, err := readAnswer(w, r)
	var who principal.Principal
	if err == nil {
		who, err = p.cfg.Sessions.Resolve(r.Context(), cookie.SessionToken(r))
	}
	if err != nil {
		p.scriptFailed(w, r, err)
	}
	return who, a, err == nil
}

func (p *Pages) stepUpPasskeyOptions(w http.ResponseWriter, r *http.Request) {
	who, _, ok := p.asker(w, r)
	if !ok {
		return
	}
	c, err := p.cfg.SecondFactors.StepUpPasskey(r.Context(), who)
	p.offer(w, r, c, err)
}

func (p *Pages) stepUpPasskey(w http.ResponseWriter, r *http.Request) {
	who, a, ok := p.asker(w, r)
	if !ok {
		return
	}
	in, err := p.cfg.SecondFactors.StepUp(r.Context(), who, a.factor())
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	p.renewed(w, r, in)
	p.goOn(w, r, p.onward(a.Fields["return_to"]))
}
