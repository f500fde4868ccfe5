package federation

import (
	"embed"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package.
//
//go:embed migrations
var Migrations embed.FS

// DefaultTTL is how long a person may take at the provider.
const DefaultTTL = 10 * time.Minute

// Purpose is what a sign-in at a provider is for.
type Purpose string

// The purposes.
const (
	SignIn Purpose = "sign_in" // to get a session
	Link   Purpose = "link"    // to link the login to the account that is signed in
)

// Sealer encrypts payloads; core/keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	// Open gives the plaintext back; stale says that it was sealed with a key that is no longer the newest.
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
}

// Config of a Service.
type Config struct {
	DB        *store.DB
	Sealer    Sealer
	Directory *Directory       // who can be signed in with; Use changes it
	TTL       time.Duration    // 0 means DefaultTTL
	Now       func() time.Time // nil means the clock
	Logger    hclog.Logger     // nil means silent
}

// Service signs people in through providers and keeps which login belongs to which account. Safe for concurrent use.
type Service struct {
	db        *store.DB
	sealer    Sealer
	directory atomic.Pointer[Directory]
	ttl       time.Duration
	now       func() time.Time
	log       hclog.Logger
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Sealer == nil || cfg.Directory == nil {
		return nil, errors.New("federation: a database, a sealer and a directory of providers are needed")
	}
	if cfg.TTL <= 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	now := cfg.Now
	s := &Service{db: cfg.DB, sealer: cfg.Sealer, ttl: cfg.TTL, log: cfg.Logger, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}
	s.directory.Store(cfg.Directory)
	return s, nil
}

// Use changes who can be signed in with, from the next call on. A sign-in under way ends well if its provider is still the same.
func (s *Service) Use(d *Directory) { s.directory.Store(d) }

// Providers lists those that are offered, in the order of the configuration.
func (s *Service) Providers() []Provider { return s.directory.Load().Providers() }

// Directory is who can be signed in with at this moment.
func (s *Service) Directory() *Directory { return s.directory.Load() }

// Request begins a sign-in at a provider.
type Request struct {
	Provider  string
	Purpose   Purpose
	AccountID uuid.UUID // who links; Nil for a sign-in
	ReturnTo  string    // kept and given back; it is the caller's to judge
	LoginHint string    // an address or a name for the provider to fill in
	// ForceLogin asks that the person sign in at the provider anew. Where Claims.AuthTime is set afterwards they have; other
	// providers promise nothing.
	ForceLogin bool
	Browser    string // the secret that the browser has from an earlier Begin; anything else makes a new one
}

// Begun is where to send the browser, and the secret that must be in its cookie when it comes back.
type Begun struct {
	URL       string
	Browser   string // secret
	ExpiresAt time.Time
}

// Callback is what the browser brought back from the provider.
type Callback struct {
	Provider         string // from the address
	State            string
	Code             string
	Issuer           string // the parameter iss (RFC 9207)
	Error            string
	ErrorDescription string
	Browser          string // from the cookie
	UserJSON         string // the parameter user, which Apple posts
}

// Result is how a sign-in at a provider ended. When Finish fails after it has found the state, all but Claims is set.
type Result struct {
	Claims    Claims
	Provider  string
	Purpose   Purpose
	AccountID uuid.UUID // who began a Link
	ReturnTo  string
	SignUp    bool // the provider may make accounts
}
