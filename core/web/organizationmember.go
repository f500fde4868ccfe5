package web

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
)

// memberPage is what the page of a member shows.
type memberPage struct {
	Back   Link
	Status *form
	Remove *form
}

// member finds the member that an address names; false means that the answer is given.
func (p *management) member(w http.ResponseWriter, r *http.Request, who principal.Principal) (st membership.Standing, m org.MemberView, ok bool) {
	if st, ok = p.active(w, r, who); !ok {
		return st, m, false
	}
	id, err := uuid.Parse(mux.Vars(r)["id"])
	if err != nil {
		err = org.ErrNotMember
	} else {
		m, err = p.flows.Member(r.Context(), membership.As(who), st.Organization.ID, id)
	}
	if err != nil {
		p.refusedOwn(w, r, err, organizationHome)
		return st, m, false
	}
	return st, m, true
}

func memberAddress(m org.MemberView) string {
	return organizationHome + "/members/" + m.AccountID.String()
}

func (p *management) memberForm(l *lang.Language, st membership.Standing, m org.MemberView) *form {
	f := &form{Action: memberAddress(m), Submit: l.Text("page.organization.save"), Fields: []field{roleField(l, m.Role)}}
	if st.Owner {
		f.Fields = append(f.Fields, field{Name: "owner", Label: l.Text("page.organization.owner"), Type: "checkbox", Checked: m.Owner, Hint: l.Text("page.organization.member.owner_hint")})
	}
	return f
}

func (p *management) showMember(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	if st, m, ok := p.member(w, r, who); ok {
		p.memberView(w, r, who, http.StatusOK, m, p.memberForm(p.in(r), st, m))
	}
}

func (p *management) memberView(w http.ResponseWriter, r *http.Request, who principal.Principal, status int, m org.MemberView, f *form) {
	v := p.ownView(r, who, "page.organization.member.title", "email", m.Email)
	l := v.L.Language
	if m.Status == org.Suspended && v.Notice == "" {
		v.Notice = l.Text("page.organization.member.is_suspended")
	}
	body := memberPage{
		Back:   Link{Title: l.Text("page.organization.members"), Path: organizationHome},
		Status: &form{Action: memberAddress(m) + "/status", Submit: l.Text("page.organization.member.suspend"), Quiet: true, Hidden: []hidden{{"status", string(org.Suspended)}}},
		Remove: &form{Action: memberAddress(m) + "/remove", Submit: l.Text("page.organization.member.remove"), Danger: true},
	}
	if m.Status == org.Suspended {
		body.Status.Submit, body.Status.Hidden = l.Text("page.organization.member.resume"), []hidden{{"status", string(org.Active)}}
	}
	v.Form, v.Body = f, body
	p.render(w, r, status, "organization-member", v)
}

func (p *management) changeMember(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, m, ok := p.member(w, r, who)
	if !ok {
		return
	}
	role, owner := strings.TrimSpace(r.PostForm.Get("role")), r.PostForm.Get("owner") != ""
	change := org.MemberChange{Role: &role}
	if st.Owner && owner != m.Owner {
		change.Owner = &owner
	}
	p.changed(w, r, who, st, m, change)
}

func (p *management) suspendMember(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, m, ok := p.member(w, r, who)
	if !ok {
		return
	}
	status := org.Active
	if r.PostForm.Get("status") == string(org.Suspended) {
		status = org.Suspended
	}
	p.changed(w, r, who, st, m, org.MemberChange{Status: &status})
}

func (p *management) changed(w http.ResponseWriter, r *http.Request, who principal.Principal, st membership.Standing, m org.MemberView, change org.MemberChange) {
	_, err := p.flows.ChangeMember(r.Context(), membership.As(who), st.Organization.ID, m.AccountID, change)
	if err == nil {
		see(w, organizationHome+"?notice=member-changed")
		return
	}
	p.memberRefused(w, r, who, st, m, change, err)
}

// memberRefused shows the member's page with why nothing was done.
func (p *management) memberRefused(w http.ResponseWriter, r *http.Request, who principal.Principal, st membership.Standing, m org.MemberView, change org.MemberChange, err error) {
	ft := fault.From(err)
	if needsProof(err) || !reshow(ft) {
		p.refusedOwn(w, r, err, memberAddress(m))
		return
	}
	was := m
	if change.Role != nil {
		was.Role = *change.Role
	}
	if change.Owner != nil {
		was.Owner = *change.Owner
	}
	f := p.memberForm(p.in(r), st, was)
	p.refuse(p.in(r), f, ft)
	p.memberView(w, r, who, statusOf(ft.Kind), m, f)
}

func (p *management) removeMember(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, m, ok := p.member(w, r, who)
	if !ok {
		return
	}
	if err := p.flows.Remove(r.Context(), membership.As(who), st.Organization.ID, m.AccountID); err != nil {
		p.memberRefused(w, r, who, st, m, org.MemberChange{}, err)
		return
	}
	see(w, organizationHome+"?notice=member-removed")
}
