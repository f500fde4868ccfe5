package gate

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package.
//
//go:embed migrations
var Migrations embed.FS

const (
	sweepEvery = 5 * time.Second
	sweepBatch = 100
	maxWait    = 10 * time.Minute
	// giveUp is for how long a gate is told of an action that took place. A gate that is gone for longer has to look for itself.
	giveUp = 7 * 24 * time.Hour
)

// AttemptsConfig of Attempts.
type AttemptsConfig struct {
	DB     *store.DB
	Table  *Table
	Now    func() time.Time // nil: the clock
	Logger hclog.Logger     // nil: silent
}

// Attempts asks about actions for which gates may reserve something, and tells the gates how each ended. Safe for concurrent use.
type Attempts struct {
	db    *store.DB
	table *Table
	now   func() time.Time
	log   hclog.Logger
}

// NewAttempts makes Attempts. Run must run for what could not be settled at once.
func NewAttempts(cfg AttemptsConfig) (*Attempts, error) {
	if cfg.DB == nil || cfg.Table == nil {
		return nil, errors.New("gate: a database and a table of gates are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	return &Attempts{db: cfg.DB, table: cfg.Table, log: cfg.Logger, now: func() time.Time { return cfg.Now().UTC().Truncate(time.Microsecond) }}, nil
}

// row is what a gate has yet to be told.
type row struct {
	Settlement
	gate         string
	expires      time.Time
	created, due time.Time
	tries        int64
}

func (s *Attempts) insert(ctx context.Context, tx *store.Tx, a *Attempt, r Reservation, committed bool) error {
	now := s.now()
	_, err := tx.Exec(ctx, `INSERT INTO gate_attempt (attempt_id, gate, question, reservation_id, committed, expires_at, created_at, due_at, tries)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)`, a.ID, r.Gate, string(a.question), r.ID, committed, r.ExpiresAt, now, now.Add(settleLater))
	if err != nil {
		return fmt.Errorf("note attempt: %w", err)
	}
	return nil
}

// hold notes a reservation whose action goes on later. Asking again about the same attempt holds the same row.
func (s *Attempts) hold(ctx context.Context, tx *store.Tx, a *Attempt, r Reservation, holder string, until time.Time) error {
	now := s.now()
	n, err := tx.Exec(ctx, `INSERT INTO gate_attempt (attempt_id, gate, question, reservation_id, committed, expires_at, created_at, due_at, tries, held_by)
		VALUES ($1, $2, $3, $4, $9, $5, $6, $7, 0, $8)
		ON CONFLICT (attempt_id, gate) DO UPDATE SET reservation_id = excluded.reservation_id, expires_at = excluded.expires_at, due_at = excluded.due_at
		WHERE gate_attempt.held_by = excluded.held_by AND gate_attempt.question = excluded.question`,
		a.ID, r.Gate, string(a.question), r.ID, r.ExpiresAt, now, until, holder, false)
	if err != nil {
		return fmt.Errorf("hold attempt: %w", err)
	}
	if n == 0 {
		return errAttempt
	}
	return nil
}

var errAttempt = fault.New(fault.Conflict, "attempt_taken", "Another action has this attempt.").At("attempt_id")

// release ends the holding of an attempt: from here on its gates are told, now or by Run.
func (s *Attempts) release(ctx context.Context, tx *store.Tx, a *Attempt, committed bool) error {
	now := s.now()
	if _, err := tx.Exec(ctx, `UPDATE gate_attempt SET committed = $3, held_by = '', created_at = $4, due_at = $5, tries = 0 WHERE attempt_id = $1 AND held_by = $2`,
		a.ID, a.holder, committed, now, now.Add(settleLater)); err != nil {
		return fmt.Errorf("release attempt: %w", err)
	}
	return nil
}

// Resume gives an attempt that somebody holds, to be committed or abandoned. One that reserved nothing, or is held no more, is the nil
// Attempt.
func (s *Attempts) Resume(ctx context.Context, holder, id string) (*Attempt, error) {
	rows, err := s.db.Query(ctx, `SELECT gate, question, reservation_id, expires_at FROM gate_attempt WHERE attempt_id = $1 AND held_by = $2`, id, holder)
	if err != nil {
		return nil, fmt.Errorf("find attempt: %w", err)
	}
	defer rows.Close()
	var a *Attempt
	for rows.Next() {
		var r Reservation
		var q Question
		if err := rows.Scan(&r.Gate, &q, &r.ID, &r.ExpiresAt); err != nil {
			return nil, fmt.Errorf("find attempt: %w", err)
		}
		if a == nil {
			a = &Attempt{ID: id, attempts: s, question: q, holder: holder}
		}
		a.Answer.Reservations = append(a.Answer.Reservations, r)
	}
	return a, rows.Err()
}

// state is what the table says of an attempt.
type state int

const (
	absent state = iota
	held
	committed
)

func (s *Attempts) look(ctx context.Context, attempt string) (state, error) {
	var holder string
	err := s.db.QueryRow(ctx, `SELECT held_by FROM gate_attempt WHERE attempt_id = $1 LIMIT 1`, attempt).Scan(&holder)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return absent, nil
	case err != nil:
		return absent, err
	case holder != "":
		return held, nil
	}
	return committed, nil
}

// settle tells a gate, and forgets the row once it was told.
func (s *Attempts) settle(ctx context.Context, r row) {
	if err := s.table.Settle(ctx, r.gate, r.Settlement); err != nil {
		s.log.Debug("gate not told of an attempt, will try again", "attempt", r.AttemptID, "gate", r.gate, "tries", r.tries, "error", err)
		return
	}
	if err := s.forget(ctx, r); err != nil {
		s.log.Warn("settled attempt not deleted, will be settled again", "attempt", r.AttemptID, "gate", r.gate, "error", err)
	}
}

func (s *Attempts) forget(ctx context.Context, r row) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM gate_attempt WHERE attempt_id = $1 AND gate = $2`, r.AttemptID, r.gate)
		return err
	})
}

// Run settles what was left, until ctx ends.
func (s *Attempts) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("attempts not settled, will try again", "error", err)
			}
		}
	}
}

// Sweep settles what is due and returns how many rows it took up.
func (s *Attempts) Sweep(ctx context.Context) (int, error) {
	due, err := s.due(ctx)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	mine, err := s.claim(ctx, due)
	if err != nil {
		return 0, err
	}
	for _, r := range mine {
		switch now := s.now(); {
		case !r.Committed && !now.Before(r.expires): // it has ended by itself
			err = s.forget(ctx, r)
		case r.Committed && now.Sub(r.created) >= giveUp:
			s.log.Error("gate never told of an attempt", "attempt", r.AttemptID, "gate", r.gate, "tries", r.tries)
			err = s.forget(ctx, r)
		default:
			bounded, cancel := context.WithTimeout(ctx, settleTimeout)
			s.settle(bounded, r)
			cancel()
		}
		if err != nil {
			return len(mine), err
		}
	}
	return len(mine), nil
}

func (s *Attempts) due(ctx context.Context) ([]row, error) {
	rows, err := s.db.Query(ctx, `SELECT attempt_id, gate, question, reservation_id, committed, expires_at, created_at, due_at, tries FROM gate_attempt
		WHERE due_at <= $1 ORDER BY due_at LIMIT $2`, s.now(), sweepBatch)
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.AttemptID, &r.gate, &r.Question, &r.ReservationID, &r.Committed, &r.expires, &r.created, &r.due, &r.tries); err != nil {
			return nil, fmt.Errorf("list attempts: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// claim puts off the next try of each row, and gives those that no other node had put off meanwhile. What somebody held until now is
// abandoned by that.
func (s *Attempts) claim(ctx context.Context, due []row) (mine []row, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		mine = mine[:0]
		for _, r := range due {
			wait := min(sweepEvery<<min(r.tries, 16), maxWait)
			n, err := tx.Exec(ctx, `UPDATE gate_attempt SET due_at = $4, tries = tries + 1, held_by = '' WHERE attempt_id = $1 AND gate = $2 AND due_at = $3`,
				r.AttemptID, r.gate, r.due, s.now().Add(wait))
			if err != nil {
				return fmt.Errorf("claim attempts: %w", err)
			}
			if n == 1 {
				mine = append(mine, r)
			}
		}
		return nil
	})
	return mine, err
}
