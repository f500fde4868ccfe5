package erasure

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package.
//
//go:embed migrations
var Migrations embed.FS

const (
	firstWait = 10 * time.Second
	maxWait   = time.Hour
	batch     = 50
)

// Sealer encrypts; core/keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
}

// Recorder writes an audit row in the transaction of the change it speaks of; *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
}

// Config of a Store. All but Now and Logger are needed.
type Config struct {
	DB     *store.DB
	Keys   Sealer
	Audit  Recorder
	Now    func() time.Time // nil means the clock
	Logger hclog.Logger     // nil means silent
}

// Store keeps what is to be removed. Safe for concurrent use.
type Store struct {
	db      *store.DB
	keys    Sealer
	audit   Recorder
	now     func() time.Time
	log     hclog.Logger
	plugins atomic.Pointer[[]string]
	nudge   chan struct{}
}

// New makes a Store that knows no plugins.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Keys == nil || cfg.Audit == nil {
		return nil, errors.New("erasure: a database, a keyring and an audit log are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	s := &Store{log: cfg.Logger, db: cfg.DB, keys: cfg.Keys, audit: cfg.Audit, now: func() time.Time { return cfg.Now().UTC().Truncate(time.Microsecond) }, nudge: make(chan struct{}, 1)}
	s.Use(nil)
	return s, nil
}

// Use says which plugins there are, from the next deletion on.
func (s *Store) Use(plugins []string) { s.plugins.Store(&plugins) }

// Task is one person, of whom one plugin has something.
type Task struct {
	ID      uuid.UUID
	Plugin  string
	UserID  uuid.UUID
	Email   string // as it was
	Tries   int64  // before this one
	Created time.Time
}

type subject struct {
	UserID uuid.UUID `json:"user_id"`
	Email  string    `json:"email"`
}

// Enqueue has every plugin asked to forget a person, in the transaction of the deletion.
func (s *Store) Enqueue(ctx context.Context, tx *store.Tx, who part.Subject) error {
	plugins := *s.plugins.Load()
	if len(plugins) == 0 {
		return nil
	}
	plain, err := json.Marshal(subject{who.UserID, who.Email})
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		now := s.now()
		if _, err := tx.Exec(ctx, `INSERT INTO erasure (id, plugin, subject, created_at, due_at, tries) VALUES ($1, $2, $3, $4, $4, 0)`, id, plugin, s.keys.Seal(plain, sealed.Purpose(id)), now); err != nil {
			return fmt.Errorf("note erasure: %w", err)
		}
	}
	tx.AfterCommit(func() {
		select {
		case s.nudge <- struct{}{}:
		default: // one waits already
		}
	})
	return nil
}

// Nudged says that this process has enqueued something.
func (s *Store) Nudged() <-chan struct{} { return s.nudge }

// Due takes up what is due, for this node alone: the next try of each is put off, longer each time.
func (s *Store) Due(ctx context.Context) ([]Task, error) {
	type row struct {
		Task
		sealed []byte
		due    time.Time
	}
	rows, err := s.db.Query(ctx, `SELECT id, plugin, subject, created_at, due_at, tries FROM erasure WHERE due_at <= $1 ORDER BY due_at LIMIT $2`, s.now(), batch)
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	defer rows.Close()
	var found []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.ID, &r.Plugin, &r.sealed, &r.Created, &r.due, &r.Tries); err != nil {
			return nil, fmt.Errorf("list erasures: %w", err)
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil || len(found) == 0 {
		return nil, err
	}
	var mine []Task
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		mine = mine[:0]
		for _, r := range found {
			n, err := tx.Exec(ctx, `UPDATE erasure SET due_at = $3, tries = tries + 1 WHERE id = $1 AND due_at = $2`, r.ID, r.due, s.now().Add(min(firstWait<<min(r.Tries, 16), maxWait)))
			if err != nil {
				return fmt.Errorf("take up erasures: %w", err)
			}
			if n == 0 {
				continue // another node has it
			}
			plain, _, err := s.keys.Open(r.sealed, sealed.Purpose(r.ID))
			if err != nil { // its key is gone: the others go on
				s.log.Error("an erasure can't be read, will try again", "id", r.ID, "error", err)
				continue
			}
			var who subject
			if err := json.Unmarshal(plain, &who); err != nil {
				return fmt.Errorf("read erasure %s: %w", r.ID, err)
			}
			r.UserID, r.Email = who.UserID, who.Email
			mine = append(mine, r.Task)
		}
		return nil
	})
	return mine, err
}

// Done notes that a plugin has nothing of the person any more, and, where it was asked, that it removed it.
func (s *Store) Done(ctx context.Context, t Task, asked bool) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM erasure WHERE id = $1`, t.ID)
		if err != nil {
			return fmt.Errorf("end erasure: %w", err)
		}
		if n == 0 || !asked {
			return nil
		}
		_, err = s.audit.Record(ctx, tx, audit.Entry{
			Action: "account.plugin_erase", Actor: audit.Ref{Type: "plugin", ID: t.Plugin}, Targets: []audit.Ref{{Type: "user", ID: t.UserID.String()}},
			Metadata: map[string]any{"plugin": t.Plugin, "tries": t.Tries + 1},
		})
		return err
	})
}

// Forget drops what a plugin was to remove: its data are gone.
func (s *Store) Forget(ctx context.Context, plugin string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM erasure WHERE plugin = $1`, plugin)
		return err
	})
}

// Schema says what the package keeps. Whom a row is about is sealed, and nobody finds it by them: it is a task, and goes when it is done.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Impersonal: []string{"erasure"}, Sealed: []part.SealedColumn{sealed}}
}

var sealed = part.SealedColumn{
	Name:   "erasure.subject",
	Select: `SELECT id, subject FROM erasure WHERE id > $1 ORDER BY id LIMIT $2`,
	Update: `UPDATE erasure SET subject = $3 WHERE id = $1 AND subject = $2`,
}
