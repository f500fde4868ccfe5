package flow

import (
	"context"
	"errors"
	"strings"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
)

// Refusal is why a flow refuses: a code and details for the audit row, and what the person is told.
type Refusal struct {
	Reason  string
	Meta    map[string]any
	Err     error
	Attempt string // the gates', which is the row's correlation id; empty: none was asked
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
func CannotStepUp(a *gate.Attempt) Refusal {
	return Refusal{Reason: "gate_step_up", Meta: a.Answer.Meta(), Err: errStepUp, Attempt: a.ID}
}

// Gated reports whether anybody answers a question: whoever would only gather what to ask needs not.
func (k *Kit) Gated(q gate.Question) bool { return k.gates.Configured(q) }

// Ask puts a question to the gates, outside of any transaction so that a slow one holds no lock, under one id for the
// attempt. A denial and a failure come back as a Refusal. Otherwise the action commits the attempt in its transaction, and ends it after.
func (k *Kit) Ask(ctx context.Context, q gate.Ask) (*gate.Attempt, error) {
	a, err := k.attempts.Ask(ctx, q)
	switch {
	case ctx.Err() != nil:
		a.End(ctx, ctx.Err())
		return nil, ctx.Err()
	case err != nil:
		return nil, Refusal{Reason: "gate_failed", Err: err, Attempt: a.CorrelationID()}
	case a.Answer.Decision == gate.Deny:
		return nil, Refusal{Reason: "gate_denied", Meta: a.Answer.Meta(), Err: gate.Denied(a.Answer), Attempt: a.ID}
	case len(a.Answer.Obligations) > 0:
		a.End(ctx, ErrObligation)
		return nil, Refusal{Reason: "gate_obligation", Meta: a.Answer.Meta(), Err: ErrObligation, Attempt: a.ID}
	}
	return a, nil
}

// Allowed is Ask where there is nobody to show a second factor: a step-up is a refusal like a denial.
func (k *Kit) Allowed(ctx context.Context, q gate.Ask) (*gate.Attempt, error) {
	a, err := k.Ask(ctx, q)
	if err == nil && a.Answer.Decision == gate.StepUp {
		err = CannotStepUp(a)
		a.End(ctx, err)
		return nil, err
	}
	return a, err
}

// Resume takes up an attempt that a flow holds, see gate.Attempt.Hold.
func (k *Kit) Resume(ctx context.Context, holder, id string) (*gate.Attempt, error) {
	if id == "" {
		return nil, nil
	}
	return k.attempts.Resume(ctx, holder, id)
}
