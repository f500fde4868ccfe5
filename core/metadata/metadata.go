package metadata

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/metadata/schema"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package.
//
//go:embed migrations
var Migrations embed.FS

// DefaultMaxBytes is how large the object of one scope may be when nothing else is configured.
const DefaultMaxBytes = 16 << 10

// Scope says whose an object is.
type Scope string

// The scopes; doc.go says who reads and writes them.
const (
	Public  Scope = "public"
	Private Scope = "private"
	User    Scope = "user"
)

// Scopes lists them.
func Scopes() []Scope { return []Scope{Public, Private, User} }

// Valid reports whether s is a scope.
func (s Scope) Valid() bool { return slices.Contains(Scopes(), s) }

// Object is what a scope of an account holds.
type Object struct {
	Scope     Scope
	Version   int64           // 0: nothing was ever written
	Value     json.RawMessage // a JSON object; {} when nothing was ever written
	UpdatedAt time.Time       // zero: never
}

// ErrVersion says that the object is not in the version that the change was meant for.
var ErrVersion = fault.New(fault.Conflict, "metadata_changed", "The metadata were changed in the meantime. Read them again.").At("version")

var errScope = fault.New(fault.Invalid, "invalid_scope", "The scope is one of public, private and user.").At("scope")

// Rules say what objects may be.
type Rules struct {
	MaxBytes int                      // 0: DefaultMaxBytes
	Schemas  map[Scope]*schema.Schema // without one, any object will do
}

// Config of a Store.
type Config struct {
	DB    *store.DB
	Rules Rules
	Now   func() time.Time // nil means the clock
}

// Store reads and changes metadata. Safe for concurrent use.
type Store struct {
	db    *store.DB
	rules atomic.Pointer[Rules]
	now   func() time.Time
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("metadata: a database is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Store{db: cfg.DB, now: func() time.Time { return cfg.Now().UTC().Truncate(time.Microsecond) }}
	s.SetRules(cfg.Rules)
	return s, nil
}

// SetRules changes what objects may be, for what is written from now on.
func (s *Store) SetRules(r Rules) {
	if r.MaxBytes <= 0 {
		r.MaxBytes = DefaultMaxBytes
	}
	s.rules.Store(&r)
}

// Get reads the object of a scope. An account that is not there has empty ones.
func (s *Store) Get(ctx context.Context, q store.Querier, accountID uuid.UUID, scope Scope) (Object, error) {
	if !scope.Valid() {
		return Object{}, errScope
	}
	o, value := Object{Scope: scope}, ""
	err := q.QueryRow(ctx, `SELECT version, value, updated_at FROM account_metadata WHERE account_id = $1 AND scope = $2`, accountID, string(scope)).
		Scan(&o.Version, &value, &o.UpdatedAt)
	if errors.Is(err, store.ErrNoRows) {
		o.Value = json.RawMessage("{}")
		return o, nil
	}
	if err != nil {
		return Object{}, fmt.Errorf("read metadata: %w", err)
	}
	o.Value = json.RawMessage(value)
	return o, nil
}

// Change is one change of an object: exactly one of Replace and Merge is set, each the text of a JSON object.
type Change struct {
	Scope   Scope
	Replace []byte
	Merge   []byte // RFC 7396
	Version *int64 // the version that is to be changed; nil: whichever there is
}

// Apply makes a change. It gives the object as it is then, and which of its members are not as they were, sorted; none means that
// nothing was changed, and the version stays. ErrVersion when it is not the version to be changed; Invalid and TooLarge faults
// name the scope and the place. The caller holds the account's lock (account.Store.Lock), or may get ErrVersion for a change
// made at the same time.
func (s *Store) Apply(ctx context.Context, tx *store.Tx, accountID uuid.UUID, c Change) (Object, []string, error) {
	was, err := s.Get(ctx, tx, accountID, c.Scope)
	if err != nil {
		return Object{}, nil, err
	}
	if c.Version != nil && *c.Version != was.Version {
		return Object{}, nil, ErrVersion
	}
	before, err := schema.ParseObject(was.Value)
	if err != nil {
		return Object{}, nil, fmt.Errorf("read stored metadata: %w", err)
	}
	text := c.Replace
	if c.Merge != nil {
		text = c.Merge
	}
	rules := s.rules.Load()
	if len(text) > maxText(rules.MaxBytes) {
		return Object{}, nil, tooLarge(c.Scope, rules.MaxBytes)
	}
	after, err := schema.ParseObject(text)
	if err != nil {
		return Object{}, nil, invalid(c.Scope, err)
	}
	if c.Merge != nil {
		after = schema.Merge(before, after)
	}
	value, err := rules.check(c.Scope, after)
	if err != nil {
		return Object{}, nil, err
	}
	changed, err := differences(before, after)
	if err != nil || len(changed) == 0 {
		return was, nil, err
	}
	is := Object{Scope: c.Scope, Version: was.Version + 1, Value: value, UpdatedAt: s.now()}
	n, err := tx.Exec(ctx, `INSERT INTO account_metadata (account_id, scope, version, value, updated_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id, scope) DO UPDATE SET version = $3, value = $4, updated_at = $5 WHERE account_metadata.version = $6`,
		accountID, string(c.Scope), is.Version, string(value), is.UpdatedAt, was.Version)
	if err != nil {
		return Object{}, nil, fmt.Errorf("change metadata: %w", err)
	}
	if n == 0 {
		return Object{}, nil, ErrVersion
	}
	return is, changed, nil
}

// MaxText is what the text of a change may have, by the rules there are now.
func (s *Store) MaxText() int64 { return int64(maxText(s.rules.Load().MaxBytes)) }

// maxText is what the text of a change may have: white space is not kept, but is read.
func maxText(maxBytes int) int { return 2*maxBytes + 1024 }

func (r *Rules) check(scope Scope, o map[string]any) (json.RawMessage, error) {
	value, err := schema.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write metadata: %w", err)
	}
	if len(value) > r.MaxBytes {
		return nil, tooLarge(scope, r.MaxBytes)
	}
	// A merge can nest no deeper than its two sides do, but is read back with the same bound.
	if s := r.Schemas[scope]; s != nil {
		if err := s.Check(o); err != nil {
			return nil, invalid(scope, err)
		}
	}
	return value, nil
}

func tooLarge(scope Scope, most int) error {
	return fault.Newf(fault.TooLarge, "metadata_too_large", "The %s metadata of an account may have at most %d bytes.", scope, most).At(string(scope))
}

func invalid(scope Scope, err error) error {
	var e *schema.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("check metadata: %w", err)
	}
	return fault.Newf(fault.Invalid, "invalid_metadata", "The %s metadata can't be so: %s.", scope, e).At(string(scope) + e.Pointer)
}

// differences names the members at the top that are not the same in both.
func differences(before, after map[string]any) ([]string, error) {
	var out []string
	for name, was := range before {
		is, there := after[name]
		same, err := equal(was, is)
		if err != nil {
			return nil, err
		}
		if !there || !same {
			out = append(out, name)
		}
	}
	for name := range after {
		if _, there := before[name]; !there {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func equal(a, b any) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

// Erase forgets what an account has in the scopes, or in all of them when none is named.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID, scopes ...Scope) error {
	if len(scopes) == 0 {
		scopes = Scopes()
	}
	for _, scope := range scopes {
		if _, err := tx.Exec(ctx, `DELETE FROM account_metadata WHERE account_id = $1 AND scope = $2`, accountID, string(scope)); err != nil {
			return fmt.Errorf("erase metadata: %w", err)
		}
	}
	return nil
}
