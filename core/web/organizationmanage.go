package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OrganizationManagement is what those who manage an organization do to it; *membership.Service is one.
type OrganizationManagement interface {
	Get(ctx context.Context, by membership.Actor, id uuid.UUID) (membership.Standing, error)
	Update(ctx context.Context, by membership.Actor, id uuid.UUID, c org.Change) (org.Organization, error)
	Delete(ctx context.Context, by membership.Actor, id uuid.UUID) error
	Members(ctx context.Context, by membership.Actor, id uuid.UUID, f org.MemberFilter) (org.MemberPage, error)
	Member(ctx context.Context, by membership.Actor, id, user uuid.UUID) (org.MemberView, error)
	ChangeMember(ctx context.Context, by membership.Actor, id, user uuid.UUID, c org.MemberChange) (org.Membership, error)
	Remove(ctx context.Context, by membership.Actor, id, user uuid.UUID) error
	Invitations(ctx context.Context, by membership.Actor, id uuid.UUID, cursor string, limit int) (org.InvitationPage, error)
	Invite(ctx context.Context, by membership.Actor, n membership.NewInvitation) (org.Invitation, error)
	Resend(ctx context.Context, by membership.Actor, id, invitation uuid.UUID) (org.Invitation, error)
	RevokeInvitation(ctx context.Context, by membership.Actor, id, invitation uuid.UUID) error
}

// management is the page of the active organization, for those who manage it. No address of it names an organization: whose page it is
// says the session.
type management struct {
	*kit
	flows OrganizationManagement
}

var ownMails = endpoint.Rules{Limit: ratelimit.Mail, Access: endpoint.SignedIn, Body: smallForm} // a form of one's own that has an email sent

// Mount adds the pages.
func (p *management) Mount(m *mounter) {
	m.page(organizationHome, own, p.show)
	m.form(organizationHome+"/invite", ownMails, p.invite)
	m.form(organizationHome+"/resend", ownMails, p.resend)
	m.form(organizationHome+"/revoke", ownTakes, p.revoke)
	m.form(organizationHome+"/settings", ownTakes, p.settings)
	m.page(organizationHome+"/delete", recent, p.showDelete)
	m.form(organizationHome+"/delete", ownRecent, p.delete)
	m.page(organizationHome+"/members/{id}", own, p.showMember)
	m.form(organizationHome+"/members/{id}", ownTakes, p.changeMember)
	m.form(organizationHome+"/members/{id}/status", ownTakes, p.suspendMember)
	m.form(organizationHome+"/members/{id}/remove", ownTakes, p.removeMember)
}

// memberRow is a member in the list.
type memberRow struct {
	ID, Name, Role               string
	You, Owner, Guest, Suspended bool
	Joined                       time.Time
}

// invitationRow is an invitation in the list.
type invitationRow struct {
	ID, Email, Role string
	Expired         bool
	Until           time.Time
}

// organizationPage is what the page of an organization shows.
type organizationPage struct {
	Back        Link
	Members     []memberRow
	Next        string // the members after these
	Invitations []invitationRow
	NextInvited string // the invitations after these
	Invite      *form
	Settings    *form
	Delete      string // where its owners delete it
}

// active is the organization that the session is active in, for those who manage it; false means that the answer is given.
func (p *management) active(w http.ResponseWriter, r *http.Request, who principal.Principal) (membership.Standing, bool) {
	if who.OrganizationID == uuid.Nil {
		see(w, ownOrganizations)
		return membership.Standing{}, false
	}
	st, err := p.flows.Get(r.Context(), membership.As(who), who.OrganizationID)
	if err == nil && !st.Manager {
		see(w, ownOrganizations)
		return st, false
	}
	if err != nil {
		p.refusedOwn(w, r, err, ownOrganizations)
		return st, false
	}
	return st, true
}

func (p *management) show(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	if st, ok := p.active(w, r, who); ok {
		p.list(w, r, who, st, http.StatusOK, p.inviteForm(p.in(r), "", ""), p.settingsForm(p.in(r), st))
	}
}

// list shows the page, with its forms as they are.
func (p *management) list(w http.ResponseWriter, r *http.Request, who principal.Principal, st membership.Standing, status int, invite, settings *form) {
	by, id, q := membership.As(who), st.Organization.ID, r.URL.Query()
	members, err := p.flows.Members(r.Context(), by, id, org.MemberFilter{Cursor: q.Get("after")})
	if err != nil {
		p.refusedOwn(w, r, err, organizationHome)
		return
	}
	invited, err := p.flows.Invitations(r.Context(), by, id, q.Get("invited"), 0)
	if err != nil {
		p.refusedOwn(w, r, err, organizationHome)
		return
	}
	v := p.ownView(r, who, "page.organization.mine.title")
	v.Title = st.Organization.Name
	body := organizationPage{Back: Link{Title: v.L.Language.Text("page.organization.mine.title"), Path: ownOrganizations}, Invite: invite, Settings: settings}
	for _, m := range members.Members {
		body.Members = append(body.Members, memberRow{
			ID: m.AccountID.String(), Name: m.Email, Role: m.Role, You: m.AccountID == who.UserID, Owner: m.Owner, Guest: m.Kind == org.Guest,
			Suspended: m.Status != org.Active, Joined: m.CreatedAt,
		})
	}
	for _, i := range invited.Invitations {
		body.Invitations = append(body.Invitations, invitationRow{ID: i.ID.String(), Email: i.Email, Role: i.Role, Expired: i.Expired(p.now()), Until: i.ExpiresAt})
	}
	if members.Next != "" {
		body.Next = organizationHome + "?" + url.Values{"after": {members.Next}}.Encode()
	}
	if invited.Next != "" {
		body.NextInvited = organizationHome + "?" + url.Values{"invited": {invited.Next}}.Encode()
	}
	if st.Owner {
		body.Delete = organizationHome + "/delete"
	}
	if r.Method != http.MethodGet {
		v.Here = organizationHome
	}
	v.Body = body
	p.render(w, r, status, "organization", v)
}

func roleField(l *lang.Language, role string) field {
	return field{
		Name: "role", Label: l.Text("page.organization.role"), Type: "text", Value: role, Hint: l.Text("page.organization.role_hint"), MaxLength: org.MaxRole,
		Required: true, Autocomplete: "off", InputMode: "text",
	}
}

func (p *management) inviteForm(l *lang.Language, email, role string) *form {
	if role == "" {
		role = org.DefaultRole
	}
	to := field{Name: "email", Label: l.Text("page.field.email"), Type: "email", Value: email, Autocomplete: "off", MaxLength: 254, Required: true}
	return &form{
		Action: organizationHome + "/invite", Submit: l.Text("page.organization.invite.submit"), Prefix: "invite-", Label: l.Text("page.organization.invite.title"),
		Fields: []field{to, roleField(l, role)},
	}
}

func (p *management) settingsForm(l *lang.Language, st membership.Standing) *form {
	o := st.Organization
	f := &form{
		Action: organizationHome + "/settings", Submit: l.Text("page.organization.save"), Quiet: true, Prefix: "settings-", Label: l.Text("page.organization.settings"),
		Fields: []field{
			{Name: "name", Label: l.Text("page.organization.name"), Type: "text", Value: o.Name, MaxLength: org.MaxName, Required: true, Autocomplete: "off"},
			{
				Name: "slug", Label: l.Text("page.organization.slug"), Type: "text", Value: o.Slug, Hint: l.Text("page.organization.slug_hint"), MaxLength: org.MaxSlug,
				Required: true, Autocomplete: "off", InputMode: "text",
			},
		},
	}
	if st.Owner {
		f.Fields = append(f.Fields, field{Name: "second_factor", Label: l.Text("page.organization.second_factor"), Type: "checkbox", Checked: o.Policy.RequireSecondFactor})
	}
	return f
}

// done goes back to the page, or shows it with what was refused.
func (p *management) done(w http.ResponseWriter, r *http.Request, who principal.Principal, st membership.Standing, err error, notice string, refuse func(l *lang.Language, ft *fault.Error) (invite, settings *form)) {
	if err == nil {
		see(w, organizationHome+"?notice="+notice)
		return
	}
	ft := fault.From(err)
	if refuse == nil || needsProof(err) || !comesBack(w, ft) {
		p.refusedOwn(w, r, err, organizationHome)
		return
	}
	invite, settings := refuse(p.in(r), ft)
	p.list(w, r, who, st, statusOf(ft.Kind), invite, settings)
}

func (p *management) invite(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.active(w, r, who)
	if !ok {
		return
	}
	email, role := strings.TrimSpace(r.PostForm.Get("email")), strings.TrimSpace(r.PostForm.Get("role"))
	_, err := p.flows.Invite(r.Context(), membership.As(who), membership.NewInvitation{OrganizationID: st.Organization.ID, Email: email, Role: role, Language: p.in(r).Code()})
	p.done(w, r, who, st, err, "invitation-sent", func(l *lang.Language, ft *fault.Error) (*form, *form) {
		f := p.inviteForm(l, email, role)
		p.refuse(l, f, ft)
		return f, p.settingsForm(l, st)
	})
}

func (p *management) resend(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.active(w, r, who)
	if !ok {
		return
	}
	id, err := uuid.Parse(r.PostForm.Get("id"))
	if err == nil {
		_, err = p.flows.Resend(r.Context(), membership.As(who), st.Organization.ID, id)
	} else {
		err = org.ErrNoInvitation
	}
	p.done(w, r, who, st, err, "invitation-sent", nil)
}

func (p *management) revoke(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.active(w, r, who)
	if !ok {
		return
	}
	id, err := uuid.Parse(r.PostForm.Get("id"))
	if err == nil {
		err = p.flows.RevokeInvitation(r.Context(), membership.As(who), st.Organization.ID, id)
	}
	if fault.KindOf(err) == fault.NotFound { // gone is gone
		err = nil
	}
	p.done(w, r, who, st, err, "invitation-revoked", nil)
}

func (p *management) settings(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.active(w, r, who)
	if !ok {
		return
	}
	name, slug, second := strings.TrimSpace(r.PostForm.Get("name")), strings.TrimSpace(r.PostForm.Get("slug")), r.PostForm.Get("second_factor") != ""
	change := org.Change{Name: &name, Slug: &slug}
	if st.Owner && second != st.Organization.Policy.RequireSecondFactor {
		change.RequireSecondFactor = &second
	}
	_, err := p.flows.Update(r.Context(), membership.As(who), st.Organization.ID, change)
	p.done(w, r, who, st, err, "organization-saved", func(l *lang.Language, ft *fault.Error) (*form, *form) {
		was := st
		was.Organization.Name, was.Organization.Slug, was.Organization.Policy.RequireSecondFactor = name, slug, second
		f := p.settingsForm(l, was)
		p.refuse(l, f, ft)
		return p.inviteForm(l, "", ""), f
	})
}

func (p *management) showDelete(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.active(w, r, who)
	if !ok {
		return
	}
	v := p.ownView(r, who, "page.organization.delete.title", "name", st.Organization.Name)
	l := v.L.Language
	back := Link{Title: st.Organization.Name, Path: organizationHome}
	f := &form{Action: r.URL.Path, Submit: l.Text("page.organization.delete.submit"), Danger: true}
	p.ask(w, r, http.StatusOK, v, f, asking{Back: back, Lead: l.Text("page.organization.delete.lead"), Aside2: Link{Title: l.Text("page.account.cancel"), Path: back.Path}})
}

func (p *management) delete(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	st, ok := p.active(w, r, who)
	if !ok {
		return
	}
	if err := p.flows.Delete(r.Context(), membership.As(who), st.Organization.ID); err != nil {
		p.refusedOwn(w, r, err, r.URL.Path)
		return
	}
	see(w, ownOrganizations+"?notice=organization-deleted")
}
