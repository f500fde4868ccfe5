package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
)

var errNoRelated = fault.New(fault.NotFound, "not_found", "There is nothing at this address.")

func (p *Pages) mountPasskeySignIn(on mounter) {
	on("/login/passkey/options", nil, p.passkeySignInOptions)
	on("/login/passkey/finish", nil, p.passkeySignIn)
	if p.cfg.Signals == nil {
		return
	}
	on("/.well-known/webauthn", p.relatedOrigins, nil)
}

// passkeysOffered reports whether the pages of the sign-in have passkeys on them.
func (p *Pages) passkeysOffered() bool {
	return p.cfg.PasskeySignIns != nil && p.cfg.PasskeySignIns.PasskeysOffered()
}

// relatedOrigins says which other sites may use the same passkeys (WebAuthn L3 §5.11.1). Without any there is no such page.
func (p *Pages) relatedOrigins(w http.ResponseWriter, r *http.Request) {
	document, ok := p.cfg.Signals.RelatedOrigins()
	if !ok {
		p.Error(w, r, errNoRelated)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // the client may be gone
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
