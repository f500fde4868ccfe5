package federation

import (
	"regexp"
	"strings"
)

// issuer is who a provider says it is. For all but Microsoft it is one text, equal in configuration, discovery
// document, ID token and callback.
//
// Microsoft has one document for every set of tenants. That of "common" and "organizations" names a template, and a token
// names the tenant of the person: its iss must be the template with its own tid in it. Otherwise anybody's tenant could
// speak for another's (Microsoft, "Access tokens: validate the issuer").
type issuer struct {
	base   string // as configured; for Microsoft with {tenant} in it
	tenant string // Microsoft's; empty for everybody else
}

const (
	tenantSlot    = "{tenant}"
	tokenSlot     = "{tenantid}"
	consumersGUID = "9188040d-6c67-4c5b-b112-36a304b66dad" // the tenant of all personal accounts
)

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func (i issuer) with(tenant string) string { return strings.Replace(i.base, tenantSlot, tenant, 1) }

// name is the issuer as far as it is known before discovery.
func (i issuer) name() string { return i.with(i.tenant) }

// document is where the discovery document lies (OpenID Connect Discovery 1.0 §4.1).
func (i issuer) document() string {
	return strings.TrimSuffix(i.name(), "/") + "/.well-known/openid-configuration"
}

// shared reports whether more than one tenant signs in here.
func (i issuer) shared() bool { return i.tenant == "common" || i.tenant == "organizations" }

// mayBe reports whether a discovery document may name this issuer (OpenID Connect Discovery 1.0 §4.3).
func (i issuer) mayBe(named string) bool {
	switch {
	case i.tenant == "":
		return named == i.base
	case i.shared():
		return named == i.with(tokenSlot)
	case i.tenant == "consumers":
		return named == i.with(consumersGUID)
	case guid.MatchString(i.tenant):
		return named == i.with(i.tenant)
	}
	// A domain: the document says which tenant has it.
	id := i.tenantOf(named)
	return guid.MatchString(id) && id != consumersGUID
}

// tenantOf takes the tenant out of an issuer.
func (i issuer) tenantOf(named string) string {
	before, after, _ := strings.Cut(i.base, tenantSlot)
	id, ok := strings.CutPrefix(named, before)
	if !ok {
		return ""
	}
	id, _ = strings.CutSuffix(id, after)
	if i.with(id) != named {
		return ""
	}
	return id
}

// issued reports whether a token of iss and tid is of the issuer that the document named.
func (i issuer) issued(named, iss, tid string) bool {
	if i.tenant == "" {
		return iss == named
	}
	if !guid.MatchString(tid) || i.with(tid) != iss {
		return false
	}
	if i.shared() {
		return i.tenant == "common" || tid != consumersGUID
	}
	return iss == named
}

// answered reports whether a callback's iss is the issuer that the document named (RFC 9207 §2.4).
func (i issuer) answered(named, iss string) bool {
	if i.shared() {
		return guid.MatchString(i.tenantOf(iss))
	}
	return iss == named
}
