package web

import (
	"context"
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// OwnTOTP is what people do to their own authenticator app.
type OwnTOTP interface {
	Authenticator(ctx context.Context, p principal.Principal) (selfservice.Authenticator, error)
	BeginTOTP(ctx context.Context, p principal.Principal) (totp.Enrollment, error)
	ConfirmTOTP(ctx context.Context, p principal.Principal, code string) (selfservice.Enrolled, error)
	CancelTOTP(ctx context.Context, p principal.Principal) error
	RemoveTOTP(ctx context.Context, p principal.Principal) error
}

// accountAuthenticator is the authenticator app of whoever is signed in.
type accountAuthenticator struct {
	*ownKit
	flows OwnTOTP
}

// Mount adds the pages.
func (p *accountAuthenticator) Mount(m *mounter) {
	m.page("/account/authenticator", own, p.showAuthenticator)
	// To cancel takes no fresh proof, and is another button of this form; what confirms it is checked by the flow.
	m.form("/account/authenticator", endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.SignedIn, Body: smallForm}, p.confirmAuthenticator)
	m.form("/account/authenticator/begin", ownRecent, p.beginAuthenticator)
	m.page("/account/authenticator/remove", recent, p.showRemoveAuthenticator)
	m.form("/account/authenticator/remove", ownRecent, p.removeAuthenticator)
}

// appPage is what the page of the authenticator app shows.
type appPage struct {
	Back   Link
	On     bool
	Secret *appSecret // the app was begun and waits for its first code
}

// appSecret is the secret in the forms that apps take.
type appSecret struct {
	Picture template.URL // a QR code, in the text: it is stored nowhere and has no address that could be fetched again
	Open    template.URL // for an app on this device
	Groups  []string     // to be typed
}

func secretOf(e totp.Enrollment) (*appSecret, error) {
	png, err := e.PNG()
	if err != nil {
		return nil, err
	}
	out := &appSecret{
		// Not sanitized, because both are made here: base64 of a picture, and a URI that totp has escaped.
		Picture: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)), //nolint:gosec
		Open:    template.URL(e.URI.Reveal()),                                                    //nolint:gosec
	}
	for key := e.Secret.Reveal(); key != ""; {
		n := min(4, len(key))
		out.Groups, key = append(out.Groups, key[:n]), key[n:]
	}
	return out, nil
}

func appCodeForm(l *lang.Language) *form {
	f := &form{
		Action: "/account/authenticator", Submit: l.Text("page.account.authenticator.submit"),
		Fields: []field{codeField(l.Text("page.account.authenticator.code"), l.Text("page.account.authenticator.hint"))},
		Also:   []button{{Name: "cancel", Value: "1", Label: l.Text("page.account.authenticator.give_up"), Unchecked: true}},
	}
	return f
}

func appBeginForm(l *lang.Language) *form {
	return &form{Action: "/account/authenticator/begin", Submit: l.Text("page.account.authenticator.begin")}
}

// appView shows how things stand; refused is what was wrong with the form that was sent before, or nil.
func (p *accountAuthenticator) appView(w http.ResponseWriter, r *http.Request, who principal.Principal, refused *fault.Error) {
	app, err := p.flows.Authenticator(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.authenticator.title")
	l := v.L.Language
	body := appPage{Back: p.accountLink(l), On: app.On}
	switch {
	case app.On:
	case app.Waiting:
		if body.Secret, err = secretOf(app.Secret); err != nil {
			p.Error(w, r, err)
			return
		}
		v.Form, v.Pictures = appCodeForm(l), true
	default:
		v.Form = appBeginForm(l)
	}
	status := http.StatusOK
	if refused != nil {
		status = statusOf(refused.Kind)
		if v.Form != nil {
			p.refuse(l, v.Form, refused)
		}
	}
	v.Body = body
	p.render(w, r, status, "authenticator", v)
}

func (p *accountAuthenticator) showAuthenticator(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	p.appView(w, r, who, nil)
}

func (p *accountAuthenticator) beginAuthenticator(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	_, err := p.flows.BeginTOTP(r.Context(), who)
	p.appStep(w, r, who, err, "/account/authenticator")
}

// appStep goes on to the next page, or says what is wrong.
func (p *accountAuthenticator) appStep(w http.ResponseWriter, r *http.Request, who principal.Principal, err error, next string) {
	ft := fault.From(err)
	switch {
	case err == nil:
		see(w, next)
	case needsProof(err) || !comesBack(w, ft):
		p.refusedOwn(w, r, err, "/account/authenticator")
	default:
		p.appView(w, r, who, ft)
	}
}

func (p *accountAuthenticator) confirmAuthenticator(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	if r.PostForm.Has("cancel") {
		p.appStep(w, r, who, p.flows.CancelTOTP(r.Context(), who), "/account/authenticator?notice=authenticator-cancelled")
		return
	}
	done, err := p.flows.ConfirmTOTP(r.Context(), who, r.PostForm.Get("code"))
	if err == nil {
		p.renewed(w, r, done.Issued)
	}
	if err == nil && done.Codes != nil {
		p.showCodes(w, r, who, done.Codes, "page.account.notice.authenticator_on", "/account")
		return
	}
	p.appStep(w, r, who, err, "/account/authenticator?notice=authenticator-on")
}

func (p *accountAuthenticator) showRemoveAuthenticator(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	own, err := p.account.Overview(r.Context(), who)
	switch {
	case err != nil:
		p.Error(w, r, err)
	case !own.Factors.TOTP:
		see(w, "/account/authenticator")
	default:
		p.askRemove(w, r, who, own)
	}
}

func (p *accountAuthenticator) askRemove(w http.ResponseWriter, r *http.Request, who principal.Principal, own selfservice.Overview) {
	v := p.ownView(r, who, "page.account.authenticator.remove.title")
	l := v.L.Language
	after := l.Text("page.account.authenticator.remove.last")
	if own.Factors.Passkeys > 0 {
		after = l.Text("page.account.authenticator.remove.passkey")
	}
	back := Link{Title: l.Text("page.account.authenticator.title"), Path: "/account/authenticator"}
	f := &form{Action: "/account/authenticator/remove", Submit: l.Text("page.account.authenticator.remove.submit"), Danger: true}
	p.ask(w, r, http.StatusOK, v, f, asking{
		Back: back, Lead: l.Text("page.account.authenticator.remove.lead"), More: []string{after}, Aside2: Link{Title: l.Text("page.account.cancel"), Path: back.Path},
	})
}

func (p *accountAuthenticator) removeAuthenticator(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	err := p.flows.RemoveTOTP(r.Context(), who)
	switch {
	case err == nil:
		see(w, "/account/authenticator?notice=authenticator-removed")
	case p.lastOne(w, r, who, err, Link{Title: p.in(r).Text("page.account.authenticator.title"), Path: "/account/authenticator"}):
	case fault.KindOf(err) == fault.NotFound:
		see(w, "/account/authenticator")
	default:
		p.refusedOwn(w, r, err, "/account/authenticator/remove")
	}
}
