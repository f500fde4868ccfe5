package org

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// Organization is one organization.
type Organization struct {
	ID             uuid.UUID
	Slug           string
	Name           string
	Policy         Policy
	PublicMetadata json.RawMessage // a JSON object
	Members        int64           // of any status
	Owners         int64           // active ones
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Method is a way to sign in, as an organization allows or doesn't allow it.
type Method string

// The methods.
const (
	MethodPassword Method = "password"
	MethodEmail    Method = "email" // a link or a code that was mailed
	MethodPasskey  Method = "passkey"
	MethodSocial   Method = "social" // a provider that is open to everybody
	MethodSSO      Method = "sso"    // a provider of the organization's own
)

// Methods are all of them.
var Methods = []Method{MethodPassword, MethodEmail, MethodPasskey, MethodSocial, MethodSSO}

// Policy is what an organization asks of the sessions in which it is active.
type Policy struct {
	RequireSecondFactor bool
	Methods             []Method // empty: any
}

// Allows reports whether a session may have begun by a method.
func (p Policy) Allows(m Method) bool { return len(p.Methods) == 0 || slices.Contains(p.Methods, m) }

// Verdict is what a policy makes of a session.
type Verdict int

// The verdicts.
const (
	Fits Verdict = iota
	NeedsSecondFactor
	MethodRefused
)

// Judge holds a session against the policy: of an owner or not, begun by a method (in the words of an audit row's "method"), at an
// assurance. An owner who shows two factors fits whatever the methods: somebody must be able to mend a connection that broke.
func (p Policy) Judge(owner bool, method, aal string) Verdict {
	second := aal == principal.AAL2
	switch {
	case !p.Allows(MethodOf(method)) && !owner:
		return MethodRefused
	case !second && (p.RequireSecondFactor || !p.Allows(MethodOf(method))):
		return NeedsSecondFactor
	}
	return Fits
}

// MethodOf sorts the way in which a session began. What mails prove is MethodEmail, whatever it was mailed for.
func MethodOf(began string) Method {
	switch began {
	case "password", "registration":
		return MethodPassword
	case "passkey":
		return MethodPasskey
	case "oauth":
		return MethodSocial
	case "sso":
		return MethodSSO
	}
	return MethodEmail
}

// ParsePolicy reads a policy as it is stored.
func ParsePolicy(secondFactor bool, methods string) Policy {
	p := Policy{RequireSecondFactor: secondFactor}
	for _, m := range strings.Fields(methods) {
		p.Methods = append(p.Methods, Method(m))
	}
	return p
}

// text is how the methods are stored: each once, in the order of Methods.
func (p Policy) text() (string, error) {
	for _, m := range p.Methods {
		if !slices.Contains(Methods, m) {
			return "", fault.Newf(fault.Invalid, "invalid_method", "A sign-in method is one of %s.", list(Methods)).At("sign_in_methods")
		}
	}
	var out []string
	for _, m := range Methods {
		if slices.Contains(p.Methods, m) {
			out = append(out, string(m))
		}
	}
	return strings.Join(out, " "), nil
}

func list[T ~string](all []T) string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}

// Kind says what sort of member somebody is.
type Kind string

// The kinds.
const (
	Member         Kind = "member"
	Guest          Kind = "guest"
	ServiceAccount Kind = "service_account"
)

// Kinds are all of them.
var Kinds = []Kind{Member, Guest, ServiceAccount}

// Status says whether a membership counts.
type Status string

// The statuses; doc.go draws how one follows another.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
)

// Via says how somebody came into an organization.
type Via string

// The ways in.
const (
	Direct       Via = "direct"
	Invited      Via = "invitation"
	JustInTime   Via = "just_in_time"
	Provisioning Via = "provisioning"
)

// Membership is somebody's place in an organization.
type Membership struct {
	ID             uuid.UUID
	OrganizationID uuid.UUID
	AccountID      uuid.UUID
	Role           string
	Kind           Kind
	Status         Status
	Owner          bool
	Via            Via
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastActiveAt   time.Time // zero: never
}

// Invitation is an open invitation; an accepted or revoked one is gone.
type Invitation struct {
	ID             uuid.UUID
	OrganizationID uuid.UUID
	Email          string
	Role           string
	Kind           Kind
	InvitedBy      uuid.UUID // an account; uuid.Nil: whoever runs the installation
	CreatedAt      time.Time
	SentAt         time.Time
	ExpiresAt      time.Time
}

// Expired reports whether it can no longer be accepted.
func (i Invitation) Expired(now time.Time) bool { return !now.Before(i.ExpiresAt) }

// The faults of this package.
var (
	ErrNotFound      = fault.New(fault.NotFound, "organization_not_found", "There is no such organization.")
	ErrNotMember     = fault.New(fault.NotFound, "membership_not_found", "There is no such member in this organization.")
	ErrMember        = fault.New(fault.Conflict, "already_member", "This person is already a member of the organization.")
	ErrLastOwner     = fault.New(fault.Conflict, "last_owner", "An organization needs an owner. Make somebody else an owner first.")
	ErrSlugTaken     = fault.New(fault.Conflict, "slug_taken", "Another organization uses this slug.").At("slug")
	ErrNoInvitation  = fault.New(fault.NotFound, "invitation_not_found", "There is no such invitation.")
	ErrInvitation    = fault.New(fault.Denied, "invitation_invalid", "This invitation is wrong, was used or revoked, or has expired. Ask for a new one.")
	ErrNoDomain      = fault.New(fault.NotFound, "domain_not_found", "This organization hasn't added that domain.")
	ErrDomainTaken   = fault.New(fault.Conflict, "domain_taken", "Another organization has verified this domain.").At("domain")
	ErrNotVerified   = fault.New(fault.Conflict, "domain_not_verified", "The TXT record wasn't found. It can take a while until a new record is visible everywhere.")
	errInvalidCursor = fault.New(fault.Invalid, "invalid_cursor", "This cursor isn't one of ours.").At("cursor")
)
