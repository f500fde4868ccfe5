package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// inboxSize is how many messages the development inbox keeps.
const inboxSize = 200

// Inbox is the development mailer: a table that a page shows. Messages lie in it in clear, links and codes included, so
// it is for development only; nothing goes to the network.
type Inbox struct {
	db  *store.DB
	now func() time.Time
}

var _ Mailer = (*Inbox)(nil)

// Received is a message in the inbox.
type Received struct {
	Message
	ReceivedAt time.Time `json:"received_at"`
}

// NewInbox makes an Inbox. A nil now means the clock.
func NewInbox(db *store.DB, now func() time.Time) (*Inbox, error) {
	if db == nil {
		return nil, errors.New("mail: the inbox needs a database")
	}
	if now == nil {
		now = time.Now
	}
	return &Inbox{db: db, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}, nil
}

// Send keeps the message; the same one twice is one message.
func (b *Inbox) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode mail: %w", err)
	}
	return b.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO mail_inbox (id, purpose, message, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
			m.ID, m.Purpose, json.RawMessage(body), b.now()); err != nil {
			return fmt.Errorf("keep mail: %w", err)
		}
		_, err := tx.Exec(ctx, `DELETE FROM mail_inbox WHERE id IN (SELECT id FROM mail_inbox ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET $1)`, inboxSize)
		return err
	})
}

// List gives the messages, newest first; to, when not empty, is the one recipient wanted.
func (b *Inbox) List(ctx context.Context, to string) ([]Received, error) {
	rows, err := b.db.Query(ctx, `SELECT message, created_at FROM mail_inbox ORDER BY created_at DESC, id DESC LIMIT $1`, inboxSize)
	if err != nil {
		return nil, fmt.Errorf("list inbox: %w", err)
	}
	defer rows.Close()
	out := []Received{}
	for rows.Next() {
		r, err := scanReceived(rows)
		if err != nil {
			return nil, err
		}
		if to == "" || r.To.Address == to {
			out = append(out, r)
		}
	}
	return out, rows.Err()
}

// Get gives one message.
func (b *Inbox) Get(ctx context.Context, id uuid.UUID) (Received, error) {
	r, err := scanReceived(b.db.QueryRow(ctx, `SELECT message, created_at FROM mail_inbox WHERE id = $1`, id))
	if errors.Is(err, store.ErrNoRows) {
		return Received{}, fault.New(fault.NotFound, "mail_not_found", "This message is not in the inbox (any more).")
	}
	return r, err
}

// Clear empties the inbox.
func (b *Inbox) Clear(ctx context.Context) error {
	return b.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM mail_inbox`)
		return err
	})
}

// eraseReceived removes what one address got.
func eraseReceived(ctx context.Context, tx *store.Tx, to string) error {
	rows, err := tx.Query(ctx, `SELECT message, created_at FROM mail_inbox`)
	if err != nil {
		return fmt.Errorf("erase inbox: %w", err)
	}
	defer rows.Close()
	var gone []uuid.UUID
	for rows.Next() {
		r, err := scanReceived(rows)
		if err != nil {
			return err
		}
		if r.To.Address == to {
			gone = append(gone, r.ID)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("erase inbox: %w", err)
	}
	rows.Close()
	for _, id := range gone {
		if _, err := tx.Exec(ctx, `DELETE FROM mail_inbox WHERE id = $1`, id); err != nil {
			return fmt.Errorf("erase inbox: %w", err)
		}
	}
	return nil
}

func scanReceived(row interface{ Scan(...any) error }) (Received, error) {
	var r Received
	var body json.RawMessage
	if err := row.Scan(&body, &r.ReceivedAt); err != nil {
		return Received{}, err
	}
	if err := json.Unmarshal(body, &r.Message); err != nil {
		return Received{}, fmt.Errorf("decode mail: %w", err)
	}
	return r, nil
}
