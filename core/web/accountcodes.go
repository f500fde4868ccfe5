package web

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// OwnCodes is what people do to their own recovery codes.
type OwnCodes interface {
	RenewRecoveryCodes(ctx context.Context, p principal.Principal) (codes []string, err error)
}

// accountCodes is the recovery codes of whoever is signed in.
type accountCodes struct {
	*ownKit
	flows OwnCodes
}

// Mount adds the pages.
func (p *accountCodes) Mount(m *mounter) {
	m.page("/account/recovery-codes", own, p.recoveryCodes)
	m.page("/account/recovery-codes/renew", recent, p.showRenewCodes)
	m.form("/account/recovery-codes/renew", ownRecent, p.renewCodes)
}

// codesPage says how many codes are left.
type codesPage struct {
	Back   Link
	Needed bool // there is a second factor that they stand in for
	Left   int
	Few    bool
}

func (p *accountCodes) recoveryCodes(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	own, err := p.account.Overview(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.codes.title")
	left := own.Factors.RecoveryCodes
	v.Body = codesPage{Back: p.accountLink(v.L.Language), Needed: own.SecondFactor, Left: left, Few: left <= fewCodes}
	p.render(w, r, http.StatusOK, "recovery-codes", v)
}

func (p *accountCodes) showRenewCodes(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	v := p.ownView(r, who, "page.account.codes.renew.title")
	l := v.L.Language
	back := Link{Title: l.Text("page.account.codes.title"), Path: "/account/recovery-codes"}
	f := &form{Action: "/account/recovery-codes/renew", Submit: l.Text("page.account.codes.renew.submit")}
	p.ask(w, r, http.StatusOK, v, f, asking{Back: back, Lead: l.Text("page.account.codes.renew.lead"), Aside2: Link{Title: l.Text("page.account.cancel"), Path: back.Path}})
}

func (p *accountCodes) renewCodes(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	codes, err := p.flows.RenewRecoveryCodes(r.Context(), who)
	switch {
	case err == nil:
		p.showCodes(w, r, who, codes, "", "/account")
	case fault.KindOf(err) == fault.Conflict:
		see(w, "/account/recovery-codes") // which says what is missing
	default:
		p.refusedOwn(w, r, err, "/account/recovery-codes/renew")
	}
}
