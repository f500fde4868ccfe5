package sessionjwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
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
	return part.Schema{Migrations: Migrations, Impersonal: []string{"signing_key"}, Sealed: []part.SealedColumn{sealed}}
}

var sealed = part.SealedColumn{
	Name:   "signing_key.sealed",
	Select: `SELECT id, sealed FROM signing_key WHERE id > $1 ORDER BY id LIMIT $2`,
	Update: `UPDATE signing_key SET sealed = $3 WHERE id = $1 AND sealed = $2`,
}

// MaxAge is how long a verifier may keep the set of keys.
const MaxAge = 15 * time.Minute

const (
	rotateAfter = 30 * 24 * time.Hour
	// lead is how long a key is published before it signs: longer than anybody keeps a set without it, and than a node's own copy is old.
	lead = MaxAge + 5*time.Minute
	// keep is how long a key is published after it has signed its last token: longer than that token lives, with a clock that is wrong.
	keep = time.Hour
	// look is how often a node reads the keys: another may have rotated them.
	look = time.Minute
)

// State is where a key is in its life.
type State string

// The states.
const (
	Next    State = "next"    // published, and signs later
	Current State = "current" // signs
	Retired State = "retired" // published for what it has signed
)

// Key is a signing key without its private half.
type Key struct {
	ID    uuid.UUID `json:"id"`
	State State     `json:"state"`
	Since time.Time `json:"since"`
}

// key is one that can sign.
type key struct {
	Key
	private *ecdsa.PrivateKey
}

// keys are all of them, as this node has read them.
type keys struct {
	all     []key
	current *key
	signer  jose.Signer
	set     []byte // JSON
}

// Sealer encrypts; core/keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
}

// Recorder writes an audit row in the transaction of the change it speaks of; *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
}

// Config of an Issuer. All but Audience, Now and Logger are needed.
type Config struct {
	DB       *store.DB
	Keys     Sealer
	Audit    Recorder
	Issuer   string           // "iss": the base URL
	Audience []string         // "aud"; empty: the issuer
	Now      func() time.Time // nil means the clock
	Logger   hclog.Logger     // nil means silent
}

// Issuer issues tokens. Safe for concurrent use. Make one with New and keep Run running.
type Issuer struct {
	db       *store.DB
	sealer   Sealer
	audit    Recorder
	issuer   string
	audience []string
	now      func() time.Time
	log      hclog.Logger
	keys     atomic.Pointer[keys]
}

// New makes an Issuer, and the first keys where there are none.
func New(ctx context.Context, cfg Config) (*Issuer, error) {
	if cfg.DB == nil || cfg.Keys == nil || cfg.Audit == nil || cfg.Issuer == "" {
		return nil, errors.New("sessionjwt: a database, a keyring, an audit log and an issuer are needed")
	}
	if len(cfg.Audience) == 0 {
		cfg.Audience = []string{cfg.Issuer}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	i := &Issuer{
		db: cfg.DB, sealer: cfg.Keys, audit: cfg.Audit, issuer: cfg.Issuer, audience: cfg.Audience, log: cfg.Logger,
		now: func() time.Time { return cfg.Now().UTC().Truncate(time.Microsecond) },
	}
	return i, i.tend(ctx)
}

// Run looks after the keys until ctx ends: it rotates them when they are old, and reads what other nodes did.
func (i *Issuer) Run(ctx context.Context) error {
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := i.tend(ctx); err != nil && ctx.Err() == nil {
				i.log.Warn("signing keys not looked after; those at hand go on", "error", err)
			}
		}
	}
}

// tend makes what is missing, rotates what is old, and reads the keys.
func (i *Issuer) tend(ctx context.Context) error {
	all, err := i.read(ctx)
	if err != nil {
		return err
	}
	if i.due(all) {
		if err := i.rotate(ctx, audit.Ref{Type: "system", ID: "sessionjwt"}, false); err != nil && !store.IsUnique(err) && fault.KindOf(err) != fault.Conflict { // unless another node was quicker
			return err
		}
		if all, err = i.read(ctx); err != nil {
			return err
		}
	}
	return i.use(all)
}

// due reports whether keys are missing or old.
func (i *Issuer) due(all []key) bool {
	have := map[State]Key{}
	for _, k := range all {
		have[k.State] = k.Key
	}
	next, published := have[Next]
	current, signs := have[Current]
	return !signs || !published || i.now().Sub(current.Since) >= rotateAfter && i.now().Sub(next.Since) >= lead
}

var errTooSoon = fault.New(fault.Conflict, "key_too_new", "The next signing key was published less than 20 minutes ago: verifiers that keep the set of keys don't know it yet. Try again later.")

// Rotate has the next key sign from now on, and publishes another one after it. It is refused, with the code key_too_new, while verifiers may not
// know the next key yet.
func (i *Issuer) Rotate(ctx context.Context, actor audit.Ref) error {
	if err := i.rotate(ctx, actor, true); store.IsUnique(err) {
		return errTooSoon // another node was quicker
	} else if err != nil {
		return err
	}
	all, err := i.read(ctx)
	if err != nil {
		return err
	}
	return i.use(all)
}

func (i *Issuer) rotate(ctx context.Context, actor audit.Ref, asked bool) error {
	return i.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		all, err := readKeys(ctx, tx)
		if err != nil {
			return err
		}
		have := map[State]sealedKey{}
		for _, k := range all {
			have[k.State] = k
		}
		now := i.now()
		next, published := have[Next]
		current, signs := have[Current]
		switch {
		case signs && published && now.Sub(next.Since) < lead:
			if asked {
				return errTooSoon
			}
			return nil // another node has just done it
		case signs && published:
			if err := i.move(ctx, tx, current.Key, Retired); err != nil {
				return err
			}
			fallthrough
		case published:
			if err := i.move(ctx, tx, next.Key, Current); err != nil {
				return err
			}
		case !signs: // the very first: nobody has a set without it
			if err := i.make(ctx, tx, Current); err != nil {
				return err
			}
		}
		if err := i.make(ctx, tx, Next); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM signing_key WHERE state = 'retired' AND since < $1`, now.Add(-keep)); err != nil {
			return err
		}
		if !signs || !published {
			return nil // nothing was rotated
		}
		_, err = i.audit.Record(ctx, tx, audit.Entry{
			Action: "admin.signing_key.rotate", Actor: actor, Metadata: map[string]any{"key_id": next.ID.String(), "previous_key_id": current.ID.String()},
		})
		return err
	})
}

// move changes a key's state, if it is still the one that was read.
func (i *Issuer) move(ctx context.Context, tx *store.Tx, k Key, to State) error {
	n, err := tx.Exec(ctx, `UPDATE signing_key SET state = $3, since = $4 WHERE id = $1 AND state = $2`, k.ID, string(k.State), string(to), i.now())
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "conflict", "The signing keys were just rotated.")
	}
	return err
}

func (i *Issuer) make(ctx context.Context, tx *store.Tx, state State) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO signing_key (id, state, since, sealed) VALUES ($1, $2, $3, $4)`, id, string(state), i.now(), i.sealer.Seal(der, sealed.Purpose(id)))
	return err
}

type sealedKey struct {
	Key
	sealed []byte
}

func readKeys(ctx context.Context, q store.Querier) ([]sealedKey, error) {
	rows, err := q.Query(ctx, `SELECT id, state, since, sealed FROM signing_key ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	defer rows.Close()
	var out []sealedKey
	for rows.Next() {
		var k sealedKey
		var state string
		if err := rows.Scan(&k.ID, &state, &k.Since, &k.sealed); err != nil {
			return nil, err
		}
		k.State = State(state)
		out = append(out, k)
	}
	return out, rows.Err()
}

func (i *Issuer) read(ctx context.Context) ([]key, error) {
	all, err := readKeys(ctx, i.db)
	if err != nil {
		return nil, err
	}
	out := make([]key, 0, len(all))
	for _, k := range all {
		der, _, err := i.sealer.Open(k.sealed, sealed.Purpose(k.ID))
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		private, ok := parsed.(*ecdsa.PrivateKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("signing key %s is no key: %w", k.ID, err)
		}
		out = append(out, key{k.Key, private})
	}
	return out, nil
}

// use has tokens signed by the current key, and the others published.
func (i *Issuer) use(all []key) error {
	k := &keys{all: all}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for n := range all {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: &all[n].private.PublicKey, KeyID: all[n].ID.String(), Algorithm: string(jose.ES256), Use: "sig"})
		if all[n].State == Current {
			k.current = &all[n]
		}
	}
	if k.current == nil {
		return errors.New("no signing key")
	}
	var err error
	if k.set, err = json.Marshal(set); err != nil {
		return err
	}
	k.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.current.private},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader(jose.HeaderKey("kid"), k.current.ID.String()))
	if err != nil {
		return err
	}
	i.keys.Store(k)
	return nil
}

// List gives the keys, the oldest first.
func (i *Issuer) List() []Key {
	all := i.keys.Load().all
	out := make([]Key, len(all))
	for n, k := range all {
		out[n] = k.Key
	}
	return out
}

// Set is the JWK Set (RFC 7517 §5) with the public halves of all keys, as JSON.
func (i *Issuer) Set() []byte { return i.keys.Load().set }
