package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OrganizationMembers is who belongs to an organization; *membership.Service is one.
type OrganizationMembers interface {
	OrganizationFinder
	Members(ctx context.Context, by membership.Actor, id uuid.UUID, f org.MemberFilter) (org.MemberPage, error)
	Add(ctx context.Context, by membership.Actor, n membership.NewMember) (org.Membership, error)
	ChangeMember(ctx context.Context, by membership.Actor, id, user uuid.UUID, c org.MemberChange) (org.Membership, error)
	Remove(ctx context.Context, by membership.Actor, id, user uuid.UUID) error
}

// OrganizationMember is somebody's membership. What is said of the person stands in lists only.
type OrganizationMember struct {
	ID            uuid.UUID      `json:"id" format:"uuid" doc:"The membership's id."`
	UserID        uuid.UUID      `json:"user_id" format:"uuid" doc:"The account's id."`
	Email         string         `json:"email,omitempty" doc:"In lists: the account's address." example:"ada@example.com"`
	Username      string         `json:"username,omitempty" doc:"In lists: the username; absent without one."`
	AccountStatus account.Status `json:"account_status,omitempty" enum:"unconfirmed,active,disabled,deleted" doc:"In lists: what the account may do."`
	SecondFactor  *bool          `json:"second_factor,omitempty" doc:"In lists: the account has a second factor."`
	Role          string         `json:"role" doc:"What they are here, in the application's words." example:"member"`
	Kind          org.Kind       `json:"kind" enum:"member,guest,service_account" doc:"What sort of member they are."`
	Status        org.Status     `json:"status" enum:"active,suspended" doc:"Whether the membership counts."`
	Owner         bool           `json:"owner" doc:"An owner. The last active one can't be removed, suspended or demoted, and can't leave."`
	Via           org.Via        `json:"via" enum:"direct,invitation,just_in_time,provisioning" doc:"How they came in."`
	CreatedAt     time.Time      `json:"created_at" doc:"When they joined."`
	UpdatedAt     time.Time      `json:"updated_at" doc:"The last change."`
	LastActiveAt  time.Time      `json:"last_active_at,omitzero" doc:"When a session last began here or turned to it."`
}

func memberOf(m org.Membership) OrganizationMember {
	return OrganizationMember{
		ID: m.ID, UserID: m.AccountID, Role: m.Role, Kind: m.Kind, Status: m.Status, Owner: m.Owner, Via: m.Via,
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, LastActiveAt: m.LastActiveAt,
	}
}

// OrganizationMemberPage is a part of the list of an organization's members.
type OrganizationMemberPage struct {
	Members []OrganizationMember `json:"members" doc:"In the order in which they joined. A search may have fewer than asked for, while more follow."`
	Next    string               `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type memberPath struct {
	Organization string    `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	UserID       uuid.UUID `path:"user_id" format:"uuid" doc:"The account's id."`
}

type memberOutput struct{ Body OrganizationMember }

type listMembersInput struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	Query        string `query:"query" maxLength:"320" doc:"A part of the address or the username."`
	Cursor       string `query:"cursor" maxLength:"64" doc:"The next member of the page before."`
	Limit        int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
}

type addMemberInput struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	Body         struct {
		UserID uuid.UUID `json:"user_id" format:"uuid" doc:"The account to add."`
		Role   string    `json:"role,omitempty" maxLength:"64" doc:"What they are to be, in the application's words. Without it, member." example:"billing"`
		Kind   org.Kind  `json:"kind,omitempty" enum:"member,guest,service_account" doc:"Without it, member."`
		Owner  bool      `json:"owner,omitempty" doc:"Make them an owner."`
	} `nameHint:"NewMember"`
}

type changeMemberInput struct {
	Organization string    `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	UserID       uuid.UUID `path:"user_id" format:"uuid" doc:"The account's id."`
	Body         struct {
		Role  *string   `json:"role,omitempty" maxLength:"64" doc:"Another role."`
		Kind  *org.Kind `json:"kind,omitempty" enum:"member,guest,service_account" doc:"Another kind."`
		Owner *bool     `json:"owner,omitempty" doc:"Whether they are an owner. For owners, who have shown lately who they are."`
	} `nameHint:"MemberChange"`
}

// organizationMembers is who belongs to an organization, and as what.
type organizationMembers struct{ flows OrganizationMembers }

// Mount adds the operations.
func (d organizationMembers) Mount(k *kit) {
	off := d.flows == nil
	lastOwner := organizationProblems(map[int]string{http.StatusConflict: "last_owner: the organization would be left without an active owner."})
	register(k, operation{
		method: http.MethodGet, path: "/v1/organizations/{organization}/members", id: "list-members", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "List the members of an organization", description: "For those who manage it. Page by page.", ok: "A page of members.", problems: organizationProblems(nil),
	}, d.list)
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/members", id: "add-member", tag: "organizations", off: off, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Authenticated, maxBody: smallBody,
		summary:     "Add an account to an organization",
		description: "Without asking its person, so by administrators only; everybody else invites. The gate member.add is asked.",
		ok:          "The membership.", problems: organizationProblems(map[int]string{http.StatusConflict: "They are a member already, or the account is disabled."}),
	}, d.add)
	register(k, operation{
		method: http.MethodPatch, path: "/v1/organizations/{organization}/members/{user_id}", id: "change-member", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated, maxBody: smallBody,
		summary: "Change a member's role, kind or ownership", description: "What is left out stays. What touches an owner is for owners.", ok: "The membership as it is now.", problems: lastOwner,
	}, d.change)
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/members/{user_id}/suspend", id: "suspend-member", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "Suspend a member", description: "Keeps them out without forgetting them: from their next request on, the organization isn't there for them.", ok: "The membership as it is now.", problems: lastOwner,
	}, d.status(org.Suspended))
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/members/{user_id}/resume", id: "resume-member", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "Let a suspended member in again", description: "As what they were: role, kind and ownership stayed.", ok: "The membership as it is now.", problems: organizationProblems(nil),
	}, d.status(org.Active))
	register(k, operation{
		method: http.MethodDelete, path: "/v1/organizations/{organization}/members/{user_id}", id: "remove-member", tag: "organizations", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "Remove a member", description: "The account stays. The gate member.remove is asked; its failure keeps nobody.", ok: "They are no member any more.", problems: lastOwner,
	}, d.remove)
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/leave", id: "leave-organization", tag: "organizations", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "Leave an organization", description: "Takes no right in it. The last active owner can't.", ok: "Whoever asks is no member any more.", problems: lastOwner,
	}, d.leave)
}

func (d organizationMembers) list(ctx context.Context, who asker, in *listMembersInput) (*struct{ Body OrganizationMemberPage }, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	page, err := d.flows.Members(ctx, by, st.Organization.ID, org.MemberFilter{Query: in.Query, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, inQuery(err)
	}
	out := &struct{ Body OrganizationMemberPage }{OrganizationMemberPage{Members: []OrganizationMember{}, Next: page.Next}}
	for _, v := range page.Members {
		m := memberOf(v.Membership)
		m.Email, m.Username, m.AccountStatus, m.SecondFactor = v.Email, v.Username, v.AccountStatus, &v.SecondFactor
		out.Body.Members = append(out.Body.Members, m)
	}
	return out, nil
}

func (d organizationMembers) add(ctx context.Context, who asker, in *addMemberInput) (*memberOutput, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	m, err := d.flows.Add(ctx, by, membership.NewMember{
		OrganizationID: st.Organization.ID, AccountID: in.Body.UserID, Role: in.Body.Role, Kind: in.Body.Kind, Owner: in.Body.Owner,
	})
	if err != nil {
		return nil, err
	}
	return &memberOutput{memberOf(m)}, nil
}

func (d organizationMembers) change(ctx context.Context, who asker, in *changeMemberInput) (*memberOutput, error) {
	return d.changeTo(ctx, who, &memberPath{in.Organization, in.UserID}, org.MemberChange{Role: in.Body.Role, Kind: in.Body.Kind, Owner: in.Body.Owner})
}

// status is the operation that gives a membership a status.
func (d organizationMembers) status(s org.Status) func(context.Context, asker, *memberPath) (*memberOutput, error) {
	return func(ctx context.Context, who asker, in *memberPath) (*memberOutput, error) {
		return d.changeTo(ctx, who, in, org.MemberChange{Status: &s})
	}
}

func (d organizationMembers) changeTo(ctx context.Context, who asker, in *memberPath, c org.MemberChange) (*memberOutput, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	m, err := d.flows.ChangeMember(ctx, by, st.Organization.ID, in.UserID, c)
	if err != nil {
		return nil, err
	}
	return &memberOutput{memberOf(m)}, nil
}

func (d organizationMembers) remove(ctx context.Context, who asker, in *memberPath) (*empty, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	return nil, d.flows.Remove(ctx, by, st.Organization.ID, in.UserID)
}

func (d organizationMembers) leave(ctx context.Context, who asker, in *organizationPath) (*empty, error) {
	return d.remove(ctx, who, &memberPath{in.Organization, who.principal.UserID})
}
