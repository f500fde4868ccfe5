package pluginsdk

import (
	"context"
	"iter"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// Domain is what an organization has proven to own, or is about to.
type Domain struct {
	Name           string
	OrganizationID string
	Verified       bool
	VerifiedAt     time.Time
	RecordName     string // the TXT record to publish
	RecordValue    string
}

// Domains reads and proves the domains of organizations.
type Domains struct{ h *Host }

// DomainQuery asks for the domains of an organization, for one name, or the one of both.
type DomainQuery struct{ OrganizationID, Name string }

// Get gives domains, proven or not. Grant: domains.read
func (d Domains) Get(ctx context.Context, q DomainQuery) ([]Domain, error) {
	resp, err := call(ctx, d.h, DomainsRead, "get domains", hostv1.NewDomainsClient, hostv1.DomainsClient.Get,
		&hostv1.GetDomainsRequest{OrganizationId: q.OrganizationID, Name: q.Name})
	return list[Domain](resp.GetDomains()), err
}

// Verify begins the proof of a domain, or looks whether its record is there. Grant: domains.write
func (d Domains) Verify(ctx context.Context, q DomainQuery) (out Domain, err error) {
	resp, err := call(ctx, d.h, DomainsWrite, "verify domain", hostv1.NewDomainsClient, hostv1.DomainsClient.Verify,
		&hostv1.VerifyDomainRequest{OrganizationId: q.OrganizationID, Name: q.Name})
	wire.From(&out, resp.GetDomain())
	return out, err
}

// Links are addresses that work once. Grant: links.use
type Links struct{ h *Host }

// LinkRequest is an address to issue.
type LinkRequest struct {
	Purpose  string
	Subject  string // what it is about: links of one purpose and subject can be revoked together
	Data     []byte // at most 4 KiB, sealed
	ValidFor time.Duration
	Path     string // below one of the plugin's routes; the token is appended as "?token="
}

// IssuedLink is that address.
type IssuedLink struct {
	URL, Token string
	ExpiresAt  time.Time
}

// Link is what a token stands for.
type Link struct {
	Subject   string
	Data      []byte
	ExpiresAt time.Time
}

// Issue makes one.
func (l Links) Issue(ctx context.Context, r LinkRequest) (out IssuedLink, err error) {
	req := &hostv1.IssueLinkRequest{}
	if err := wire.To(req, r); err != nil {
		return out, Permanent(err)
	}
	resp, err := call(ctx, l.h, LinksUse, "issue link", hostv1.NewLinksClient, hostv1.LinksClient.Issue, req)
	wire.From(&out, resp)
	return out, err
}

// Peek looks at a link without spending it: a GET must not.
func (l Links) Peek(ctx context.Context, purpose, token string) (link Link, valid bool, err error) {
	resp, err := call(ctx, l.h, LinksUse, "look at link", hostv1.NewLinksClient, hostv1.LinksClient.Peek,
		&hostv1.PeekLinkRequest{Purpose: purpose, Token: token})
	return Link{Subject: resp.GetSubject(), Data: resp.GetData(), ExpiresAt: timeFrom(resp.GetExpiresAt())}, resp.GetValid(), err
}

// Redeem spends a link; it succeeds once.
func (l Links) Redeem(ctx context.Context, purpose, token string) (link Link, redeemed bool, err error) {
	resp, err := call(ctx, l.h, LinksUse, "redeem link", hostv1.NewLinksClient, hostv1.LinksClient.Redeem,
		&hostv1.RedeemLinkRequest{Purpose: purpose, Token: token})
	return Link{Subject: resp.GetSubject(), Data: resp.GetData()}, resp.GetRedeemed(), err
}

// Revoke voids the links of a purpose and subject.
func (l Links) Revoke(ctx context.Context, purpose, subject string) (revoked int, err error) {
	resp, err := call(ctx, l.h, LinksUse, "revoke links", hostv1.NewLinksClient, hostv1.LinksClient.Revoke,
		&hostv1.RevokeLinkRequest{Purpose: purpose, Subject: subject})
	return int(resp.GetRevoked()), err
}

// Directory provides accounts and memberships from a customer's directory, within one organization. Grant: directory.write
type Directory struct{ h *Host }

// DirectoryUser is an account that a directory provides.
type DirectoryUser struct {
	ExternalID string
	UserID     string // Sigra's
	Email      string
	Username   string
	Display    string
	Active     bool
	Attributes map[string]any // kept as the account's public metadata below the plugin's name
	Role       string         // of the membership
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// DirectoryRequest says in which organization, and for which request of the directory.
type DirectoryRequest struct {
	OrganizationID string
	CorrelationID  string // for the audit rows
}

// PutUser creates or updates an account by its external id.
func (d Directory) PutUser(ctx context.Context, r DirectoryRequest, u DirectoryUser) (out DirectoryUser, created bool, err error) {
	pb := &hostv1.DirectoryUser{}
	if err := wire.To(pb, u); err != nil {
		return out, false, Permanent(err)
	}
	resp, err := call(ctx, d.h, DirectoryWrite, "put user", hostv1.NewDirectoryClient, hostv1.DirectoryClient.PutUser,
		&hostv1.PutUserRequest{OrganizationId: r.OrganizationID, User: pb, CorrelationId: r.CorrelationID})
	wire.From(&out, resp.GetUser())
	return out, resp.GetCreated(), err
}

// SetActive disables an account, its sessions and tokens in one transaction, or enables it.
func (d Directory) SetActive(ctx context.Context, r DirectoryRequest, externalID string, active bool) (out DirectoryUser, err error) {
	resp, err := call(ctx, d.h, DirectoryWrite, "set user active", hostv1.NewDirectoryClient, hostv1.DirectoryClient.SetActive,
		&hostv1.SetActiveRequest{OrganizationId: r.OrganizationID, ExternalId: externalID, Active: active, CorrelationId: r.CorrelationID})
	wire.From(&out, resp.GetUser())
	return out, err
}

// PutMembership gives an account a place in the organization, or another role there.
func (d Directory) PutMembership(ctx context.Context, r DirectoryRequest, externalID, role string) (out Membership, err error) {
	resp, err := call(ctx, d.h, DirectoryWrite, "put membership", hostv1.NewDirectoryClient, hostv1.DirectoryClient.PutMembership,
		&hostv1.PutMembershipRequest{OrganizationId: r.OrganizationID, ExternalId: externalID, Role: role, CorrelationId: r.CorrelationID})
	wire.From(&out, resp.GetMembership())
	return out, err
}

// DeleteMembership takes an account out of the organization; the account stays.
func (d Directory) DeleteMembership(ctx context.Context, r DirectoryRequest, externalID string) (deleted bool, err error) {
	resp, err := call(ctx, d.h, DirectoryWrite, "delete membership", hostv1.NewDirectoryClient, hostv1.DirectoryClient.DeleteMembership,
		&hostv1.DeleteMembershipRequest{OrganizationId: r.OrganizationID, ExternalId: externalID, CorrelationId: r.CorrelationID})
	return resp.GetDeleted(), err
}

// DirectoryQuery asks for the accounts of an organization that this plugin provides; all, or one.
type DirectoryQuery struct{ OrganizationID, ExternalID, Email string }

// List walks them.
func (d Directory) List(ctx context.Context, q DirectoryQuery) iter.Seq2[DirectoryUser, error] {
	return pages(func(token string) ([]DirectoryUser, string, error) {
		resp, err := call(ctx, d.h, DirectoryWrite, "list directory", hostv1.NewDirectoryClient, hostv1.DirectoryClient.List,
			&hostv1.ListDirectoryRequest{OrganizationId: q.OrganizationID, ExternalId: q.ExternalID, Email: q.Email, PageToken: token, PageSize: pageSize})
		return list[DirectoryUser](resp.GetUsers()), resp.GetNextPageToken(), err
	})
}
