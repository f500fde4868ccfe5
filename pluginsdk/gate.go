package pluginsdk

import (
	"context"
	"slices"
	"time"
)

// Question is what a gate can be asked.
type Question string

// The questions.
const (
	Registration  Question = "registration"
	Login         Question = "login"
	SessionStepUp Question = "session.step_up"
	MemberAdd     Question = "member.add"
	MemberRemove  Question = "member.remove"
	UserDelete    Question = "user.delete"
	TokenIssue    Question = "token.issue"
	RouteAccess   Question = "route"
)

// GateQuestion is a question that the plugin answers, with what holds where its block has no gate for it.
type GateQuestion struct {
	Question     Question
	AllowOnError bool          // a failing plugin doesn't stop the action
	Timeout      time.Duration // 0: the host's
}

// Gate answers questions before actions happen. It may also be a Settler.
type Gate interface {
	Ask(ctx context.Context, a Ask) (Answer, error)
}

// Settler is told what became of actions that its gate allowed with a reservation.
type Settler interface {
	// Settle is called again until it succeeds. It may never come: a reservation also ends by itself.
	Settle(ctx context.Context, s Settlement) error
}

// Settlement is the end of an attempt.
type Settlement struct {
	Question      Question
	AttemptID     string
	ReservationID string
	Committed     bool // otherwise abandoned
}

// Ask is one question.
type Ask struct {
	Question  Question
	Principal *Principal // who acts; nil at registration
	Subject   Ref
	Request   RequestInfo
	// AttemptID is one action, from the question to its audit row, where it is the correlation id. Answer a repeated
	// question for it alike.
	AttemptID string
	DryRun    bool // nothing is about to happen: reserve nothing
	Device    *Device
	// Attributes are the user's own public and private metadata, and what the application adds when it asks.
	Attributes map[string]any

	// One of these is set, as the question has it.
	Registration *RegistrationContext
	Login        *LoginContext
	StepUp       *StepUpContext
	Member       *MemberContext // of MemberAdd and MemberRemove
	UserDelete   *UserDeleteContext
	Token        *TokenContext
	Route        *RouteContext
}

// EmailDomain is the domain of the address that the question is about; empty where there is none.
func (a Ask) EmailDomain() string {
	switch {
	case a.Registration != nil:
		return a.Registration.EmailDomain
	case a.Login != nil:
		return a.Login.EmailDomain
	case a.UserDelete != nil:
		return a.UserDelete.EmailDomain
	}
	return ""
}

// Device is the browser or app that asks.
type Device struct {
	ID      string
	Known   bool // somebody signed in with it to this account before
	Trusted bool // it stands in for the second factor
}

// RegistrationContext is about a new account.
type RegistrationContext struct {
	Email       string
	EmailDomain string
	Via         string // "form", "invitation", "provider", "plugin", "import", "administrator"
	Provider    string
}

// LoginContext is about a sign-in whose credential proved right.
type LoginContext struct {
	EmailDomain string
	Method      string // "password", "passkey", "email_link", "oauth", "plugin" …
	Provider    string
	AMR         []string
	NewNetwork  bool
}

// StepUpContext is about a rise of assurance.
type StepUpContext struct {
	Method string
	AAL    string // that would be reached
}

// MemberContext is about a place in an organization.
type MemberContext struct {
	OrganizationID string
	UserID         string // empty: an address that has no account yet
	Email          string
	Role           string
	Kind           string // "member", "guest", "service_account"
	Via            string // "direct", "invitation", "just_in_time", "provisioning"
	InvitationID   string
	Members        int64 // how many the organization has
	Invitations    int64 // how many are open
	Protected      bool  // an owner
}

// UserDeleteContext is about the execution of a deletion.
type UserDeleteContext struct {
	EmailDomain string
}

// TokenContext is about a token to be issued.
type TokenContext struct {
	Kind       string // "personal", "service_account", "session_jwt", "oauth"
	ClientID   string
	ClientName string
	Scopes     []string
	Audience   string
	ExpiresAt  time.Time
}

// RouteContext is about a request to the application.
type RouteContext struct {
	Scheme, Host, Method, Path string
	Rule                       string // the forward-auth rule that asks
}

// Answer is a gate's answer: make one with Allow, Deny or StepUp, and add to it with its methods.
type Answer struct {
	decision      decision
	reason        string
	message       string
	aal           string
	reservation   string
	reservedUntil time.Time
	cacheFor      time.Duration
	revision      string
	explain       string
	obligations   []Obligation
}

type decision int

const (
	undecided decision = iota
	allow
	deny
	stepUp
)

// Obligation is something that whoever asked must also do.
type Obligation struct {
	Name       string
	Parameters map[string]any
}

// Allow lets the action go on.
func Allow() Answer { return Answer{decision: allow} }

// Deny stops it, with a code for programs and a sentence for the user (which may be empty).
func Deny(reason, message string) Answer {
	return Answer{decision: deny, reason: reason, message: message}
}

// StepUp demands a higher assurance first ("aal2").
func StepUp(aal, reason string) Answer { return Answer{decision: stepUp, aal: aal, reason: reason} }

// Reserve says that something is held for the attempt until a time; Settle is called for it.
func (a Answer) Reserve(id string, until time.Time) Answer {
	a.reservation, a.reservedUntil = id, until
	return a
}

// CacheFor lets the same question be answered alike that long without asking.
func (a Answer) CacheFor(d time.Duration) Answer { a.cacheFor = d; return a }

// Explained names the revision of the rules that decided, and a reference under which the plugin explains the decision.
func (a Answer) Explained(revision, reference string) Answer {
	a.revision, a.explain = revision, reference
	return a
}

// Because gives an answer that allows a reason too.
func (a Answer) Because(reason string) Answer { a.reason = reason; return a }

// Oblige adds what whoever asked must also do.
func (a Answer) Oblige(o ...Obligation) Answer {
	a.obligations = append(slices.Clone(a.obligations), o...)
	return a
}
