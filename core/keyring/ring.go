package keyring

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table keyring_key.
//
//go:embed migrations
var Migrations embed.FS

// Config says where the keys are.
type Config struct {
	DB *store.DB
	// Root is the root key from the configuration. When it is zero, DataDir/root.key is used, and made when neither
	// it nor any data key exists.
	Root Secret
	// OldRoots unwrap data keys that Root doesn't; those are wrapped anew with Root.
	OldRoots []Secret
	DataDir  string
	Now      func() time.Time // nil: the system's
	Logger   hclog.Logger     // nil: silent
}

// Ring holds the data keys in memory. Safe for concurrent use.
type Ring struct {
	db    *store.DB
	roots []*root // the current one first
	now   func() time.Time
	log   hclog.Logger

	keys atomic.Pointer[keyset]

	reload   sync.Mutex // one reading of the table at a time
	lastRead time.Time  // guarded by reload
	budget   float64    // guarded by reload: readings that unknown key ids may still cause
}

// keyset is one consistent reading of the table; it never changes.
type keyset struct {
	active *dataKey
	mac    *dataKey
	byID   map[uuid.UUID]*dataKey
	list   []Key
}

type dataKey struct {
	Key
	kind string
	key  *[keySize]byte
	head []byte // of what it seals
}

// Key describes a data key.
type Key struct {
	ID        uuid.UUID `json:"id"`
	State     string    `json:"state"` // "active" or "retired"
	CreatedAt time.Time `json:"created_at"`
}

const (
	kindSeal     = "seal"
	kindMAC      = "mac"
	stateActive  = "active"
	stateRetired = "retired"
)

// Open reads the keys, makes the first ones in an empty database, and wraps anew those of old root keys. It fails when
// a data key exists that no root key at hand unwraps.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	if cfg.DB == nil {
		return nil, errors.New("keyring: no database")
	}
	r := &Ring{db: cfg.DB, now: cfg.Now, log: cfg.Logger, budget: reloadBurst}
	if r.now == nil {
		r.now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if r.log == nil {
		r.log = hclog.NewNullLogger()
	}
	rows, err := readRows(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	if err := r.loadRoots(cfg, len(rows)); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		if rows, err = r.begin(ctx, cfg.DataDir); err != nil {
			return nil, err
		}
	}
	if err := r.rewrap(ctx, rows); err != nil {
		return nil, err
	}
	ks, err := r.unwrapAll(rows)
	if err != nil {
		return nil, err
	}
	r.keys.Store(ks)
	r.lastRead = time.Now()
	return r, nil
}

// Seal encrypts plain for a purpose, which Open must be given again.
func (r *Ring) Seal(plain []byte, purpose string) []byte {
	k := r.keys.Load().active
	return seal(k.key, k.head, plain, purpose)
}

// Open decrypts what Seal made for the same purpose. stale says that it was sealed with a retired key and should be
// sealed again. Any failure is an ErrSealed.
func (r *Ring) Open(sealed []byte, purpose string) (plain []byte, stale bool, err error) {
	id, err := sealedKeyID(sealed)
	if err != nil {
		return nil, false, err
	}
	ks := r.keys.Load()
	k := ks.byID[id]
	if k == nil {
		// Another node has rotated since we read the table.
		if ks = r.reloadFor(id); ks != nil {
			k = ks.byID[id]
		}
	}
	if k == nil || k.kind != kindSeal {
		return nil, false, errUnknownKey
	}
	plain, err = open(k.key, sealHead, sealed, purpose)
	if err != nil {
		return nil, false, err
	}
	return plain, k.ID != ks.active.ID, nil
}

// MAC is a keyed hash of 32 bytes, different for every purpose. Rotation doesn't change it.
func (r *Ring) MAC(purpose string, msg []byte) []byte {
	return mac(r.keys.Load().mac.key, purpose, msg)
}

// Keys lists the sealing keys, newest first.
func (r *Ring) Keys() []Key { return append([]Key(nil), r.keys.Load().list...) }

// Root is the fingerprint of the root key in use, safe to show.
func (r *Ring) Root() string { return r.roots[0].fingerprint() }

// Rotate makes a new sealing key and retires the active one. record runs in the same transaction, with the new key, to
// write the audit row; its error undoes the rotation. It may run more than once.
func (r *Ring) Rotate(ctx context.Context, record func(ctx context.Context, tx *store.Tx, made Key) error) (Key, error) {
	var made Key
	err := r.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := lockTable(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE keyring_key SET state = 'retired' WHERE kind = $1 AND state = 'active'`, kindSeal); err != nil {
			return err
		}
		k, err := r.insertKey(ctx, tx, kindSeal)
		if err != nil {
			return err
		}
		made = k.Key
		if record == nil {
			return nil
		}
		return record(ctx, tx, made)
	})
	if err != nil {
		return Key{}, fmt.Errorf("rotate key: %w", err)
	}
	// The key is in the table whatever happens here; reading it can be tried again.
	if err := r.Refresh(context.WithoutCancel(ctx)); err != nil {
		r.log.Warn("new key not yet in use by this node", "key", made.ID, "error", err)
	}
	return made, nil
}
