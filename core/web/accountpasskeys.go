package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// justNow is how long after a sign-in a browser still takes it for the same occasion.
const justNow = 2 * time.Minute

// OwnPasskeys is what people do to their own passkeys.
type OwnPasskeys interface {
	Passkeys(ctx context.Context, p principal.Principal) ([]passkey.Passkey, error)
	PasskeySignals(ctx context.Context, p principal.Principal) (passkey.Signals, error)
	BeginPasskey(ctx context.Context, p principal.Principal, conditional bool) (passkey.Ceremony, error)
	AddPasskey(ctx context.Context, p principal.Principal, f factor.Proof, name string) error
	RenamePasskey(ctx context.Context, p principal.Principal, id uuid.UUID, name string) error
	DeletePasskey(ctx context.Context, p principal.Principal, id uuid.UUID) error
	AskAfterPassword(ctx context.Context, p principal.Principal, on bool) (codes []string, err error)
}

// accountPasskeys is the passkeys of whoever is signed in.
type accountPasskeys struct {
	*ownKit
	flows OwnPasskeys
}

// Mount adds the pages.
func (p *accountPasskeys) Mount(m *mounter) {
	const back = "/account/passkeys/new"
	m.page("/account/passkeys", own, p.passkeys)
	m.page("/account/passkeys/new", recent, p.showNewPasskey)
	m.script("/account/passkeys/options", ownRecent, back, p.beginPasskey)
	m.script("/account/passkeys/finish", endpoint.Rules{Limit: ratelimit.General, Access: endpoint.SignedIn, Recent: true, Body: credentialForm}, back, p.addPasskey)
	m.form("/account/passkeys/after-password", ownRecent, p.askAfterPassword)
	m.page("/account/passkeys/{id}", own, p.showPasskey)
	m.form("/account/passkeys/{id}", ownTakes, p.renamePasskey)
	m.page("/account/passkeys/{id}/delete", recent, p.showDeletePasskey)
	m.form("/account/passkeys/{id}/delete", ownRecent, p.deletePasskey)
}

// ownPasskey is one of the account's.
type ownPasskey struct {
	ID, Name     string
	Discoverable bool
	BackedUp     bool
	Made, Used   time.Time
}

// passkeysPage is the list of them.
type passkeysPage struct {
	Back  Link
	List  []ownPasskey
	Add   bool   // another one can be added
	Full  int    // how many there are, when there may be no more
	After string // whether one is asked for after the password
	Tell  string // signals for the person's password managers
}

// passkeyPage is about one.
type passkeyPage struct {
	Back     Link
	ID, Name string
	Facts    []fact
}

var errNoPasskey = fault.New(fault.NotFound, "passkey_not_found", "There is no such passkey.")

// mayMakePasskey reports whether the browser may be asked to make a passkey by itself, because the person has just signed in
// with a password (WebAuthn L3 §5.1.3, conditional creation).
func (p *accountOverview) mayMakePasskey(who principal.Principal, own selfservice.Overview) bool {
	return own.Factors.Passkeys < own.PasskeyLimit && slices.Contains(who.AMR, "pwd") &&
		p.now().Sub(who.AuthTime) < justNow
}

func (p *accountPasskeys) passkeysLink(l *lang.Language) Link {
	return Link{Title: l.Text("page.account.passkeys.title"), Path: "/account/passkeys"}
}

func (p *accountPasskeys) passkeys(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	list, err := p.flows.Passkeys(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	own, err := p.account.Overview(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.passkeys.title")
	l := v.L.Language
	body := passkeysPage{Back: p.accountLink(l), After: l.Text("page.account.passkeys.after." + afterPassword(own)), List: make([]ownPasskey, len(list))}
	for i, k := range list {
		body.List[i] = ownPasskey{ID: k.ID.String(), Name: k.Name, Discoverable: k.Discoverable, BackedUp: k.BackedUp, Made: k.CreatedAt, Used: k.LastUsedAt}
	}
	if body.Add = len(list) < own.PasskeyLimit; !body.Add && own.PasskeyLimit > 0 {
		body.Full = len(list)
	}
	if body.Tell, err = signals(r.Context(), p.flows, who); err != nil {
		p.Error(w, r, err)
		return
	}
	if body.Tell != "" {
		v.Scripts = passkeyScripts
	}
	v.Form, v.Body = afterForm(l, own), body
	p.render(w, r, http.StatusOK, "passkeys", v)
}

// newPasskey is the page that adds one.
type newPasskey struct {
	Back Link
	Form *passkeyForm
}

func (p *accountPasskeys) showNewPasskey(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	v := p.ownView(r, who, "page.account.passkeys.new.title")
	l := v.L.Language
	v.Scripts, v.Body = passkeyScripts, newPasskey{p.passkeysLink(l), &passkeyForm{
		Kind: "register", Options: "/account/passkeys/options", Finish: "/account/passkeys/finish", Submit: l.Text("page.account.passkeys.new.submit"),
		Texts: passkeyTextsIn(l), Fields: []field{{
			Name: "name", Label: l.Text("page.account.passkeys.new.name"), Type: "text", Autocomplete: "off", MaxLength: passkey.MaxName,
			Hint: l.Text("page.account.passkeys.new.hint"),
		}},
	}}
	p.render(w, r, http.StatusOK, "passkey-new", v)
}

// beginPasskey and addPasskey speak with the script. With ?conditional the browser makes a passkey by itself, right after a
// sign-in with a password.
func (p *accountPasskeys) beginPasskey(w http.ResponseWriter, r *http.Request, who principal.Principal, _ answered) {
	c, err := p.flows.BeginPasskey(r.Context(), who, r.URL.Query().Has("conditional"))
	if err != nil {
		p.ownScriptFailed(w, r, err, "/account/passkeys/new")
		return
	}
	p.offer(w, r, c, nil)
}

func (p *accountPasskeys) addPasskey(w http.ResponseWriter, r *http.Request, who principal.Principal, a answered) {
	if err := p.flows.AddPasskey(r.Context(), who, a.factor(), a.Fields["name"]); err != nil {
		p.ownScriptFailed(w, r, err, "/account/passkeys/new")
		return
	}
	p.goOn(w, r, "/account/passkeys?notice=passkey-added")
}

// signals are what the person's password managers should know, as the script takes it; empty when there is nothing.
func signals(ctx context.Context, passkeys OwnPasskeys, who principal.Principal) (string, error) {
	s, err := passkeys.PasskeySignals(ctx, who)
	if err != nil || s.Accepted == nil {
		return "", err
	}
	b, err := json.Marshal(s)
	return string(b), err
}

// afterPassword names how it stands with a passkey as the second factor.
func afterPassword(own selfservice.Overview) string {
	switch {
	case own.Factors.TOTP:
		return "totp"
	case own.Required && own.SecondFactor:
		return "required"
	case own.Required:
		return "no_codes"
	case own.SecondFactor:
		return "on"
	}
	return "off"
}

// afterForm changes that, where there is something to change.
func afterForm(l *lang.Language, own selfservice.Overview) *form {
	f := &form{Action: "/account/passkeys/after-password", Quiet: true, Hidden: []hidden{{"on", "1"}}}
	switch afterPassword(own) {
	case "off":
		f.Submit = l.Text("page.account.passkeys.after.turn_on")
	case "no_codes":
		f.Submit = l.Text("page.account.passkeys.after.codes")
	case "on":
		f.Submit, f.Hidden = l.Text("page.account.passkeys.after.turn_off"), []hidden{{"on", "0"}}
	default:
		return nil
	}
	return f
}

func (p *accountPasskeys) askAfterPassword(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	on := r.PostForm.Get("on") == "1"
	codes, err := p.flows.AskAfterPassword(r.Context(), who, on)
	switch {
	case err == nil && codes != nil:
		p.showCodes(w, r, who, codes, "page.account.notice.second_factor_on", "/account/passkeys")
	case err == nil && on:
		see(w, "/account/passkeys?notice=second-factor-on")
	case err == nil:
		see(w, "/account/passkeys?notice=second-factor-off")
	case p.lastOne(w, r, who, err, p.passkeysLink(p.in(r))):
	case fault.KindOf(err) == fault.Conflict:
		see(w, "/account/passkeys") // which says how things stand
	default:
		p.refusedOwn(w, r, err, "/account/passkeys")
	}
}

// ownPasskey finds the one that an address names; false means that the answer is given.
func (p *accountPasskeys) ownPasskey(w http.ResponseWriter, r *http.Request, who principal.Principal) (passkey.Passkey, bool) {
	list, err := p.flows.Passkeys(r.Context(), who)
	i := slices.IndexFunc(list, func(k passkey.Passkey) bool { return k.ID.String() == mux.Vars(r)["id"] })
	if err == nil && i < 0 {
		err = errNoPasskey
	}
	if err != nil {
		p.Error(w, r, err)
		return passkey.Passkey{}, false
	}
	return list[i], true
}

func renameForm(l *lang.Language, k passkey.Passkey, typed string) *form {
	return &form{Action: "/account/passkeys/" + k.ID.String(), Submit: l.Text("page.account.passkeys.one.rename"), Quiet: true, Fields: []field{{
		Name: "name", Label: l.Text("page.account.passkeys.one.name"), Type: "text", Value: typed, Autocomplete: "off", MaxLength: passkey.MaxName, Required: true,
	}}}
}

func (p *accountPasskeys) showPasskey(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	if k, ok := p.ownPasskey(w, r, who); ok {
		p.onePasskey(w, r, who, k, nil)
	}
}

// onePasskey shows one; refused is what was wrong with the name that was typed, or nil.
func (p *accountPasskeys) onePasskey(w http.ResponseWriter, r *http.Request, who principal.Principal, k passkey.Passkey, refused *fault.Error) {
	v := p.ownView(r, who, "page.account.passkeys.title")
	l := v.L.Language
	text := func(key string) string { return l.Text("page.account.passkeys." + key) }
	body := passkeyPage{Back: p.passkeysLink(l), ID: k.ID.String(), Name: k.Name}
	if m := k.Model(); m != "" && m != k.Name {
		body.Facts = append(body.Facts, fact{Label: text("one.model"), Value: m})
	}
	body.Facts = append(body.Facts, fact{Label: text("one.made"), At: k.CreatedAt})
	used := fact{Label: text("one.used"), At: k.LastUsedAt, Value: text("unused")}
	copies := fact{Label: text("one.copies"), Value: text("one.one_device")}
	if k.BackedUp {
		copies.Value = text("one.backed_up")
	}
	use := fact{Label: text("one.use"), Value: text("one.not_discoverable")}
	if k.Discoverable {
		use.Value = text("one.discoverable")
	}
	body.Facts = append(body.Facts, used, copies, use)
	v.Title, v.Form, v.Body = k.Name, renameForm(l, k, k.Name), body
	status := http.StatusOK
	if refused != nil {
		status = statusOf(refused.Kind)
		v.Form = renameForm(l, k, r.PostForm.Get("name"))
		p.refuse(l, v.Form, refused)
	}
	p.render(w, r, status, "passkey", v)
}

func (p *accountPasskeys) renamePasskey(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	k, ok := p.ownPasskey(w, r, who)
	if !ok {
		return
	}
	err := p.flows.RenamePasskey(r.Context(), who, k.ID, r.PostForm.Get("name"))
	ft := fault.From(err)
	switch {
	case err == nil:
		see(w, "/account/passkeys?notice=passkey-renamed")
	case ft.Kind == fault.Invalid:
		p.onePasskey(w, r, who, k, ft)
	default:
		p.refusedOwn(w, r, err, "/account/passkeys/"+k.ID.String())
	}
}

func (p *accountPasskeys) showDeletePasskey(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	k, ok := p.ownPasskey(w, r, who)
	if !ok {
		return
	}
	v := p.ownView(r, who, "page.account.passkeys.delete.title")
	l := v.L.Language
	at := "/account/passkeys/" + k.ID.String()
	f := &form{Action: at + "/delete", Submit: l.Text("page.account.passkeys.delete.submit"), Danger: true}
	p.ask(w, r, http.StatusOK, v, f, asking{
		Back: p.passkeysLink(l), Lead: l.Text("page.account.passkeys.delete.lead", "name", k.Name), Aside2: Link{Title: l.Text("page.account.cancel"), Path: at},
	})
}

func (p *accountPasskeys) deletePasskey(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	id, err := uuid.Parse(mux.Vars(r)["id"])
	if err != nil {
		p.Error(w, r, errNoPasskey)
		return
	}
	err = p.flows.DeletePasskey(r.Context(), who, id)
	switch {
	case err == nil || fault.KindOf(err) == fault.NotFound:
		see(w, "/account/passkeys?notice=passkey-deleted")
	case p.lastOne(w, r, who, err, p.passkeysLink(p.in(r))):
	default:
		p.refusedOwn(w, r, err, "/account/passkeys/"+id.String()+"/delete")
	}
}
