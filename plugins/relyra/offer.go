package relyra

import (
	"context"
	"net/url"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Offer implements pluginsdk.LoginMethods: whoever types an address in a domain that an organization has proven is shown that
// organization's connections. A domain that is only claimed leads nowhere.
func (p *Relyra) Offer(ctx context.Context, r pluginsdk.OfferRequest) (pluginsdk.OfferResponse, error) {
	var none pluginsdk.OfferResponse
	if r.EmailDomain == "" && r.OrganizationID == "" {
		return none, nil
	}
	if any, err := p.store.anyEnabled(ctx); err != nil || !any {
		return none, err
	}
	organization := r.OrganizationID
	if r.EmailDomain != "" {
		owner, err := p.ownerOf(ctx, r.EmailDomain)
		if err != nil || owner == "" || organization != "" && owner != organization {
			return none, err
		}
		organization = owner
	}
	connections, err := p.store.connections(ctx, organization)
	if err != nil {
		return none, err
	}
	var out pluginsdk.OfferResponse
	for _, c := range connections {
		if c.Status != Enabled {
			continue
		}
		address := "/relyra/saml/" + c.ID.String() + "/login"
		if r.ReturnTo != "" {
			address += "?" + url.Values{"return_to": {r.ReturnTo}}.Encode()
		}
		out.Methods = append(out.Methods, pluginsdk.LoginMethod{ID: c.ID.String(), Label: c.Name, URL: address, Exclusive: c.Config.Exclusive})
	}
	return out, nil
}

// ownerOf is the organization that has proven a domain, empty if none has.
func (p *Relyra) ownerOf(ctx context.Context, domain string) (string, error) {
	domains, err := p.host.Domains().Get(ctx, pluginsdk.DomainQuery{Name: domain})
	if err != nil {
		return "", err
	}
	for _, d := range domains {
		if d.Verified {
			return d.OrganizationID, nil
		}
	}
	return "", nil
}
