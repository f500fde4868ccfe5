package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
)

// Invitations is an invitation as the person who has its link sees it; *membership.Service is one.
type Invitations interface {
	LookInvitation(ctx context.Context, token string) (membership.Invited, error)
	Accept(ctx context.Context, by membership.Actor, token string) (org.Membership, error)
	Decline(ctx context.Context, by membership.Actor, token string) error
}

// invitation is the page of an invitation's link.
type invitation struct {
	*kit
	flows Invitations
}

// Mount adds the pages.
func (p *invitation) Mount(m *mounter) {
	m.page("/invitation", uses, p.show)
	m.form("/invitation", guesses, p.answer)
}

// invitationPage is what the page shows beside its form.
type invitationPage struct {
	Lead   string
	More   string // what has to be done first
	SignIn string // where; empty: nothing
	SignUp string
}

// invitationPath is the page of an invitation.
func invitationPath(token string) string {
	return "/invitation?" + url.Values{"token": {token}}.Encode()
}

// show consumes nothing: mail scanners and previews follow links, people press buttons.
func (p *invitation) show(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	token := linkToken(w, r)
	in, err := p.flows.LookInvitation(r.Context(), token)
	if err != nil {
		p.refused(w, r, token, err)
		return
	}
	who, signedIn, err := p.visitor(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	p.view(w, r, http.StatusOK, token, in, who, signedIn, nil)
}

// view shows what the invitation is, and what whoever looks can do about it.
func (p *invitation) view(w http.ResponseWriter, r *http.Request, status int, token string, in membership.Invited, who principal.Principal, signedIn bool, ft *fault.Error) {
	v := p.kit.view(r, "page.invitation.title", "name", in.Organization.Name)
	l := v.L.Language
	body := invitationPage{Lead: l.Text("page.invitation.lead", "email", in.Invitation.Email)}
	switch {
	case !signedIn:
		body.More = l.Text("page.invitation.first")
		body.SignIn = p.carry("/login", invitationPath(token))
		body.SignUp = "/register?" + url.Values{"invitation": {token}}.Encode()
	case who.Email != in.Invitation.Email:
		body.More = l.Text("page.invitation.other", "email", who.Email)
		body.SignIn = p.SignIn(invitationPath(token), 0, "", true)
	default:
		v.Form = &form{
			Action: "/invitation", Submit: l.Text("page.invitation.accept"), Hidden: []hidden{{"token", token}},
			Also: []button{{Name: "decline", Value: "1", Label: l.Text("page.invitation.decline")}},
		}
		if ft != nil {
			p.refuse(l, v.Form, ft)
		}
	}
	if r.Method != http.MethodGet {
		v.Here = invitationPath(token)
	}
	v.Body = body
	p.render(w, r, status, "invitation", v)
}

// answer accepts the invitation, or declines it.
func (p *invitation) answer(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	token := r.PostForm.Get("token")
	who, ok, err := p.visitor(w, r)
	switch {
	case err != nil:
		p.Error(w, r, err)
		return
	case !ok:
		see(w, p.SignIn(invitationPath(token), 0, "", false))
		return
	}
	by := membership.As(who)
	if r.PostForm.Get("decline") != "" {
		if err := p.flows.Decline(r.Context(), by, token); err != nil {
			p.refused(w, r, token, err)
			return
		}
		see(w, ownOrganizations+"?notice=invitation-declined")
		return
	}
	if _, err := p.flows.Accept(r.Context(), by, token); err == nil {
		see(w, ownOrganizations+"?notice=invitation-accepted")
		return
	} else if needsProof(err) {
		see(w, p.stepUpPath(invitationPath(token), principal.AAL2))
		return
	} else if ft := fault.From(err); reshow(ft) && ft.Code != org.ErrInvitation.Code {
		if in, look := p.flows.LookInvitation(r.Context(), token); look == nil {
			p.view(w, r, statusOf(ft.Kind), token, in, who, true, ft)
			return
		}
		p.refused(w, r, token, err)
		return
	} else {
		p.refused(w, r, token, err)
	}
}

// refused says that a link is over, or that something failed.
func (p *invitation) refused(w http.ResponseWriter, r *http.Request, token string, err error) {
	if fault.From(err).Code != org.ErrInvitation.Code {
		p.refusedOwn(w, r, err, invitationPath(token))
		return
	}
	p.expired(w, r, "page.expired.invitation", "/", "page.error.start")
}
