package web

import (
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// magicOpenPage is what an opened link shows: in the browser that asked for it a button, in another one from where it was asked
// for, and the choice who is to be signed in.
type magicOpenPage struct {
	Elsewhere       bool
	Browser, System string
	IP              string
	At              time.Time
	Here            *form // sign in here instead
}

// Machine is the moment as the time element wants it.
func (m magicOpenPage) Machine() string { return m.At.UTC().Format(time.RFC3339) }

// showMagicOpen consumes nothing, see showConfirm.
func (p *magicLink) showMagicOpen(w http.ResponseWriter, r *http.Request) {
	token := linkToken(w, r)
	if token == "" {
		p.expired(w, r, "page.expired.incomplete", "/login/link", "page.expired.again")
		return
	}
	p.askMagic(w, r, token, nil)
}

// askMagic shows the opened link's page; refused is what was wrong with the form before, or nil.
func (p *magicLink) askMagic(w http.ResponseWriter, r *http.Request, token string, refused *fault.Error) {
	at, err := p.flows.LookMagicLink(r.Context(), token, cookie.Magic.Token(r))
	if err != nil {
		if !reshow(fault.From(err)) {
			p.Error(w, r, err)
			return
		}
		p.magicUsed(w, r)
		return
	}
	title := "page.link.open_title"
	if !at.SameBrowser {
		title = "page.link.elsewhere_title"
	}
	v := p.view(r, title)
	l := v.L.Language
	v.Here = linkAddress(token)
	in := &form{Action: "/login/link/open", Submit: l.Text("page.link.open_submit"), Hidden: []hidden{{"token", token}}}
	if p.set.RememberMe {
		in.Fields = []field{p.rememberField(l, false)}
	}
	in.Fields = append(in.Fields, p.joinField(r)...)
	body := magicOpenPage{}
	v.Form = in
	if !at.SameBrowser {
		body.Elsewhere, body.IP, body.At = true, at.IP, at.At
		body.Browser, body.System = device.Describe(at.UserAgent)
		in.Quiet, in.Prefix, in.Submit, in.Label = true, "here-", l.Text("page.link.here_submit"), l.Text("page.link.here_title")
		body.Here = in
		v.Form = &form{
			Action: "/login/link/approve", Submit: l.Text("page.link.approve_submit"), Hidden: []hidden{{"token", token}}, Label: l.Text("page.link.approve_title"),
			Fields: []field{{
				Name: "number", Label: l.Text("page.link.number"), Hint: l.Text("page.link.number_hint"), Type: "text", Autocomplete: "off", InputMode: "numeric",
				MaxLength: 16, Required: true, Class: "code",
			}},
		}
	}
	status := http.StatusOK
	if refused != nil {
		status = statusOf(refused.Kind)
		p.refuse(l, v.Form, refused)
	}
	v.Body = body
	p.render(w, r, status, "link-open", v)
}

// magicUsed tells that the opened link is over; to who is signed in, in the same browser, that there is nothing more to do.
func (p *magicLink) magicUsed(w http.ResponseWriter, r *http.Request) {
	if _, ok, err := p.visitor(w, r); err == nil && ok {
		p.expired(w, r, "page.expired.link_signed_in", "/account", "page.expired.to_account")
		return
	}
	p.expired(w, r, "page.expired.link", "/login/link", "page.expired.again")
}

// magicOpen signs in the browser that the link was opened in.
func (p *magicLink) magicOpen(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	token, flow := r.PostForm.Get("token"), cookie.Magic.Token(r)
	in, err := p.flows.SignInMagicLink(r.Context(), auth.MagicLink{
		Token: token, Flow: flow, Remember: p.remembers(r), Device: cookie.DeviceToken(r), Link: joining(r),
	})
	if err == nil {
		p.arrive(w, r, in, remembered(r))
		return
	}
	ft := fault.From(err)
	switch {
	case !reshow(ft):
		p.Error(w, r, err)
	case ft.Code == "invalid_or_expired" || token == "":
		p.magicUsed(w, r)
	default:
		p.askMagic(w, r, token, ft)
	}
}

// magicApprove lets the other device go on.
func (p *magicLink) magicApprove(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	err := p.flows.ApproveMagicLink(r.Context(), r.PostForm.Get("token"), r.PostForm.Get("number"))
	ft := fault.From(err)
	switch {
	case err == nil:
		v := p.view(r, "page.link.approved_title")
		v.Here = ""
		p.render(w, r, http.StatusOK, "link-approved", v)
	case !reshow(ft):
		p.Error(w, r, err)
	case ft.Code == "wrong_number":
		p.expired(w, r, "fault.wrong_number", "/login/link", "page.expired.again")
	default:
		p.magicUsed(w, r)
	}
}
