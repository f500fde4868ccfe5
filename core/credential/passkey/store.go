package passkey

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package. They refer to the account table.
//
//go:embed migrations
var Migrations embed.FS

// The settings when none are given.
const (
	DefaultMaxPerAccount = 20
	DefaultCeremonyTTL   = 5 * time.Minute // WebAuthn L3 §15.1 recommends 5 to 10 minutes
)

// Settings say who the relying party is and what it accepts. They may change while running.
type Settings struct {
	// RPID is the domain that passkeys belong to: the host of Origin or a registrable parent of it. Empty: there are
	// no ceremonies, everything else works.
	RPID           string
	RPName         string   // what people's devices call this service; the RPID when empty
	Origin         string   // scheme://host[:port], where people reach Sigra
	RelatedOrigins []string // other origins that may use the same passkeys (WebAuthn L3 §5.11)

	MaxPerAccount int           // DefaultMaxPerAccount
	CeremonyTTL   time.Duration // DefaultCeremonyTTL

	// RequireUV asks for user verification in every ceremony but a conditional registration, which can't have it.
	RequireUV bool
	// BlockOnRegression refuses a passkey whose counter did not rise. Otherwise that is only reported.
	BlockOnRegression bool
	// AllowedAAGUIDs are the only models that can be registered, if there are any. Authenticators say themselves what
	// they are: it binds honest clients.
	AllowedAAGUIDs []uuid.UUID
}

// Config of a Store.
type Config struct {
	DB       *store.DB
	Settings Settings
	Now      func() time.Time // nil means the clock
}

// Store keeps passkeys and runs ceremonies. Safe for concurrent use.
type Store struct {
	db    *store.DB
	now   func() time.Time
	party atomic.Pointer[party]
}

// party is the relying party as the settings of the moment make it.
type party struct {
	Settings
	lib     *webauthn.WebAuthn // nil: no ceremonies
	origins []string
	related []byte // the well-known document; nil: none
}

// ErrOff says that there are no ceremonies.
var ErrOff = fault.New(fault.NotFound, "passkeys_off", "Passkeys are not offered here.")

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("passkey: a database is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	now := cfg.Now
	s := &Store{db: cfg.DB, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}
	return s, s.Configure(cfg.Settings)
}

// Configure changes the settings. Ceremonies in progress are judged by the new ones.
func (s *Store) Configure(set Settings) error {
	if set.MaxPerAccount <= 0 {
		set.MaxPerAccount = DefaultMaxPerAccount
	}
	if set.CeremonyTTL <= 0 {
		set.CeremonyTTL = DefaultCeremonyTTL
	}
	if set.RPName == "" {
		set.RPName = set.RPID
	}
	set.AllowedAAGUIDs = slices.Clone(set.AllowedAAGUIDs)
	p := &party{Settings: set}
	if set.RPID != "" {
		if err := p.open(); err != nil {
			return fmt.Errorf("passkey: %w", err)
		}
	}
	s.party.Store(p)
	return nil
}

// open makes the library's view of the settings.
func (p *party) open() error {
	for _, o := range append([]string{p.Origin}, p.RelatedOrigins...) {
		doc, err := protocol.NewRelatedOrigins(o) // the form in which browsers write it
		if err != nil {
			return err
		}
		p.origins = append(p.origins, doc.Origins...)
	}
	u, err := url.Parse(p.origins[0])
	if err != nil {
		return err
	}
	// WebAuthn L3 §5.1.3 step 8: a browser takes no other RP id there.
	if host := u.Hostname(); host != p.RPID && !strings.HasSuffix(host, "."+p.RPID) {
		return fmt.Errorf("the RP id %q is neither %s nor a parent domain of it", p.RPID, host)
	}
	// A little less than the ceremony lives, so that an answer given at the last moment still arrives in time.
	told := p.CeremonyTTL - p.CeremonyTTL/30
	timeouts := webauthn.TimeoutConfig{Timeout: told, TimeoutUVD: told} // enforced by the ceremony's own end
	p.lib, err = webauthn.New(&webauthn.Config{
		RPID: p.RPID, RPDisplayName: p.RPName, RPOrigins: p.origins,
		Timeouts: webauthn.TimeoutsConfig{Login: timeouts, Registration: timeouts},
		// WebAuthn L3 §7.1 and §7.2 leave extension outputs that nobody asked for to the relying party. Password managers
		// send some; nothing here reads them.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return err
	}
	if related := p.origins[1:]; len(related) > 0 {
		p.related, err = json.Marshal(protocol.RelatedOrigins{Origins: related})
	}
	return err
}

// ready gives the relying party, or ErrOff.
func (s *Store) ready() (*party, error) {
	p := s.party.Load()
	if p.lib == nil {
		return nil, ErrOff
	}
	return p, nil
}

// Enabled reports whether there are ceremonies.
func (s *Store) Enabled() bool { return s.party.Load().lib != nil }

// MaxPerAccount is how many passkeys an account may have; 0 where there are no ceremonies.
func (s *Store) MaxPerAccount() int {
	p := s.party.Load()
	if p.lib == nil {
		return 0
	}
	return p.MaxPerAccount
}

// RelatedOrigins is the JSON document for /.well-known/webauthn on the RPID's host, which lets browsers use the same passkeys at
// the related origins (WebAuthn L3 §5.11.1). There is none when no origins are related.
func (s *Store) RelatedOrigins() (document []byte, ok bool) {
	p := s.party.Load()
	return slices.Clone(p.related), p.related != nil
}
