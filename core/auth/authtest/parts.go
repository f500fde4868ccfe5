package authtest

import (
	"net/url"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/credential/recoverycode"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/erasure"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Sources are the migrations of everything that Open needs.
func Sources() []store.Source {
	return []store.Source{
		keyring.Migrations, lease.Migrations, audit.Migrations, account.Migrations, metadata.Migrations, password.Migrations, onetime.Migrations, org.Migrations, gate.Migrations, session.Migrations,
		ratelimit.Migrations, mail.Migrations, totp.Migrations, recoverycode.Migrations, passkey.Migrations, device.Migrations, federation.Migrations, mint.Migrations, erasure.Migrations,
	}
}

// Options say what is not as usual. The zero value is good for most tests.
type Options struct {
	Settings  flow.Settings      // BaseURL empty: https://auth.example.test
	Now       func() time.Time   // nil: the clock
	Root      keyring.Secret     // zero: a new one
	Password  password.Config    // without costs: the cheapest there are
	Failures  ratelimit.Quota    // after which nothing is judged; zero: 5 in 15 min
	Backoff   *ratelimit.Backoff // instead of Failures
	Factors   ratelimit.Quota    // zero: 5 in 15 min
	Mails     ratelimit.Quota    // zero: no limit
	Passkeys  passkey.Settings   // RPID empty: from BaseURL
	Metadata  metadata.Rules
	Padding   time.Duration // of answers about an address; zero: none
	Providers []config.Provider
	Members   membership.Settings
	Resolver  org.Resolver // of TXT records; nil: the system's
}

// The flows, under names that can stand beside each other in Parts.
type (
	SignIns        = auth.Service
	SelfService    = selfservice.Service
	Administration = administration.Service
)

// Parts are the flows and what they stand on.
type Parts struct {
	*SignIns
	*SelfService
	*Administration
	Kit       *flow.Kit
	DB        *store.DB
	Ring      *keyring.Ring
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
	Audit     *audit.Log
	Inbox     *mail.Inbox
	Queue     *mail.Queue
	Gates     *gate.Table
	Orgs      *org.Store
	Mints     *mint.Store
	Erasures  *erasure.Store
	Attempts  *gate.Attempts
	Members   *membership.Service
	Root      keyring.Secret
}

// Open makes them on a database that has Sources.
func Open(t testing.TB, db *store.DB, o Options) *Parts {
	t.Helper()
	p := &Parts{DB: db, Gates: &gate.Table{}, Root: o.Root}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if o.Now == nil {
		o.Now = func() time.Time { return time.Now().UTC() }
	}
	if o.Settings.BaseURL == "" {
		o.Settings.BaseURL = "https://auth.example.test"
	}
	base, err := url.Parse(o.Settings.BaseURL)
	check(err)
	if o.Settings.TrustFor == 0 {
		o.Settings.TrustFor = 30 * 24 * time.Hour
	}
	if p.Root == (keyring.Secret{}) {
		p.Root = keyring.NewRoot()
	}
	if o.Password.Params == (password.Params{}) {
		o.Password.Params = password.Params{MemoryKiB: 8, Time: 1, Parallelism: 1}
	}
	if o.Password.QueueTimeout == 0 {
		o.Password.QueueTimeout = time.Minute
	}
	o.Password.Now = o.Now
	for _, q := range []*ratelimit.Quota{&o.Failures, &o.Factors} {
		if *q == (ratelimit.Quota{}) {
			*q = ratelimit.Quota{Count: 5, Per: 15 * time.Minute}
		}
	}
	if o.Padding == 0 {
		o.Padding = -1
	}
	if o.Passkeys.RPID == "" {
		o.Passkeys.RPID, o.Passkeys.Origin = base.Hostname(), o.Settings.BaseURL
	}
	p.Ring, err = keyring.Open(t.Context(), keyring.Config{DB: db, Root: p.Root})
	check(err)
	leases, err := lease.New(db, "test")
	check(err)
	p.Audit, err = audit.New(audit.Config{DB: db, Now: o.Now})
	check(err)
	p.Accounts, err = account.New(account.Config{DB: db, Now: o.Now})
	check(err)
	p.Metadata, err = metadata.New(metadata.Config{DB: db, Now: o.Now, Rules: o.Metadata})
	check(err)
	p.Passwords, err = password.New(o.Password)
	check(err)
	p.Onetime, err = onetime.New(onetime.Config{DB: db, Sealer: p.Ring, Now: o.Now})
	check(err)
	p.Sessions, err = session.New(session.Config{DB: db, Audit: p.Audit, Now: o.Now})
	check(err)
	p.TOTP, err = totp.New(totp.Config{DB: db, Sealer: p.Ring, Now: o.Now})
	check(err)
	p.Codes, err = recoverycode.New(recoverycode.Config{Keys: p.Ring, Now: o.Now})
	check(err)
	p.Mints, err = mint.New(db, o.Now)
	check(err)
	p.Erasures, err = erasure.New(erasure.Config{DB: db, Keys: p.Ring, Audit: p.Audit, Now: o.Now})
	check(err)
	p.Orgs, err = org.New(org.Config{DB: db, Audit: p.Audit, Resolver: o.Resolver, Now: o.Now})
	check(err)
	p.Passkeys, err = passkey.New(passkey.Config{DB: db, Now: o.Now, Settings: o.Passkeys})
	check(err)
	p.Devices, err = device.New(device.Config{DB: db, TrustFor: o.Settings.TrustFor, Now: o.Now})
	check(err)
	directory, err := federation.NewDirectory(federation.DirectoryConfig{BaseURL: o.Settings.BaseURL, Providers: o.Providers})
	check(err)
	t.Cleanup(directory.Close)
	p.Logins, err = federation.New(federation.Config{DB: db, Sealer: p.Ring, Directory: directory, Now: o.Now})
	check(err)
	p.Inbox, err = mail.NewInbox(db, o.Now)
	check(err)
	p.Queue, err = mail.New(mail.Config{DB: db, Keys: p.Ring, Leases: leases, Mailer: p.Inbox, From: mail.Address{Address: "auth@example.test"}, Now: o.Now})
	check(err)
	limit := func(name string, q ratelimit.Quota) *ratelimit.Account {
		l, err := ratelimit.NewAccount(ratelimit.AccountConfig{Name: name, Quota: q, Now: o.Now})
		check(err)
		return l
	}
	if o.Backoff == nil {
		o.Backoff, err = ratelimit.NewBackoff(ratelimit.BackoffConfig{Name: "sign_in", Hard: o.Failures, Now: o.Now}.Shared(o.Settings.Usernames.Names()))
		check(err)
	}
	p.Kit, err = flow.New(flow.Config{
		Stores: flow.Stores{
			DB: db, Accounts: p.Accounts, Metadata: p.Metadata, Passwords: p.Passwords, Onetime: p.Onetime, Sessions: p.Sessions, TOTP: p.TOTP, Codes: p.Codes,
			Passkeys: p.Passkeys, Devices: p.Devices, Logins: p.Logins, Orgs: p.Orgs, Mints: p.Mints, Erasures: p.Erasures,
		},
		Limits: flow.Limits{Failures: o.Backoff, Factors: limit("second_factor", o.Factors), Mails: limit("mail", o.Mails)},
		Audit:  p.Audit, Mail: p.Queue, Gates: p.Gates, Settings: o.Settings, Now: o.Now, Padding: o.Padding,
	})
	check(err)
	factors, err := factor.New(p.Kit)
	check(err)
	p.Attempts, err = gate.NewAttempts(gate.AttemptsConfig{DB: db, Table: p.Gates, Now: o.Now})
	check(err)
	p.Members, err = membership.New(membership.Config{Kit: p.Kit, Attempts: p.Attempts, Settings: o.Members})
	check(err)
	p.SignIns, err = auth.New(auth.Config{Kit: p.Kit, Factors: factors, Members: p.Members})
	check(err)
	p.SelfService, err = selfservice.New(selfservice.Config{Kit: p.Kit, Factors: factors})
	check(err)
	p.Administration, err = administration.New(administration.Config{Kit: p.Kit, Factors: factors})
	check(err)
	return p
}
