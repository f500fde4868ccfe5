package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/sessionjwt"
	"github.com/sigra-auth/sigra/core/store"
)

// system is the running server, or the command that stands in for it, as the API sees it.
type system struct {
	*parts
	file    string // configuration file; empty: defaults
	started time.Time
	listen  []string
	ready   func(ctx context.Context) []string // what is not ready; nil where no server runs
	apply   func(ctx context.Context, next *config.Config) (changed []string, diags config.Diagnostics)
	renew   func(ctx context.Context) // has sealed values sealed anew, in the background while a server runs

	mu      sync.Mutex // one reload at a time
	current *config.Config
}

// Status implements httpapi.System.
func (s *system) Status(ctx context.Context) (httpapi.Status, error) {
	st := httpapi.Status{
		Version: version, Node: s.node, StartedAt: s.started, Config: s.file, BaseURL: s.cfg.Server.BaseURL,
		Listen: s.listen, Database: s.db.Name(), NotReady: []string{},
	}
	if s.ready == nil {
		st.NotReady = append(st.NotReady, "no server runs here")
		return st, nil
	}
	st.PID = os.Getpid()
	if bad := s.ready(ctx); len(bad) > 0 {
		st.NotReady = bad
	}
	st.Ready = len(st.NotReady) == 0
	return st, nil
}

// Migrations implements httpapi.System.
func (s *system) Migrations(ctx context.Context) ([]store.Migration, error) {
	return s.db.Migrations(ctx, part.Migrations(registry())...)
}

// load reads the configuration file again.
func (s *system) load() (*config.Config, config.Diagnostics) {
	if s.file == "" {
		return config.Default(), nil
	}
	return config.Load(s.file)
}

// Reload implements httpapi.System.
func (s *system) Reload(ctx context.Context, actor audit.Ref) (httpapi.Reloaded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := func(ds config.Diagnostics) (httpapi.Reloaded, error) {
		return httpapi.Reloaded{Diagnostics: diagnostics(ds), Changed: []string{}, Restart: []string{}}, nil
	}
	next, diags := s.load()
	if diags.HasErrors() {
		return refused(diags)
	}
	d := compare(s.cfg, s.current, next)
	if s.apply != nil {
		changed, found := s.apply(ctx, next)
		diags = append(diags, found...)
		if found.HasErrors() {
			return refused(diags)
		}
		for _, name := range changed {
			if !slices.Contains(d.changed, name) {
				d.changed = append(d.changed, name)
			}
		}
	}
	s.current = next
	if err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := s.audit.Record(ctx, tx, audit.Entry{Action: "admin.reload", Actor: actor, Metadata: map[string]any{
			"added": d.added, "removed": d.removed, "changed": d.changed,
		}})
		return err
	}); err != nil {
		return httpapi.Reloaded{}, err
	}
	changed := d.words()
	s.log.Info("configuration reloaded", "changed", changed, "restart_needed", d.restart)
	return httpapi.Reloaded{Applied: true, Changed: changed, Restart: d.restart, Diagnostics: diagnostics(diags)}, nil
}

// difference is what is not the same in two configurations.
type difference struct {
	added, removed []string // plugins
	changed        []string // in effect after a reload
	restart        []string // in effect after a restart only
}

func (d difference) words() []string {
	out := append([]string{}, d.changed...)
	for _, n := range d.added {
		out = append(out, fmt.Sprintf("plugin %q added", n))
	}
	for _, n := range d.removed {
		out = append(out, fmt.Sprintf("plugin %q removed", n))
	}
	return out
}

// setting is a part of two configurations.
type setting struct {
	name    string
	was, is any
}

// reloads are the settings that change while running.
func reloads(was, is *config.Config) []setting {
	passkey := func(c *config.Config) config.Passkey { k := c.Passkey; k.RPID = ""; return k }
	return []setting{
		{"session", was.Session, is.Session},
		{"second_factor.trust_device", was.SecondFactor.TrustDevice, is.SecondFactor.TrustDevice},
		{"passkey", passkey(was), passkey(is)},
		{"abuse", was.Abuse, is.Abuse},
		{"metadata", was.Metadata, is.Metadata},
		{"organizations", was.Organizations, is.Organizations},
		{"provider", was.Providers, is.Providers},
		{"messages", was.Messages, is.Messages},
		{"pages", was.Pages, is.Pages},
		{"logging.level", was.Logging.Level, is.Logging.Level},
	}
}

// restarts are those that do not.
func restarts(was, is *config.Config) []setting {
	second := func(c *config.Config) config.SecondFactor { f := c.SecondFactor; f.TrustDevice = 0; return f }
	return []setting{
		{"data_dir", was.DataDir, is.DataDir},
		{"server", was.Server, is.Server},
		{"database", was.Database, is.Database},
		{"keyring", was.Keyring, is.Keyring},
		{"registration", was.Registration, is.Registration},
		{"sign_in", was.SignIn, is.SignIn},
		{"second_factor", second(was), second(is)},
		{"password", was.Password, is.Password},
		{"passkey.rp_id", was.Passkey.RPID, is.Passkey.RPID},
		{"rate_limit", was.RateLimit, is.RateLimit},
		{"mail", was.Mail, is.Mail},
		{"audit", was.Audit, is.Audit},
		{"events", was.Events, is.Events},
		{"logging.format", was.Logging.Format, is.Logging.Format},
		{"telemetry", was.Telemetry, is.Telemetry},
	}
}

// compare says what becomes of a new configuration: what is not as in the one before takes effect, or else waits for a restart for as long
// as it is not as at the start.
func compare(start, was, is *config.Config) difference {
	d := difference{added: []string{}, removed: []string{}, changed: []string{}, restart: []string{}}
	for _, part := range restarts(start, is) {
		if !reflect.DeepEqual(part.was, part.is) {
			d.restart = append(d.restart, part.name)
		}
	}
	for _, part := range reloads(was, is) {
		if !reflect.DeepEqual(part.was, part.is) {
			d.changed = append(d.changed, part.name)
		}
	}
	names := func(c *config.Config) (out []string) {
		for _, p := range c.Plugins {
			out = append(out, p.Name)
		}
		return out
	}
	before, after := names(was), names(is)
	for _, n := range after {
		if !slices.Contains(before, n) {
			d.added = append(d.added, n)
		}
	}
	for _, n := range before {
		if !slices.Contains(after, n) {
			d.removed = append(d.removed, n)
		}
	}
	return d
}

// keyAdmin rotates keys as the API asks.
type keyAdmin struct{ *system }

// Keys implements httpapi.Keys.
func (k keyAdmin) Keys() []keyring.Key { return k.keys.Keys() }

// Root implements httpapi.Keys.
func (k keyAdmin) Root() string { return k.keys.Root() }

// RotateKeys implements httpapi.Keys: the new key and its audit row are one transaction.
func (k keyAdmin) RotateKeys(ctx context.Context, actor audit.Ref) (keyring.Key, error) {
	made, err := k.keys.Rotate(ctx, func(ctx context.Context, tx *store.Tx, made keyring.Key) error {
		_, err := k.audit.Record(ctx, tx, audit.Entry{Action: "admin.keys.rotate", Actor: actor, Metadata: map[string]any{"key_id": made.ID.String()}})
		return err
	})
	if err != nil {
		return keyring.Key{}, err
	}
	k.renew(ctx)
	return made, nil
}

// SigningKeys implements httpapi.Keys.
func (k keyAdmin) SigningKeys() []sessionjwt.Key { return k.tokens.List() }

// RotateSigningKey implements httpapi.Keys.
func (k keyAdmin) RotateSigningKey(ctx context.Context, actor audit.Ref) error {
	return k.tokens.Rotate(ctx, actor)
}

// reseal seals anew what older keys have sealed.
func (p *parts) reseal(ctx context.Context) {
	res, err := p.keys.Reseal(ctx, p.set.Sealed())
	switch {
	case err != nil && ctx.Err() == nil:
		p.log.Error("not everything could be sealed with the new key; the old one still opens it", "error", err)
	case err == nil && res.Changed > 0:
		p.log.Info("sealed anew with the current key", "values", res.Changed)
	}
}
