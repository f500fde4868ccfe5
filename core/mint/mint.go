package mint

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package.
//
//go:embed migrations
var Migrations embed.FS

// Keep is for how long a plugin can ask.
const Keep = 24 * time.Hour

// Status is how a sign-in stands.
type Status string

// The statuses; doc.go draws how one follows another.
const (
	Pending   Status = "pending"
	SignedIn  Status = "signed_in"
	Linked    Status = "linked"
	SteppedUp Status = "stepped_up"
	Tested    Status = "tested"
	Refused   Status = "refused"
	Expired   Status = "expired"
)

// Outcome is what became of one sign-in.
type Outcome struct {
	Status                            Status
	Reason                            string    // a code, where it was refused
	UserID, SessionID                 uuid.UUID // as far as they are known
	AccountCreated, MembershipCreated bool
}

// ErrNotFound says that the plugin has no such sign-in, or none of the last day.
var ErrNotFound = fault.New(fault.NotFound, "mint_not_found", "There is no such sign-in of the last day.").At("mint_id")

// Store keeps outcomes. Safe for concurrent use.
type Store struct {
	db  *store.DB
	now func() time.Time
}

// New makes a Store. A nil now means the clock.
func New(db *store.DB, now func() time.Time) (*Store, error) {
	if db == nil {
		return nil, errors.New("mint: a database is needed")
	}
	if now == nil {
		now = time.Now
	}
	return &Store{db: db, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}, nil
}

// Begin notes that a plugin has vouched for somebody; the sign-in has expired when nothing comes of it within ttl.
func (s *Store) Begin(ctx context.Context, tx *store.Tx, plugin string, ttl time.Duration) (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	now := s.now()
	_, err = tx.Exec(ctx, `INSERT INTO mint (id, plugin, status, pending_until, keep_until) VALUES ($1, $2, $3, $4, $5)`, id, plugin, string(Pending), now.Add(ttl), now.Add(Keep))
	if err != nil {
		return uuid.Nil, fmt.Errorf("note minted sign-in: %w", err)
	}
	return id, nil
}

// Wait gives a pending sign-in until a moment: the person is asked for something more. o tells what is known by now.
func (s *Store) Wait(ctx context.Context, tx *store.Tx, id uuid.UUID, until time.Time, o Outcome) error {
	_, err := tx.Exec(ctx, `UPDATE mint SET pending_until = $2, account_id = $3, account_created = (account_created OR $4) WHERE id = $1 AND status = 'pending'`,
		id, until, orNull(o.UserID), o.AccountCreated)
	if err != nil {
		return fmt.Errorf("note minted sign-in: %w", err)
	}
	return nil
}

// Settle notes how a pending sign-in ended. The nil id is nobody's, and nothing is noted.
func (s *Store) Settle(ctx context.Context, tx *store.Tx, id uuid.UUID, o Outcome) error {
	if id == uuid.Nil {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE mint SET status = $2, reason = $3, account_id = coalesce($4, account_id), session_id = $5, account_created = (account_created OR $6), membership_created = $7
		WHERE id = $1 AND status = 'pending'`,
		id, string(o.Status), o.Reason, orNull(o.UserID), orNull(o.SessionID), o.AccountCreated, o.MembershipCreated)
	if err != nil {
		return fmt.Errorf("settle minted sign-in: %w", err)
	}
	return nil
}

// Get tells a plugin what became of one of its sign-ins.
func (s *Store) Get(ctx context.Context, plugin string, id uuid.UUID) (Outcome, error) {
	var o Outcome
	var user, session *uuid.UUID
	var until time.Time
	err := s.db.QueryRow(ctx, `SELECT status, reason, account_id, session_id, account_created, membership_created, pending_until FROM mint
		WHERE id = $1 AND plugin = $2 AND keep_until > $3`, id, plugin, s.now()).
		Scan(&o.Status, &o.Reason, &user, &session, &o.AccountCreated, &o.MembershipCreated, &until)
	if errors.Is(err, store.ErrNoRows) {
		return Outcome{}, ErrNotFound
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("read minted sign-in: %w", err)
	}
	if user != nil {
		o.UserID = *user
	}
	if session != nil {
		o.SessionID = *session
	}
	if o.Status == Pending && !s.now().Before(until) {
		o.Status = Expired
	}
	return o, nil
}

// Clean forgets what nobody can ask for any more.
func (s *Store) Clean(ctx context.Context) (n int64, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = tx.Exec(ctx, `DELETE FROM mint WHERE keep_until <= $1`, s.now())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget minted sign-ins: %w", err)
	}
	return n, nil
}

// Schema says what the package keeps.
func Schema() part.Schema { return part.Schema{Migrations: Migrations, Personal: []string{"mint"}} }

// Exported is a sign-in in its person's export.
type Exported struct {
	ID     string `json:"id"`
	Plugin string `json:"plugin"`
	Status Status `json:"status"`
}

// Export gives the sign-ins of the last day that plugins vouched for.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	rows, err := q.Query(ctx, `SELECT id, plugin, status FROM mint WHERE account_id = $1 ORDER BY id`, who.UserID)
	if err != nil {
		return nil, fmt.Errorf("export minted sign-ins: %w", err)
	}
	defer rows.Close()
	out := []Exported{}
	for rows.Next() {
		var e Exported
		if err := rows.Scan(&e.ID, &e.Plugin, &e.Status); err != nil {
			return nil, fmt.Errorf("export minted sign-ins: %w", err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// Erase forgets a person's sign-ins.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM mint WHERE account_id = $1`, accountID); err != nil {
		return fmt.Errorf("erase minted sign-ins: %w", err)
	}
	return nil
}

// orNull keeps the nil id out of the table.
func orNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}
