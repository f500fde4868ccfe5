package mailglass

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// The states of a message.
const (
	stateQueued    = "queued"
	stateSending   = "sending"
	stateAccepted  = "accepted"
	stateInbox     = "inbox" // kept for administrators to read; sent nowhere
	stateFailed    = "failed"
	stateUncertain = "uncertain"
	stateExpired   = "expired"
)

// outbox keeps messages until they are done. Every change is one transaction.
type outbox struct {
	db      *sql.DB
	dialect pluginsdk.Dialect
	now     func() time.Time
}

// message is a row of the outbox.
type message struct {
	ID             string    `json:"id"`
	Purpose        string    `json:"purpose"`
	Stream         string    `json:"stream"`
	From           string    `json:"from"`
	To             string    `json:"to"`
	Subject        string    `json:"subject"`
	OrganizationID string    `json:"organization_id,omitempty"`
	Sealed         []byte    `json:"-"`
	State          string    `json:"state"`
	Answer         string    `json:"answer,omitempty"`
	Attempts       int64     `json:"attempts"`
	DueAt          time.Time `json:"due_at"`
	Deadline       time.Time `json:"deadline,omitzero"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

const messageColumns = `id, purpose, stream, sender, recipient, subject, organization_id, sealed, state, answer, attempts, due_at, deadline, created_at, updated_at`

func scanMessage(row interface{ Scan(...any) error }) (m message, err error) {
	var deadline sql.NullTime
	err = row.Scan(&m.ID, &m.Purpose, &m.Stream, &m.From, &m.To, &m.Subject, &m.OrganizationID, &m.Sealed, &m.State, &m.Answer, &m.Attempts,
		storage.Time(&m.DueAt), &deadline, storage.Time(&m.CreatedAt), storage.Time(&m.UpdatedAt))
	if deadline.Valid {
		m.Deadline = deadline.Time.UTC()
	}
	return m, err
}

func (o *outbox) time() time.Time { return o.now().UTC().Truncate(time.Microsecond) }

// put stores a message; the same id is one message, whatever comes with it the second time.
func (o *outbox) put(ctx context.Context, m message) error {
	now := o.time()
	var deadline any
	if !m.Deadline.IsZero() {
		deadline = m.Deadline
	}
	return storage.Tx(ctx, o.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO mailglass_message (`+messageColumns+`, reported)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 0, $10, $11, $10, $10, $12) ON CONFLICT (id) DO NOTHING`,
			m.ID, m.Purpose, m.Stream, m.From, m.To, m.Subject, m.OrganizationID, m.Sealed, m.State, now, deadline, true)
		return err
	})
}

// claim takes one message that is due, for as long as an attempt may take. One that is still "sending" after that was given up by
// a process that died in mid-attempt: what became of it nobody can tell.
func (o *outbox) claim(ctx context.Context, patience time.Duration) (m message, found bool, err error) {
	err = storage.Tx(ctx, o.db, func(tx *sql.Tx) error {
		found = false
		now := o.time()
		skip := ""
		if o.dialect == pluginsdk.Postgres {
			skip = " FOR UPDATE SKIP LOCKED"
		}
		row := tx.QueryRowContext(ctx, `SELECT `+messageColumns+` FROM mailglass_message WHERE state IN ('queued', 'sending') AND due_at <= $1 ORDER BY due_at LIMIT 1`+skip, now)
		var err error
		if m, err = scanMessage(row); errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		found = true
		switch {
		case m.State == stateSending:
			m.State, m.Answer = stateUncertain, "the attempt was cut off"
		case !m.Deadline.IsZero() && !now.Before(m.Deadline):
			m.State, m.Answer = stateExpired, "not sent before its deadline"
		default:
			m.State, m.Attempts, m.DueAt = stateSending, m.Attempts+1, now.Add(patience)
		}
		return o.save(ctx, tx, m)
	})
	if err != nil {
		return m, false, fmt.Errorf("claim a message: %w", err)
	}
	return m, found, nil
}

// finish notes what became of an attempt. What is done is wiped.
func (o *outbox) finish(ctx context.Context, m message) error {
	return storage.Tx(ctx, o.db, func(tx *sql.Tx) error { return o.save(ctx, tx, m) })
}

func (o *outbox) save(ctx context.Context, tx *sql.Tx, m message) error {
	over := m.State != stateQueued && m.State != stateSending
	_, err := tx.ExecContext(ctx, `UPDATE mailglass_message SET state = $2, answer = $3, attempts = $4, due_at = $5, updated_at = $6,
		sealed = CASE WHEN $7 THEN NULL ELSE sealed END, reported = NOT $7 WHERE id = $1`,
		m.ID, m.State, m.Answer, m.Attempts, m.DueAt, o.time(), over)
	return err
}

// unreported gives messages that are done and of whose end Sigra was not told.
func (o *outbox) unreported(ctx context.Context, limit int) ([]message, error) {
	return o.list(ctx, `NOT reported AND state NOT IN ('queued', 'sending', 'inbox') ORDER BY due_at LIMIT $1`, limit)
}

func (o *outbox) reported(ctx context.Context, id string) error {
	return storage.Tx(ctx, o.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE mailglass_message SET reported = $2 WHERE id = $1`, id, true)
		return err
	})
}

func (o *outbox) list(ctx context.Context, where string, args ...any) (out []message, err error) {
	rows, err := o.db.QueryContext(ctx, `SELECT `+messageColumns+` FROM mailglass_message WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		m, err := scanMessage(rows)
		if err != nil {
			return nil, fmt.Errorf("list messages: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// last is the newest message to an address of which an end is known; sql.ErrNoRows: there is none since then.
func (o *outbox) last(ctx context.Context, to string, since time.Time) (message, error) {
	return scanMessage(o.db.QueryRowContext(ctx, `SELECT `+messageColumns+` FROM mailglass_message WHERE recipient = $1 AND state IN ('accepted', 'failed') AND updated_at > $2
		ORDER BY updated_at DESC LIMIT 1`, to, since))
}

// get gives one message.
func (o *outbox) get(ctx context.Context, id string) (message, error) {
	return scanMessage(o.db.QueryRowContext(ctx, `SELECT `+messageColumns+` FROM mailglass_message WHERE id = $1`, id))
}

// counts are how many messages are in each state.
func (o *outbox) counts(ctx context.Context) (map[string]int64, error) {
	rows, err := o.db.QueryContext(ctx, `SELECT state, count(*) FROM mailglass_message GROUP BY state`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := map[string]int64{}
	for rows.Next() {
		var state string
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return nil, err
		}
		out[state] = n
	}
	return out, rows.Err()
}
