package pluginhost

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/provision"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// Directory provides accounts for organizations' directories; core/provision is one.
type Directory interface {
	Put(ctx context.Context, d provision.Directory, u provision.User) (provision.User, bool, error)
	SetActive(ctx context.Context, d provision.Directory, externalID string, on bool) (provision.User, error)
	PutMembership(ctx context.Context, d provision.Directory, externalID, role string) (org.Membership, error)
	DeleteMembership(ctx context.Context, d provision.Directory, externalID string) (bool, error)
	Get(ctx context.Context, d provision.Directory, externalID string) (provision.User, error)
	List(ctx context.Context, d provision.Directory, email, after string, limit int) (provision.Page, error)
	ExternalIDs(ctx context.Context, plugin string, accounts []uuid.UUID) (map[uuid.UUID]string, error)
	Named(ctx context.Context, plugin, externalID string) (uuid.UUID, error)
}

type directoryService struct {
	hostv1.UnimplementedDirectoryServer
	*hostServices
}

// of is the directory for which the plugin speaks.
func (s directoryService) of(organization, correlation string) (d provision.Directory, err error) {
	if s.h.cfg.Directory == nil {
		return d, missing("directories")
	}
	if len(correlation) > 64 || correlation != printable(correlation) {
		return d, fault.New(fault.Invalid, "invalid_id", "A correlation id has at most 64 printable characters.").At("correlation_id")
	}
	d = provision.Directory{Plugin: s.in.manifest.GetName(), CorrelationID: correlation}
	d.OrganizationID, err = orgFrom(organization)
	return d, err
}

func directoryUserTo(u provision.User) (*hostv1.DirectoryUser, error) {
	attributes, err := structTo(u.Attributes)
	if err != nil {
		return nil, err
	}
	return &hostv1.DirectoryUser{
		ExternalId: u.ExternalID, UserId: idText(u.AccountID), Email: u.Email, Username: u.Username, Display: u.Display, Active: u.Active, Attributes: attributes,
		Role: u.Role, CreatedAt: timeTo(u.CreatedAt), UpdatedAt: timeTo(u.UpdatedAt),
	}, nil
}

func (s directoryService) PutUser(ctx context.Context, r *hostv1.PutUserRequest) (*hostv1.PutUserResponse, error) {
	d, err := s.of(r.GetOrganizationId(), r.GetCorrelationId())
	if err != nil {
		return nil, err
	}
	in := r.GetUser()
	u := provision.User{ExternalID: in.GetExternalId(), Email: in.GetEmail(), Username: in.GetUsername(), Display: in.GetDisplay(), Active: in.GetActive()}
	if in.GetAttributes() != nil {
		u.Attributes = in.GetAttributes().AsMap()
	}
	made, created, err := s.h.cfg.Directory.Put(ctx, d, u)
	if err != nil {
		return nil, err
	}
	out, err := directoryUserTo(made)
	return &hostv1.PutUserResponse{User: out, Created: created}, err
}

func (s directoryService) SetActive(ctx context.Context, r *hostv1.SetActiveRequest) (*hostv1.SetActiveResponse, error) {
	d, err := s.of(r.GetOrganizationId(), r.GetCorrelationId())
	if err != nil {
		return nil, err
	}
	u, err := s.h.cfg.Directory.SetActive(ctx, d, r.GetExternalId(), r.GetActive())
	if err != nil {
		return nil, err
	}
	out, err := directoryUserTo(u)
	return &hostv1.SetActiveResponse{User: out}, err
}

func (s directoryService) PutMembership(ctx context.Context, r *hostv1.PutMembershipRequest) (*hostv1.PutMembershipResponse, error) {
	d, err := s.of(r.GetOrganizationId(), r.GetCorrelationId())
	if err != nil {
		return nil, err
	}
	m, err := s.h.cfg.Directory.PutMembership(ctx, d, r.GetExternalId(), r.GetRole())
	if err != nil {
		return nil, err
	}
	return &hostv1.PutMembershipResponse{Membership: membershipTo(m)}, nil
}

func (s directoryService) DeleteMembership(ctx context.Context, r *hostv1.DeleteMembershipRequest) (*hostv1.DeleteMembershipResponse, error) {
	d, err := s.of(r.GetOrganizationId(), r.GetCorrelationId())
	if err != nil {
		return nil, err
	}
	deleted, err := s.h.cfg.Directory.DeleteMembership(ctx, d, r.GetExternalId())
	return &hostv1.DeleteMembershipResponse{Deleted: deleted}, err
}

// List lists all accounts of a directory, or the one of an id or an address.
func (s directoryService) List(ctx context.Context, r *hostv1.ListDirectoryRequest) (*hostv1.ListDirectoryResponse, error) {
	d, err := s.of(r.GetOrganizationId(), "")
	if err != nil {
		return nil, err
	}
	out := &hostv1.ListDirectoryResponse{}
	var page provision.Page
	if id := r.GetExternalId(); id != "" {
		u, err := s.h.cfg.Directory.Get(ctx, d, id)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			return out, nil
		case err != nil:
			return nil, err
		}
		page.Users = append(page.Users, u)
	} else if page, err = s.h.cfg.Directory.List(ctx, d, r.GetEmail(), r.GetPageToken(), pageSize(r.GetPageSize())); err != nil {
		return nil, err
	}
	out.NextPageToken = page.Next
	for _, u := range page.Users {
		x, err := directoryUserTo(u)
		if err != nil {
			return nil, err
		}
		out.Users = append(out.Users, x)
	}
	return out, nil
}

// ---- Identity: what is not in the account's row ---------------------------------------------------------------

// Metadata reads what accounts hold; core/metadata is one.
type Metadata interface {
	Get(ctx context.Context, q store.Querier, accountID uuid.UUID, scope metadata.Scope) (metadata.Object, error)
}

// usersTo is accounts as the plugin sees them, with what its directory calls them and their public metadata.
func (s *hostServices) usersTo(ctx context.Context, accounts ...account.Account) ([]*hostv1.User, error) {
	var out []*hostv1.User
	var ids []uuid.UUID
	for _, a := range accounts {
		out = append(out, userTo(a))
		if a.Status != account.Deleted {
			ids = append(ids, a.ID)
		}
	}
	external, languages := map[uuid.UUID]string{}, map[uuid.UUID]string{}
	var err error
	if s.h.cfg.Directory != nil {
		if external, err = s.h.cfg.Directory.ExternalIDs(ctx, s.in.manifest.GetName(), ids); err != nil {
			return nil, err
		}
	}
	if languages, err = s.h.cfg.Accounts.Languages(ctx, ids); err != nil {
		return nil, err
	}
	for i, a := range accounts {
		if a.Status == account.Deleted {
			continue
		}
		out[i].ExternalId, out[i].Language = external[a.ID], languages[a.ID]
		if s.h.cfg.Metadata == nil {
			continue
		}
		o, err := s.h.cfg.Metadata.Get(ctx, s.h.cfg.DB, a.ID, metadata.Public)
		if err != nil {
			return nil, err
		}
		values := map[string]any{}
		if err := json.Unmarshal(o.Value, &values); err != nil {
			return nil, err
		}
		if out[i].PublicMetadata, err = structTo(values); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// findUser finds the account that a plugin asks for; a NotFound fault when there is none.
func (s *hostServices) findUser(ctx context.Context, r *hostv1.FindUserRequest) (account.Account, error) {
	switch by := r.GetBy().(type) {
	case *hostv1.FindUserRequest_Email:
		return s.h.cfg.Accounts.FindByEmail(ctx, by.Email)
	case *hostv1.FindUserRequest_Username:
		return s.h.cfg.Accounts.FindByUsername(ctx, by.Username)
	case *hostv1.FindUserRequest_ExternalId:
		if s.h.cfg.Directory == nil {
			return account.Account{}, missing("directories")
		}
		id, err := s.h.cfg.Directory.Named(ctx, s.in.manifest.GetName(), by.ExternalId)
		if err != nil {
			return account.Account{}, err
		}
		found, err := s.h.cfg.Accounts.GetMany(ctx, []uuid.UUID{id})
		if err == nil && len(found) == 0 {
			err = account.ErrNotFound
		}
		if err != nil {
			return account.Account{}, err
		}
		return found[0], nil
	}
	return account.Account{}, account.ErrNotFound
}
