package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// actor is the plugin as whoever acts on an organization.
func (s *hostServices) actor(reason string) membership.Actor {
	return membership.Actor{Plugin: s.name(), Reason: clip(printable(reason), 120)}
}

// orgFrom reads the id of an organization that must be named.
func orgFrom(text string) (uuid.UUID, error) {
	id, err := idFrom(text, "organization_id")
	if err == nil && id == uuid.Nil {
		err = fault.New(fault.Invalid, "invalid_id", "Which organization?").At("organization_id")
	}
	return id, err
}

// pageSize is how many rows a page has; zero and too many mean as many as there may be.
func pageSize(asked int32) int {
	if asked <= 0 || asked > maxIDs {
		return maxIDs
	}
	return int(asked)
}

// ---- Identity ------------------------------------------------------------------------------------------------

func organizationTo(o org.Organization) (*hostv1.Organization, error) {
	out := &hostv1.Organization{Id: o.ID.String(), Slug: o.Slug, Name: o.Name, CreatedAt: timeTo(o.CreatedAt), Members: o.Members}
	if len(o.PublicMetadata) > 0 {
		var m map[string]any
		if err := json.Unmarshal(o.PublicMetadata, &m); err != nil {
			return nil, err
		}
		if len(m) > 0 {
			s, err := structpb.NewStruct(m)
			if err != nil {
				return nil, err
			}
			out.PublicMetadata = s
		}
	}
	return out, nil
}

func (s identityService) GetOrganizations(ctx context.Context, r *hostv1.GetOrganizationsRequest) (*hostv1.GetOrganizationsResponse, error) {
	if s.h.cfg.Orgs == nil {
		return nil, missing("organizations")
	}
	if len(r.GetIds())+len(r.GetSlugs()) > maxIDs {
		return nil, fault.Newf(fault.Invalid, "too_many_ids", "At most %d organizations at once.", maxIDs).At("ids")
	}
	out := &hostv1.GetOrganizationsResponse{}
	add := func(o org.Organization, err error) error {
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		if err != nil || slices.ContainsFunc(out.Organizations, func(have *hostv1.Organization) bool { return have.GetId() == o.ID.String() }) {
			return err
		}
		found, err := organizationTo(o)
		out.Organizations = append(out.Organizations, found)
		return err
	}
	for _, text := range r.GetIds() {
		id, err := uuid.Parse(text)
		if err != nil {
			continue // an id that isn't one names nobody, like any other unknown one
		}
		if err := add(s.h.cfg.Orgs.Get(ctx, id)); err != nil {
			return nil, err
		}
	}
	for _, slug := range r.GetSlugs() {
		if err := add(s.h.cfg.Orgs.GetBySlug(ctx, slug)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func membershipTo(m org.Membership) *hostv1.Membership {
	return &hostv1.Membership{
		Id: m.ID.String(), OrganizationId: m.OrganizationID.String(), UserId: m.AccountID.String(), Role: m.Role, Status: string(m.Status), Kind: string(m.Kind),
		Protected: m.Owner, CreatedAt: timeTo(m.CreatedAt), LastActiveAt: timeTo(m.LastActiveAt),
	}
}

// ListMemberships lists those of an organization, of a user, or, with both, the one there is.
func (s identityService) ListMemberships(ctx context.Context, r *hostv1.ListMembershipsRequest) (*hostv1.ListMembershipsResponse, error) {
	if s.h.cfg.Orgs == nil {
		return nil, missing("organizations")
	}
	user, err := idFrom(r.GetUserId(), "user_id")
	if err != nil {
		return nil, err
	}
	id, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	out := &hostv1.ListMembershipsResponse{}
	switch {
	case id != uuid.Nil && user != uuid.Nil:
		m, err := s.h.cfg.Orgs.Find(ctx, s.h.cfg.DB, id, user)
		if fault.KindOf(err) == fault.NotFound {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out.Memberships = append(out.Memberships, membershipTo(m))
	case id != uuid.Nil:
		page, err := s.h.cfg.Orgs.Members(ctx, id, org.MemberFilter{Cursor: r.GetPageToken(), Limit: pageSize(r.GetPageSize())})
		if err != nil {
			return nil, err
		}
		for _, m := range page.Members {
			out.Memberships = append(out.Memberships, membershipTo(m.Membership))
		}
		out.NextPageToken = page.Next
	case user != uuid.Nil:
		page, err := s.h.cfg.Orgs.Of(ctx, s.h.cfg.DB, user, r.GetPageToken(), pageSize(r.GetPageSize()))
		if err != nil {
			return nil, err
		}
		for _, m := range page.Belongings {
			out.Memberships = append(out.Memberships, membershipTo(m.Membership))
		}
		out.NextPageToken = page.Next
	default:
		return nil, fault.New(fault.Invalid, "invalid_query", "Memberships are listed of a user or of an organization.").At("organization_id")
	}
	return out, nil
}

// ListInvitations lists the invitations of an organization that can be accepted.
func (s identityService) ListInvitations(ctx context.Context, r *hostv1.ListInvitationsRequest) (*hostv1.ListInvitationsResponse, error) {
	if s.h.cfg.Orgs == nil {
		return nil, missing("organizations")
	}
	id, err := orgFrom(r.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	page, err := s.h.cfg.Orgs.Invitations(ctx, id, r.GetPageToken(), pageSize(r.GetPageSize()))
	if err != nil {
		return nil, err
	}
	out := &hostv1.ListInvitationsResponse{NextPageToken: page.Next}
	for _, i := range page.Invitations {
		if !i.Expired(s.h.now()) {
			out.Invitations = append(out.Invitations, &hostv1.Invitation{
				Id: i.ID.String(), OrganizationId: i.OrganizationID.String(), Email: i.Email, Role: i.Role, Kind: string(i.Kind), Status: "pending",
				CreatedAt: timeTo(i.CreatedAt), ExpiresAt: timeTo(i.ExpiresAt),
			})
		}
	}
	return out, nil
}

// ---- Members -------------------------------------------------------------------------------------------------

type membersService struct {
	hostv1.UnimplementedMembersServer
	*hostServices
}

// change does something to a membership that must be named.
func (s membersService) change(ctx context.Context, organization, user, reason string, do func(context.Context, membership.Actor, uuid.UUID, uuid.UUID) error) error {
	id, err := orgFrom(organization)
	if err != nil {
		return err
	}
	who, err := idFrom(user, "user_id")
	if err != nil || who == uuid.Nil {
		return orElseErr(err, fault.New(fault.Invalid, "invalid_id", "Which member?").At("user_id"))
	}
	return do(ctx, s.actor(reason), id, who)
}

func (s membersService) Suspend(ctx context.Context, r *hostv1.SuspendMemberRequest) (*hostv1.SuspendMemberResponse, error) {
	if s.h.cfg.Members == nil {
		return nil, missing("organizations")
	}
	return &hostv1.SuspendMemberResponse{}, s.change(ctx, r.GetOrganizationId(), r.GetUserId(), r.GetReason(), s.h.cfg.Members.Suspend)
}

func (s membersService) Resume(ctx context.Context, r *hostv1.ResumeMemberRequest) (*hostv1.ResumeMemberResponse, error) {
	if s.h.cfg.Members == nil {
		return nil, missing("organizations")
	}
	return &hostv1.ResumeMemberResponse{}, s.change(ctx, r.GetOrganizationId(), r.GetUserId(), r.GetReason(), s.h.cfg.Members.Resume)
}

func (s membersService) Remove(ctx context.Context, r *hostv1.RemoveMemberRequest) (*hostv1.RemoveMemberResponse, error) {
	if s.h.cfg.Members == nil {
		return nil, missing("organizations")
	}
	return &hostv1.RemoveMemberResponse{}, s.change(ctx, r.GetOrganizationId(), r.GetUserId(), r.GetReason(), s.h.cfg.Members.Remove)
}

// ---- Domains -------------------------------------------------------------------------------------------------

type domainsService struct {
	hostv1.UnimplementedDomainsServer
	*hostServices
}

func domainTo(d org.Domain) *hostv1.Domain {
	return &hostv1.Domain{
		Name: d.Name, OrganizationId: d.OrganizationID.String(), Verified: d.Verified(), VerifiedAt: timeTo(d.VerifiedAt), RecordName: d.RecordName, RecordValue: d.RecordValue,
	}
}

// Get lists the domains of an organization, or finds the one that somebody has proven.
func (s domainsService) Get(ctx context.Context, r *hostv1.GetDomainsRequest) (*hostv1.GetDomainsResponse, error) {
	if s.h.cfg.Members == nil {
		return nil, missing("organizations")
	}
	out := &hostv1.GetDomainsResponse{}
	id, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	if id == uuid.Nil {
		if r.GetName() == "" {
			return nil, fault.New(fault.Invalid, "invalid_query", "Domains are found by their organization or their name.").At("name")
		}
		owner, found, err := s.h.cfg.Members.ByEmail(ctx, "postmaster@"+r.GetName())
		if err != nil || !found {
			if fault.KindOf(err) == fault.Invalid { // no name of a domain is nobody's
				err = nil
			}
			return out, err
		}
		id = owner.ID
	}
	list, err := s.h.cfg.Members.Domains(ctx, s.actor(""), id)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if r.GetName() == "" || r.GetName() == d.Name {
			out.Domains = append(out.Domains, domainTo(d))
		}
	}
	return out, nil
}

// Verify claims a domain for an organization, and looks whether its record is published.
func (s domainsService) Verify(ctx context.Context, r *hostv1.VerifyDomainRequest) (*hostv1.VerifyDomainResponse, error) {
	if s.h.cfg.Members == nil {
		return nil, missing("organizations")
	}
	id, err := orgFrom(r.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	claimed, err := s.h.cfg.Members.AddDomain(ctx, s.actor(""), id, r.GetName())
	if err != nil {
		return nil, err
	}
	d, err := s.h.cfg.Members.VerifyDomain(ctx, s.actor(""), id, claimed.Name)
	if errors.Is(err, org.ErrNotVerified) { // what is to be published is in the answer
		return &hostv1.VerifyDomainResponse{Domain: domainTo(claimed)}, nil
	}
	if err != nil {
		return nil, err
	}
	return &hostv1.VerifyDomainResponse{Domain: domainTo(d)}, nil
}
