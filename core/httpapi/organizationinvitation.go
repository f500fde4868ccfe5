package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OrganizationInvitations is who is invited to an organization; *membership.Service is one.
type OrganizationInvitations interface {
	OrganizationFinder
	Invitations(ctx context.Context, by membership.Actor, id uuid.UUID, cursor string, limit int) (org.InvitationPage, error)
	Invite(ctx context.Context, by membership.Actor, n membership.NewInvitation) (org.Invitation, error)
	Resend(ctx context.Context, by membership.Actor, id, invitation uuid.UUID) (org.Invitation, error)
	RevokeInvitation(ctx context.Context, by membership.Actor, id, invitation uuid.UUID) error
}

// OrganizationInvitation is an open invitation. Its link is in the mail and nowhere else.
type OrganizationInvitation struct {
	ID        uuid.UUID `json:"id" format:"uuid" doc:"The invitation's id."`
	Email     string    `json:"email" doc:"The address that is invited. Only the account that has it accepts." example:"grace@example.com"`
	Role      string    `json:"role" doc:"What they are to be." example:"member"`
	Kind      org.Kind  `json:"kind" enum:"member,guest" doc:"What sort of member they are to be."`
	InvitedBy uuid.UUID `json:"invited_by,omitzero" format:"uuid" doc:"The account that invited them; absent when an operator did."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	SentAt    time.Time `json:"sent_at" doc:"When it was last sent."`
	ExpiresAt time.Time `json:"expires_at" doc:"Until when it can be accepted. It can be sent again for 30 days after."`
}

func invitationOf(i org.Invitation) OrganizationInvitation {
	return OrganizationInvitation{
		ID: i.ID, Email: i.Email, Role: i.Role, Kind: i.Kind, InvitedBy: i.InvitedBy, CreatedAt: i.CreatedAt, SentAt: i.SentAt, ExpiresAt: i.ExpiresAt,
	}
}

// OrganizationInvitationPage is a part of the list of an organization's invitations.
type OrganizationInvitationPage struct {
	Invitations []OrganizationInvitation `json:"invitations" doc:"Open and expired ones, the oldest first."`
	Next        string                   `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type invitationPath struct {
	Organization string    `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	ID           uuid.UUID `path:"invitation_id" format:"uuid" doc:"The invitation's id."`
}

type invitationOutput struct{ Body OrganizationInvitation }

type listInvitationsInput struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	Cursor       string `query:"cursor" maxLength:"64" doc:"The next member of the page before."`
	Limit        int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
}

type inviteInput struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	Body         struct {
		Email    string   `json:"email" minLength:"1" maxLength:"320" doc:"The address to invite." example:"grace@example.com"`
		Role     string   `json:"role,omitempty" maxLength:"64" doc:"What they are to be, in the application's words. Without it, member."`
		Kind     org.Kind `json:"kind,omitempty" enum:"member,guest" doc:"Without it, member."`
		Language string   `json:"language,omitempty" maxLength:"35" doc:"The language of the mail (BCP 47), where there are texts in it." example:"de"`
	} `nameHint:"NewOrganizationInvitation"`
}

// organizationInvitations is who is invited, as those who manage an organization see it.
type organizationInvitations struct{ flows OrganizationInvitations }

// Mount adds the operations.
func (d organizationInvitations) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/organizations/{organization}/invitations", id: "list-invitations", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "List the invitations to an organization", description: "For those who manage it. Page by page.", ok: "A page of invitations.", problems: organizationProblems(nil),
	}, d.list)
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/invitations", id: "create-invitation", tag: "organizations", off: off, status: http.StatusCreated,
		limit: ratelimit.Mail, access: endpoint.Authenticated, maxBody: smallBody,
		summary:     "Invite somebody to an organization",
		description: "Mails a link to the address, for as long as organizations { invitation_ttl } says. An address that was invited before gets a new link for the same invitation. The gate member.add is asked, and again when it is accepted.",
		ok:          "The invitation.", problems: organizationProblems(map[int]string{http.StatusConflict: "A member has the address."}),
	}, d.create)
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/invitations/{invitation_id}/resend", id: "resend-invitation", tag: "organizations", off: off,
		limit: ratelimit.Mail, access: endpoint.Authenticated,
		summary: "Send an invitation once more", description: "With a new link and another full time; the old link is worth nothing from then on.", ok: "The invitation as it is now.", problems: organizationProblems(nil),
	}, d.resend)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/organizations/{organization}/invitations/{invitation_id}", id: "revoke-invitation", tag: "organizations", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "Take an invitation back", description: "Whoever was invited is not told.", ok: "Its link is worth nothing any more.", problems: organizationProblems(nil),
	}, d.revoke)
}

func (d organizationInvitations) list(ctx context.Context, who asker, in *listInvitationsInput) (*struct{ Body OrganizationInvitationPage }, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	page, err := d.flows.Invitations(ctx, by, st.Organization.ID, in.Cursor, in.Limit)
	if err != nil {
		return nil, inQuery(err)
	}
	out := &struct{ Body OrganizationInvitationPage }{OrganizationInvitationPage{Invitations: []OrganizationInvitation{}, Next: page.Next}}
	for _, i := range page.Invitations {
		out.Body.Invitations = append(out.Body.Invitations, invitationOf(i))
	}
	return out, nil
}

func (d organizationInvitations) create(ctx context.Context, who asker, in *inviteInput) (*invitationOutput, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	i, err := d.flows.Invite(ctx, by, membership.NewInvitation{
		OrganizationID: st.Organization.ID, Email: in.Body.Email, Role: in.Body.Role, Kind: in.Body.Kind, Language: in.Body.Language,
	})
	if err != nil {
		return nil, err
	}
	return &invitationOutput{invitationOf(i)}, nil
}

func (d organizationInvitations) resend(ctx context.Context, who asker, in *invitationPath) (*invitationOutput, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	i, err := d.flows.Resend(ctx, by, st.Organization.ID, in.ID)
	if err != nil {
		return nil, err
	}
	return &invitationOutput{invitationOf(i)}, nil
}

func (d organizationInvitations) revoke(ctx context.Context, who asker, in *invitationPath) (*empty, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	return nil, d.flows.RevokeInvitation(ctx, by, st.Organization.ID, in.ID)
}
