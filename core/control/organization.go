package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/org"
)

// Organizations are the operations on organizations. Each of them is named by its id or slug.
type Organizations struct{ c *Client }

// Organizations gives the operations on organizations.
func (c *Client) Organizations() Organizations { return Organizations{c} }

// ListQuery says which part of a list is wanted.
type ListQuery struct {
	Query, Cursor string
	Limit         int // 0 means the server's default
}

func (q ListQuery) values() url.Values {
	v := url.Values{}
	set(v, "query", q.Query)
	set(v, "cursor", q.Cursor)
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func organizationPath(name, rest string) string {
	return "/v1/organizations/" + url.PathEscape(name) + rest
}

// List lists all organizations by name.
func (o Organizations) List(ctx context.Context, q ListQuery) (httpapi.OrganizationPage, error) {
	return call[httpapi.OrganizationPage](ctx, o.c.connection, http.MethodGet, "/v1/admin/organizations", q.values(), nil)
}

// NewOrganization is an organization to be created.
type NewOrganization struct {
	Name    string    `json:"name"`
	Slug    string    `json:"slug,omitempty"`
	OwnerID uuid.UUID `json:"owner_id,omitzero"` // uuid.Nil: nobody yet
}

// Create creates an organization.
func (o Organizations) Create(ctx context.Context, n NewOrganization) (httpapi.Organization, error) {
	return call[httpapi.Organization](ctx, o.c.connection, http.MethodPost, "/v1/organizations", nil, n)
}

// Show gives an organization.
func (o Organizations) Show(ctx context.Context, name string) (httpapi.OrganizationDetail, error) {
	return call[httpapi.OrganizationDetail](ctx, o.c.connection, http.MethodGet, organizationPath(name, ""), nil, nil)
}

// OrganizationChange is a change of an organization; what is nil stays.
type OrganizationChange struct {
	Name                *string         `json:"name,omitempty"`
	Slug                *string         `json:"slug,omitempty"`
	RequireSecondFactor *bool           `json:"require_second_factor,omitempty"`
	SignInMethods       *[]org.Method   `json:"sign_in_methods,omitempty"`
	PublicMetadata      json.RawMessage `json:"public_metadata,omitempty"`
}

// Update changes an organization.
func (o Organizations) Update(ctx context.Context, name string, c OrganizationChange) (httpapi.Organization, error) {
	return call[httpapi.Organization](ctx, o.c.connection, http.MethodPatch, organizationPath(name, ""), nil, c)
}

// Delete deletes an organization.
func (o Organizations) Delete(ctx context.Context, name string) error {
	_, err := call[none](ctx, o.c.connection, http.MethodDelete, organizationPath(name, ""), nil, nil)
	return err
}

// Members lists the members of an organization in the order in which they joined.
func (o Organizations) Members(ctx context.Context, name string, q ListQuery) (httpapi.OrganizationMemberPage, error) {
	return call[httpapi.OrganizationMemberPage](ctx, o.c.connection, http.MethodGet, organizationPath(name, "/members"), q.values(), nil)
}

// NewMember is an account to be added.
type NewMember struct {
	UserID uuid.UUID `json:"user_id"`
	Role   string    `json:"role,omitempty"`
	Kind   org.Kind  `json:"kind,omitempty"`
	Owner  bool      `json:"owner,omitempty"`
}

// AddMember makes an account a member.
func (o Organizations) AddMember(ctx context.Context, name string, n NewMember) (httpapi.OrganizationMember, error) {
	return call[httpapi.OrganizationMember](ctx, o.c.connection, http.MethodPost, organizationPath(name, "/members"), nil, n)
}

func memberPath(name string, user uuid.UUID, rest string) string {
	return organizationPath(name, "/members/"+user.String()+rest)
}

// MemberChange is a change of a member; what is nil stays.
type MemberChange struct {
	Role  *string   `json:"role,omitempty"`
	Kind  *org.Kind `json:"kind,omitempty"`
	Owner *bool     `json:"owner,omitempty"`
}

// ChangeMember changes a member's role, kind or ownership.
func (o Organizations) ChangeMember(ctx context.Context, name string, user uuid.UUID, c MemberChange) (httpapi.OrganizationMember, error) {
	return call[httpapi.OrganizationMember](ctx, o.c.connection, http.MethodPatch, memberPath(name, user, ""), nil, c)
}

// SuspendMember keeps a member out without forgetting them.
func (o Organizations) SuspendMember(ctx context.Context, name string, user uuid.UUID) (httpapi.OrganizationMember, error) {
	return call[httpapi.OrganizationMember](ctx, o.c.connection, http.MethodPost, memberPath(name, user, "/suspend"), nil, nil)
}

// ResumeMember undoes SuspendMember.
func (o Organizations) ResumeMember(ctx context.Context, name string, user uuid.UUID) (httpapi.OrganizationMember, error) {
	return call[httpapi.OrganizationMember](ctx, o.c.connection, http.MethodPost, memberPath(name, user, "/resume"), nil, nil)
}

// RemoveMember ends a membership.
func (o Organizations) RemoveMember(ctx context.Context, name string, user uuid.UUID) error {
	_, err := call[none](ctx, o.c.connection, http.MethodDelete, memberPath(name, user, ""), nil, nil)
	return err
}

// Invitations lists the invitations of an organization, the oldest first.
func (o Organizations) Invitations(ctx context.Context, name string, q ListQuery) (httpapi.OrganizationInvitationPage, error) {
	return call[httpapi.OrganizationInvitationPage](ctx, o.c.connection, http.MethodGet, organizationPath(name, "/invitations"), q.values(), nil)
}

// NewInvitation is an address to be invited.
type NewInvitation struct {
	Email    string   `json:"email"`
	Role     string   `json:"role,omitempty"`
	Kind     org.Kind `json:"kind,omitempty"`
	Language string   `json:"language,omitempty"`
}

// Invite mails an invitation.
func (o Organizations) Invite(ctx context.Context, name string, n NewInvitation) (httpapi.OrganizationInvitation, error) {
	return call[httpapi.OrganizationInvitation](ctx, o.c.connection, http.MethodPost, organizationPath(name, "/invitations"), nil, n)
}

// ResendInvitation mails an invitation once more, with a new link.
func (o Organizations) ResendInvitation(ctx context.Context, name string, id uuid.UUID) (httpapi.OrganizationInvitation, error) {
	return call[httpapi.OrganizationInvitation](ctx, o.c.connection, http.MethodPost, organizationPath(name, "/invitations/"+id.String()+"/resend"), nil, nil)
}

// RevokeInvitation takes an invitation back.
func (o Organizations) RevokeInvitation(ctx context.Context, name string, id uuid.UUID) error {
	_, err := call[none](ctx, o.c.connection, http.MethodDelete, organizationPath(name, "/invitations/"+id.String()), nil, nil)
	return err
}

// Domains lists an organization's domains.
func (o Organizations) Domains(ctx context.Context, name string) (httpapi.OrganizationDomainList, error) {
	return call[httpapi.OrganizationDomainList](ctx, o.c.connection, http.MethodGet, organizationPath(name, "/domains"), nil, nil)
}

// AddDomain claims a domain and says which record proves it.
func (o Organizations) AddDomain(ctx context.Context, name, domain string) (httpapi.OrganizationDomain, error) {
	return call[httpapi.OrganizationDomain](ctx, o.c.connection, http.MethodPost, organizationPath(name, "/domains"), nil, map[string]string{"name": domain})
}

// VerifyDomain looks for the record.
func (o Organizations) VerifyDomain(ctx context.Context, name, domain string) (httpapi.OrganizationDomain, error) {
	return call[httpapi.OrganizationDomain](ctx, o.c.connection, http.MethodPost, organizationPath(name, "/domains/"+url.PathEscape(domain)+"/verify"), nil, nil)
}

// RemoveDomain gives a domain up.
func (o Organizations) RemoveDomain(ctx context.Context, name, domain string) error {
	_, err := call[none](ctx, o.c.connection, http.MethodDelete, organizationPath(name, "/domains/"+url.PathEscape(domain)), nil, nil)
	return err
}
