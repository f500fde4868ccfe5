package gate

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// Question names what is about to happen.
type Question string

// The questions.
const (
	Registration  Question = "registration"
	Login         Question = "login" // after the credential proved right, before the session exists
	SessionStepUp Question = "session.step_up"
	MemberAdd     Question = "member.add"
	MemberRemove  Question = "member.remove"
	UserDelete    Question = "user.delete" // at execution, not at scheduling
	TokenIssue    Question = "token.issue"
	Route         Question = "route"
)

// Questions are all of them, in the order of the documentation.
var Questions = []Question{Registration, Login, SessionStepUp, MemberAdd, MemberRemove, UserDelete, TokenIssue, Route}

// Ask is one question about one action.
type Ask struct {
	Question  Question
	Principal *principal.Principal // who acts; nil at registration
	Subject   audit.Ref            // what is acted on
	Context   map[string]any       // email domain, organization, method …
	Member    *MemberContext       // of MemberAdd and MemberRemove
	Token     *TokenContext        // of TokenIssue
	AttemptID string               // one action; a repeated question for it is answered alike
	DryRun    bool                 // nothing is about to happen: nothing is to be reserved
	Device    *Device              // of Login; nil: not told
	// Attributes are what is kept of the user, see Table.DescribeWith, and what the one who asks adds under names that are free.
	Attributes map[string]any
}

// Device is the browser that asks.
type Device struct {
	ID      string
	Known   bool // somebody signed in with it to this account before
	Trusted bool // it stands in for the second factor
}

// TokenContext is what TokenIssue is about.
type TokenContext struct {
	Kind                 string // "personal", "service_account", "session_jwt", "oauth"
	ClientID, ClientName string
	Scopes               []string
	Audience             string
	ExpiresAt            time.Time // zero: not told
}

// Decision is how a gate answers.
type Decision uint8

// The decisions. The zero value allows.
const (
	Allow Decision = iota
	Deny
	StepUp
)

// Answer is a decision with its reason.
type Answer struct {
	Decision    Decision
	Reason      string // a code for programs: "seat_limit_reached"
	Message     string // a sentence for people; may be empty
	RequiredAAL string // for StepUp
	By          string // the gate that decided, or that allows under a condition

	CacheFor    time.Duration // the same question may be answered alike that long, see Cache; zero: not at all
	Revision    string        // of the rules that decided
	Explain     string        // a reference under which the gate explains the decision
	Obligations []Obligation  // what the one who asked must also do. Who can't must not go on

	// Reservations are what was held for the attempt: by one gate, or, from Table.Ask, by all that allowed it.
	Reservations []Reservation
}

// Obligation is something that the one who asked must also do.
type Obligation struct {
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

// Meta is what the audit row of a refused action says of the gate.
func (a Answer) Meta() map[string]any {
	meta := map[string]any{"gate": a.By}
	if a.Revision != "" {
		meta["gate_revision"] = a.Revision
	}
	if a.Explain != "" {
		meta["gate_explain"] = a.Explain
	}
	return meta
}

// Reservation is what a gate holds for an attempt until it is told how that ended.
type Reservation struct {
	Gate      string // see Settler.Name
	ID        string
	ExpiresAt time.Time // it ends by itself then
}

// Gate answers one question.
type Gate interface {
	// Ask answers, or fails; what a failure means (on_error) is the gate's own configuration, so an error from here
	// has already been judged: it is a refusal whose text may be shown.
	Ask(ctx context.Context, a Ask) (Answer, error)
}

// Settlement is the end of an attempt.
type Settlement struct {
	Question      Question
	AttemptID     string
	ReservationID string
	Committed     bool // otherwise abandoned
}

// Settler is a gate that reserves.
type Settler interface {
	Gate
	// Name is what its reservations say.
	Name() string
	// Settle tells what became of an attempt. It is called again until it succeeds, so it may come more than once.
	Settle(ctx context.Context, s Settlement) error
}

// Table holds the gates per question. The zero value has none. Safe for concurrent use.
type Table struct {
	gates    atomic.Pointer[map[Question][]Gate]
	describe Describe // nil: questions carry nothing that is kept
}

// Set replaces all gates at once.
func (t *Table) Set(gates map[Question][]Gate) {
	if len(gates) == 0 {
		t.gates.Store(nil)
		return
	}
	t.gates.Store(&gates)
}

// Configured reports whether anybody is to be asked, so that a caller need not gather a context for nobody.
func (t *Table) Configured(q Question) bool {
	m := t.gates.Load()
	return m != nil && len((*m)[q]) > 0
}

// Ask puts the question to every gate configured for it. The first denial or error ends it; otherwise a step-up, if
// any gate wants one; otherwise allow. Whatever the outcome, the answer lists what was reserved on the way; one that does not deny has the
// obligations of all, and may be used again for as long as each of them says.
func (t *Table) Ask(ctx context.Context, a Ask) (Answer, error) {
	m := t.gates.Load()
	if m == nil {
		return Answer{}, nil
	}
	if len((*m)[a.Question]) == 0 {
		return Answer{}, nil
	}
	a, err := t.described(ctx, a)
	if err != nil {
		return Answer{}, err
	}
	var out Answer
	var held []Reservation
	var owed []Obligation
	cacheFor := MaxCacheFor
	for _, g := range (*m)[a.Question] {
		ans, err := g.Ask(ctx, a)
		if err != nil {
			return Answer{Reservations: held}, err
		}
		held, owed, cacheFor = append(held, ans.Reservations...), append(owed, ans.Obligations...), min(cacheFor, ans.CacheFor)
		switch ans.Decision {
		case Deny:
			ans.Reservations = held
			return ans, nil
		case StepUp:
			if out.Decision == StepUp && out.RequiredAAL == principal.AAL2 {
				ans.RequiredAAL = principal.AAL2 // the stronger of what several want
			}
			out = ans
		case Allow:
			if out.Decision == Allow && out.Revision == "" {
				out.Revision, out.Explain = ans.Revision, ans.Explain
			}
			if out.Decision == Allow && len(ans.Obligations) > 0 {
				out.By = ans.By
			}
		}
	}
	out.Reservations, out.Obligations, out.CacheFor = held, owed, cacheFor
	return out, nil
}

// Settle tells the gate of a name how an attempt ended.
func (t *Table) Settle(ctx context.Context, name string, s Settlement) error {
	if m := t.gates.Load(); m != nil {
		for _, g := range (*m)[s.Question] {
			if settler, ok := g.(Settler); ok && settler.Name() == name {
				return settler.Settle(ctx, s)
			}
		}
	}
	return fmt.Errorf("the gate %s is not there", name)
}

// Denied turns a denial into the error a user sees.
func Denied(a Answer) error {
	msg := a.Message
	if msg == "" {
		msg = "This is not allowed by a rule of this service."
	}
	code := a.Reason
	if code == "" {
		code = "denied"
	}
	return fault.New(fault.Denied, code, msg)
}
