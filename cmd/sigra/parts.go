package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/apitoken"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/credential/recoverycode"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/erasure"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/forwardauth"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/metadata/schema"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/provision"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/ratelimit/captcha"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/sessionjwt"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/topic"
)

// parts are the pieces of Sigra below HTTP, joined but not yet running: what a server and a command without one share.
type parts struct {
	access   atomic.Pointer[forwardauth.Rules] // for proxies that ask
	cfg      *config.Config
	node     string
	log      hclog.Logger
	registry prometheus.Registerer
	set      *part.Set[*config.Config]

	db           *store.DB
	keys         *keyring.Ring
	leases       *lease.Store
	topics       *topic.Store
	provision    *provision.Service
	audit        *audit.Log
	events       *event.Store
	relay        *relay.Relay
	accounts     *account.Store
	metadata     *metadata.Store
	passwords    *password.Store
	breaches     breachList // nil: passwords are not looked up
	onetime      *onetime.Store
	federation   *federation.Service
	mints        *mint.Store
	erasures     *erasure.Store
	sessions     *session.Store
	orgs         *org.Store
	tokens       *sessionjwt.Issuer
	applications *apitoken.Store
	totp         *totp.Store
	codes        *recoverycode.Store
	passkeys     *passkey.Store
	devices      *device.Store
	inbox        *mail.Inbox
	mailer       mail.Mailer // what sends when no plugin does
	mail         *mail.Queue
	words
	gates          *gate.Table
	attempts       *gate.Attempts
	members        *membership.Service
	captcha        *captcha.Verifier // nil: none is configured
	failures       *ratelimit.Backoff
	pairs          *ratelimit.Pair
	factors        *ratelimit.Account
	mails          *ratelimit.Account
	kit            *flow.Kit
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
func migrate(ctx context.Context, db *store.DB, list []registration, cfg *config.Config, log hclog.Logger) error {
	if cfg.Database.Migrate {
		done, err := db.Migrate(ctx, part.Migrations(list)...)
		for _, m := range done {
			log.Debug("migrated", "step", m.Name)
		}
		return err
	}
	all, err := db.Migrations(ctx, part.Migrations(list)...)
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

// openParts opens the database, migrates it and joins the listed parts on it.
func openParts(ctx context.Context, cfg *config.Config, list []registration, log hclog.Logger, reg prometheus.Registerer) (_ *parts, err error) {
	p := &parts{cfg: cfg, log: log, registry: reg, gates: &gate.Table{}, set: part.NewSet[*config.Config](log.Named("parts"))}
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
	if err = migrate(ctx, p.db, list, cfg, log); err != nil {
		return nil, err
	}
	if p.node, err = nodeName(cfg.DataDir); err != nil {
		return nil, err
	}
	if err = part.Open(ctx, p.set, p, list); err != nil {
		return nil, err
	}
	return p, nil
}

func flowSettings(cfg *config.Config) flow.Settings {
	return flow.Settings{
		BaseURL: cfg.Server.BaseURL, ServiceName: cfg.Mail.ServiceName, RegistrationClosed: !cfg.Registration.Enabled,
		DeferConfirmation: cfg.Registration.Confirmation == config.ConfirmationDeferred, ConfirmationTTL: cfg.Registration.ConfirmationTTL,
		ResetTTL: cfg.SignIn.PasswordResetTTL, MagicLinks: cfg.SignIn.MagicLink, MagicLinkTTL: cfg.SignIn.MagicLinkTTL, EmailChangeTTL: cfg.SignIn.EmailChangeTTL,
		SecondFactorTTL: cfg.SecondFactor.TTL, RequireSecondFactor: cfg.SecondFactor.Required, RequireOfAdministrators: cfg.SecondFactor.RequiredOfAdministrators, StepUpWindow: cfg.SecondFactor.StepUpWindow,
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
func (p *parts) close() error { return errors.Join(p.set.Close(), p.db.Close()) }

// newDirectory makes the directory of the providers that people can sign in with.
func newDirectory(baseURL string, providers []config.Provider) (*federation.Directory, error) {
	return federation.NewDirectory(federation.DirectoryConfig{BaseURL: baseURL, Providers: providers})
}

func sessionSettings(cfg *config.Config) session.Settings {
	return session.Settings{
		IdleTimeout: cfg.Session.IdleTimeout, AbsoluteTimeout: cfg.Session.AbsoluteTimeout,
		RememberMe: cfg.Session.RememberMe, ActivityInterval: cfg.Session.ActivityInterval,
		AdministratorsAAL2: cfg.SecondFactor.RequiredOfAdministrators,
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
