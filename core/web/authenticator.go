package web

import (
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/selfservice"
)

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
func (p *Pages) appView(w http.ResponseWriter, r *http.Request, who principal.Principal, refused *fault.Error) {
	app, err := p.cfg.OwnFactors.Authenticator(r.Context(), who)
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

func (p *Pages) showAuthenticator(w http.ResponseWriter, r *http.Request) {
	if who, ok := p.member(w, r); ok {
		p.appView(w, r, who, nil)
	}
}

func (p *Pages) beginAuthenticator(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	_, err := p.cfg.OwnFactors.BeginTOTP(r.Context(), who)
	p.appStep(w, r, who, err, "/account/authenticator")
}

// appStep goes on to the next page, or says what is wrong.
func (p *Pages) appStep(w http.ResponseWriter, r *http.Request, who principal.Principal, err error, next string) {
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

func (p *Pages) confirmAuthenticator(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	if r.PostForm.Has("cancel") {
		p.appStep(w, r, who, p.cfg.OwnFactors.CancelTOTP(r.Context(), who), "/account/authenticator?notice=authenticator-cancelled")
		return
	}
	done, err := p.cfg.OwnFactors.ConfirmTOTP(r.Context(), who, r.PostForm.Get("code"))
	if err == nil {
		p.renewed(w, r, done.Issued)
	}
	if err == nil && done.Codes != nil {
		p.showCodes(w, r, who, done.Codes, "page.account.notice.authenticator_on", "/account")
		return
	}
	p.appStep(w, r, who, err, "/account/authenticator?notice=authenticator-on")
}

func (p *Pages) showRemoveAuthenticator(w http.ResponseWriter, r *http.Request) {
	who, ok := p.sure(w, r)
	if !ok {
		return
	}
	own, err := p.cfg.OwnAccount.Overview(r.Context(), who)
	switch {
	case err != nil:
		p.Error(w, r, err)
	case !own.Factors.TOTP:
		see(w, "/account/authenticator")
	default:
		p.askRemove(w, r, who, own)
	}
}

func (p *Pages) askRemove(w http.ResponseWriter, r *http.Request, who principal.Principal, own selfservice.Overview) {
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

func (p *Pages) removeAuthenticator(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	err := p.cfg.OwnFactors.RemoveTOTP(r.Context(), who)
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

// lastOne explains why the last way in, or the last second factor where everybody needs one, stays; it reports
// whether that is what err says.
func (p *Pages) lastOne(w http.ResponseWriter, r *http.Request, who principal.Principal, err error, back Link) bool {
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
	own, err := p.cfg.OwnAccount.Overview(r.Context(), who)
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
