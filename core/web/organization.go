package web

import (
	"context"
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

// OwnOrganizations is the organizations that somebody belongs to; *membership.Service is one.
type OwnOrganizations interface {
	Get(ctx context.Context, by membership.Actor, id uuid.UUID) (membership.Standing, error)
	Mine(ctx context.Context, by membership.Actor, cursor string, limit int) (membership.StandingPage, error)
	MayCreate(by membership.Actor) bool
	Create(ctx context.Context, by membership.Actor, n membership.NewOrganization) (org.Organization, error)
	Switch(ctx context.Context, p principal.Principal, id uuid.UUID) (principal.Principal, error)
	Remove(ctx context.Context, by membership.Actor, id, user uuid.UUID) error
}

// Organizations is all that the pages of organizations need; *membership.Service is one.
type Organizations interface {
	OwnOrganizations
	OrganizationManagement
	Invitations
}

const (
	ownOrganizations = "/account/organizations"
	organizationHome = "/organization"
)

// organizations is the page of the organizations that somebody belongs to.
type organizations struct {
	*kit
	flows OwnOrganizations
}

// Mount adds the pages.
func (p *organizations) Mount(m *mounter) {
	m.page(ownOrganizations, own, p.show)
	m.form(ownOrganizations, ownTakes, p.turn)
	m.form(ownOrganizations+"/create", ownTakes, p.create)
	m.page(ownOrganizations+"/{id}/leave", own, p.showLeave)
	m.form(ownOrganizations+"/{id}/leave", ownTakes, p.leave)
}

// belonging is one organization of somebody.
type belonging struct {
	ID, Name, Role                    string
	Active, Manager, Owner, Suspended bool
}

// belongingsPage is what the page of them shows.
type belongingsPage struct {
	Back Link
	List []belonging
	None bool // the session is active in one, and can be in none
	Next string
}

func (p *organizations) show(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	p.list(w, r, who, http.StatusOK, p.createForm(p.in(r), ""))
}

func (p *organizations) createForm(l *lang.Language, name string) *form {
	return &form{
		Action: ownOrganizations + "/create", Submit: l.Text("page.organization.create.submit"), Quiet: true, Label: l.Text("page.organization.create.title"),
		Fields: []field{{Name: "name", Label: l.Text("page.organization.name"), Type: "text", Value: name, MaxLength: org.MaxName, Required: true, Autocomplete: "off"}},
	}
}

// list shows the page, with the form to create another where somebody may.
func (p *organizations) list(w http.ResponseWriter, r *http.Request, who principal.Principal, status int, f *form) {
	by := membership.As(who)
	page, err := p.flows.Mine(r.Context(), by, r.URL.Query().Get("after"), 0)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.organization.mine.title")
	body := belongingsPage{Back: p.accountLink(v.L.Language), None: who.OrganizationID != uuid.Nil}
	for _, st := range page.Standings {
		body.List = append(body.List, belonging{
			ID: st.Organization.ID.String(), Name: st.Organization.Name, Role: st.Membership.Role, Active: st.Organization.ID == who.OrganizationID,
			Manager: st.Manager, Owner: st.Owner, Suspended: st.Membership.Status != org.Active,
		})
	}
	if page.Next != "" {
		body.Next = ownOrganizations + "?after=" + page.Next
	}
	if p.flows.MayCreate(by) {
		v.Form = f
	}
	if r.Method != http.MethodGet {
		v.Here = ownOrganizations
	}
	v.Body = body
	p.render(w, r, status, "organizations", v)
}

// turn makes an organization the active one. Whoever manages it goes on to its page.
func (p *organizations) turn(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	id, _ := uuid.Parse(r.PostForm.Get("id")) // none is none
	_, err := p.flows.Switch(r.Context(), who, id)
	switch {
	case err == nil && r.PostForm.Get("to") == "manage":
		see(w, organizationHome)
	case err == nil:
		see(w, ownOrganizations+"?notice=organization-switched")
	case needsProof(err): // by two factors, as the organization wants it
		see(w, p.stepUpPath(ownOrganizations, principal.AAL2))
	default:
		p.Error(w, r, err)
	}
}

func (p *organizations) create(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	name := strings.TrimSpace(r.PostForm.Get("name"))
	_, err := p.flows.Create(r.Context(), membership.As(who), membership.NewOrganization{Name: name})
	if err == nil {
		see(w, organizationHome+"?notice=organization-created")
		return
	}
	ft := fault.From(err)
	if !reshow(ft) || needsProof(err) {
		p.refusedOwn(w, r, err, ownOrganizations)
		return
	}
	f := p.createForm(p.in(r), name)
	p.refuse(p.in(r), f, ft)
	p.list(w, r, who, statusOf(ft.Kind), f)
}

// named finds the organization that an address names; false means that the answer is given.
func (p *organizations) named(w http.ResponseWriter, r *http.Request, who principal.Principal) (membership.Standing, bool) {
	id, err := uuid.Parse(mux.Vars(r)["id"])
	if err != nil {
		p.Error(w, r, org.ErrNotFound)
		return membership.Standing{}, false
	}
	st, err := p.flows.Get(r.Context(), membership.As(who), id)
	if err != nil {
		p.Error(w, r, err)
		return st, false
	}
	return st, true
}

func (p *organizations) showLeave(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.named(w, r, who)
	if !ok {
		return
	}
	v := p.ownView(r, who, "page.organization.leave.title", "name", st.Organization.Name)
	l := v.L.Language
	back := Link{Title: l.Text("page.organization.mine.title"), Path: ownOrganizations}
	f := &form{Action: r.URL.Path, Submit: l.Text("page.organization.leave.submit"), Danger: true}
	p.ask(w, r, http.StatusOK, v, f, asking{Back: back, Lead: l.Text("page.organization.leave.lead"), Aside2: Link{Title: l.Text("page.account.cancel"), Path: back.Path}})
}

func (p *organizations) leave(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.named(w, r, who)
	if !ok {
		return
	}
	if err := p.flows.Remove(r.Context(), membership.As(who), st.Organization.ID, who.UserID); err != nil {
		p.refusedOwn(w, r, err, r.URL.Path)
		return
	}
	see(w, ownOrganizations+"?notice=organization-left")
}
