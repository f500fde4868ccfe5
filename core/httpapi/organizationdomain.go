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

// OrganizationDomains is what an organization has proven to own; *membership.Service is one.
type OrganizationDomains interface {
	OrganizationFinder
	Domains(ctx context.Context, by membership.Actor, id uuid.UUID) ([]org.Domain, error)
	AddDomain(ctx context.Context, by membership.Actor, id uuid.UUID, domain string) (org.Domain, error)
	VerifyDomain(ctx context.Context, by membership.Actor, id uuid.UUID, domain string) (org.Domain, error)
	RemoveDomain(ctx context.Context, by membership.Actor, id uuid.UUID, domain string) error
}

// OrganizationDomain is a domain that an organization claims, or has proven to be its own.
type OrganizationDomain struct {
	Name        string    `json:"name" doc:"The domain, in ASCII." example:"acme.example"`
	Verified    bool      `json:"verified" doc:"The record was found. Until then the domain means nothing."`
	VerifiedAt  time.Time `json:"verified_at,omitzero" doc:"When it was found."`
	CreatedAt   time.Time `json:"created_at" doc:"When the domain was added."`
	RecordName  string    `json:"record_name" doc:"The name of the TXT record to publish." example:"_sigra-challenge.acme.example"`
	RecordValue string    `json:"record_value" doc:"What it says."`
}

func domainOf(d org.Domain) OrganizationDomain {
	return OrganizationDomain{Name: d.Name, Verified: d.Verified(), VerifiedAt: d.VerifiedAt, CreatedAt: d.CreatedAt, RecordName: d.RecordName, RecordValue: d.RecordValue}
}

// OrganizationDomainList is all domains of an organization.
type OrganizationDomainList struct {
	Domains []OrganizationDomain `json:"domains" doc:"By name."`
}

type organizationDomainsInput struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
}

type organizationDomainPath struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	Domain       string `path:"domain" maxLength:"253" doc:"The domain." example:"acme.example"`
}

type addDomainInput struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	Body         struct {
		Name string `json:"name" minLength:"1" maxLength:"253" doc:"The domain." example:"acme.example"`
	} `nameHint:"NewOrganizationDomain"`
}

type organizationDomainOutput struct{ Body OrganizationDomain }

// organizationDomains is the domains of an organization, as those who manage it see them.
type organizationDomains struct{ flows OrganizationDomains }

// Mount adds the operations.
func (d organizationDomains) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/organizations/{organization}/domains", id: "list-domains", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "List an organization's domains", description: "Those that are only claimed, too.", ok: "All domains.", problems: organizationProblems(nil),
	}, func(ctx context.Context, who asker, in *organizationDomainsInput) (*struct{ Body OrganizationDomainList }, error) {
		by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
		if err != nil {
			return nil, err
		}
		list, err := d.flows.Domains(ctx, by, st.Organization.ID)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body OrganizationDomainList }{OrganizationDomainList{Domains: []OrganizationDomain{}}}
		for _, x := range list {
			out.Body.Domains = append(out.Body.Domains, domainOf(x))
		}
		return out, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/domains", id: "add-domain", tag: "organizations", off: off, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Authenticated, maxBody: smallBody,
		summary: "Add a domain", description: "Says which TXT record proves that the domain is the organization's. Added again it keeps its record.",
		ok: "The domain, with the record to publish.", problems: organizationProblems(nil),
	}, func(ctx context.Context, who asker, in *addDomainInput) (*organizationDomainOutput, error) {
		by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
		if err != nil {
			return nil, err
		}
		x, err := d.flows.AddDomain(ctx, by, st.Organization.ID, in.Body.Name)
		if err != nil {
			return nil, err
		}
		return &organizationDomainOutput{domainOf(x)}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations/{organization}/domains/{domain}/verify", id: "verify-domain", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "Look for a domain's record", description: "Where the TXT record is published, the domain is the organization's from then on: its provider may say whose the addresses in it are.",
		ok: "The record was found.", problems: organizationProblems(map[int]string{http.StatusConflict: "The record was not found, or another organization has proven the domain."}),
	}, func(ctx context.Context, who asker, in *organizationDomainPath) (*organizationDomainOutput, error) {
		by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
		if err != nil {
			return nil, err
		}
		x, err := d.flows.VerifyDomain(ctx, by, st.Organization.ID, in.Domain)
		if err != nil {
			return nil, err
		}
		return &organizationDomainOutput{domainOf(x)}, nil
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/organizations/{organization}/domains/{domain}", id: "remove-domain", tag: "organizations", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "Give a domain up", description: "People whose addresses lie in it keep their accounts and memberships.", ok: "It is nobody's.", problems: organizationProblems(nil),
	}, func(ctx context.Context, who asker, in *organizationDomainPath) (*empty, error) {
		by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
		if err != nil {
			return nil, err
		}
		return nil, d.flows.RemoveDomain(ctx, by, st.Organization.ID, in.Domain)
	})
}
