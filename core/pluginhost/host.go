package pluginhost

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Config is what a Host works with. Everything below "the seams" may be nil: the seam or service then does not exist,
// and a plugin that calls it is told so.
type Config struct {
	DB      *store.DB
	DataDir string // sockets, SQLite files
	// DatabaseURL is the core's own Postgres address, in which plugins get schemas; empty when the core is on SQLite.
	DatabaseURL string
	BaseURL     string // where people reach Sigra
	Version     string // of Sigra
	Language    string // of the installation, BCP 47
	// Bundled are the plugins in this binary.
	Bundled []string
	// BundledGates are the questions that their manifests answer, asked unless their block says otherwise.
	BundledGates map[string][]config.PluginGate
	// Command says how to run a bundled plugin; nil means this very program with "plugin-serve NAME".
	Command func(name string) (path string, args []string)
	// ReapOrphans lets the host kill what plugins left behind in hiding. It must not be set where the program starts other
	// processes than plugins.
	ReapOrphans bool
	Logger      hclog.Logger // nil means silent
	Registerer  prometheus.Registerer
	Now         func() time.Time

	// CorePaths are paths that no plugin may serve at, below or above: "/v1", "/login".
	CorePaths []string
	// Callers resolves who sends a request to a plugin's route.
	Callers Callers
	// Failures shows an error for a plugin's route, as the rest of the server would; nil means a problem document.
	Failures func(w http.ResponseWriter, r *http.Request, err error)

	// Certificates gives what a client proved to own in its TLS handshake, with Sigra or with a trusted proxy, the client's own
	// certificate first; nil means that there are none.
	Certificates func(r *http.Request) (chain []*x509.Certificate, source string, verified bool)
	// Administers says whether somebody administers their active organization; nil: nobody does.
	Administers func(who principal.Principal) bool

	// PagePolicy is the Content-Security-Policy of a plugin's answers that bring none; empty means defaultPolicy.
	PagePolicy string

	// The seams.
	Gates *gate.Table
	Relay Relay
	Mail  interface {
		// SetMailer has m send from now on; nil returns to the built-in one.
		SetMailer(m mail.Mailer)
	}

	// The host services.
	Accounts       Accounts
	Sessions       Sessions
	Administration Administration
	Federated      Federated
	Erasures       Erasures
	Audit          Audit
	Events         Events
	Outbox         Outbox
	Letters        Letters
	Members        *membership.Service // what plugins do in organizations goes through it
	Orgs           *org.Store
	Keyring        Keyring
	Leases         Leases
	Pages          Pages
	Topics         Topics
	Directory      Directory
	Metadata       Metadata       // nil: accounts have none
	Attempts       *gate.Attempts // what plugins ask the gates goes through it
}

// Callers tells who sends a request.
type Callers interface {
	// Caller resolves the request's credentials. Nobody is the zero principal and no error; bearer says that the
	// Authorization header is Sigra's own, so that no plugin sees it.
	Caller(r *http.Request) (p principal.Principal, bearer bool, err error)
	// SignIn is where to send a browser whose person must sign in to see the page at r; empty when there is none.
	// maxAge and aal are what the page wants of a session; zero and empty: any.
	SignIn(r *http.Request, maxAge time.Duration, aal string) string
}

// Accounts reads users; core/account is one.
type Accounts interface {
	GetMany(ctx context.Context, ids []uuid.UUID) ([]account.Account, error)
	FindByEmail(ctx context.Context, email string) (account.Account, error)
	FindByUsername(ctx context.Context, username string) (account.Account, error)
	Administrators(ctx context.Context) ([]uuid.UUID, error)
	// Languages gives the languages that people last used, of those of whom one is known.
	Languages(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error)
}

// Sessions reads and ends sessions; core/session is one.
type Sessions interface {
	// Revoke writes the reason into the audit row; empty: none.
	Revoke(ctx context.Context, actor audit.Ref, reason string, userID, sessionID uuid.UUID) error
	List(ctx context.Context, userID uuid.UUID) ([]session.Session, error)
}

// Administration signs accounts out everywhere; core/administration is one.
type Administration interface {
	// RevokeSessions writes the reason into the audit row; empty: none.
	RevokeSessions(ctx context.Context, actor audit.Ref, reason string, userID uuid.UUID) (session.Ended, error)
}

// Keyring seals for plugins and derives their database passwords; core/keyring is one.
type Keyring interface {
	Seal(plain []byte, purpose string) []byte
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
	MAC(purpose string, msg []byte) []byte
}

// Leases makes one runner across nodes; core/lease is one.
type Leases interface {
	Acquire(ctx context.Context, name string, ttl time.Duration) (held bool, token int64, err error)
	Release(ctx context.Context, name string) error
}

// Audit records for the host and for plugins; core/audit is one.
type Audit interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
	RecordAs(ctx context.Context, tx *store.Tx, prefix string, e audit.Entry) (uuid.UUID, error)
	Read(ctx context.Context, after audit.Position, limit int) ([]audit.Row, audit.Position, error)
}

// Outbox queues a mail; core/mail is one.
type Outbox interface {
	Enqueue(ctx context.Context, tx *store.Tx, m mail.Message) (uuid.UUID, error)
	Report(ctx context.Context, r mail.Report) (known bool, err error)
}

// Letters writes the core's own messages; core/mail's Letters is one.
type Letters interface {
	Languages() []string
	Write(d mail.Letter) (mail.Message, error)
}

// Host runs the plugins of one Sigra. Safe for concurrent use.
type Host struct {
	cfg       Config
	log       hclog.Logger
	now       func() time.Time
	metrics   *metrics
	processes *process.Launcher
	kv        *kvStore
	guard     *guard
	storages  storages
	uses      *uses
	hops      *hops

	timing    timing
	contracts versions // see contracts
	// attachments counts how often a plugin under a debugger was attached to.
	attachments atomic.Uint32

	applying sync.Mutex // one Apply, Restart or Purge at a time
	wiring   sync.Mutex // one rebuild at a time
	claiming sync.Mutex // one look at who serves which path at a time
	applied  bool

	mu      sync.Mutex
	plugins map[string]*plugin
	mailer  *plugin // who sends mail; nil: the built-in
	order   []string
	closed  bool

	claims claimCache
	routes atomic.Pointer[routeTable]
	wg     sync.WaitGroup // every goroutine of this package
	ctx    context.Context
	cancel context.CancelFunc
}

// New makes a Host without plugins; Apply brings them.
func New(cfg Config) (*Host, error) {
	if cfg.DB == nil || cfg.DataDir == "" {
		return nil, errors.New("pluginhost: a database and a data folder are needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("pluginhost metrics: %w", err)
	}
	launcher, err := process.New(process.Config{
		DataDir: cfg.DataDir, Command: cfg.Command, ReapOrphans: cfg.ReapOrphans, Logger: cfg.Logger,
		Killed: func(plugin, reason string) { m.killed.WithLabelValues(plugin, reason).Inc() },
	})
	if err != nil {
		return nil, fmt.Errorf("pluginhost: %w", err)
	}
	h := &Host{cfg: cfg, log: cfg.Logger, now: cfg.Now, metrics: m, processes: launcher, plugins: map[string]*plugin{}}
	h.timing, h.contracts = defaultTiming(), contracts()
	h.kv = &kvStore{db: cfg.DB, now: cfg.Now}
	h.guard = newGuard(h)
	h.storages, h.uses = storages{&h.cfg, h.log}, newUses(cfg.DB)
	h.hops = newHops(cfg.DB, cfg.Now)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.routes.Store(&routeTable{})
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(figures{h}); err != nil {
			h.cancel()
			return nil, fmt.Errorf("pluginhost metrics: %w", err)
		}
	}
	h.claims.keep(h)
	if h.uses.db != nil {
		h.wg.Go(func() { h.uses.keep(h) })
		h.wg.Go(func() { h.storages.watch(h) })
	}
	return h, nil
}

func (h *Host) bundled(name string) bool { return slices.Contains(h.cfg.Bundled, name) }

func (h *Host) lookup(name string) *plugin {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plugins[name]
}

// all are the plugins in the order of their blocks.
func (h *Host) all() []*plugin {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*plugin, 0, len(h.order))
	for _, name := range h.order {
		if p := h.plugins[name]; p != nil {
			out = append(out, p)
		}
	}
	return out
}

// Status lists the plugins in the order of their blocks.
func (h *Host) Status() []Status {
	var out []Status
	for _, p := range h.all() {
		out = append(out, p.status())
	}
	return out
}

// Info tells everything about one plugin.
func (h *Host) Info(name string) (Info, error) {
	p := h.lookup(name)
	if p == nil {
		return Info{}, errNoPlugin(name)
	}
	return p.info(), nil
}

func errNoPlugin(name string) error {
	return fault.Newf(fault.NotFound, "no_such_plugin", "There is no plugin %q in the configuration.", clip(printable(name), 64))
}

// Ready names what keeps this Sigra from being ready: required plugins that are not. Optional ones never do.
func (h *Host) Ready(context.Context) []string {
	var out []string
	for _, p := range h.all() {
		s := p.status()
		if s.Required && s.State != Ready && s.State != Degraded {
			out = append(out, fmt.Sprintf("plugin %s is %s", s.Name, s.State))
		}
	}
	return out
}

// Settle waits until no plugin is on its first way up any more, or ctx ends.
func (h *Host) Settle(ctx context.Context) {
	for _, p := range h.all() {
		select {
		case <-p.settled:
		case <-ctx.Done():
			return
		}
	}
}

// Restart starts a plugin anew, out of quarantine too: the new process before the old one where there is one.
func (h *Host) Restart(ctx context.Context, name string) error {
	h.applying.Lock()
	defer h.applying.Unlock()
	p := h.lookup(name)
	switch {
	case p == nil:
		return errNoPlugin(name)
	case p.status().State == Disabled:
		return fault.Newf(fault.Conflict, "plugin_disabled", "Plugin %q is disabled in the configuration.", name)
	}
	if err := p.restart(ctx); err != nil {
		return fault.Newf(fault.Unavailable, "plugin_not_started", "Plugin %q did not start: %s.", name, err.Error()).Because(err)
	}
	return nil
}

// Close stops every plugin, all at once, and waits for it: at most 5 s. ctx cuts the waiting short.
func (h *Host) Close(ctx context.Context) error {
	h.applying.Lock()
	defer h.applying.Unlock()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.letGo(ctx, h.all())
	if h.cfg.Gates != nil {
		h.cfg.Gates.Set(nil)
	}
	if h.cfg.Mail != nil {
		h.cfg.Mail.SetMailer(nil)
	}
	h.routes.Store(&routeTable{})
	h.cancel()
	done := make(chan struct{})
	go func() {
		h.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop plugins: %w", ctx.Err())
	}
}

// administers reports whether somebody administers their active organization.
func (h *Host) administers(who principal.Principal) bool {
	return h.cfg.Administers != nil && who.Kind == principal.User && who.OrganizationID != uuid.Nil && h.cfg.Administers(who)
}

// Bundled names the plugins in this binary.
func (h *Host) Bundled() []string { return slices.Clone(h.cfg.Bundled) }
