package session

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package. They refer to the account table.
//
//go:embed migrations
var Migrations embed.FS

// Settings say how long a session lives. The zero value means the defaults.
type Settings struct {
	IdleTimeout     time.Duration // default 30 min (ASVS 5.0 7.3.1)
	AbsoluteTimeout time.Duration // default 24 h (ASVS 5.0 7.3.2)
	RememberMe      time.Duration // the absolute timeout of a persistent session, which has no idle one; default 60 days
	// AdministratorsAAL2 has an administrator's session administer only after two factors were shown in it.
	AdministratorsAAL2 bool
	ActivityInterval   time.Duration // a session's activity is written at most this often; default and least 1 min
}

func (s Settings) withDefaults() Settings {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&s.IdleTimeout, 30*time.Minute)
	def(&s.AbsoluteTimeout, 24*time.Hour)
	def(&s.RememberMe, 60*24*time.Hour)
	s.ActivityInterval = max(s.ActivityInterval, time.Minute)
	return s
}

// Recorder writes an audit row in the transaction of the change it speaks of; *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
}

// Config of a Store.
type Config struct {
	DB       *store.DB
	Audit    Recorder
	Settings Settings
	Now      func() time.Time // nil means the clock
	Logger   hclog.Logger     // nil means silent
}

// Store issues, resolves and revokes sessions. Safe for concurrent use.
type Store struct {
	db       *store.DB
	audit    Recorder
	settings atomic.Pointer[Settings]
	now      func() time.Time
	log      hclog.Logger
	activity activity
}

// New makes a Store. Run must run for activity to be written.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Audit == nil {
		return nil, errors.New("session: a database and an audit log are needed")
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC() }
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	now := cfg.Now
	s := &Store{
		db: cfg.DB, audit: cfg.Audit, log: cfg.Logger,
		now:      func() time.Time { return now().UTC().Truncate(time.Microsecond) },
		activity: activity{seen: map[uuid.UUID]sighting{}},
	}
	return s, s.Configure(cfg.Settings)
}

// Configure changes the settings while running. Sessions there are keep their absolute end; the idle timeout holds
// for all at once.
func (s *Store) Configure(set Settings) error {
	set = set.withDefaults()
	if set.IdleTimeout < 2*set.ActivityInterval {
		return fmt.Errorf("session: an idle timeout of %s needs activity noted at least every %s, but the interval is %s", set.IdleTimeout, set.IdleTimeout/2, set.ActivityInterval)
	}
	s.settings.Store(&set)
	return nil
}
