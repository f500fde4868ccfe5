package saml

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"slices"
	"time"

	"github.com/beevik/etree"
)

// Trust says which metadata are believed.
type Trust struct {
	// Pins are SHA-256 fingerprints of certificates that may sign metadata. With any, metadata must be signed by one of them.
	Pins []string
	// EntityID chooses one identity provider of an aggregate.
	EntityID string
}

// Metadata is what an identity provider says about itself.
type Metadata struct {
	IdentityProvider
	ValidUntil          time.Time // zero: no end
	WantsSignedRequests bool
	NameIDFormats       []string
	SignedBy            *x509.Certificate // nil: taken unsigned
}

// ReadMetadata reads an EntityDescriptor, or one entity of an EntitiesDescriptor.
func ReadMetadata(now time.Time, raw []byte, trust Trust) (*Metadata, error) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")) // ADFS and Entra ID publish theirs with a mark
	root, err := parse(raw, metadataLimits)
	if err != nil {
		return nil, err
	}
	if !is(root, nsMetadata, "EntityDescriptor") && !is(root, nsMetadata, "EntitiesDescriptor") {
		return nil, refuse(GateRootElement, "this is not SAML metadata").want("EntityDescriptor", root.Tag)
	}
	if err := checkIdentifiers(root); err != nil {
		return nil, err
	}
	m := &Metadata{}
	if len(trust.Pins) > 0 {
		if root, m.SignedBy, err = verifyMetadata(now, root, trust.Pins); err != nil {
			return nil, err
		}
	}
	entity, err := chooseEntity(root, trust.EntityID)
	if err != nil {
		return nil, err
	}
	if err := m.readValidity(now, root, entity); err != nil {
		return nil, err
	}
	if m.EntityID = attrValue(entity, "entityID"); m.EntityID == "" || len(m.EntityID) > 1024 { // metadata §2.3.2
		return nil, refuse(GateSchema, "the entity has no entityID, or one of more than 1024 characters")
	}
	role := child(entity, nsMetadata, "IDPSSODescriptor")
	if role == nil {
		return nil, refuse(GateMetadataRole, "the entity is not an identity provider; are these the metadata of a service provider?").got(m.EntityID)
	}
	return m, m.readRole(role)
}

// verifyMetadata checks the root's Signature with a certificate that was pinned before: what the document brings is only a candidate.
func verifyMetadata(now time.Time, root *etree.Element, pins []string) (*etree.Element, *x509.Certificate, error) {
	bad := func(err error) (*etree.Element, *x509.Certificate, error) {
		r, ok := AsRefusal(err)
		if !ok {
			return nil, nil, err
		}
		return nil, nil, &Refusal{Gate: GateMetadataSignature, Detail: r.Detail, Expected: r.Expected, Received: r.Received}
	}
	sig := child(root, nsSignature, "Signature")
	if sig == nil {
		return bad(refuse(GateSignatureMissing, "the metadata are not signed, which this connection requires"))
	}
	if len(sig.ChildElements()) == 0 || root.ChildElements()[0] != sig {
		return bad(refuse(GateSignaturePosition, "the Signature is not the first child of the metadata"))
	}
	var candidates []*x509.Certificate
	if info := child(sig, nsSignature, "KeyInfo"); info != nil {
		certs, err := certificates(info)
		if err != nil {
			return bad(err)
		}
		for _, cert := range certs {
			if slices.Contains(pins, Fingerprint(cert)) {
				candidates = append(candidates, cert)
			}
		}
	}
	if len(candidates) == 0 {
		return bad(refuse(GateSignatureInvalid, "the metadata are not signed by a pinned certificate"))
	}
	verified, signed, err := keys{certificates: candidates, ignoreDates: true, now: now}.verify(root)
	if err != nil {
		return bad(err)
	}
	return verified, signed.Certificate, nil
}

// chooseEntity finds the entity that is meant. An aggregate without a choice is ambiguous, however few of it are identity providers.
func chooseEntity(root *etree.Element, wanted string) (*etree.Element, error) {
	var entities []*etree.Element
	names := ""
	err := walk(root, func(el *etree.Element) error {
		if is(el, nsMetadata, "EntityDescriptor") && (wanted == "" || attrValue(el, "entityID") == wanted) {
			entities = append(entities, el)
			names += attrValue(el, "entityID") + " "
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(entities) == 0:
		return nil, refuse(GateDrift, "the metadata do not have the entity that is asked for").want(wanted, attrValue(root, "entityID"))
	case len(entities) > 1:
		return nil, refuse(GateAmbiguous, "the metadata have %d entities; say which one is meant", len(entities)).got(names)
	}
	return entities[0], nil
}

func (m *Metadata) readValidity(now time.Time, elements ...*etree.Element) error {
	for _, el := range elements {
		until, err := instant(el, "validUntil")
		if err != nil {
			return err
		}
		if until.IsZero() {
			continue
		}
		if !now.Before(until) {
			return refuse(GateMetadataExpired, "the metadata are not valid any more; get new ones").want("before "+stamp(until), stamp(now))
		}
		if m.ValidUntil.IsZero() || until.Before(m.ValidUntil) {
			m.ValidUntil = until
		}
	}
	return nil
}

func (m *Metadata) readRole(role *etree.Element) error {
	want := attrValue(role, "WantAuthnRequestsSigned")
	m.WantsSignedRequests = want == "true" || want == "1"
	for _, el := range role.ChildElements() {
		var err error
		switch {
		case is(el, nsMetadata, "KeyDescriptor") && attrValue(el, "use") != "encryption": // without `use` it counts for both
			err = m.readKey(el)
		case is(el, nsMetadata, "SingleSignOnService"):
			m.SSO, err = readEndpoint(m.SSO, el)
		case is(el, nsMetadata, "SingleLogoutService"):
			m.SLO, err = readEndpoint(m.SLO, el)
		case is(el, nsMetadata, "NameIDFormat"):
			var format string
			format, err = text(el)
			m.NameIDFormats = append(m.NameIDFormats, format)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case len(m.Certificates) == 0:
		return refuse(GateNoCertificate, "the metadata have no certificate for signatures").got(m.EntityID)
	case len(m.SSO) == 0:
		return refuse(GateEndpoint, "the metadata have no sign-on endpoint for redirect or POST").got(m.EntityID)
	}
	return nil
}

func (m *Metadata) readKey(el *etree.Element) error {
	info := child(el, nsSignature, "KeyInfo")
	if info == nil {
		return refuse(GateSchema, "a KeyDescriptor has no KeyInfo")
	}
	certs, err := certificates(info)
	if err != nil {
		return err
	}
	for _, cert := range certs {
		if err := CheckCertificate(cert); err != nil {
			return err
		}
		if !slices.ContainsFunc(m.Certificates, cert.Equal) {
			m.Certificates = append(m.Certificates, cert)
		}
	}
	return nil
}

// certificates reads the certificates in a KeyInfo.
func certificates(info *etree.Element) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	err := walk(info, func(el *etree.Element) error {
		if !is(el, nsSignature, "X509Certificate") {
			return nil
		}
		encoded, err := text(el)
		if err != nil {
			return err
		}
		der, err := base64.StdEncoding.DecodeString(withoutSpace(encoded))
		if err != nil {
			return refuse(GateSchema, "a certificate is not base64")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return refuse(GateSchema, "a certificate cannot be read: %v", err)
		}
		certs = append(certs, cert)
		return nil
	})
	return certs, err
}

// readEndpoint adds an endpoint of a binding that we speak; others are passed over, as SOAP and Artifact are listed by many.
func readEndpoint(endpoints []Endpoint, el *etree.Element) ([]Endpoint, error) {
	e := Endpoint{Binding: attrValue(el, "Binding"), Location: attrValue(el, "Location"), Response: attrValue(el, "ResponseLocation")}
	if e.Binding != BindingRedirect && e.Binding != BindingPOST {
		return endpoints, nil
	}
	for _, location := range []string{e.Location, e.Response} {
		if location == "" && location == e.Response {
			continue
		}
		if err := CheckEndpoint(location); err != nil {
			return nil, err
		}
	}
	return append(endpoints, e), nil
}

// CheckEndpoint refuses what a browser must not be sent to.
func CheckEndpoint(location string) error {
	u, err := url.Parse(location)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return refuse(GateEndpoint, "an endpoint is not the address of a web page").want("https://…", location)
	}
	return nil
}

// A Change is one difference between the metadata in force and newer ones.
type Change struct {
	What     string // entity_id, certificate_added, certificate_removed, sso, slo
	Old, New string
	Held     bool // an administrator has to look at it: whoever could make it could sign anybody in
}

// Compare lists what newer metadata would change. Whatever decides who may sign people in is held for review.
func Compare(old, newer IdentityProvider) []Change {
	var changes []Change
	if old.EntityID != newer.EntityID {
		changes = append(changes, Change{What: "entity_id", Old: old.EntityID, New: newer.EntityID, Held: true})
	}
	for _, cert := range newer.Certificates {
		if !slices.ContainsFunc(old.Certificates, cert.Equal) {
			changes = append(changes, Change{What: "certificate_added", New: Fingerprint(cert), Held: true})
		}
	}
	for _, cert := range old.Certificates {
		if !slices.ContainsFunc(newer.Certificates, cert.Equal) {
			changes = append(changes, Change{What: "certificate_removed", Old: Fingerprint(cert)})
		}
	}
	changes = append(changes, compareEndpoints("sso", old.SSO, newer.SSO)...)
	return append(changes, compareEndpoints("slo", old.SLO, newer.SLO)...)
}

func compareEndpoints(what string, old, newer []Endpoint) []Change {
	if slices.Equal(old, newer) {
		return nil
	}
	list := func(endpoints []Endpoint) (s string) {
		for _, e := range endpoints {
			s += e.Location + " "
		}
		return s
	}
	return []Change{{What: what, Old: list(old), New: list(newer), Held: true}}
}

// Drift refuses changes that are held for review.
func Drift(changes []Change) error {
	for _, change := range changes {
		if change.Held {
			return refuse(GateDrift, "the metadata changed in %s, which an administrator has to look at", change.What).want(change.Old, change.New)
		}
	}
	return nil
}
