package auth

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
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
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Settings of the flows. The zero value of each field but BaseURL means the default.
type Settings struct {
	BaseURL            string        // where links point; needed
	ServiceName        string        // "Sigra"
	RegistrationClosed bool          // nobody may sign up
	DeferConfirmation  bool          // sign in at once and confirm later. Trades away that nobody learns who has an account
	ConfirmationTTL    time.Duration // 48 h
	PasswordLinkTTL    time.Duration // 72 h, of a link that an administrator makes
	ResetTTL           time.Duration // 1 h, of a link and code to set a new password
	MagicLinks         bool          // sign-in by mail
	MagicLinkTTL       time.Duration // 10 min
	EmailChangeTTL     time.Duration // 24 h, for the new address to confirm and the old one to undo

	SecondFactorTTL     time.Duration // 5 min, between the first factor and the second
	RequireSecondFactor bool          // of everybody; who has none adds one at the next sign-in
	StepUpWindow        time.Duration // 5 min: how long a proof is fresh enough to change how one signs in
	TrustFor            time.Duration // how long a browser is spared the second factor; zero: never
	Suspicious          bool          // write down sign-ins from a new browser on a new network
	SuspiciousStepUp    bool          // and ask for the second factor there, whatever browser is trusted
	LinkTTL             time.Duration // 15 min, for a login elsewhere to wait for the account's own credential

	Usernames Usernames // whether accounts have one beside their address
}

// withDefaults fills in what is zero.
func (set Settings) withDefaults() Settings {
	set.BaseURL = strings.TrimRight(set.BaseURL, "/")
	if set.ServiceName == "" {
		set.ServiceName = "Sigra"
	}
	for d, v := range map[*time.Duration]time.Duration{
		&set.ConfirmationTTL: 48 * time.Hour, &set.PasswordLinkTTL: 72 * time.Hour, &set.ResetTTL: time.Hour, &set.MagicLinkTTL: 10 * time.Minute,
		&set.EmailChangeTTL: 24 * time.Hour, &set.SecondFactorTTL: 5 * time.Minute, &set.StepUpWindow: 5 * time.Minute, &set.LinkTTL: 15 * time.Minute,
	} {
		if *d <= 0 {
			*d = v
		}
	}
	return set
}

// Recorder writes an audit row in the transaction of the change it speaks of; *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
}

// Limit counts, per key, what may not happen often; *ratelimit.Account is one. All three answer with a fault of kind
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

// Config of a Service.
type Config struct {
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
	Audit     Recorder
	Mail      *mail.Queue
	Letters   *mail.Letters      // nil: the built-in ones
	Gates     *gate.Table        // nil: no gates
	Failures  *ratelimit.Backoff // failed proofs of a password per address; nil: no limit
	Pairs     *ratelimit.Pair    // attempts from one network at one account; nil: no limit
	Factors   Limit              // failed second factors and step-ups per account; nil: no limit
	Mails     Limit              // mails that strangers can have sent to one address; nil: no limit
	Settings  Settings
	Now       func() time.Time // nil means the clock
	Beat      time.Duration    // answers about an address leave at multiples of it; zero: follows the cost of a hash, negative: at once
	Logger    hclog.Logger     // nil means silent
}

// Service runs the flows. Safe for concurrent use.
type Service struct {
	db        *store.DB
	accounts  *account.Store
	metadata  *metadata.Store
	passwords *password.Store
	onetime   *onetime.Store
	sessions  *session.Store
	totp      *totp.Store
	codes     *recoverycode.Store
	passkeys  *passkey.Store
	devices   *device.Store
	logins    *federation.Service
	audit     Recorder
	mail      *mail.Queue
	letters   *mail.Letters
	gates     *gate.Table
	failures  *ratelimit.Backoff
	pairs     *ratelimit.Pair
	factors   Limit
	mails     Limit
	set       Settings
	trustFor  atomic.Int64 // time.Duration; Settings.TrustFor to begin with
	now       func() time.Time
	beat      time.Duration
	exact     chan struct{} // who waits for the beat on a thread
	log       hclog.Logger
}

// The purposes of one-time secrets.
const (
	confirmPurpose  onetime.Purpose = "confirm_email"
	passwordPurpose onetime.Purpose = "set_password"
)

// New makes a Service.
func New(cfg Config) (*Service, error) {
	for part, missing := range map[string]bool{
		"a database": cfg.DB == nil, "accounts": cfg.Accounts == nil, "metadata": cfg.Metadata == nil, "passwords": cfg.Passwords == nil, "one-time secrets": cfg.Onetime == nil,
		"sessions": cfg.Sessions == nil, "authenticator apps": cfg.TOTP == nil, "recovery codes": cfg.Codes == nil, "passkeys": cfg.Passkeys == nil,
		"devices": cfg.Devices == nil, "logins elsewhere": cfg.Logins == nil, "the audit log": cfg.Audit == nil, "mail": cfg.Mail == nil,
	} {
		if missing {
			return nil, fmt.Errorf("auth: %s: needed", part)
		}
	}
	set := cfg.Settings.withDefaults()
	u, err := url.Parse(set.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("auth: links need a base url such as https://auth.example.org, not %q", set.BaseURL)
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
	if cfg.Beat == 0 {
		cfg.Beat = beatOf(cfg.Passwords.Typical())
	}
	now := cfg.Now
	s := &Service{
		db: cfg.DB, accounts: cfg.Accounts, metadata: cfg.Metadata, passwords: cfg.Passwords, onetime: cfg.Onetime, sessions: cfg.Sessions, totp: cfg.TOTP, codes: cfg.Codes,
		passkeys: cfg.Passkeys, devices: cfg.Devices, logins: cfg.Logins, audit: cfg.Audit, mail: cfg.Mail, letters: cfg.Letters, gates: cfg.Gates,
		failures: cfg.Failures, pairs: cfg.Pairs, factors: cfg.Factors, mails: cfg.Mails, set: set, beat: cfg.Beat, exact: make(chan struct{}, 16), log: cfg.Logger,
		now: func() time.Time { return now().UTC().Truncate(time.Microsecond) },
	}
	s.TrustDevices(set.TrustFor)
	return s, nil
}

// TrustDevices changes for how long a browser may be spared the second factor, while running; 0: it is offered no more. Trust
// there is keeps its end.
func (s *Service) TrustDevices(d time.Duration) {
	s.trustFor.Store(int64(d))
	s.devices.Configure(d)
}

// TrustFor is for how long a browser may be spared the second factor; 0: it may not.
func (s *Service) TrustFor() time.Duration { return time.Duration(s.trustFor.Load()) }

// PasskeysOffered reports whether people can sign in with passkeys.
func (s *Service) PasskeysOffered() bool { return s.passkeys.Enabled() }

type unlimited struct{}

func (unlimited) Check(context.Context, store.Querier, string) error { return nil }
func (unlimited) Fail(context.Context, *store.Tx, string) error      { return nil }
func (unlimited) Reset(context.Context, *store.Tx, string) error     { return nil }
func (unlimited) Clear(context.Context, *store.Tx, string) error     { return nil }

// The actors and targets of audit rows.
var (
	anonymous = audit.Ref{Type: "anonymous"}
	system    = audit.Ref{Type: "system"}
)

// unknownUser stands where there is no account, so that a refusal writes as many rows for an unknown address as for a known one.
const unknownUser = "unknown"

func user(id uuid.UUID) audit.Ref {
	if id == uuid.Nil {
		return audit.Ref{Type: "user", ID: unknownUser}
	}
	return audit.Ref{Type: "user", ID: id.String()}
}

func (s *Service) record(ctx context.Context, tx *store.Tx, e audit.Entry) error {
	_, err := s.audit.Record(ctx, tx, e)
	return err
}

// enqueue writes a letter in the transaction of what it tells of.
func (s *Service) enqueue(ctx context.Context, tx *store.Tx, l mail.Letter) error {
	m, err := s.write(ctx, l)
	if err != nil {
		return err
	}
	_, err = s.mail.Enqueue(ctx, tx, m)
	return err
}

// enqueueDecoy does the work of enqueue for a letter that nobody gets.
func (s *Service) enqueueDecoy(ctx context.Context, tx *store.Tx, l mail.Letter) error {
	m, err := s.write(ctx, l)
	if err != nil {
		return err
	}
	_, err = s.mail.EnqueueDecoy(ctx, tx, m)
	return err
}

func (s *Service) write(ctx context.Context, l mail.Letter) (mail.Message, error) {
	if l.Language == "" {
		l.Language = request.From(ctx).Language
	}
	m, err := s.letters.Write(l)
	if err == nil && l.Valid > 0 {
		m.Deadline = s.now().Add(l.Valid) // a link that has expired is worse than no mail
	}
	return m, err
}

// from says in a letter when and from where it was caused.
func (s *Service) from(ctx context.Context, l mail.Letter) mail.Letter {
	info := request.From(ctx)
	l.When, l.IP, l.Device = s.now(), info.IPString(), deviceName(info.UserAgent)
	return l
}
