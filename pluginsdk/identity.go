package pluginsdk

import (
	"context"
	"iter"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// pageSize is the most that one call to Identity carries.
const pageSize = 200

// User is an account.
type User struct {
	ID             string
	Email          string
	EmailVerified  bool
	Username       string
	Display        string
	Status         string // active, unconfirmed, disabled, deleted
	CreatedAt      time.Time
	Administrator  bool
	PublicMetadata map[string]any
	Language       string // what the person chose; empty: nothing
	ExternalID     string // the directory's, when this plugin provides the account
}

// Organization is a customer, team or tenant.
type Organization struct {
	ID, Slug, Name string
	CreatedAt      time.Time
	PublicMetadata map[string]any
	Members        int64
}

// Membership is a user's place in an organization. Role is the application's word, opaque to Sigra.
type Membership struct {
	ID             string
	OrganizationID string
	UserID         string
	Role           string
	Status         string // active, suspended
	Kind           string // member, guest, service_account
	Protected      bool   // an owner: not to be suspended or removed by a rule
	CreatedAt      time.Time
	LastActiveAt   time.Time
}

// Invitation is a place in an organization that somebody has been offered.
type Invitation struct {
	ID             string
	OrganizationID string
	Email          string
	Role           string
	Kind           string
	Status         string // pending, accepted, revoked, expired
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// Identity reads who exists.
type Identity struct{ h *Host }

// Users gives the accounts that exist among ids, in any order; deleted ones have their id and status alone. Any number
// of ids may be asked for.
func (i Identity) Users(ctx context.Context, ids ...string) ([]User, error) {
	var out []User
	for len(ids) > 0 {
		n := min(len(ids), pageSize)
		resp, err := call(ctx, i.h, IdentityRead, "get users", hostv1.NewIdentityClient, hostv1.IdentityClient.GetUsers,
			&hostv1.GetUsersRequest{Ids: ids[:n]})
		if err != nil {
			return nil, err
		}
		out = append(out, list[User](resp.GetUsers())...)
		ids = ids[n:]
	}
	return out, nil
}

// User gives one account; found is false when there never was one.
func (i Identity) User(ctx context.Context, id string) (u User, found bool, err error) {
	us, err := i.Users(ctx, id)
	if err != nil || len(us) == 0 {
		return User{}, false, err
	}
	return us[0], true, nil
}

// UserQuery names one account by one of these.
type UserQuery struct {
	Email      string
	Username   string
	ExternalID string // as this plugin gave it to Directory
}

// FindUser looks an account up.
func (i Identity) FindUser(ctx context.Context, q UserQuery) (u User, found bool, err error) {
	req := &hostv1.FindUserRequest{}
	switch {
	case q.Username != "":
		req.By = &hostv1.FindUserRequest_Username{Username: q.Username}
	case q.ExternalID != "":
		req.By = &hostv1.FindUserRequest_ExternalId{ExternalId: q.ExternalID}
	default:
		req.By = &hostv1.FindUserRequest_Email{Email: q.Email}
	}
	resp, err := call(ctx, i.h, IdentityRead, "find user", hostv1.NewIdentityClient, hostv1.IdentityClient.FindUser, req)
	if err != nil || resp.GetUser() == nil {
		return User{}, false, err
	}
	wire.From(&u, resp.GetUser())
	return u, true, nil
}

// Organizations gives those that exist among ids, in any order.
func (i Identity) Organizations(ctx context.Context, ids ...string) ([]Organization, error) {
	var out []Organization
	for len(ids) > 0 {
		n := min(len(ids), pageSize)
		resp, err := call(ctx, i.h, IdentityRead, "get organizations", hostv1.NewIdentityClient, hostv1.IdentityClient.GetOrganizations,
			&hostv1.GetOrganizationsRequest{Ids: ids[:n]})
		if err != nil {
			return nil, err
		}
		out = append(out, list[Organization](resp.GetOrganizations())...)
		ids = ids[n:]
	}
	return out, nil
}

// OrganizationBySlug gives one organization by the name in its addresses.
func (i Identity) OrganizationBySlug(ctx context.Context, slug string) (o Organization, found bool, err error) {
	resp, err := call(ctx, i.h, IdentityRead, "get organization", hostv1.NewIdentityClient, hostv1.IdentityClient.GetOrganizations,
		&hostv1.GetOrganizationsRequest{Slugs: []string{slug}})
	if err != nil || len(resp.GetOrganizations()) == 0 {
		return Organization{}, false, err
	}
	wire.From(&o, resp.GetOrganizations()[0])
	return o, true, nil
}

// MembershipQuery asks for the memberships of a user, of an organization, or the one of both.
type MembershipQuery struct{ UserID, OrganizationID string }

// Memberships walks memberships. It asks page by page and ends at the first error.
func (i Identity) Memberships(ctx context.Context, q MembershipQuery) iter.Seq2[Membership, error] {
	return pages(func(token string) ([]Membership, string, error) {
		resp, err := call(ctx, i.h, IdentityRead, "list memberships", hostv1.NewIdentityClient, hostv1.IdentityClient.ListMemberships,
			&hostv1.ListMembershipsRequest{UserId: q.UserID, OrganizationId: q.OrganizationID, PageToken: token, PageSize: pageSize})
		return list[Membership](resp.GetMemberships()), resp.GetNextPageToken(), err
	})
}

// Membership gives a user's place in an organization.
func (i Identity) Membership(ctx context.Context, organizationID, userID string) (m Membership, found bool, err error) {
	for m, err := range i.Memberships(ctx, MembershipQuery{UserID: userID, OrganizationID: organizationID}) {
		return m, err == nil, err
	}
	return Membership{}, false, nil
}

// Invitations walks the pending invitations of an organization.
func (i Identity) Invitations(ctx context.Context, organizationID string) iter.Seq2[Invitation, error] {
	return pages(func(token string) ([]Invitation, string, error) {
		resp, err := call(ctx, i.h, IdentityRead, "list invitations", hostv1.NewIdentityClient, hostv1.IdentityClient.ListInvitations,
			&hostv1.ListInvitationsRequest{OrganizationId: organizationID, PageToken: token, PageSize: pageSize})
		return list[Invitation](resp.GetInvitations()), resp.GetNextPageToken(), err
	})
}

// pages walks what comes page by page.
func pages[T any](next func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			items, after, err := next(token)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, x := range items {
				if !yield(x, nil) {
					return
				}
			}
			if token = after; token == "" {
				return
			}
		}
	}
}

// Members changes memberships as an administrator would.
type Members struct{ h *Host }

// MemberChange names a membership and says why it changes, for the audit row.
type MemberChange struct{ OrganizationID, UserID, Reason string }

// Suspend keeps a member out until Resume.
func (m Members) Suspend(ctx context.Context, c MemberChange) error {
	_, err := call(ctx, m.h, MembersWrite, "suspend member", hostv1.NewMembersClient, hostv1.MembersClient.Suspend,
		&hostv1.SuspendMemberRequest{OrganizationId: c.OrganizationID, UserId: c.UserID, Reason: c.Reason})
	return err
}

// Resume lets a suspended member back in.
func (m Members) Resume(ctx context.Context, c MemberChange) error {
	_, err := call(ctx, m.h, MembersWrite, "resume member", hostv1.NewMembersClient, hostv1.MembersClient.Resume,
		&hostv1.ResumeMemberRequest{OrganizationId: c.OrganizationID, UserId: c.UserID, Reason: c.Reason})
	return err
}

// Remove ends a membership.
func (m Members) Remove(ctx context.Context, c MemberChange) error {
	_, err := call(ctx, m.h, MembersWrite, "remove member", hostv1.NewMembersClient, hostv1.MembersClient.Remove,
		&hostv1.RemoveMemberRequest{OrganizationId: c.OrganizationID, UserId: c.UserID, Reason: c.Reason})
	return err
}
