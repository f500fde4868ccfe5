package web

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

var errNoRelated = fault.New(fault.NotFound, "not_found", "There is nothing at this address.")

// PasskeySignIns is signing in with a passkey.
type PasskeySignIns interface {
	PasskeysOffered() bool // may change while running
	BeginPasskeySignIn(ctx context.Context) (passkey.Ceremony, error)
	SignInPasskey(ctx context.Context, in auth.PasskeySignIn) (auth.SignedIn, error)
}

// passkeySignIn is signing in with a passkey, for the script of the sign-in page.
type passkeySignIn struct {
	*kit
	flows PasskeySignIns
}

// Mount adds the addresses.
func (p *passkeySignIn) Mount(m *mounter) {
	m.script("/login/passkey/options", tells, "", p.options)
	m.script("/login/passkey/finish", shows, "", p.finish)
	if p.signal != nil {
		m.page("/.well-known/webauthn", open, p.relatedOrigins)
	}
}

// passkeysOffered reports whether the pages of the sign-in have passkeys on them.
func (p *signIn) passkeysOffered() bool {
	return p.passkeys != nil && p.passkeys.PasskeysOffered()
}

// relatedOrigins says which other sites may use the same passkeys (WebAuthn L3 §5.11.1). Without any there is no such page.
func (p *passkeySignIn) relatedOrigins(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	document, ok := p.signal.RelatedOrigins()
	if !ok {
		p.Error(w, r, errNoRelated)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // the client may be gone
}

// loginPasskey is the button; the same ceremony fills the sign-in form's suggestions.
func (p *signIn) loginPasskey(l *lang.Language, a attempt) *passkeyForm {
	f := &passkeyForm{
		Kind: "login", Options: "/login/passkey/options", Finish: "/login/passkey/finish", Submit: l.Text("page.passkey.sign_in"), Quiet: true,
		Hidden: p.returnField(a.ReturnTo), Texts: passkeyTextsIn(l),
	}
	if a.Join != nil {
		f.Hidden = append(f.Hidden, hidden{"join", "1"})
	}
	return f
}

func (p *passkeySignIn) options(w http.ResponseWriter, r *http.Request, _ principal.Principal, _ answered) {
	c, err := p.flows.BeginPasskeySignIn(r.Context())
	p.offer(w, r, c, err)
}

func (p *passkeySignIn) finish(w http.ResponseWriter, r *http.Request, _ principal.Principal, a answered) {
	link := ""
	if a.Fields["join"] != "" {
		link = cookie.Join.Token(r)
	}
	in, err := p.flows.SignInPasskey(r.Context(), auth.PasskeySignIn{
		Ceremony: a.Token, Credential: a.Credential, Remember: p.set.RememberMe && a.Fields["remember"] != "", Device: cookie.DeviceToken(r), Link: link,
	})
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	p.goOn(w, r, p.land(w, r, in, a.Fields["return_to"]))
}
