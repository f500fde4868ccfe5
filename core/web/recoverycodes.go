package web

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// codesPage says how many codes are left.
type codesPage struct {
	Back   Link
	Needed bool // there is a second factor that they stand in for
	Left   int
	Few    bool
}

// newCodes are codes that are shown this once.
type newCodes struct {
	Codes     []string
	For, Made string       // what a sheet of paper has to say by itself
	File      template.URL // the same as a text
	Next      string       // where to go on
}

func (p *Pages) recoveryCodes(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	own, err := p.cfg.OwnAccount.Overview(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.codes.title")
	left := own.Factors.RecoveryCodes
	v.Body = codesPage{Back: p.accountLink(v.L.Language), Needed: own.SecondFactor, Left: left, Few: left <= fewCodes}
	p.render(w, r, http.StatusOK, "recovery-codes", v)
}

func (p *Pages) showRenewCodes(w http.ResponseWriter, r *http.Request) {
	who, ok := p.sure(w, r)
	if !ok {
		return
	}
	v := p.ownView(r, who, "page.account.codes.renew.title")
	l := v.L.Language
	back := Link{Title: l.Text("page.account.codes.title"), Path: "/account/recovery-codes"}
	f := &form{Action: "/account/recovery-codes/renew", Submit: l.Text("page.account.codes.renew.submit")}
	p.ask(w, r, http.StatusOK, v, f, asking{Back: back, Lead: l.Text("page.account.codes.renew.lead"), Aside2: Link{Title: l.Text("page.account.cancel"), Path: back.Path}})
}

func (p *Pages) renewCodes(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	codes, err := p.cfg.OwnFactors.RenewRecoveryCodes(r.Context(), who)
	switch {
	case err == nil:
		p.showCodes(w, r, who, codes, "", "/account")
	case fault.KindOf(err) == fault.Conflict:
		see(w, "/account/recovery-codes") // which says what is missing
	default:
		p.refusedOwn(w, r, err, "/account/recovery-codes/renew")
	}
}

// showCodes answers a form with new codes: nowhere else are they in clear, so there is no address to see them at again.
// notice is a key, or empty; next is where to go on.
func (p *Pages) showCodes(w http.ResponseWriter, r *http.Request, who principal.Principal, codes []string, notice, next string) {
	v := p.ownView(r, who, "page.account.codes.shown.title")
	l := v.L.Language
	if notice != "" {
		v.Notice = l.Text(notice)
	}
	v.Here = "" // a change of language would lose them
	body := newCodes{
		Codes: codes, For: l.Text("page.account.codes.shown.for", "email", who.Email, "service", p.cfg.ServiceName),
		Made: l.Text("page.account.codes.shown.date", "date", l.Day(p.cfg.Now())), Next: next,
	}
	text := body.For + "\r\n" + body.Made + "\r\n\r\n" + strings.Join(codes, "\r\n") + "\r\n"
	body.File = template.URL("data:text/plain;charset=utf-8," + url.PathEscape(text)) //nolint:gosec // made here, and escaped
	v.Body = body
	p.render(w, r, http.StatusOK, "recovery-codes-shown", v)
}
