package flow

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
)

// Refusal is why a flow refuses: a code and details for the audit row, and what the person is told.
type Refusal struct {
	Reason string
	Meta   map[string]any
	Err    error
}

func (r Refusal) Error() string { return r.Reason + ": " + r.Err.Error() }

// Unwrap gives what the person is told.
func (r Refusal) Unwrap() error { return r.Err }

// ByGate reports whether a gate refused.
func (r Refusal) ByGate() bool { return strings.HasPrefix(r.Reason, "gate_") }

// Public gives what the person is told of a refusal; other errors stay.
func Public(err error) error {
	var r Refusal
	if errors.As(err, &r) {
		return r.Err
	}
	return err
}

var errStepUp = fault.New(fault.Denied, "second_factor_missing", "A rule of this service asks for a second factor, which this account does not have.")

// ErrObligation refuses an action that a gate allows under a condition which nobody here can meet (XACML 3.0 §7.18).
var ErrObligation = fault.New(fault.Denied, "obligation_unmet", "A rule of this service allows this only under a condition that can't be met here.")

// CannotStepUp refuses what a gate wants and nobody can give.
func CannotStepUp(by gate.Answer) Refusal {
	return Refusal{Reason: "gate_step_up", Meta: by.Meta(), Err: errStepUp}
}

// Gated reports whether anybody answers a question: whoever would only gather what to ask needs not.
func (k *Kit) Gated(q gate.Question) bool { return k.gates.Configured(q) }

// Ask puts a question to the gates, outside of any transaction so that a slow one holds no lock, under one id for the
// attempt. A denial and a failure come back as a Refusal.
func (k *Kit) Ask(ctx context.Context, q gate.Ask) (gate.Answer, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return gate.Answer{}, err
	}
	q.AttemptID = id.String()
	ans, err := k.gates.Ask(ctx, q)
	switch {
	case ctx.Err() != nil:
		return gate.Answer{}, ctx.Err()
	case err != nil:
		return gate.Answer{}, Refusal{Reason: "gate_failed", Err: err}
	case ans.Decision == gate.Deny:
		return gate.Answer{}, Refusal{Reason: "gate_denied", Meta: ans.Meta(), Err: gate.Denied(ans)}
	case len(ans.Obligations) > 0:
		return gate.Answer{}, Refusal{Reason: "gate_obligation", Meta: ans.Meta(), Err: ErrObligation}
	}
	return ans, nil
}

// Allowed is Ask where there is nobody to show a second factor: a step-up is a refusal like a denial.
func (k *Kit) Allowed(ctx context.Context, q gate.Ask) error {
	ans, err := k.Ask(ctx, q)
	if err == nil && ans.Decision == gate.StepUp {
		return CannotStepUp(ans)
	}
	return err
}
