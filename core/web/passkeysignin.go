package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/lang"
)

func (p *Pages) mountPasskeySignIn(on mounter) {
	on("/login/passkey/options", nil, p.passkeySignInOptions)
	on("/login/passkey/finish", nil, p.passkeySignIn)
}

// passkeyForm is a passkey's form as assets/passkey.js wants it; see there. Without a script it is not shown.
type passkeyForm struct {
	Kind            string // login, second, stepup, register
	Options, Finish string // where the ceremony begins and ends; no Finish: the form itself is sent, to Action
	Action          string
	Submit          string
	Quiet           bool
	Fields          []field
	Hidden          []hidden
	Texts           passkeyTexts
}

// passkeyTexts are what the script may have to say.
type passkeyTexts struct{ Cancelled, Timeout, Unsupported, Exists, Site, Offline, Failed string }

func passkeyTextsIn(l *lang.Language) passkeyTexts {
	text := func(name string) string { return l.Text("page.passkey." + name) }
	return passkeyTexts{text("cancelled"), text("timeout"), text("unsupported"), text("exists"), text("site"), text("offline"), text("failed")}
}

// loginPasskey is the button; the same ceremony fills the sign-in form's suggestions.
func (p *Pages) loginPasskey(l *lang.Language, a attempt) *passkeyForm {
	f := &passkeyForm{
		Kind: "login", Options: "/login/passkey/options", Finish: "/login/passkey/finish", Submit: l.Text("page.passkey.sign_in"), Quiet: true,
		Hidden: p.returnField(a.ReturnTo), Texts: passkeyTextsIn(l),
	}
	if a.Join != nil {
		f.Hidden = append(f.Hidden, hidden{"join", "1"})
	}
	return f
}

func (p *Pages) passkeySignInOptions(w http.ResponseWriter, r *http.Request) {
	if _, err := readAnswer(w, r); err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	c, err := p.cfg.PasskeySignIns.BeginPasskeySignIn(r.Context())
	p.offer(w, r, c, err)
}

func (p *Pages) passkeySignIn(w http.ResponseWriter, r *http.Request) {
	a, err := readAnswer(w, r)
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	link := ""
	if a.Fields["join"] != "" {
		link = cookie.Join.Token(r)
	}
	in, err := p.cfg.PasskeySignIns.SignInPasskey(r.Context(), auth.PasskeySignIn{
		Ceremony: a.Token, Credential: a.Credential, Remember: p.cfg.RememberMe && a.Fields["remember"] != "", Device: cookie.DeviceToken(r), Link: link,
	})
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	p.goOn(w, r, p.land(w, r, in, p.onward(a.Fields["return_to"])))
}
