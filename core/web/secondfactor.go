package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
)

func (p *Pages) mountSecondFactor(on mounter) {
	on("/login/second-factor", p.showSecondFactor, p.secondFactor)
	on("/login/second-factor/authenticator", nil, p.beginPendingApp)
	on("/login/second-factor/passkey/options", nil, p.pendingPasskeyOptions)
	on("/login/second-factor/passkey/finish", nil, p.pendingPasskey)
	on("/step-up", p.showStepUp, p.stepUp)
	on("/step-up/mail", nil, p.stepUpMail)
	on("/step-up/passkey/options", nil, p.stepUpPasskeyOptions)
	on("/step-up/passkey/finish", nil, p.stepUpPasskey)
}

// challenge is a page on which somebody shows a factor: to end a sign-in, or to show anew who they are.
type challenge struct {
	Lead    string
	Passkey *passkeyForm // the way chosen is a passkey
	Others  []Link       // the other ways
	Secret  *appSecret   // an authenticator app is being added
	Aside   string
	Cancel  Link
}

// factorForm asks for what a method shows; nil where that takes a script.
func (p *Pages) factorForm(l *lang.Language, method string) *form {
	f := &form{Submit: l.Text("page.second_factor.submit"), Hidden: []hidden{{"method", method}}}
	switch method {
	case factor.TOTP:
		f.Fields = []field{codeField(l.Text("page.second_factor.totp_code"), l.Text("page.second_factor.totp_hint"))}
	case factor.RecoveryCode:
		f.Fields = []field{{
			Name: "code", Label: l.Text("page.second_factor.recovery_code"), Hint: l.Text("page.second_factor.recovery_hint"), Type: "text", Autocomplete: "off",
			MaxLength: 64, Required: true, Class: "code long",
		}}
	case factor.Password:
		f.Fields = []field{{Name: "password", Label: l.Text("page.field.password"), Type: "password", Autocomplete: "current-password", Required: true}}
	case factor.Mail:
		f.Fields = []field{codeField(l.Text("page.field.mail_code"), l.Text("page.field.six_digits"))}
	default:
		return nil
	}
	f.focus()
	return f
}

// chosen is the way somebody wants to go: the one they asked for if it is one of theirs, else the usual one.
func chosen(methods []string, asked string) string {
	if slices.Contains(methods, asked) || len(methods) == 0 {
		return asked
	}
	return methods[0]
}

// otherWays links to the ways that are not on the page at an address.
func otherWays(l *lang.Language, address string, methods []string, at string) []Link {
	path, query, _ := strings.Cut(address, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		q = url.Values{}
	}
	var out []Link
	for _, m := range methods {
		if m != at {
			q.Set("method", m)
			out = append(out, Link{Title: l.Text("page.second_factor.other_" + m), Path: path + "?" + q.Encode()})
		}
	}
	return out
}

// code is a code as it was typed, without what people put into it. Recovery codes have letters.
func code(r *http.Request, method string) string {
	if method == factor.RecoveryCode {
		return strings.TrimSpace(r.PostForm.Get("code"))
	}
	return digits(r.PostForm.Get("code"))
}

// pending finds the sign-in that waits in this browser; false means that the answer is given.
func (p *Pages) pending(w http.ResponseWriter, r *http.Request, returnTo string) (auth.Pending, bool) {
	flow := cookie.Pending.Token(r)
	if flow == "" {
		p.afterFlow(w, r, returnTo)
		return auth.Pending{}, false
	}
	at, err := p.cfg.SecondFactors.PendingSignIn(r.Context(), flow)
	if err == nil {
		return at, true
	}
	if reshow(fault.From(err)) {
		p.pendingOver(w, returnTo)
	} else {
		p.Error(w, r, err)
	}
	return at, false
}

// pendingOver begins the sign-in again.
func (p *Pages) pendingOver(w http.ResponseWriter, returnTo string) {
	cookie.Pending.Clear(w)
	q := url.Values{"notice": {"expired"}}
	if to, ok := p.returnTo.Safe(returnTo); ok {
		q.Set("return_to", to)
	}
	see(w, "/login?"+q.Encode())
}

func (p *Pages) showSecondFactor(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if at, ok := p.pending(w, r, q.Get("return_to")); ok {
		p.askFactor(w, r, at, q.Get("method"), q.Get("return_to"), nil)
	}
}

// askFactor shows the page; refused is what was wrong with what was shown before, or nil.
func (p *Pages) askFactor(w http.ResponseWriter, r *http.Request, at auth.Pending, asked, returnTo string, refused *fault.Error) {
	method, title := chosen(at.Methods, asked), "page.second_factor.title"
	if at.Enroll {
		title = "page.second_factor.enroll_title"
	}
	v := p.view(r, title)
	l := v.L.Language
	q := url.Values{"method": {method}}
	if returnTo != "" {
		q.Set("return_to", returnTo)
	}
	v.Here = "/login/second-factor?" + q.Encode()
	body := challenge{Lead: l.Text("page.second_factor.lead_" + method), Others: otherWays(l, v.Here, at.Methods, method)}
	f := p.factorForm(l, method)
	switch {
	case at.Enroll && method == factor.TOTP:
		body.Lead, body.Aside = l.Text("page.second_factor.enroll_lead"), l.Text("page.second_factor.enroll_aside")
		e, waits, err := p.cfg.SecondFactors.WaitingTOTP(r.Context(), at.Flow)
		if err == nil && waits {
			body.Secret, err = secretOf(e)
		}
		if err != nil {
			p.Error(w, r, err)
			return
		}
		if v.Pictures = body.Secret != nil; !v.Pictures {
			f = &form{Action: "/login/second-factor/authenticator", Submit: l.Text("page.second_factor.enroll_begin"), Hidden: p.returnField(returnTo)}
		}
	case at.Enroll:
		body.Lead = l.Text("page.second_factor.enroll_passkey")
		body.Passkey = &passkeyForm{
			Kind: "register", Options: "/login/second-factor/passkey/options", Action: "/login/second-factor", Submit: l.Text("page.passkey.add"),
			Hidden: []hidden{{"method", method}},
		}
	case method == factor.Passkey:
		body.Passkey = &passkeyForm{
			Kind: "second", Options: "/login/second-factor/passkey/options", Finish: "/login/second-factor/passkey/finish", Submit: l.Text("page.passkey.use"),
		}
	}
	var trust []field
	if days := int(p.cfg.SecondFactors.TrustFor() / (24 * time.Hour)); days > 0 && !at.Enroll {
		trust = []field{{Name: "trust", Label: l.Plural("page.second_factor.trust", days), Type: "checkbox", Checked: r.PostForm.Get("trust") != ""}}
	}
	if k := body.Passkey; k != nil {
		v.Scripts = passkeyScripts
		k.Texts, k.Fields, k.Hidden = passkeyTextsIn(l), trust, append(k.Hidden, p.returnField(returnTo)...)
	}
	status := http.StatusOK
	if f != nil {
		if f.Action == "" {
			f.Action, f.Fields, f.Hidden = "/login/second-factor", append(f.Fields, trust...), append(f.Hidden, p.returnField(returnTo)...)
		}
		v.Form = f
	}
	if refused != nil {
		status = statusOf(refused.Kind)
		retryAfter(w, refused)
		if f == nil { // a passkey that was added by sending the form
			v.Form = &form{Problem: p.say(l, refused)}
		} else {
			p.refuse(l, f, refused)
		}
	}
	body.Cancel = Link{Title: l.Text("page.second_factor.cancel"), Path: p.carry("/login", returnTo)}
	v.Body = body
	p.render(w, r, status, "challenge", v)
}

func (p *Pages) secondFactor(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	returnTo, method := r.PostForm.Get("return_to"), r.PostForm.Get("method")
	at, ok := p.pending(w, r, returnTo)
	if !ok {
		return
	}
	in, err := p.cfg.SecondFactors.FinishSignIn(r.Context(), auth.SecondFactor{
		Flow: at.Flow, Trust: r.PostForm.Get("trust") != "", Device: cookie.DeviceToken(r),
		Factor: factor.Proof{
			Method: method, Code: code(r, method), Ceremony: r.PostForm.Get("token"), Credential: json.RawMessage(r.PostForm.Get("credential")),
		},
	})
	ft := fault.From(err)
	switch {
	case err == nil:
		p.arrive(w, r, in, p.onward(returnTo))
	case ft.Code == "sign_in_expired":
		p.pendingOver(w, returnTo)
	case reshow(ft) || ft.Kind == fault.RateLimited:
		p.askFactor(w, r, at, method, returnTo, ft)
	default:
		p.Error(w, r, err)
	}
}

// beginPendingApp makes the secret of an authenticator app for an account that must have a second factor and has none.
func (p *Pages) beginPendingApp(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	returnTo := r.PostForm.Get("return_to")
	at, ok := p.pending(w, r, returnTo)
	if !ok {
		return
	}
	if _, err := p.cfg.SecondFactors.PendingTOTP(r.Context(), at.Flow); err != nil {
		p.Error(w, r, err)
		return
	}
	see(w, "/login/second-factor?"+url.Values{"method": {factor.TOTP}, "return_to": {returnTo}}.Encode())
}

func (p *Pages) pendingPasskeyOptions(w http.ResponseWriter, r *http.Request) {
	if _, err := readAnswer(w, r); err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	c, err := p.cfg.SecondFactors.PendingPasskey(r.Context(), cookie.Pending.Token(r))
	p.offer(w, r, c, err)
}

func (p *Pages) pendingPasskey(w http.ResponseWriter, r *http.Request) {
	a, err := readAnswer(w, r)
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	in, err := p.cfg.SecondFactors.FinishSignIn(r.Context(), auth.SecondFactor{
		Flow: cookie.Pending.Token(r), Factor: a.factor(), Trust: a.Fields["trust"] != "", Device: cookie.DeviceToken(r),
	})
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	p.goOn(w, r, p.land(w, r, in, p.onward(a.Fields["return_to"])))
}
