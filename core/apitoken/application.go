package apitoken

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package.
//
//go:embed migrations
var Migrations embed.FS

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Impersonal: []string{"application_key"}}
}

// Limits.
const (
	MaxName    = 64                  // characters
	MaxKeys    = 100                 // of all applications
	MaxOverlap = 30 * 24 * time.Hour // of a rotation
	MaxLife    = 10 * 365 * 24 * time.Hour

	hintLen  = 4
	cacheFor = time.Second // so that a key that another node revoked is refused within that
	usedNote = time.Minute // how exact "last used" is
)

// Key is an application's key without its secret.
type Key struct {
	ID         uuid.UUID
	Name       string // of the application
	Hint       string // the key's last characters
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: it does not expire
	LastUsedAt time.Time // to the minute; zero: never
}

// Faults.
var (
	ErrNotFound = fault.New(fault.NotFound, "application_key_not_found", "There is no such application key.")
	ErrTooMany  = fault.New(fault.Conflict, "too_many_application_keys", "There are 100 application keys already. Revoke one that is not used any more.")
	ErrName     = fault.New(fault.Invalid, "invalid_name", "A name has 1 to 64 characters, and none that can't be seen.").At("name")
	ErrOverlap  = fault.New(fault.Invalid, "invalid_overlap", "The old key can go on for at most 30 days.").At("overlap")
	ErrLife     = fault.New(fault.Invalid, "invalid_expiry", "A key expires in the future, in ten years at most.").At("expires_at")
	// ErrUnknown is for a key that is none, or not any more.
	ErrUnknown = fault.New(fault.Unauthenticated, "unauthenticated", "This application key is not known, or not any more.")
)

// Recorder writes an audit row in the transaction of the change it speaks of; *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
}

// Config of a Store. All but Now and Logger are needed.
type Config struct {
	DB     *store.DB
	Audit  Recorder
	Now    func() time.Time // nil means the clock
	Logger hclog.Logger     // nil means silent
}

// Store keeps the keys of applications. Safe for concurrent use. Keep Run running, so that their use is noted.
type Store struct {
	db    *store.DB
	audit Recorder
	now   func() time.Time
	log   hclog.Logger

	mu    sync.Mutex
	known map[[32]byte]looked // keys that were good a moment ago
	used  map[uuid.UUID]time.Time
}

type looked struct {
	key Key
	at  time.Time
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Audit == nil {
		return nil, errors.New("apitoken: a database and an audit log are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	return &Store{
		db: cfg.DB, audit: cfg.Audit, log: cfg.Logger, now: func() time.Time { return cfg.Now().UTC().Truncate(time.Microsecond) },
		known: map[[32]byte]looked{}, used: map[uuid.UUID]time.Time{},
	}, nil
}

// Create makes a key. The token is given once and can't be read again. A zero expires never comes.
func (s *Store) Create(ctx context.Context, actor audit.Ref, name string, expires time.Time) (k Key, token string, err error) {
	if !validName(name) {
		return Key{}, "", ErrName
	}
	if !expires.IsZero() && (!expires.After(s.now()) || expires.Sub(s.now()) > MaxLife) {
		return Key{}, "", ErrLife
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if k, token, err = s.insert(ctx, tx, name, expires); err != nil {
			return err
		}
		return s.record(ctx, tx, actor, "admin.application_key.create", k, nil)
	}, store.Serializable()) // two at once count each other
	return k, token, err
}

// Rotate makes another key for the same application. The old one goes on for the overlap and ends then; zero: at once.
func (s *Store) Rotate(ctx context.Context, actor audit.Ref, id uuid.UUID, overlap time.Duration) (k Key, token string, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Key{}, "", ErrOverlap
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		old, err := s.get(ctx, tx, id)
		if err != nil {
			return err
		}
		end := s.now().Add(overlap)
		if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(end) {
			end = old.ExpiresAt
		}
		if n, err := tx.Exec(ctx, `UPDATE application_key SET expires_at = $2 WHERE id = $1`, id, end); err != nil || n == 0 {
			return cmp.Or(err, error(ErrNotFound))
		}
		if k, token, err = s.insert(ctx, tx, old.Name, time.Time{}); err != nil {
			return err
		}
		return s.record(ctx, tx, actor, "admin.application_key.rotate", k, map[string]any{"previous_key_id": id.String(), "overlap": int64(overlap / time.Second)})
	}, store.Serializable())
	s.forget(id)
	return k, token, err
}

// Revoke ends a key: here at once, on other nodes within a second.
func (s *Store) Revoke(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		k, err := s.get(ctx, tx, id)
		if err != nil {
			return err
		}
		if n, err := tx.Exec(ctx, `DELETE FROM application_key WHERE id = $1`, id); err != nil || n == 0 {
			return cmp.Or(err, error(ErrNotFound))
		}
		return s.record(ctx, tx, actor, "admin.application_key.revoke", k, nil)
	})
	s.forget(id)
	return err
}

// List gives the keys that are good, by name, the oldest first.
func (s *Store) List(ctx context.Context) ([]Key, error) {
	rows, err := s.db.Query(ctx, `SELECT `+columns+` FROM application_key WHERE expires_at IS NULL OR expires_at > $1 ORDER BY name, id`, s.now())
	if err != nil {
		return nil, fmt.Errorf("list application keys: %w", err)
	}
	defer rows.Close()
	var out []Key
	for rows.Next() {
		k, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// Application says whose a key is, by the key's id and the application's name. known is false for what is no application's key by its looks;
// ErrUnknown for one that is not good.
func (s *Store) Application(ctx context.Context, token string) (id uuid.UUID, name string, known bool, err error) {
	hash, ok := parse(ApplicationPrefix, token)
	if !ok {
		return uuid.Nil, "", false, nil
	}
	k, err := s.lookUp(ctx, hash)
	return k.ID, k.Name, true, err
}

func (s *Store) lookUp(ctx context.Context, hash []byte) (Key, error) {
	now := s.now()
	s.mu.Lock()
	l, ok := s.known[[32]byte(hash)]
	s.mu.Unlock()
	if !ok || now.Sub(l.at) >= cacheFor {
		var err error
		l.key, err = scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM application_key WHERE hash = $1`, hash))
		switch {
		case errors.Is(err, store.ErrNoRows):
			return Key{}, ErrUnknown
		case err != nil:
			return Key{}, fmt.Errorf("read application key: %w", err)
		}
		l.at = now
	}
	if !l.key.ExpiresAt.IsZero() && !now.Before(l.key.ExpiresAt) {
		return Key{}, ErrUnknown
	}
	s.mu.Lock()
	s.known[[32]byte(hash)], s.used[l.key.ID] = l, now
	s.mu.Unlock()
	return l.key, nil
}

// forget has a key looked up anew.
func (s *Store) forget(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, l := range s.known {
		if l.key.ID == id {
			delete(s.known, h)
		}
	}
}

// Run notes when keys were used, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	t := time.NewTicker(usedNote)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			s.note(end)
			return nil
		case <-t.C:
			s.note(ctx)
		}
	}
}

func (s *Store) note(ctx context.Context) {
	s.mu.Lock()
	used := s.used
	s.used, s.known = map[uuid.UUID]time.Time{}, map[[32]byte]looked{}
	s.mu.Unlock()
	for id, at := range used {
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE application_key SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)`, id, at)
			return err
		})
		if err != nil {
			s.log.Debug("the use of an application key was not noted", "key_id", id, "error", err)
		}
	}
}

// Clean deletes what has expired and says how much that was.
func (s *Store) Clean(ctx context.Context) (n int64, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err = tx.Exec(ctx, `DELETE FROM application_key WHERE expires_at <= $1`, s.now())
		return err
	})
	return n, err
}

const columns = `id, name, hint, created_at, expires_at, last_used_at`

type row interface{ Scan(into ...any) error }

func scan(r row) (Key, error) {
	var k Key
	var expires, used *time.Time
	err := r.Scan(&k.ID, &k.Name, &k.Hint, &k.CreatedAt, &expires, &used)
	if expires != nil {
		k.ExpiresAt = *expires
	}
	if used != nil {
		k.LastUsedAt = *used
	}
	return k, err
}

func (s *Store) get(ctx context.Context, tx *store.Tx, id uuid.UUID) (Key, error) {
	k, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM application_key WHERE id = $1 AND (expires_at IS NULL OR expires_at > $2)`, id, s.now()))
	if errors.Is(err, store.ErrNoRows) {
		return Key{}, ErrNotFound
	}
	return k, err
}

func (s *Store) insert(ctx context.Context, tx *store.Tx, name string, expires time.Time) (Key, string, error) {
	var n int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM application_key`).Scan(&n); err != nil {
		return Key{}, "", err
	}
	if n >= MaxKeys {
		return Key{}, "", ErrTooMany
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Key{}, "", err
	}
	token, hash := generate(ApplicationPrefix)
	k := Key{ID: id, Name: name, Hint: token[len(token)-hintLen:], CreatedAt: s.now(), ExpiresAt: expires}
	var end *time.Time
	if !expires.IsZero() {
		end = &expires
	}
	_, err = tx.Exec(ctx, `INSERT INTO application_key (id, name, hash, hint, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`, k.ID, k.Name, hash, k.Hint, k.CreatedAt, end)
	return k, token, err
}

func (s *Store) record(ctx context.Context, tx *store.Tx, actor audit.Ref, action string, k Key, more map[string]any) error {
	meta := map[string]any{"key_id": k.ID.String(), "name": k.Name}
	for name, v := range more {
		meta[name] = v
	}
	_, err := s.audit.Record(ctx, tx, audit.Entry{Action: action, Actor: actor, Metadata: meta})
	return err
}

func validName(s string) bool {
	n := 0
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return false
		}
		n++
	}
	return n >= 1 && n <= MaxName
}
