package pluginsdk

import (
	"context"
	"iter"
	"time"

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
}

// Organization is a customer, team or tenant.
type Organization struct{ ID, Slug, Name string }

// Membership is a user's place in an organization. Role is the application's word, opaque to Sigra.
type Membership struct {
	OrganizationID, UserID, Role string
	Since                        time.Time
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
		for _, u := range resp.GetUsers() {
			out = append(out, userFrom(u))
		}
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

// FindUser looks an account up by its e-mail address.
func (i Identity) FindUser(ctx context.Context, email string) (u User, found bool, err error) {
	resp, err := call(ctx, i.h, IdentityRead, "find user", hostv1.NewIdentityClient, hostv1.IdentityClient.FindUser,
		&hostv1.FindUserRequest{Email: email})
	if err != nil || resp.GetUser() == nil {
		return User{}, false, err
	}
	return userFrom(resp.GetUser()), true, nil
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
		for _, o := range resp.GetOrganizations() {
			out = append(out, Organization{ID: o.GetId(), Slug: o.GetSlug(), Name: o.GetName()})
		}
		ids = ids[n:]
	}
	return out, nil
}

// Memberships walks the memberships of a user, of an organization, or the one of both; an empty id is any. It asks page
// by page and ends at the first error.
func (i Identity) Memberships(ctx context.Context, userID, organizationID string) iter.Seq2[Membership, error] {
	return func(yield func(Membership, error) bool) {
		for token := ""; ; {
			resp, err := call(ctx, i.h, IdentityRead, "list memberships", hostv1.NewIdentityClient, hostv1.IdentityClient.ListMemberships,
				&hostv1.ListMembershipsRequest{UserId: userID, OrganizationId: organizationID, PageToken: token, PageSize: pageSize})
			if err != nil {
				yield(Membership{}, err)
				return
			}
			for _, m := range resp.GetMemberships() {
				if !yield(Membership{m.GetOrganizationId(), m.GetUserId(), m.GetRole(), timeFrom(m.GetSince())}, nil) {
					return
				}
			}
			if token = resp.GetNextPageToken(); token == "" {
				return
			}
		}
	}
}

// ResolveSession gives the principal of a session that still stands, and nil for one that does not.
func (i Identity) ResolveSession(ctx context.Context, sessionID string) (*Principal, error) {
	resp, err := call(ctx, i.h, IdentityRead, "resolve session", hostv1.NewIdentityClient, hostv1.IdentityClient.ResolveSession,
		&hostv1.ResolveSessionRequest{SessionId: sessionID})
	if err != nil {
		return nil, err
	}
	return principalFrom(resp.GetPrincipal()), nil
}

func userFrom(u *hostv1.User) User {
	return User{
		ID: u.GetId(), Email: u.GetEmail(), EmailVerified: u.GetEmailVerified(), Username: u.GetUsername(),
		Display: u.GetDisplay(), Status: u.GetStatus(), CreatedAt: timeFrom(u.GetCreatedAt()),
		Administrator: u.GetAdministrator(), PublicMetadata: mapFrom(u.GetPublicMetadata()),
	}
}
