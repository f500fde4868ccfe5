package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// SecondFactors ends a sign-in that waits for a second factor.
type SecondFactors interface {
	PendingSignIn(ctx context.Context, flow string) (auth.Pending, error)
	PendingPasskey(ctx context.Context, flow string) (passkey.Ceremony, error)
	PendingTOTP(ctx context.Context, flow string) (totp.Enrollment, error)
	WaitingTOTP(ctx context.Context, flow string) (e totp.Enrollment, waits bool, err error)
	FinishSignIn(ctx context.Context, f auth.SecondFactor) (auth.SignedIn, error)
	TrustFor() time.Duration // how long a browser may be spared it; 0: that is not offered
}

// secondFactor ends a sign-in that waits for a second factor.
type secondFactor struct {
	*kit
	flows SecondFactors
}

// Mount adds the pages.
func (p *secondFactor) Mount(m *mounter) {
	m.page("/login/second-factor", open, p.showSecondFactor)
	m.form("/login/second-factor", endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.Anyone, Body: credentialForm}, p.finish)
	m.form("/login/second-factor/authenticator", takes, p.beginPendingApp)
	m.script("/login/second-factor/passkey/options", tells, "", p.passkeyOptions)
	m.script("/login/second-factor/passkey/finish", shows, "", p.passkey)
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
func factorForm(l *lang.Language, method string) *form {
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

// pending finds the sign-in that waits in this browser; false means that the answer is given.
func (p *secondFactor) pending(w http.ResponseWriter, r *http.Request, returnTo string) (auth.Pending, bool) {
	flow := cookie.Pending.Token(r)
	if flow == "" {
		p.afterFlow(w, r, returnTo)
		return auth.Pending{}, false
	}
	at, err := p.flows.PendingSignIn(r.Context(), flow)
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

// markName is the field by which a form says which sign-in it was made for: another tab may have begun one since, for somebody else.
const markName = "sign_in"

// markOf names a sign-in to its own forms. It opens nothing.
func markOf(flow string) string {
	sum := sha256.Sum256([]byte("sigra second factor form\x00" + flow))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

func markField(flow string) hidden { return hidden{markName, markOf(flow)} }

// another answers a form of another sign-in than the one that waits, which stays as it is.
func (p *secondFactor) another(w http.ResponseWriter, flow, mark, returnTo string) bool {
	if mark == "" || mark == markOf(flow) {
		return false
	}
	see(w, p.again(returnTo))
	return true
}

// pendingOver begins the sign-in again.
func (p *secondFactor) pendingOver(w http.ResponseWriter, returnTo string) {
	cookie.Pending.Clear(w)
	see(w, p.again(returnTo))
}

// again is where a sign-in begins anew that is over.
func (p *secondFactor) again(returnTo string) string {
	q := url.Values{"notice": {"expired"}}
	if to, ok := p.carried(returnTo); ok {
		q.Set("return_to", to)
	}
	return "/login?" + q.Encode()
}

func (p *secondFactor) showSecondFactor(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	q := r.URL.Query()
	if at, ok := p.pending(w, r, q.Get("return_to")); ok {
		p.askFactor(w, r, at, q.Get("method"), q.Get("return_to"), nil)
	}
}

// askFactor shows the page; refused is what was wrong with what was shown before, or nil.
func (p *secondFactor) askFactor(w http.ResponseWriter, r *http.Request, at auth.Pending, asked, returnTo string, refused *fault.Error) {
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
	f := factorForm(l, method)
	switch {
	case at.Enroll && method == factor.TOTP:
		body.Lead, body.Aside = l.Text("page.second_factor.enroll_lead"), l.Text("page.second_factor.enroll_aside")
		e, waits, err := p.flows.WaitingTOTP(r.Context(), at.Flow)
		if err == nil && waits {
			body.Secret, err = secretOf(e)
		}
		if err != nil {
			p.Error(w, r, err)
			return
		}
		if v.Pictures = body.Secret != nil; !v.Pictures {
			f = &form{Action: "/login/second-factor/authenticator", Submit: l.Text("page.second_factor.enroll_begin"), Hidden: append(p.returnField(returnTo), markField(at.Flow))}
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
	if days := int(p.flows.TrustFor() / (24 * time.Hour)); days > 0 && !at.Enroll {
		trust = []field{{Name: "trust", Label: l.Plural("page.second_factor.trust", days), Type: "checkbox", Checked: r.PostForm.Get("trust") != ""}}
	}
	if k := body.Passkey; k != nil {
		v.Scripts = passkeyScripts
		k.Texts, k.Fields, k.Hidden = passkeyTextsIn(l), trust, append(append(k.Hidden, markField(at.Flow)), p.returnField(returnTo)...)
	}
	status := http.StatusOK
	if f != nil {
		if f.Action == "" {
			f.Action, f.Fields, f.Hidden = "/login/second-factor", append(f.Fields, trust...), append(append(f.Hidden, markField(at.Flow)), p.returnField(returnTo)...)
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
	v.Errand = p.errandOn(l, returnTo, Cancelled)
	body.Cancel = Link{Title: l.Text("page.second_factor.cancel"), Path: p.carry("/login", returnTo)}
	v.Body = body
	p.render(w, r, status, "challenge", v)
}

func (p *secondFactor) finish(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo, method := r.PostForm.Get("return_to"), r.PostForm.Get("method")
	at, ok := p.pending(w, r, returnTo)
	if !ok || p.another(w, at.Flow, r.PostForm.Get(markName), returnTo) {
		return
	}
	in, err := p.flows.FinishSignIn(r.Context(), auth.SecondFactor{
		Flow: at.Flow, Trust: r.PostForm.Get("trust") != "", Device: cookie.DeviceToken(r),
		Factor: factor.Proof{
			Method: method, Code: r.PostForm.Get("code"), Ceremony: r.PostForm.Get("token"), Credential: json.RawMessage(r.PostForm.Get("credential")),
		},
	})
	ft := fault.From(err)
	switch {
	case err == nil:
		p.arrive(w, r, in, returnTo)
	case ft.Code == "sign_in_expired":
		p.pendingOver(w, returnTo)
	case reshow(ft) || ft.Kind == fault.RateLimited:
		p.askFactor(w, r, at, method, returnTo, ft)
	default:
		p.Error(w, r, err)
	}
}

// beginPendingApp makes the secret of an authenticator app for an account that must have a second factor and has none.
func (p *secondFactor) beginPendingApp(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.PostForm.Get("return_to")
	at, ok := p.pending(w, r, returnTo)
	if !ok || p.another(w, at.Flow, r.PostForm.Get(markName), returnTo) {
		return
	}
	if _, err := p.flows.PendingTOTP(r.Context(), at.Flow); err != nil {
		p.Error(w, r, err)
		return
	}
	see(w, "/login/second-factor?"+url.Values{"method": {factor.TOTP}, "return_to": {returnTo}}.Encode())
}

func (p *secondFactor) passkeyOptions(w http.ResponseWriter, r *http.Request, _ principal.Principal, _ answered) {
	c, err := p.flows.PendingPasskey(r.Context(), cookie.Pending.Token(r))
	p.offer(w, r, c, err)
}

func (p *secondFactor) passkey(w http.ResponseWriter, r *http.Request, _ principal.Principal, a answered) {
	flow := cookie.Pending.Token(r)
	if mark := a.Fields[markName]; mark != "" && mark != markOf(flow) {
		p.goOn(w, r, p.again(a.Fields["return_to"]))
		return
	}
	in, err := p.flows.FinishSignIn(r.Context(), auth.SecondFactor{
		Flow: flow, Factor: a.factor(), Trust: a.Fields["trust"] != "", Device: cookie.DeviceToken(r),
	})
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	p.goOn(w, r, p.land(w, r, in, a.Fields["return_to"]))
}
