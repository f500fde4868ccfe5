package federation

import (
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
)

// Faults that carry no more than their code. Those that name a provider have the codes provider_denied (the person or the
// provider said no), provider_unavailable (it can't be reached or is failing) and provider_answer_invalid (it
// answered, and the answer is not to be believed).
var (
	// ErrUnknown says that there is no provider of that name, or that it is not enabled.
	ErrUnknown = fault.New(fault.NotFound, "provider_unknown", "There is no such way to sign in.")
	// ErrState says that a callback belongs to no sign-in that this browser has begun and not yet ended.
	ErrState = fault.New(fault.Unauthenticated, "state_invalid", "This sign-in was begun in another browser, was used already or has expired. Begin again.")
	// ErrNotLinked says that no account has this login.
	ErrNotLinked = fault.New(fault.NotFound, "identity_not_found", "There is no such linked login.")
	// ErrLinkedElsewhere says that another account has this login.
	ErrLinkedElsewhere = fault.New(fault.Conflict, "identity_linked_elsewhere", "This login is linked to another account.")
	// ErrTooMany says that an account has as many linked logins as it may.
	ErrTooMany = fault.Newf(fault.Conflict, "identities_too_many", "An account can have %d linked logins. Unlink one first.", MaxIdentities)
)

// Stages at which a sign-in through a provider can fail, for audit rows.
const (
	StageState     = "state"     // finding the state that the callback names
	StageDiscovery = "discovery" // reading what the provider says of itself
	StageAuthorize = "authorize" // the callback's own words: an error, no code, the wrong issuer
	StageToken     = "token"     // the code's exchange
	StageKeys      = "keys"      // reading the provider's keys
	StageIDToken   = "id_token"  // judging the ID token
	StageUserinfo  = "userinfo"  // asking who the token is of
	StageClaims    = "claims"    // finding the subject in what was answered
)

// Failure is the private side of a fault: what went wrong, for the audit row and the log. Reason is a short code, such as
// "nonce"; what the provider itself wrote is in Unwrap alone.
type Failure struct {
	Provider string
	Stage    string
	Reason   string
	err      error
}

// Error is the text for logs.
func (f *Failure) Error() string {
	s := fmt.Sprintf("provider %s: %s: %s", f.Provider, f.Stage, f.Reason)
	if f.err != nil {
		s += ": " + f.err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.err }

// Explain finds the Failure behind a fault of this package.
func Explain(err error) (Failure, bool) {
	var f *Failure
	if errors.As(err, &f) {
		return *f, true
	}
	return Failure{}, false
}

// unavailableAfter is when to try a provider again that failed.
const unavailableAfter = 10 * time.Second

func stateInvalid(provider, reason string) error {
	return ErrState.Because(&Failure{Provider: provider, Stage: StageState, Reason: reason})
}

func (p *provider) denied(reason string, cause error) error {
	return fault.Newf(fault.Denied, "provider_denied", "%s did not sign you in: it was cancelled or refused there.", p.title).
		Because(&Failure{p.name, StageAuthorize, reason, cause})
}

func (p *provider) unavailable(stage, reason string, cause error) error {
	return fault.Newf(fault.Unavailable, "provider_unavailable", "%s can't be reached or does not work right now. Try again shortly, or sign in another way.", p.title).
		After(unavailableAfter).Because(&Failure{p.name, stage, reason, cause})
}

func (p *provider) invalid(stage, reason string, cause error) error {
	return fault.Newf(fault.Unauthenticated, "provider_answer_invalid", "%s gave an answer that can't be relied on. Begin again; if that doesn't help, sign in another way.", p.title).
		Because(&Failure{p.name, stage, reason, cause})
}
