package relyra

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
	"github.com/sigra-auth/sigra/pluginsdk"
)

const (
	// maxForm is a response of the largest size that is read, escaped as forms escape, and a RelayState.
	maxForm = 3 << 20

	// requestLife is how long a person may take at the identity provider.
	requestLife = 10 * time.Minute
)

// serving is one request to a connection's addresses, with the connection as the package saml takes it.
type serving struct {
	*Connection
	party *saml.Connection
	keys  []key
}

// enabled finds the connection that a path names. A connection that is not enabled is none to anybody outside.
func (p *Relyra) enabled(r *http.Request) (*serving, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return nil, errNoConnection
	}
	c, err := p.store.connection(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if c.Status != Enabled {
		return nil, errNoConnection
	}
	return p.serve(r.Context(), c)
}

func (p *Relyra) serve(ctx context.Context, c *Connection) (*serving, error) {
	keys, err := p.keysOf(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	party, err := c.party(p.host.BaseURL(), keys)
	return &serving{Connection: c, party: party, keys: keys}, err
}

// login sends a person to the identity provider.
func (p *Relyra) login(w http.ResponseWriter, r *http.Request) error {
	c, err := p.enabled(r)
	if err != nil {
		return err
	}
	return p.send(w, r, c, pluginsdk.MintSignIn, r.URL.Query().Get("return_to"))
}

// send begins a sign-in and sends the browser to the identity provider.
func (p *Relyra) send(w http.ResponseWriter, r *http.Request, c *serving, purpose pluginsdk.MintPurpose, returnTo string) error {
	if !canUseCookies(p.host.BaseURL()) {
		return shown{http.StatusServiceUnavailable, "https"}
	}
	now := p.now()
	begun, err := p.host.Sessions().Begin(r.Context(), pluginsdk.BeginRequest{
		Provider: c.ID.String(), OrganizationID: c.OrganizationID, ReturnTo: returnTo, Purpose: purpose,
		CrossSite: true, ValidFor: requestLife,
	})
	if err != nil {
		return err
	}
	out, err := c.party.AuthnRequest(now, saml.Ask{ID: newRequestID()})
	if err != nil {
		return err
	}
	sent := request{id: out.ID, connection: c.ID, state: begun.State, returnTo: returnTo, test: purpose == pluginsdk.MintTest, expiresAt: now.Add(requestLife)}
	if err := p.store.insertRequest(r.Context(), sent, now); err != nil {
		return err
	}
	w.Header().Add("Set-Cookie", begun.SetCookie)
	w.Header().Set("Cache-Control", "no-store")
	if out.Form == nil {
		http.Redirect(w, r, out.URL, http.StatusSeeOther)
		return nil
	}
	return p.post(w, r, c.Connection, out)
}

// newRequestID is unguessable, and a name as XML has them.
func newRequestID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return "_" + hex.EncodeToString(b[:])
}

// consume takes what the identity provider had the browser post.
func (p *Relyra) consume(w http.ResponseWriter, r *http.Request) error {
	c, err := p.enabled(r)
	if err != nil {
		return err
	}
	trace := Trace{ID: uuid.Must(uuid.NewV7()), ConnectionID: c.ID, OccurredAt: p.now()}
	next, err := p.signIn(r, c, &trace)
	if err != nil {
		return p.refused(r.Context(), c, trace, err)
	}
	trace.Step = "session"
	if err := p.store.trace(r.Context(), trace); err != nil {
		p.log.Error("the trace of a sign-in was lost", "error", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// refused keeps for the administrator why, and gives the person a code.
func (p *Relyra) refused(ctx context.Context, c *serving, trace Trace, err error) error {
	refusal, ok := saml.AsRefusal(err)
	if !ok {
		return err // ours, not theirs
	}
	trace.Step, trace.Gate, trace.Detail, trace.Expected, trace.Received = stepOf(refusal.Gate), refusal.Gate, refusal.Detail, refusal.Expected, refusal.Received
	if err := p.store.trace(ctx, trace); err != nil {
		p.log.Error("the trace of a refusal was lost", "error", err)
	}
	entry := pluginsdk.AuditEntry{
		Action: name + ".sign_in.refused", Outcome: "failure", Reason: string(refusal.Gate), Actor: pluginsdk.Ref{Type: "anonymous"}, OrganizationID: c.OrganizationID,
		Targets:  []pluginsdk.Ref{{Type: "saml_connection", ID: c.ID.String(), Display: c.Name}},
		Metadata: map[string]any{"gate": string(refusal.Gate), "trace_id": trace.ID.String()}, IdempotencyKey: trace.ID.String(), Request: pluginsdk.RequestInfoFrom(ctx),
	}
	if _, err := p.host.Audit().Record(ctx, entry); err != nil {
		return err
	}
	return refusedSignIn{gate: refusal.Gate, trace: trace.ID, again: "/relyra/saml/" + c.ID.String() + "/login"}
}

// signIn judges a response and asks Sigra for the session. It returns where the browser goes on.
func (p *Relyra) signIn(r *http.Request, c *serving, trace *Trace) (string, error) {
	form, err := oneValue(r, "SAMLResponse")
	if err != nil {
		return "", err
	}
	now := p.now()
	var answered *request
	var broken error
	assertion, err := c.party.VerifyResponse(now, form, func(id string) saml.RequestState {
		found, err := p.store.request(r.Context(), c.ID, id)
		switch {
		case err != nil:
			broken = err
			return saml.RequestUnknown
		case found == nil, found.answered, !now.Before(found.expiresAt):
			return saml.RequestUnknown
		case pluginsdk.RequestState(r, name, found.state) == "":
			return saml.RequestOtherBrowser
		}
		answered = found
		return saml.RequestOpen
	})
	if broken != nil {
		return "", broken
	}
	if err != nil {
		return "", err
	}
	trace.Subject = assertion.NameID.Value
	who, err := p.identify(r.Context(), c.Connection, assertion)
	if err != nil {
		return "", err
	}
	mint := pluginsdk.MintRequest{
		Provider: c.ID.String(), Subject: who.subject, Email: who.email, EmailVerified: true, DomainVerified: true, OrganizationID: c.OrganizationID,
		FederatedIndex: federatedIndex(c.ID, assertion), AMR: methods(assertion), AuthTime: assertion.AuthnInstant, ACR: assertion.AuthnContext,
		SessionNotOnOrAfter: assertion.SessionNotOnOrAfter, Membership: pluginsdk.MembershipExisting, Purpose: pluginsdk.MintSignIn,
		Request: pluginsdk.RequestInfoFrom(r.Context()),
	}
	if c.Config.JustInTime {
		mint.Membership, mint.SignUpAllowed = pluginsdk.MembershipJustInTime, true
	}
	mint.Display = who.display
	requestID := ""
	if answered != nil {
		requestID = answered.id
		if answered.test {
			mint.Purpose = pluginsdk.MintTest
		}
		mint.State, mint.StateCookie, mint.ReturnTo = answered.state, pluginsdk.RequestState(r, name, answered.state), answered.returnTo
	}
	done, replayed, err := p.store.spend(r.Context(), c.ID, requestID, assertion.Key(), assertion.Expires, now)
	switch {
	case err != nil:
		return "", err
	case replayed:
		return "", &saml.Refusal{Gate: saml.GateReplay, Detail: "the assertion was used before", Received: assertion.ID}
	case done:
		return "", &saml.Refusal{Gate: saml.GateInResponseTo, Detail: "the request was answered before", Received: requestID}
	}
	minted, err := p.host.Sessions().Mint(r.Context(), mint)
	if err != nil {
		return "", sessionRefusal(err)
	}
	trace.MintID = minted.MintID
	return minted.ContinueURL, nil
}

// sessionRefusal tells what Sigra's own rules refused from what failed.
func sessionRefusal(err error) error {
	if reason, ok := pluginsdk.IsDenied(err); ok {
		return &saml.Refusal{Gate: gateSession, Detail: "Sigra did not start a session", Received: reason}
	}
	return err
}

// oneValue reads a field of the form that must be there once.
func oneValue(r *http.Request, field string) (string, error) {
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return "", &saml.Refusal{Gate: saml.GateTooLarge, Detail: "the form is too large"}
		}
		return "", &saml.Refusal{Gate: saml.GateEncoding, Detail: "the form cannot be read"}
	}
	switch values := r.PostForm[field]; len(values) {
	case 1:
		return values[0], nil
	case 0:
		return "", &saml.Refusal{Gate: saml.GateEncoding, Detail: "the form has no " + field}
	default:
		return "", &saml.Refusal{Gate: saml.GateDuplicateParameter, Detail: "the form has more than one " + field}
	}
}

// person is whom an assertion is about, in Sigra's terms.
type person struct{ subject, email, display string }

// Attributes that products send an address and a name in; see docs/recipes/relyra.md.
var (
	emailAttributes = []string{
		"email", "mail", "Email", "emailAddress", "User.email", "urn:oid:0.9.2342.19200300.100.1.3", "urn:oid:1.2.840.113549.1.9.1",
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
	}
	displayAttributes = []string{
		"displayName", "name", "urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.microsoft.com/identity/claims/displayname",
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
	}
)

// identify maps an assertion to a person, and holds their address against the domains that the organization has proven now.
func (p *Relyra) identify(ctx context.Context, c *Connection, a *saml.Assertion) (person, error) {
	var who person
	switch {
	case c.Config.SubjectAttribute != "":
		values := a.Values(c.Config.SubjectAttribute)
		if len(values) != 1 || values[0] == "" {
			return who, &saml.Refusal{Gate: gateIdentity, Detail: "the attribute that identifies people must have one value", Expected: c.Config.SubjectAttribute, Received: strings.Join(values, " ")}
		}
		who.subject = digest(a.Issuer, "attribute", c.Config.SubjectAttribute, values[0])
	case a.NameID.Format == saml.FormatTransient:
		return who, &saml.Refusal{Gate: gateIdentity, Detail: "the NameID is another one at each sign-in; set an attribute that identifies people", Received: a.NameID.Format}
	default: // the format is left out: some products change it with a setting, and the value stays
		who.subject = digest(a.Issuer, a.NameID.NameQualifier, a.NameID.SPNameQualifier, a.NameID.Value)
	}
	address, err := emailOf(c, a)
	if err != nil {
		return who, err
	}
	who.email = address
	domain := strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
	owner, err := p.ownerOf(ctx, domain)
	if err != nil {
		return who, err
	}
	if owner != c.OrganizationID {
		return who, &saml.Refusal{Gate: gateDomain, Detail: "the address lies in no domain that the organization has proven to be its own", Received: domain}
	}
	for _, name := range displayAttributes {
		if values := a.Values(name); len(values) == 1 {
			who.display = values[0]
			break
		}
	}
	return who, nil
}

// emailOf finds the one address of a person.
func emailOf(c *Connection, a *saml.Assertion) (string, error) {
	names := emailAttributes
	if c.Config.EmailAttribute != "" {
		names = []string{c.Config.EmailAttribute}
	}
	for _, name := range names {
		values := slices.Compact(slices.Clone(a.Values(name)))
		switch {
		case len(values) == 0:
			continue
		case len(values) > 1:
			return "", &saml.Refusal{Gate: gateEmail, Detail: "the identity provider sent more than one address", Received: strings.Join(values, " ")}
		case !isAddress(values[0]):
			return "", &saml.Refusal{Gate: gateEmail, Detail: "what the identity provider sent as an address is none", Received: values[0]}
		}
		return values[0], nil
	}
	if c.Config.EmailAttribute == "" && a.NameID.Format != saml.FormatTransient && isAddress(a.NameID.Value) {
		return a.NameID.Value, nil
	}
	return "", &saml.Refusal{Gate: gateEmail, Detail: "the identity provider sent no address", Expected: strings.Join(names, " ")}
}

func isAddress(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && strings.Contains(domain, ".") && !strings.ContainsAny(s, " \t\r\n<>,;\"") && !strings.Contains(domain, "@")
}

// federatedIndex is what a logout message of this connection names a session by.
func federatedIndex(connection uuid.UUID, a *saml.Assertion) string {
	return digest(connection.String(), a.NameID.NameQualifier, a.NameID.SPNameQualifier, a.NameID.Value, a.SessionIndex)
}

// digest is a text of one length, whatever an identity provider sends.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(join(parts...)))
	return hex.EncodeToString(sum[:])
}

// join makes one text of several so that no two lists make the same.
func join(parts ...string) string {
	for i, part := range parts {
		parts[i] = url.QueryEscape(part)
	}
	return strings.Join(parts, "|")
}

// publish shows our side of a connection to the identity provider, drafts included: it is the first thing that its administrator needs.
func (p *Relyra) publish(w http.ResponseWriter, r *http.Request) error {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return errNoConnection
	}
	c, err := p.store.connection(r.Context(), id)
	if err != nil {
		return err
	}
	s, err := p.serve(r.Context(), c)
	if err != nil {
		return err
	}
	d := saml.Descriptor{ID: "_" + strings.ReplaceAll(c.ID.String(), "-", "")}
	for _, k := range s.keys {
		d.Signing, d.Encryption = append(d.Signing, k.certificate), append(d.Encryption, k.certificate)
	}
	raw, err := s.party.Metadata(d)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(raw) // the client is gone if this fails
	return nil
}
