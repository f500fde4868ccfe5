package gate

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

const (
	// settleTimeout bounds telling all gates of one attempt while whoever acted waits.
	settleTimeout = 2 * time.Second
	// settleLater is when Run takes over what End should have settled.
	settleLater = 10 * time.Second
)

// Attempt is one action whose gates have allowed it. A nil Attempt is of an action about which nobody was asked: it has no id, and nothing
// to settle.
type Attempt struct {
	ID       string
	Answer   Answer // Allow or StepUp
	attempts *Attempts
	question Question
	holder   string // see Hold
}

// Ask puts a question about an action that is about to happen, outside of any transaction. A denial is an Attempt like any other, and
// needs no End; an error is one of Table.Ask.
func (s *Attempts) Ask(ctx context.Context, q Ask) (*Attempt, error) {
	if q.AttemptID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		q.AttemptID = id.String()
	}
	a := &Attempt{ID: q.AttemptID, attempts: s, question: q.Question}
	var err error
	a.Answer, err = s.table.Ask(ctx, q)
	if err != nil || a.Answer.Decision == Deny {
		a.abandon(ctx)
		a.Answer.Reservations = nil
	}
	return a, err
}

// CorrelationID is the attempt's id, as the audit rows of its action have it; empty for the nil Attempt.
func (a *Attempt) CorrelationID() string {
	if a == nil {
		return ""
	}
	return a.ID
}

// Commit notes in the action's transaction that the gates are to be told of it.
func (a *Attempt) Commit(ctx context.Context, tx *store.Tx) error {
	if a == nil || len(a.Answer.Reservations) == 0 {
		return nil
	}
	if a.holder != "" {
		return a.attempts.release(ctx, tx, a, true)
	}
	for _, r := range a.Answer.Reservations {
		if err := a.attempts.insert(ctx, tx, a, r, true); err != nil {
			return err
		}
	}
	return nil
}

// Hold notes, instead of Commit, that the action goes on later: whoever holds it takes it up by Attempts.Resume. What is not taken up by
// then is abandoned.
func (a *Attempt) Hold(ctx context.Context, tx *store.Tx, holder string, until time.Time) error {
	if a == nil || len(a.Answer.Reservations) == 0 {
		return nil
	}
	for _, r := range a.Answer.Reservations {
		if err := a.attempts.hold(ctx, tx, a, r, holder, until); err != nil {
			return err
		}
	}
	a.holder = holder
	return nil
}

// End tells the gates how the action ended: err is what its transaction returned. It must be called once, whatever happened, and
// not inside the transaction. What can't be told now is told by Run, and what is held is left to its holder.
func (a *Attempt) End(ctx context.Context, err error) {
	if a == nil || len(a.Answer.Reservations) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	// A commit whose connection broke may have taken place: the row says so.
	is := committed
	if err != nil || a.holder != "" {
		var lookErr error
		if is, lookErr = a.attempts.look(ctx, a.ID); lookErr != nil { // a row that is there is found by Run; without one the reservation ends by itself
			a.attempts.log.Warn("reservation of a gate not settled", "attempt", a.ID, "error", lookErr)
			return
		}
	}
	switch is {
	case committed:
		for _, r := range a.Answer.Reservations {
			a.attempts.settle(ctx, a.row(r, true))
		}
	case absent:
		a.abandon(ctx)
	case held:
	}
}

// Abandon ends an attempt that was held: the gates are told that nothing came of it.
func (a *Attempt) Abandon(ctx context.Context) error {
	if a == nil || a.holder == "" {
		return nil
	}
	err := a.attempts.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return a.attempts.release(ctx, tx, a, false) })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for _, r := range a.Answer.Reservations {
		a.attempts.settle(ctx, a.row(r, false))
	}
	return nil
}

// abandon tells the gates that nothing came of it.
func (a *Attempt) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for _, r := range a.Answer.Reservations {
		if err := a.attempts.table.Settle(ctx, r.Gate, a.row(r, false).Settlement); err == nil {
			continue
		}
		err := a.attempts.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return a.attempts.insert(ctx, tx, a, r, false) })
		if err != nil {
			a.attempts.log.Warn("abandoned reservation of a gate not noted, it will expire", "attempt", a.ID, "gate", r.Gate, "error", err)
		}
	}
}

func (a *Attempt) row(r Reservation, committed bool) row {
	return row{Settlement: Settlement{Question: a.question, AttemptID: a.ID, ReservationID: r.ID, Committed: committed}, gate: r.Gate, expires: r.ExpiresAt}
}
