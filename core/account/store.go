package account

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package.
//
//go:embed migrations
var Migrations embed.FS

// Config of a Store.
type Config struct {
	DB  *store.DB
	Now func() time.Time // nil means the clock
}

// Store reads and changes accounts. Safe for concurrent use.
type Store struct {
	db  *store.DB
	now func() time.Time
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("account: a database is needed")
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC() }
	}
	now := cfg.Now
	return &Store{db: cfg.DB, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}, nil
}

const columns = `id, coalesce(email, ''), coalesce(username, ''), coalesce(display, ''), status, administrator, second_factor, confirmed_at, last_sign_in_at, created_at, updated_at, deleted_at`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Account, error) {
	var a Account
	var confirmed, signedIn, deleted *time.Time
	if err := row.Scan(&a.ID, &a.Email, &a.Username, &a.Display, &a.Status, &a.Administrator, &a.SecondFactor, &confirmed, &signedIn, &a.CreatedAt, &a.UpdatedAt, &deleted); err != nil {
		return Account{}, err
	}
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{confirmed, &a.ConfirmedAt}, {signedIn, &a.LastSignInAt}, {deleted, &a.DeletedAt}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	return a, nil
}

func found(a Account, err error) (Account, error) {
	if errors.Is(err, store.ErrNoRows) {
		return Account{}, ErrNotFound
	}
	if err != nil {
		return Account{}, fmt.Errorf("read account: %w", err)
	}
	return a, nil
}

// Get finds an account by id, deleted ones too; ErrNotFound when there is none.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Account, error) {
	return s.GetIn(ctx, s.db, id)
}

// GetIn is Get inside a transaction.
func (s *Store) GetIn(ctx context.Context, q store.Querier, id uuid.UUID) (Account, error) {
	return found(scan(q.QueryRow(ctx, `SELECT `+columns+` FROM account WHERE id = $1`, id)))
}

// GetMany finds the accounts with these ids, at most 1000, in no order; those that do not exist are left out.
func (s *Store) GetMany(ctx context.Context, ids []uuid.UUID) ([]Account, error) {
	if len(ids) > 1000 {
		return nil, fault.New(fault.Invalid, "too_many_ids", "At most 1000 accounts can be asked for at once.").At("ids")
	}
	out := make([]Account, 0, len(ids))
	// One indexed lookup each: a list parameter is written differently in the two databases, and callers ask for a page's worth.
	for _, id := range ids {
		a, err := s.Get(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// FindByEmail finds the live account with an address, which may be as a person typed it; ErrNotFound when there is
// none, also for what is no address at all.
func (s *Store) FindByEmail(ctx context.Context, email string) (Account, error) {
	e, err := ParseEmail(email)
	if err != nil {
		return Account{}, ErrNotFound
	}
	return s.FindByEmailIn(ctx, s.db, e)
}

// FindByEmailIn finds the live account with an address in the form of ParseEmail, inside a transaction.
func (s *Store) FindByEmailIn(ctx context.Context, q store.Querier, email string) (Account, error) {
	return found(scan(q.QueryRow(ctx, `SELECT `+columns+` FROM account WHERE email = $1 AND status <> 'deleted'`, email)))
}

// FindByUsername finds the live account with a username, which may be as a person typed it; ErrNotFound when there is
// none, also for what is no username at all.
func (s *Store) FindByUsername(ctx context.Context, username string) (Account, error) {
	u, err := ParseUsername(username)
	if err != nil {
		return Account{}, ErrNotFound
	}
	return s.FindByUsernameIn(ctx, s.db, u.Key)
}

// FindByUsernameIn finds the live account with the key of a username, inside a transaction.
func (s *Store) FindByUsernameIn(ctx context.Context, q store.Querier, key string) (Account, error) {
	return found(scan(q.QueryRow(ctx, `SELECT `+columns+` FROM account WHERE username_key = $1 AND status <> 'deleted'`, key)))
}

// NewAccount is what an account begins as.
type NewAccount struct {
	Email         string // in the form of ParseEmail
	Status        Status
	Administrator bool
	Display       string // one line of at most MaxDisplay characters; empty: none
}

// Create makes an account, or finds that a live one has the address: then it returns that one and false. It never
// fails on a duplicate, so that the transaction can go on, on either database, and whoever signs up an address that is
// taken causes the same statements.
func (s *Store) Create(ctx context.Context, tx *store.Tx, n NewAccount) (Account, bool, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Account{}, false, err
	}
	now := s.now()
	var confirmed *time.Time
	if n.Status == Active {
		confirmed = &now
	}
	// Again when the account that stood in the way was erased between the two statements.
	for range 3 {
		_, err = tx.Exec(ctx, `INSERT INTO account (id, email, status, administrator, confirmed_at, created_at, updated_at, display)
			VALUES ($1, $2, $3, $4, $5, $6, $6, nullif($7, ''))
			ON CONFLICT (email) WHERE status <> 'deleted' DO NOTHING`, id, n.Email, n.Status, n.Administrator, confirmed, now, n.Display)
		if err != nil {
			return Account{}, false, fmt.Errorf("create account: %w", err)
		}
		a, err := s.FindByEmailIn(ctx, tx, n.Email)
		if !IsNotFound(err) {
			return a, a.ID == id, err
		}
	}
	return Account{}, false, fmt.Errorf("create account: the address changes hands all the time")
}
