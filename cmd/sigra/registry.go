package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

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
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/provision"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/sessionjwt"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/topic"
)

type (
	registration = part.Part[*parts, *config.Config]
	hooks        = part.Hooks[*config.Config]
)

// registry lists the parts from the ground up: each may use those above it. To add one, add one entry here.
func registry() []registration {
	return []registration{
		{Name: "keyring", Schema: keyring.Schema(), Open: openKeyring},
		{Name: "lease", Schema: lease.Schema(), Open: openLeases},
		{Name: "topic", Schema: topic.Schema(), Open: openTopics},
		{Name: "audit", Schema: audit.Schema(), Open: openAudit},
		{Name: "event", Schema: event.Schema(), Open: openEvents},
		{Name: "relay", Schema: relay.Schema(), Open: openRelay},
		{Name: "account", Schema: account.Schema(), Open: openAccounts},
		{Name: "metadata", Schema: metadata.Schema(), Open: openMetadata},
		{Name: "password", Schema: password.Schema(), Open: openPasswords},
		{Name: "onetime", Schema: onetime.Schema(), Open: openOnetime},
		{Name: "federation", Schema: federation.Schema(), Open: openFederation},
		{Name: "mint", Schema: mint.Schema(), Open: openMints},
		{Name: "erasure", Schema: erasure.Schema(), Open: openErasures},
		{Name: "session", Schema: session.Schema(), Open: openSessions},
		{Name: "apitoken", Schema: apitoken.Schema(), Open: openApplications},
		{Name: "sessionjwt", Schema: sessionjwt.Schema(), Open: openSessionTokens},
		{Name: "org", Schema: org.Schema(), Open: openOrgs},
		{Name: "mail", Schema: mail.Schema(), Open: openMail},
		{Name: "totp", Schema: totp.Schema(), Open: openTOTP},
		{Name: "recoverycode", Schema: recoverycode.Schema(), Open: openCodes},
		{Name: "passkey", Schema: passkey.Schema(), Open: openPasskeys},
		{Name: "device", Schema: device.Schema(), Open: openDevices},
		{Name: "gate", Schema: gate.Schema(), Open: openGates},
		{Name: "ratelimit", Schema: ratelimit.Schema(), Open: openLimits},
		{Name: "flow", Open: openFlows},
		{Name: "membership", Open: openMembers},
		{Name: "provision", Schema: provision.Schema(), Open: openProvision},
		{Name: "auth", Open: openAuth},
		{Name: "access", Open: openAccess},
		{Name: "plugin", Schema: pluginhost.Schema()},
	}
}

func openKeyring(ctx context.Context, p *parts) (hooks, error) {
	var err error
	p.keys, err = keyring.Open(ctx, keyring.Config{
		DB: p.db, Root: p.cfg.Keyring.RootKey, OldRoots: p.cfg.Keyring.OldRootKeys, DataDir: p.cfg.DataDir, Logger: p.log.Named("keyring"),
	})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Run: p.keys.Run}, nil
}

func openLeases(_ context.Context, p *parts) (_ hooks, err error) {
	p.leases, err = lease.New(p.db, p.node)
	return hooks{}, err
}

func openTopics(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.topics, err = topic.New(topic.Config{DB: p.db, Logger: p.log.Named("topic")})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Run: p.topics.Run}, nil
}

func openProvision(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.provision, err = provision.New(provision.Config{Kit: p.kit, Members: p.members})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Export: p.provision.Export, Erase: part.ByID(p.provision.Erase)}, nil
}

func openAudit(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.audit, err = audit.New(audit.Config{DB: p.db, Logger: p.log.Named("audit")})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Export: p.audit.ExportPerson, Erase: p.audit.ErasePerson}, nil
}

func openEvents(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.events, err = event.New(event.Config{DB: p.db, MaxData: int(p.cfg.Events.MaxBytes)})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Export: p.events.Export, Erase: p.events.Erase}, nil
}

func openRelay(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.relay, err = relay.New(relay.Config{
		DB: p.db, Audit: p.audit, Events: p.events, Leases: p.leases, Node: p.node, Logger: p.log.Named("relay"), Registerer: p.registry,
		Retention: relay.Retention{Audit: p.cfg.Audit.Retention, Anonymous: p.cfg.Audit.AnonymousRetention, Events: p.cfg.Events.Retention, DeadLetters: 90 * 24 * time.Hour},
	})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Run: p.relay.Run}, nil
}

func openAccounts(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.accounts, err = account.New(account.Config{DB: p.db})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Export: p.accounts.Export, Erase: part.ByID(func(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
		_, err := p.accounts.Erase(ctx, tx, id)
		return err
	})}, nil
}

func openMetadata(_ context.Context, p *parts) (hooks, error) {
	rules, err := metadataRules(p.cfg.Metadata)
	if err != nil {
		return hooks{}, err
	}
	if p.metadata, err = metadata.New(metadata.Config{DB: p.db, Rules: rules}); err != nil {
		return hooks{}, err
	}
	return hooks{
		Export: p.metadata.Export,
		Erase: part.ByID(func(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
			return p.metadata.Erase(ctx, tx, id)
		}),
		Reload: func(next *config.Config) error {
			rules, err := metadataRules(next.Metadata)
			if err == nil {
				p.metadata.SetRules(rules)
			}
			return err
		},
	}, nil
}

func openPasswords(_ context.Context, p *parts) (hooks, error) {
	cfg := p.cfg
	var err error
	if p.breaches, err = openBreaches(cfg.Password.BreachCheck, p.log.Named("breach")); err != nil {
		return hooks{}, err
	}
	closing := func() error {
		if p.breaches != nil {
			p.breaches.Close()
		}
		return nil
	}
	if p.passwords, err = password.New(password.Config{
		Limits:    password.Limits{Memory: cfg.Password.Import.MaxMemory, Work: float64(cfg.Password.Import.MaxCost)},
		Breaches:  p.breaches,
		Params:    password.Params{MemoryKiB: cfg.Password.Argon2.MemoryKiB, Time: cfg.Password.Argon2.Time, Parallelism: cfg.Password.Argon2.Parallelism},
		Places:    cfg.Password.Hashers(),
		MinLength: cfg.Password.MinLength, MaxLength: cfg.Password.MaxLength, QueueTimeout: cfg.Password.QueueTimeout,
		ServiceName: cfg.Mail.ServiceName, Hooks: hashMetrics(p.registry),
	}); err != nil {
		return hooks{}, errors.Join(err, closing())
	}
	return hooks{Export: p.passwords.Export, Erase: part.ByID(p.passwords.Erase), Close: closing}, nil
}

func openOnetime(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.onetime, err = onetime.New(onetime.Config{DB: p.db, Sealer: p.keys, Attempts: p.cfg.Registration.CodeAttempts})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Clean: p.onetime.Clean, Export: part.NoExport, Erase: part.ByID(p.onetime.Erase)}, nil
}

func openFederation(_ context.Context, p *parts) (hooks, error) {
	directory, err := newDirectory(p.cfg.Server.BaseURL, p.cfg.Providers)
	if err != nil {
		return hooks{}, err
	}
	if p.federation, err = federation.New(federation.Config{DB: p.db, Sealer: p.keys, Directory: directory, Logger: p.log.Named("federation")}); err != nil {
		return hooks{}, err
	}
	return hooks{
		Clean: p.federation.Clean, Export: p.federation.Export,
		Erase: part.ByID(func(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
			_, err := p.federation.Erase(ctx, tx, id)
			return err
		}),
		Reload: func(next *config.Config) error {
			directory, err := newDirectory(p.cfg.Server.BaseURL, next.Providers)
			if err != nil {
				return err
			}
			was := p.federation.Directory()
			p.federation.Use(directory)
			was.Close()
			return nil
		},
		Close: func() error { p.federation.Directory().Close(); return nil },
	}, nil
}

func openMints(_ context.Context, p *parts) (hooks, error) {
	var err error
	if p.mints, err = mint.New(p.db, nil); err != nil {
		return hooks{}, err
	}
	return hooks{Clean: p.mints.Clean, Export: p.mints.Export, Erase: part.ByID(p.mints.Erase)}, nil
}

func openErasures(_ context.Context, p *parts) (hooks, error) {
	var err error
	if p.erasures, err = erasure.New(erasure.Config{DB: p.db, Keys: p.keys, Audit: p.audit, Logger: p.log.Named("erasure")}); err != nil {
		return hooks{}, err
	}
	use := func(cfg *config.Config) error {
		var names []string
		for _, b := range cfg.Plugins {
			names = append(names, b.Name)
		}
		p.erasures.Use(names)
		return nil
	}
	return hooks{Reload: use}, use(p.cfg)
}

func openOrgs(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.orgs, err = org.New(org.Config{DB: p.db, Audit: p.audit})
	if err != nil {
		return hooks{}, err
	}
	by := audit.Entry{Actor: audit.Ref{Type: "system"}}
	return hooks{
		Clean:  func(ctx context.Context) (int64, error) { n, err := p.orgs.Clean(ctx, by); return int64(n), err },
		Export: p.orgs.Export,
		Erase: func(ctx context.Context, tx *store.Tx, who part.Subject) error {
			return p.orgs.Erase(ctx, tx, by, who.UserID, who.Email)
		},
	}, nil
}

func openMail(_ context.Context, p *parts) (hooks, error) {
	var err error
	if p.inbox, err = mail.NewInbox(p.db, nil); err != nil {
		return hooks{}, err
	}
	from, err := parseFrom(p.cfg.Mail)
	if err != nil {
		return hooks{}, err
	}
	if p.mailer, err = newMailer(p.cfg, p.inbox, p.log.Named("mail")); err != nil {
		return hooks{}, err
	}
	if p.mail, err = mail.New(mail.Config{
		DB: p.db, Keys: p.keys, Leases: p.leases, Mailer: p.mailer, From: from, Logger: p.log.Named("mail"), Observe: mailMetrics(p.registry),
	}); err != nil {
		return hooks{}, err
	}
	if p.registry != nil {
		p.registry.MustRegister(newQueueMetrics(p.mail, p.log.Named("mail")))
	}
	return hooks{
		Run: p.mail.Run, Export: part.NoExport, Erase: p.mail.Erase,
		Close: func() error {
			if c, ok := p.mailer.(io.Closer); ok {
				return c.Close()
			}
			return nil
		},
	}, nil
}

func openTOTP(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.totp, err = totp.New(totp.Config{DB: p.db, Sealer: p.keys})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Clean: p.totp.Clean, Export: p.totp.Export, Erase: part.ByID(p.totp.Erase)}, nil
}

func openCodes(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.codes, err = recoverycode.New(recoverycode.Config{Keys: p.keys})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Export: p.codes.Export, Erase: part.ByID(p.codes.Erase)}, nil
}

func openPasskeys(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.passkeys, err = passkey.New(passkey.Config{DB: p.db, Settings: passkeySettings(p.cfg)})
	if err != nil {
		return hooks{}, err
	}
	return hooks{
		Clean: p.passkeys.Clean, Export: p.passkeys.Export, Erase: part.ByID(p.passkeys.Erase),
		Reload: func(next *config.Config) error { // not whose passkeys they are
			is := *p.cfg
			is.Passkey = next.Passkey
			is.Passkey.RPID = p.cfg.Passkey.RPID
			return p.passkeys.Configure(passkeySettings(&is))
		},
	}, nil
}

func openDevices(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.devices, err = device.New(device.Config{DB: p.db, TrustFor: p.cfg.SecondFactor.TrustDevice})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Clean: p.devices.Clean, Export: p.devices.Export, Erase: part.ByID(p.devices.Erase)}, nil
}

func openLimits(_ context.Context, p *parts) (hooks, error) {
	cfg := p.cfg.RateLimit
	for _, l := range []struct {
		to   **ratelimit.Account
		name string
		rate config.Rate
	}{
		{&p.factors, "second_factor", cfg.SecondFactor}, {&p.mails, "mail", cfg.MailPerAddress},
	} {
		var err error
		if *l.to, err = ratelimit.NewAccount(ratelimit.AccountConfig{Name: l.name, Quota: quota(l.rate)}); err != nil {
			return hooks{}, err
		}
	}
	if err := p.openAbuse(); err != nil {
		return hooks{}, err
	}
	return hooks{
		Clean: p.pruneLimits, Export: part.NoExport,
		Erase: func(ctx context.Context, tx *store.Tx, who part.Subject) error { // what is counted by is the flows' to know
			return p.kit.EraseLimits(ctx, tx, who)
		},
		Reload: func(next *config.Config) error { return p.reloadAbuse(next.Abuse) },
		Close: func() error {
			if p.captcha != nil {
				p.captcha.Close()
			}
			return nil
		},
	}, nil
}

// pruneLimits forgets failures that no longer count, and proofs that nobody takes any more.
func (p *parts) pruneLimits(ctx context.Context) (total int64, err error) {
	for _, l := range []interface {
		Prune(context.Context, *store.DB) (int64, error)
	}{p.factors, p.mails, p.failures} {
		n, err := l.Prune(ctx, p.db)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// openFlows makes what every flow uses.
func openFlows(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.kit, err = flow.New(flow.Config{
		Stores: flow.Stores{
			DB: p.db, Accounts: p.accounts, Metadata: p.metadata, Passwords: p.passwords, Onetime: p.onetime, Sessions: p.sessions, TOTP: p.totp, Codes: p.codes,
			Passkeys: p.passkeys, Devices: p.devices, Logins: p.federation, Orgs: p.orgs, Mints: p.mints, Erasures: p.erasures,
		},
		Limits: flow.Limits{Failures: p.failures, Pairs: p.pairs, Factors: p.factors, Mails: p.mails},
		Audit:  p.audit, Mail: p.mail, Letters: p.letters, Gates: p.gates,
		Logger: p.log.Named("auth"), Settings: flowSettings(p.cfg),
	})
	return hooks{}, err
}

func openGates(_ context.Context, p *parts) (hooks, error) {
	p.gates.DescribeWith(p.described)
	var err error
	p.attempts, err = gate.NewAttempts(gate.AttemptsConfig{DB: p.db, Table: p.gates, Logger: p.log.Named("gate")})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Run: p.attempts.Run}, nil
}

// described is what gates may decide by of what is kept of a user: the application's own metadata, the private before the public.
func (p *parts) described(ctx context.Context, userID uuid.UUID) (map[string]any, error) {
	out := map[string]any{}
	for _, scope := range []metadata.Scope{metadata.Public, metadata.Private} {
		o, err := p.metadata.Get(ctx, p.db, userID, scope)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(o.Value, &out); err != nil { // a name that both have is the private one's
			return nil, fmt.Errorf("read %s metadata: %w", scope, err)
		}
	}
	return out, nil
}

// openAuth makes the flows themselves.
func openAuth(_ context.Context, p *parts) (hooks, error) {
	factors, err := factor.New(p.kit)
	if err != nil {
		return hooks{}, err
	}
	if p.auth, err = auth.New(auth.Config{Kit: p.kit, Factors: factors, Members: p.members}); err != nil {
		return hooks{}, err
	}
	if p.own, err = selfservice.New(selfservice.Config{Kit: p.kit, Factors: factors}); err != nil {
		return hooks{}, err
	}
	if p.administration, err = administration.New(administration.Config{Kit: p.kit, Factors: factors}); err != nil {
		return hooks{}, err
	}
	return hooks{
		Run:    p.auth.Run,
		Reload: func(next *config.Config) error { p.auth.TrustDevices(next.SecondFactor.TrustDevice); return nil },
	}, nil
}
