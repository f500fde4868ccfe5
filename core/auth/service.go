package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
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
}

// Config of a Service.
type Config struct {
	DB        *store.DB
	Accounts  *account.Store
	Passwords *password.Store
	Onetime   *onetime.Store
	Sessions  *session.Store
	Audit     Recorder
	Mail      *mail.Queue
	Letters   *mail.Letters // nil: the built-in ones
	Gates     *gate.Table   // nil: no gates
	Failures  Limit         // failed proofs of a password per address; nil: no limit
	Marks     Marker        // makes the marks of known browsers; nil: none, and strangers can use up an address's attempts
	Mails     Limit         // mails that strangers can have sent to one address; nil: no limit
	Settings  Settings
	Now       func() time.Time // nil means the clock
	Logger    hclog.Logger     // nil means silent
}

// Service runs the flows. Safe for concurrent use.
type Service struct {
	db        *store.DB
	accounts  *account.Store
	passwords *password.Store
	onetime   *onetime.Store
	sessions  *session.Store
	audit     Recorder
	mail      *mail.Queue
	letters   *mail.Letters
	gates     *gate.Table
	failures  Limit
	marks     Marker
	mails     Limit
	set       Settings
	now       func() time.Time
	log       hclog.Logger
}

// The purposes of one-time secrets.
const (
	confirmPurpose  onetime.Purpose = "confirm_email"
	passwordPurpose onetime.Purpose = "set_password"
)

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Accounts == nil || cfg.Passwords == nil || cfg.Onetime == nil || cfg.Sessions == nil || cfg.Audit == nil || cfg.Mail == nil {
		return nil, errors.New("auth: a database, accounts, passwords, one-time secrets, sessions, the audit log and mail are needed")
	}
	set := cfg.Settings
	u, err := url.Parse(set.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("auth: links need a base url such as https://auth.example.org, not %q", set.BaseURL)
	}
	set.BaseURL = strings.TrimRight(set.BaseURL, "/")
	if set.ServiceName == "" {
		set.ServiceName = "Sigra"
	}
	if set.ConfirmationTTL <= 0 {
		set.ConfirmationTTL = 48 * time.Hour
	}
	if set.PasswordLinkTTL <= 0 {
		set.PasswordLinkTTL = 72 * time.Hour
	}
	letters := cfg.Letters
	if letters == nil {
		if letters, err = mail.NewLetters(mail.LettersConfig{Service: set.ServiceName}); err != nil {
			return nil, err
		}
	}
	if cfg.Gates == nil {
		cfg.Gates = &gate.Table{}
	}
	if cfg.Failures == nil {
		cfg.Failures = unlimited{}
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
	now := cfg.Now
	return &Service{
		db: cfg.DB, accounts: cfg.Accounts, passwords: cfg.Passwords, onetime: cfg.Onetime, sessions: cfg.Sessions, audit: cfg.Audit,
		mail: cfg.Mail, letters: letters, gates: cfg.Gates, failures: cfg.Failures, marks: cfg.Marks, mails: cfg.Mails, set: set, log: cfg.Logger,
		now: func() time.Time { return now().UTC().Truncate(time.Microsecond) },
	}, nil
}

type unlimited struct{}

func (unlimited) Check(context.Context, store.Querier, string) error { return nil }
func (unlimited) Fail(context.Context, *store.Tx, string) error      { return nil }
func (unlimited) Reset(context.Context, *store.Tx, string) error     { return nil }

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
	m, err := s.letters.Write(l)
	if err != nil {
		return err
	}
	if l.Valid > 0 {
		m.Deadline = s.now().Add(l.Valid) // a link that has expired is worse than no mail
	}
	_, err = s.mail.Enqueue(ctx, tx, m)
	return err
}
