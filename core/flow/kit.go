package flow

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/credential/recoverycode"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/erasure"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Stores are the packages that the flows put together, each of which owns its tables. All are needed.
type Stores struct {
	DB        *store.DB
	Accounts  *account.Store
	Metadata  *metadata.Store
	Passwords *password.Store
	Onetime   *onetime.Store
	Sessions  *session.Store
	TOTP      *totp.Store
	Codes     *recoverycode.Store
	Passkeys  *passkey.Store
	Devices   *device.Store
	Logins    *federation.Service
	Orgs      *org.Store
	Mints     *mint.Store
	Erasures  *erasure.Store
}

// Limits count what may not happen often. What is nil is not limited.
type Limits struct {
	Failures *ratelimit.Backoff // failed proofs of a password per address
	Pairs    *ratelimit.Pair    // attempts from one network at one account
	Factors  Limit              // failed second factors and step-ups per account
	Mails    Limit              // mails that strangers can have sent to one address
}

// Recorder writes an audit row in the transaction of the change it speaks of; *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
}

// Limit counts, per key, what may not happen often; *ratelimit.Account is one. All but Clear answer with a fault of kind
// RateLimited when the bucket is full.
type Limit interface {
	// Check refuses early and counts nothing.
	Check(ctx context.Context, q store.Querier, key string) error
	// Fail counts in the transaction of the attempt. When it refuses, nothing was counted and the caller answers that
	// and nothing else, so that attempts made at the same time learn no more than the bucket holds.
	Fail(ctx context.Context, tx *store.Tx, key string) error
	// Reset forgets the failures because the attempt was right, unless the bucket is full.
	Reset(ctx context.Context, tx *store.Tx, key string) error
	// Clear forgets them in any case, because an administrator says so.
	Clear(ctx context.Context, tx *store.Tx, key string) error
}

type unlimited struct{}

func (unlimited) Check(context.Context, store.Querier, string) error { return nil }
func (unlimited) Fail(context.Context, *store.Tx, string) error      { return nil }
func (unlimited) Reset(context.Context, *store.Tx, string) error     { return nil }
func (unlimited) Clear(context.Context, *store.Tx, string) error     { return nil }

// Config of a Kit.
type Config struct {
	Stores
	Limits
	Audit    Recorder
	Mail     *mail.Queue
	Letters  *mail.Letters // nil: the built-in ones
	Gates    *gate.Table   // nil: no gates. What is reserved for the flows is settled by a gate.Attempts that runs on the same database
	Settings Settings
	Now      func() time.Time // nil means the clock
	Padding  time.Duration    // answers about an address leave at multiples of it; zero: follows the cost of a hash, negative: at once
	Logger   hclog.Logger     // nil means silent
}

// Kit is what every flow uses. Safe for concurrent use.
type Kit struct {
	Stores
	Limits
	Settings Settings // with its defaults filled in
	Now      func() time.Time
	Log      hclog.Logger

	audit    Recorder
	mail     *mail.Queue
	letters  *mail.Letters
	gates    *gate.Table
	attempts *gate.Attempts
	padding  padding
	erasers  []func(ctx context.Context, tx *store.Tx, userID uuid.UUID) error
}

// OnErase has f called in the transaction of every deletion, for what a package above keeps of people. It is to be called before the flows run.
func (k *Kit) OnErase(f func(ctx context.Context, tx *store.Tx, userID uuid.UUID) error) {
	k.erasers = append(k.erasers, f)
}

// New makes a Kit.
func New(cfg Config) (*Kit, error) {
	for part, missing := range map[string]bool{
		"a database": cfg.DB == nil, "accounts": cfg.Accounts == nil, "metadata": cfg.Metadata == nil, "passwords": cfg.Passwords == nil, "one-time secrets": cfg.Onetime == nil,
		"sessions": cfg.Sessions == nil, "authenticator apps": cfg.TOTP == nil, "recovery codes": cfg.Codes == nil, "passkeys": cfg.Passkeys == nil,
		"devices": cfg.Devices == nil, "logins elsewhere": cfg.Logins == nil, "organizations": cfg.Orgs == nil, "minted sign-ins": cfg.Mints == nil, "erasures": cfg.Erasures == nil, "the audit log": cfg.Audit == nil, "mail": cfg.Mail == nil,
	} {
		if missing {
			return nil, fmt.Errorf("flow: %s: needed", part)
		}
	}
	set := cfg.Settings.withDefaults()
	u, err := url.Parse(set.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("flow: links need a base url such as https://auth.example.org, not %q", set.BaseURL)
	}
	if cfg.Letters == nil {
		if cfg.Letters, err = mail.NewLetters(mail.LettersConfig{Service: set.ServiceName}); err != nil {
			return nil, err
		}
	}
	if cfg.Gates == nil {
		cfg.Gates = &gate.Table{}
	}
	if cfg.Failures == nil {
		if cfg.Failures, err = ratelimit.NewBackoff(ratelimit.BackoffConfig{Name: "sign_in"}); err != nil {
			return nil, err
		}
	}
	if cfg.Factors == nil {
		cfg.Factors = unlimited{}
	}
	if cfg.Mails == nil {
		cfg.Mails = unlimited{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Padding == 0 {
		cfg.Padding = paddingFor(cfg.Passwords.Typical())
	}
	attempts, err := gate.NewAttempts(gate.AttemptsConfig{DB: cfg.DB, Table: cfg.Gates, Now: cfg.Now, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	now := cfg.Now
	return &Kit{
		Stores: cfg.Stores, Limits: cfg.Limits, Settings: set, Log: cfg.Logger, audit: cfg.Audit, mail: cfg.Mail, letters: cfg.Letters, gates: cfg.Gates, attempts: attempts,
		padding: padding{every: cfg.Padding, exact: make(chan struct{}, 16)},
		Now:     func() time.Time { return now().UTC().Truncate(time.Microsecond) },
	}, nil
}
