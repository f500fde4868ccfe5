package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

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
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/metadata/schema"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/ratelimit/captcha"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// schema lists every package that owns tables.
func tables() []store.Source {
	return []store.Source{
		keyring.Migrations, lease.Migrations, audit.Migrations, relay.Migrations, event.Migrations, account.Migrations, metadata.Migrations,
		password.Migrations, onetime.Migrations, session.Migrations, ratelimit.Migrations, mail.Migrations, pluginhost.Migrations, federation.Migrations,
		totp.Migrations, recoverycode.Migrations, passkey.Migrations, device.Migrations, org.Migrations, gate.Migrations,
	}
}

// parts are the pieces of Sigra below HTTP, joined but not yet running: what a server and a command without one share.
type parts struct {
	cfg      *config.Config
	node     string
	log      hclog.Logger
	registry prometheus.Registerer

	db         *store.DB
	keys       *keyring.Ring
	leases     *lease.Store
	audit      *audit.Log
	events     *event.Store
	relay      *relay.Relay
	accounts   *account.Store
	metadata   *metadata.Store
	passwords  *password.Store
	breaches   breachList // nil: passwords are not looked up
	onetime    *onetime.Store
	federation *federation.Service
	sessions   *session.Store
	totp       *totp.Store
	codes      *recoverycode.Store
	passkeys   *passkey.Store
	devices    *device.Store
	inbox      *mail.Inbox
	mailer     mail.Mailer // what sends when no plugin does
	mail       *mail.Queue
	words
	gates          *gate.Table
	captcha        *captcha.Verifier // nil: none is configured
	failures       *ratelimit.Backoff
	pairs          *ratelimit.Pair
	factors        *ratelimit.Account
	mails          *ratelimit.Account
	auth           *auth.Service
	own            *selfservice.Service
	administration *administration.Service
}

// openDatabase opens what the configuration names, without migrating.
func openDatabase(ctx context.Context, cfg *config.Config, log hclog.Logger) (*store.DB, error) {
	if err := makeDataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{
		URL: cfg.Database.URL.Reveal(), DataDir: cfg.DataDir, MaxConns: cfg.Database.MaxConnections, Logger: log.Named("store"),
	})
}

// noDatabase reports whether opening the database would make it.
func noDatabase(cfg *config.Config) bool {
	_, err := os.Stat(filepath.Join(cfg.DataDir, "sigra.db"))
	return cfg.Database.URL.IsZero() && errors.Is(err, os.ErrNotExist)
}

// errNotMigrated says that the schema is behind and may not be brought up to date by itself.
var errNotMigrated = errors.New("the database needs migrations and database.migrate is off: run `sigra migrate`")

// migrate brings the schema up to date, or, where the configuration forbids it, checks that it is.
func migrate(ctx context.Context, db *store.DB, cfg *config.Config, log hclog.Logger) error {
	if cfg.Database.Migrate {
		done, err := db.Migrate(ctx, tables()...)
		for _, m := range done {
			log.Debug("migrated", "step", m.Name)
		}
		return err
	}
	all, err := db.Migrations(ctx, tables()...)
	if err != nil {
		return err
	}
	for _, m := range all {
		if !m.Applied {
			return errNotMigrated
		}
	}
	return nil
}

// openParts opens the database, migrates it and joins everything on it.
func openParts(ctx context.Context, cfg *config.Config, log hclog.Logger, reg prometheus.Registerer) (_ *parts, err error) {
	p := &parts{cfg: cfg, log: log, registry: reg, gates: &gate.Table{}}
	var diags config.Diagnostics
	if p.words, diags = readWords(cfg); diags.HasErrors() {
		return nil, exitError{2, diagnosticsError{diags}}
	}
	if p.db, err = openDatabase(ctx, cfg, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.close()
		}
	}()
	if err = migrate(ctx, p.db, cfg, log); err != nil {
		return nil, err
	}
	if p.node, err = nodeName(cfg.DataDir); err != nil {
		return nil, err
	}
	steps := []func(context.Context) error{p.openGround, p.openSpine, p.openDomain, p.openFactors, p.openFlows}
	for _, step := range steps {
		if err = step(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *parts) openGround(ctx context.Context) (err error) {
	if p.keys, err = keyring.Open(ctx, keyring.Config{
		DB: p.db, Root: p.cfg.Keyring.RootKey, OldRoots: p.cfg.Keyring.OldRootKeys, DataDir: p.cfg.DataDir, Logger: p.log.Named("keyring"),
	}); err != nil {
		return err
	}
	p.leases, err = lease.New(p.db, p.node)
	return err
}

func (p *parts) openSpine(context.Context) (err error) {
	if p.audit, err = audit.New(audit.Config{DB: p.db, Logger: p.log.Named("audit")}); err != nil {
		return err
	}
	if p.events, err = event.New(event.Config{DB: p.db, MaxData: int(p.cfg.Events.MaxBytes)}); err != nil {
		return err
	}
	p.relay, err = relay.New(relay.Config{
		DB: p.db, Audit: p.audit, Events: p.events, Leases: p.leases, Node: p.node, Logger: p.log.Named("relay"), Registerer: p.registry,
		Retention: relay.Retention{Audit: p.cfg.Audit.Retention, Events: p.cfg.Events.Retention, DeadLetters: 90 * 24 * time.Hour},
	})
	return err
}

func (p *parts) openDomain(context.Context) (err error) {
	cfg := p.cfg
	if p.accounts, err = account.New(account.Config{DB: p.db}); err != nil {
		return err
	}
	rules, err := metadataRules(cfg.Metadata)
	if err != nil {
		return err
	}
	if p.metadata, err = metadata.New(metadata.Config{DB: p.db, Rules: rules}); err != nil {
		return err
	}
	if p.breaches, err = openBreaches(cfg.Password.BreachCheck, p.log.Named("breach")); err != nil {
		return err
	}
	if p.passwords, err = password.New(password.Config{
		Limits:    password.Limits{Memory: cfg.Password.Import.MaxMemory, Work: float64(cfg.Password.Import.MaxCost)},
		Breaches:  p.breaches,
		Params:    password.Params{MemoryKiB: cfg.Password.Argon2.MemoryKiB, Time: cfg.Password.Argon2.Time, Parallelism: cfg.Password.Argon2.Parallelism},
		Places:    cfg.Password.Hashers(),
		MinLength: cfg.Password.MinLength, MaxLength: cfg.Password.MaxLength, QueueTimeout: cfg.Password.QueueTimeout,
		ServiceName: cfg.Mail.ServiceName, Hooks: hashMetrics(p.registry),
	}); err != nil {
		return err
	}
	if p.onetime, err = onetime.New(onetime.Config{DB: p.db, Sealer: p.keys, Attempts: cfg.Registration.CodeAttempts}); err != nil {
		return err
	}
	directory, err := newDirectory(cfg.Server.BaseURL, cfg.Providers)
	if err != nil {
		return err
	}
	if p.federation, err = federation.New(federation.Config{DB: p.db, Sealer: p.keys, Directory: directory, Logger: p.log.Named("federation")}); err != nil {
		return err
	}
	if p.sessions, err = session.New(session.Config{DB: p.db, Audit: p.audit, Settings: sessionSettings(cfg), Logger: p.log.Named("session")}); err != nil {
		return err
	}
	if p.inbox, err = mail.NewInbox(p.db, nil); err != nil {
		return err
	}
	from, err := parseFrom(cfg.Mail)
	if err != nil {
		return err
	}
	if p.mailer, err = newMailer(cfg, p.inbox, p.log.Named("mail")); err != nil {
		return err
	}
	if p.mail, err = mail.New(mail.Config{
		DB: p.db, Sealer: p.keys, Leases: p.leases, Mailer: p.mailer, From: from, Logger: p.log.Named("mail"), Observe: mailMetrics(p.registry),
	}); err != nil {
		return err
	}
	if p.registry != nil {
		p.registry.MustRegister(newQueueMetrics(p.mail, p.log.Named("mail")))
	}
	return nil
}

// openFactors opens what people can show beside a password.
func (p *parts) openFactors(context.Context) (err error) {
	cfg := p.cfg
	if p.totp, err = totp.New(totp.Config{DB: p.db, Sealer: p.keys}); err != nil {
		return err
	}
	if p.codes, err = recoverycode.New(recoverycode.Config{Keys: p.keys}); err != nil {
		return err
	}
	if p.passkeys, err = passkey.New(passkey.Config{DB: p.db, Settings: passkeySettings(cfg)}); err != nil {
		return err
	}
	p.devices, err = device.New(device.Config{DB: p.db, TrustFor: cfg.SecondFactor.TrustDevice})
	return err
}

// openFlows opens what puts all of them together.
func (p *parts) openFlows(context.Context) (err error) {
	cfg := p.cfg
	for _, l := range []struct {
		to   **ratelimit.Account
		name string
		rate config.Rate
	}{
		{&p.factors, "second_factor", cfg.RateLimit.SecondFactor}, {&p.mails, "mail", cfg.RateLimit.MailPerAddress},
	} {
		if *l.to, err = ratelimit.NewAccount(ratelimit.AccountConfig{Name: l.name, Quota: quota(l.rate)}); err != nil {
			return err
		}
	}
	if err = p.openAbuse(); err != nil {
		return err
	}
	kit, err := flow.New(flow.Config{
		Stores: flow.Stores{DB: p.db, Accounts: p.accounts, Metadata: p.metadata, Passwords: p.passwords, Onetime: p.onetime, Sessions: p.sessions, TOTP: p.totp, Codes: p.codes,
			Passkeys: p.passkeys, Devices: p.devices, Logins: p.federation},
		Limits: flow.Limits{Failures: p.failures, Pairs: p.pairs, Factors: p.factors, Mails: p.mails},
		Audit:  p.audit, Mail: p.mail, Letters: p.letters, Gates: p.gates,
		Logger: p.log.Named("auth"), Settings: flowSettings(cfg),
	})
	if err != nil {
		return err
	}
	factors, err := factor.New(kit)
	if err != nil {
		return err
	}
	if p.auth, err = auth.New(auth.Config{Kit: kit, Factors: factors}); err != nil {
		return err
	}
	if p.own, err = selfservice.New(selfservice.Config{Kit: kit, Factors: factors}); err != nil {
		return err
	}
	p.administration, err = administration.New(administration.Config{Kit: kit, Factors: factors})
	return err
}

func flowSettings(cfg *config.Config) flow.Settings {
	return flow.Settings{
		BaseURL: cfg.Server.BaseURL, ServiceName: cfg.Mail.ServiceName, RegistrationClosed: !cfg.Registration.Enabled,
		DeferConfirmation: cfg.Registration.Confirmation == config.ConfirmationDeferred, ConfirmationTTL: cfg.Registration.ConfirmationTTL,
		ResetTTL: cfg.SignIn.PasswordResetTTL, MagicLinks: cfg.SignIn.MagicLink, MagicLinkTTL: cfg.SignIn.MagicLinkTTL, EmailChangeTTL: cfg.SignIn.EmailChangeTTL,
		SecondFactorTTL: cfg.SecondFactor.TTL, RequireSecondFactor: cfg.SecondFactor.Required, StepUpWindow: cfg.SecondFactor.StepUpWindow,
		Usernames: usernames(cfg), TrustFor: cfg.SecondFactor.TrustDevice, Suspicious: cfg.SignIn.Suspicious != config.SuspiciousOff, SuspiciousStepUp: cfg.SignIn.Suspicious == config.SuspiciousStepUp,
	}
}

func usernames(cfg *config.Config) flow.Usernames {
	if cfg.SignIn.Username == config.UsernameOff {
		return flow.NoUsernames
	}
	return flow.Usernames(cfg.SignIn.Username)
}

// metadataRules reads the schemas, which the configuration has found good.
func metadataRules(cfg config.Metadata) (metadata.Rules, error) {
	r := metadata.Rules{MaxBytes: int(cfg.MaxSize), Schemas: map[metadata.Scope]*schema.Schema{}}
	for scope, s := range map[metadata.Scope]config.MetadataSchema{
		metadata.Public: cfg.PublicSchema, metadata.Private: cfg.PrivateSchema, metadata.User: cfg.UserSchema,
	} {
		if s.Text == "" {
			continue
		}
		var err error
		if r.Schemas[scope], err = schema.Compile([]byte(s.Text)); err != nil {
			return metadata.Rules{}, fmt.Errorf("metadata: %s %w", s.File, err)
		}
	}
	return r, nil
}

func passkeySettings(cfg *config.Config) passkey.Settings {
	k := cfg.Passkey
	set := passkey.Settings{
		RPName: cfg.Mail.ServiceName, Origin: cfg.Server.BaseURL, RelatedOrigins: k.RelatedOrigins, MaxPerAccount: k.MaxPerAccount, CeremonyTTL: k.CeremonyTTL,
		RequireUV: k.RequireUserVerification, BlockOnRegression: k.BlockOnRegression, AllowedAAGUIDs: k.AllowedAAGUIDs,
	}
	if k.Enabled {
		set.RPID = k.RPID
	}
	return set
}

// close closes what there is: opening may have failed half-way.
func (p *parts) close() error {
	if p.federation != nil {
		p.federation.Directory().Close()
	}
	if p.captcha != nil {
		p.captcha.Close()
	}
	if p.breaches != nil {
		p.breaches.Close()
	}
	var err error
	if c, ok := p.mailer.(io.Closer); ok {
		err = c.Close()
	}
	return errors.Join(err, p.db.Close())
}

// sealedColumns are what is sealed anew after `sigra keys rotate`.
func sealedColumns() []keyring.Column {
	return []keyring.Column{onetime.Sealed, mail.Sealed, federation.Sealed, totp.Sealed}
}

// newDirectory makes the directory of the providers that people can sign in with.
func newDirectory(baseURL string, providers []config.Provider) (*federation.Directory, error) {
	return federation.NewDirectory(federation.DirectoryConfig{BaseURL: baseURL, Providers: providers})
}

func sessionSettings(cfg *config.Config) session.Settings {
	return session.Settings{
		IdleTimeout: cfg.Session.IdleTimeout, AbsoluteTimeout: cfg.Session.AbsoluteTimeout,
		RememberMe: cfg.Session.RememberMe, ActivityInterval: cfg.Session.ActivityInterval,
	}
}

func quota(r config.Rate) ratelimit.Quota { return ratelimit.Quota{Count: r.Count, Per: r.Per} }

// nodeName is this installation's name among the nodes of a fleet. It stays the same over restarts, so that a node
// that crashed takes its own leases up again at once; one process at a time uses a data_dir (see lockDataDir).
func nodeName(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "node")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		host, herr := os.Hostname()
		if herr != nil || host == "" {
			host = "node"
		}
		b = []byte(strings.Map(nameRune, host) + "-" + randomName())
		err = writeNew(path, b)
		if errors.Is(err, os.ErrExist) { // another process of this folder was first
			b, err = os.ReadFile(path)
		}
	}
	name := strings.TrimSpace(string(b))
	if err != nil {
		return "", fmt.Errorf("node name: %w", err)
	}
	if name == "" || len(name) > 100 {
		return "", fmt.Errorf("node name: %s should hold this node's name; delete it to get a new one", path)
	}
	return name, nil
}
