package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/forwardauth"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/server"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/telemetry"
	"github.com/sigra-auth/sigra/core/web"
)

// app is a whole Sigra, ready to serve.
type app struct {
	*parts
	system  *system
	metrics *prometheus.Registry
	source  *telemetry.Source
	callers *principal.Chain // tells who sends a request
	host    *pluginhost.Host
	api     *httpapi.API
	server  *server.Server
	cert    *server.Certificate // nil without TLS
	unlock  func()
	resealC chan struct{}

	pages    *web.Pages
	replaced map[string]string // contents of the folders that replace words and pages
}

// newApp joins everything. Nothing runs yet but the database connection.
func newApp(ctx context.Context, cfg *config.Config, file string, log hclog.Logger) (_ *app, err error) {
	a := &app{metrics: telemetry.NewRegistry(version), resealC: make(chan struct{}, 1)}
	if a.unlock, err = lockDataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.parts, err = openParts(ctx, cfg, registry(), log, a.metrics); err != nil {
		return nil, err
	}
	a.callers = newCallers(a.sessions, sessionCookie(cfg), a.applications)
	a.lookAtBreachFile()
	a.source, err = telemetry.New(ctx, telemetry.Config{
		OTLP:    telemetry.OTLP{Endpoint: cfg.Telemetry.OTLP.Endpoint, Headers: cfg.Telemetry.OTLP.Headers, Insecure: cfg.Telemetry.OTLP.Insecure},
		Version: version, Node: a.node, Registerer: a.metrics, Logger: log.Named("telemetry"),
	})
	if err != nil {
		return nil, err
	}
	webConfig := web.Config{
		BaseURL: cfg.Server.BaseURL, ServiceName: cfg.Mail.ServiceName, Sealer: a.keys, ReturnTo: cfg.SignIn.ReturnTo, SessionCookie: sessionCookie(cfg),
		Services: web.Services{
			Sessions: a.sessions, Recent: a.own.RequireRecentAuth, SignUps: a.auth, SignIns: a.auth, PasswordResets: a.auth, SecondFactors: a.auth, StepUps: a.auth,
			PasskeySignIns: a.auth, Signals: a.passkeys, FederatedSignIns: a.auth, Providers: a.federation, Offers: a.offers(), SignedOuts: signedOuts{func() *pluginhost.Host { return a.host }},
			Account: a.own, OwnPassword: a.own, OwnUsername: a.own, OwnEmail: a.own, OwnTOTP: a.own, OwnCodes: a.own, OwnDevices: a.own, OwnSessions: a.own, OwnPasskeys: a.own,
			OwnLogins: a.own, Organizations: a.members,
		},
		RegistrationClosed: !cfg.Registration.Enabled, PasswordMinLength: cfg.Password.MinLength, Usernames: usernames(cfg), RememberMe: cfg.Session.RememberMe > 0,
		Plugins: func(p principal.Principal, language string) []web.Link { return a.links(p, language) }, Texts: a.catalogues, Logger: log.Named("web"),
	}
	a.replaced = replacedBy(cfg)
	var diags config.Diagnostics
	if webConfig.Override, diags = readPages(cfg, a.catalogues); diags.HasErrors() {
		return nil, exitError{2, diagnosticsError{diags}}
	}
	if cfg.SignIn.MagicLink {
		webConfig.MagicLinks = a.auth
	}
	services := a.services()
	services.LoginMethods = a.offers()
	services.SessionTokens = sessionTokens{a.tokens, func() *pluginhost.Host { return a.host }}
	services.Exports = exporter{a.parts, func() *pluginhost.Host { return a.host }}
	if cfg.Mail.Dev {
		webConfig.Inbox, services.Inbox = a.inbox, a.inbox
	}
	pages, err := web.New(webConfig)
	if err != nil {
		return nil, err
	}
	a.pages = pages
	if a.host, err = a.newHost(pages); err != nil {
		return nil, err
	}
	a.system = &system{
		parts: a.parts, file: file, current: cfg, started: time.Now().UTC(), listen: []string{cfg.Server.Listen},
		ready: a.notReady, apply: a.apply, renew: func(context.Context) { a.renew() },
	}
	services.System, services.Keys = a.system, keyAdmin{a.system}
	services.Plugins = pluginAdmin{host: a.host, db: a.db, audit: a.audit, load: a.system.load}
	if a.api, err = httpapi.New(httpapi.Config{
		BaseURL: cfg.Server.BaseURL, Version: version, Callers: a.callers, Cookie: sessionCookie(cfg), Recent: a.own.RequireRecentAuth, Administrators: a.administration, Services: services, Logger: log,
	}); err != nil {
		return nil, err
	}
	a.server, err = a.newServer(pages)
	return a, err
}

// services are what the API needs of the parts.
func (p *parts) services() httpapi.Services {
	return httpapi.Services{
		Applications: p.applications,
		SignUps:      p.auth, SignIns: p.auth, PasswordResets: p.auth, SecondFactors: p.auth, PasskeySignIns: p.auth, MagicLinks: p.auth, Providers: p.federation, StepUps: p.auth,
		OwnProfile: p.own, OwnPassword: p.own, OwnFactors: p.own, OwnPasskeys: p.own, OwnEmail: p.own, OwnUsername: p.own, OwnDevices: p.own, OwnSessions: p.own, OwnMetadata: p.own,
		Logins: p.own, MetadataLimit: p.metadata.MaxText,
		Organizations: p.members, OrganizationMembers: p.members, OrganizationInvitations: p.members, OrganizationDomains: p.members, OwnInvitations: p.members, OrganizationSwitch: p.members,
		Users: p.administration, Accounts: p.accounts, UserSessions: p.sessions, UserMetadata: p.administration, Relay: p.relay, Mail: mailAdmin{p},
		Audit: p.audit, Events: p.events, Note: p.note,
	}
}

// note records what changes nothing by itself: an export, a refusal.
func (p *parts) note(ctx context.Context, e audit.Entry) error {
	return p.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := p.audit.Record(ctx, tx, e)
		return err
	})
}

func (a *app) newHost(pages *web.Pages) (*pluginhost.Host, error) {
	var databaseURL string
	if u := a.cfg.Database.URL.Reveal(); u != "" && a.db.Dialect() == "postgres" {
		databaseURL = u
	}
	return pluginhost.New(pluginhost.Config{
		DB: a.db, DataDir: a.cfg.DataDir, DatabaseURL: databaseURL, BaseURL: a.cfg.Server.BaseURL, Version: version, Language: a.cfg.Mail.Language,
		Bundled: bundledNames(), BundledGates: bundledGates(), ReapOrphans: true, Logger: a.log.Named("plugins"), Registerer: a.metrics,
		CorePaths: corePaths(pages), Callers: callers{a.callers, pages},
		Failures: func(w http.ResponseWriter, r *http.Request, err error) { a.server.Fail(w, r, err) },
		Administers: func(p principal.Principal) bool {
			return a.members.Manages(org.Membership{Status: org.Active, Owner: p.Owner, Role: p.Role})
		},
		Gates: a.gates, Relay: a.relay, Mail: a.mail,
		Accounts: a.accounts, Sessions: a.sessions, Administration: a.administration, Audit: a.audit, Events: a.events, Outbox: a.mail, Letters: a.letters, Members: a.members, Orgs: a.orgs,
		Erasures: a.erasures, Keyring: a.keys, Leases: a.leases, Topics: a.topics, Attempts: a.attempts, Directory: a.provision, Metadata: a.metadata, Pages: pluginPages{pages}, PagePolicy: pages.Policy(), Federated: federated{a.auth, a.cfg.Server.BaseURL},
	})
}

// corePaths are what no plugin may serve at, below or above.
func corePaths(pages *web.Pages) []string {
	paths := []string{"/v1", "/openapi.json", "/openapi.yaml", "/problems", "/.well-known/jwks.json", "/healthz", "/readyz", "/metrics", "/dev", "/auth"}
	r := mux.NewRouter()
	pages.Mount(r)
	// The walk's function never fails, so neither does the walk.
	_ = r.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		if t, err := route.GetPathTemplate(); err == nil && t != "/" {
			if !strings.HasPrefix(t, "/.well-known/") { // where each name is somebody else's (RFC 8615)
				t = "/" + strings.SplitN(strings.Trim(t, "/"), "/", 2)[0]
			}
			paths = append(paths, t)
		}
		return nil
	})
	slices.Sort(paths)
	return slices.Compact(paths)
}

// offers are the ways to sign in that plugins have.
func (a *app) offers() offers {
	return offers{host: func() *pluginhost.Host { return a.host }, members: a.members}
}

// links are the plugin pages somebody may open, for the navigation.
func (a *app) links(p principal.Principal, language string) []web.Link {
	var out []web.Link
	for _, l := range a.host.Links(p, language) {
		out = append(out, web.Link{Title: l.Title, Path: l.Path})
	}
	return out
}

func (a *app) newServer(pages *web.Pages) (*server.Server, error) {
	cfg := a.cfg
	limits := server.Limits{}
	for class, rate := range map[ratelimit.Class]config.Rate{
		ratelimit.General: cfg.RateLimit.General, ratelimit.Guess: cfg.RateLimit.Guess, ratelimit.Mail: cfg.RateLimit.Mail, ratelimit.Hash: cfg.RateLimit.Hash,
	} {
		if rate.Count == 0 {
			continue
		}
		ip, err := ratelimit.NewIP(ratelimit.IPConfig{Quota: quota(rate)})
		if err != nil {
			return nil, err
		}
		limits[class] = ip
	}
	rules, err := endpoint.Join(a.api.Rules(), pages.Rules())
	if err != nil {
		return nil, err
	}
	sc := server.Config{
		BaseURL: cfg.Server.BaseURL, InternalHosts: cfg.Server.InternalHosts, Application: a.knowsApplication, TrustedProxies: cfg.Server.TrustedProxies, Forwarded: cfg.Server.ForwardedHeader == config.Forwarded, HSTSSubdomains: cfg.Server.HSTSSubdomains, MaxBody: cfg.Server.MaxBody, DrainDelay: cfg.Server.DrainDelay, Grace: cfg.Server.ShutdownGrace,
		API: a.api.Handler(), Mount: pages.Mount, Rules: rules, Routes: a.host.Route,
		Problem: a.api.WriteError, Page: pages.Error, Language: pages.Language, Foreign: web.ForeignForms(), Checks: a.checks(), OnDrain: []func(){a.api.Close}, Limits: limits,
		Register: a.metrics, Logger: a.log.Named("http"),
		ForwardAuth: &server.ForwardAuth{
			Rules: func() forwardauth.Rules { return *a.access.Load() }, Caller: callers{a.callers, pages}.Caller, Ask: gate.NewCache(a.gates, nil).Ask,
			SignIn: func(returnTo string, maxAge time.Duration, aal string) string {
				return pages.SignIn(returnTo, maxAge, aal, false)
			},
		},
	}
	if cfg.Telemetry.Metrics {
		sc.Metrics = a.metrics
	}
	return server.New(sc)
}

// checks are what /readyz asks.
func (a *app) checks() []server.Check {
	return []server.Check{
		{Name: "database", Ready: a.db.Ping},
		{Name: "plugins", Ready: func(ctx context.Context) error {
			if bad := a.host.Ready(ctx); len(bad) > 0 {
				return fault.Newf(fault.Unavailable, "plugins_not_ready", "%v", bad)
			}
			return nil
		}},
	}
}

func (a *app) notReady(ctx context.Context) []string {
	var out []string
	for _, c := range a.checks() {
		if err := c.Ready(ctx); err != nil {
			out = append(out, c.Name+": "+fault.From(err).Message)
		}
	}
	return out
}

// apply puts into effect what can change while running, and names what is different in the folders of words and pages. It changes
// nothing when it reports an error.
func (a *app) apply(ctx context.Context, next *config.Config) (changed []string, diags config.Diagnostics) {
	words, diags := readWords(next)
	if diags.HasErrors() {
		return nil, diags
	}
	started := *next
	started.Mail = a.cfg.Mail // only a restart changes what the settings say; what they will say then was looked at above
	replaced := replacedBy(&started)
	if !reflect.DeepEqual(started.Mail, next.Mail) {
		if words, diags = readWords(&started); diags.HasErrors() {
			return nil, diags
		}
	}
	override, diags := readPages(next, words.catalogues)
	if diags.HasErrors() {
		return nil, diags
	}
	if changed, diags = a.host.Reload(ctx, next.Plugins); diags.HasErrors() {
		return nil, diags
	}
	if err := a.pages.Use(words.catalogues, override); err != nil { // a file that changed under our eyes
		diags = append(diags, config.Diagnostic{Severity: config.Warning, Summary: "Pages kept as they were", Detail: err.Error()})
	} else {
		a.letters.Use(words.letters)
		for _, name := range slices.Sorted(maps.Keys(replaced)) {
			if replaced[name] != a.replaced[name] {
				changed = append(changed, name)
			}
		}
		a.replaced = replaced
	}
	for _, f := range a.set.Reload(next) {
		diags = append(diags, config.Diagnostic{Severity: config.Warning, Summary: fmt.Sprintf("Settings of %s kept as they were", f.Part), Detail: f.Err.Error()})
	}
	if was, is := a.cfg.Passkey.RPID, next.Passkey.RPID; was != is && a.cfg.Server.BaseURL == next.Server.BaseURL {
		diags = append(diags, config.Diagnostic{
			Severity: config.Warning, Setting: "passkey.rp_id", Summary: fmt.Sprintf("Passkeys still belong to %s", was),
			Detail: fmt.Sprintf("After a restart they would belong to %s, and nobody could use any passkey that there is. Put rp_id back, unless that is what you want.", is),
		})
	}
	if a.cert != nil {
		if err := a.cert.Reload(); err != nil {
			diags = append(diags, config.Diagnostic{Severity: config.Warning, Summary: "TLS certificate kept as it was", Detail: err.Error()})
		}
	}
	if level := hclog.LevelFromString(next.Logging.Level); level != hclog.NoLevel {
		a.log.SetLevel(level)
	}
	return changed, diags
}

func (a *app) renew() {
	select {
	case a.resealC <- struct{}{}:
	default: // one is waiting already
	}
}

// serve runs everything until ctx ends, then lets it end in the order of dependence: first nobody is let in, then
// plugins stop, then what they and the requests used.
func (a *app) serve(ctx context.Context, started func(addr string)) error {
	public, err := server.Listen(ctx, a.cfg.Server.Listen)
	if err != nil {
		return err
	}
	addr := public.Addr().String()
	if a.cfg.Server.TLS.Enabled() {
		if a.cert, err = server.LoadCertificate(a.cfg.Server.TLS.CertFile, a.cfg.Server.TLS.KeyFile, a.log.Named("tls")); err != nil {
			_ = public.Close()
			return err
		}
		public = a.cert.Wrap(public)
	}
	var metrics net.Listener
	if addr := a.cfg.Telemetry.MetricsListen; addr != "" {
		if metrics, err = server.ListenMetrics(ctx, addr); err != nil {
			_ = public.Close()
			return err
		}
		a.log.Info("metrics have an address of their own", "listen", metrics.Addr().String())
	}
	control, err := server.ListenControl(ctx, server.ControlSocket(a.cfg.DataDir), a.log.Named("control"))
	if err != nil {
		_ = closeAll(public, metrics)
		return err
	}
	// What works in the background outlives ctx until requests and plugins have ended.
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	workers, background := errgroup.WithContext(background)
	workers.Go(func() error { return a.host.Subjects().RunErasures(background) })
	for name, run := range map[string]func(context.Context) error{
		"parts": a.set.Run, "telemetry": a.runTelemetry, "reseal": a.runReseal,
	} {
		workers.Go(func() error {
			if err := run(background); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	// A worker that fails is a defect that restarting may cure; going on without it would only look well.
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	go func() {
		<-background.Done()
		stopServing()
	}()

	if diags := a.host.Apply(ctx, a.cfg.Plugins); diags.HasErrors() {
		_ = closeAll(public, metrics, control)
		end()
		_ = workers.Wait()
		return diagnosticsError{diags}
	}
	started(addr)
	serveErr := a.server.Serve(serving, server.Listeners{Public: []net.Listener{public}, Control: control, Metrics: metrics})

	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	hostErr := a.host.Close(stopping)
	end()
	return errors.Join(serveErr, hostErr, workers.Wait(), a.source.Close(stopping))
}

// runTelemetry feeds the tap to OpenTelemetry and the counters.
func (a *app) runTelemetry(ctx context.Context) error {
	rows, cancel := a.audit.Tap().Subscribe("telemetry", 4096)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case row := <-rows:
			a.source.Audit(telemetryRecord(row))
		}
	}
}

func telemetryRecord(r *audit.Row) telemetry.Record {
	rec := telemetry.Record{
		ID: r.ID.String(), OccurredAt: r.OccurredAt, Action: r.Action, Category: r.Category, Outcome: string(r.Outcome), Reason: r.Reason,
		ActorType: r.Actor.Type, ActorID: r.Actor.ID, RequestID: r.RequestID, AuthMethod: r.AuthMethod,
	}
	for _, t := range r.Targets {
		rec.Targets = append(rec.Targets, t.Type+":"+t.ID)
	}
	if r.OrganizationID != [16]byte{} {
		rec.OrganizationID = r.OrganizationID.String()
	}
	if r.SessionID != [16]byte{} {
		rec.SessionID = r.SessionID.String()
	}
	return rec
}

// runReseal seals values anew once at start, in case an earlier pass was cut short, and after each rotation.
func (a *app) runReseal(ctx context.Context) error {
	for {
		a.reseal(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-a.resealC:
		}
	}
}

// closeAll closes the listeners there are.
func closeAll(listeners ...net.Listener) error {
	var errs []error
	for _, l := range listeners {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

func (a *app) close() {
	if a.parts != nil {
		_ = a.parts.close()
	}
	if a.unlock != nil {
		a.unlock()
	}
}

// diagnosticsError carries what is wrong with a configuration to where it is shown.
type diagnosticsError struct{ config.Diagnostics }

func (e diagnosticsError) Error() string { return e.Err().Error() }

// firstRun reports whether nothing has ever been kept in data_dir.
func firstRun(dataDir string) bool {
	_, err := os.Stat(filepath.Join(dataDir, "node"))
	return errors.Is(err, os.ErrNotExist)
}
