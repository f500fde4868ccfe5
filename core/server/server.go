package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/endpoint"
)

// Config is what a Server is made of. BaseURL and Logger-independent parts have defaults; see each field.
type Config struct {
	BaseURL        string         // where people reach Sigra: "https://id.example.com"; no path
	Hosts          []string       // further Host values to answer to; loopback names are added for a loopback BaseURL
	InternalHosts  []string       // Host values by which applications ask, with a key; see internal
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-* are believed
	Forwarded      bool           // they say whom a request comes from in Forwarded (RFC 7239), not in X-Forwarded-For
	HSTSSubdomains bool           // browsers are told that all hosts below BaseURL's speak https
	MaxBody        int64          // bytes of a request body on core routes; zero means 1 MiB
	DrainDelay     time.Duration  // for how long the end is announced before listeners close; zero: not at all
	Grace          time.Duration  // what requests in flight get at the end; zero means 20 s

	// API serves the JSON API (/v1/, /openapi.json, /openapi.yaml, /problems/, /.well-known/jwks.json), on the public listeners and on the control
	// socket. Mount adds the core's other routes: the pages. Rules are what each of the routes of both declares; a route
	// without is an error.
	API   *mux.Router
	Mount func(*mux.Router)
	Rules endpoint.Table
	// Routes finds a plugin's handler for a path no core route matched; nil means no plugins. What it finds brings
	// its own CSRF rule, because a plugin may declare a route for machines.
	Routes func(path string) (http.Handler, bool)
	// Application reports whether a key is that of an application. Nil: there are none.
	Application func(ctx context.Context, key string) bool
	// ForwardAuth answers proxies at /auth/verify; nil: nobody does.
	ForwardAuth *ForwardAuth
	// Foreign are the routes, as patterns of http.ServeMux, that forms of other sites may post to: those that change nothing.
	Foreign []string
	// Language finds the language to answer somebody in, a BCP 47 tag. Nil: English for everybody.
	Language func(r *http.Request) string
	// Problem answers an error to programs and Page to people. Nil means a plain answer of the server's own.
	Problem, Page func(w http.ResponseWriter, r *http.Request, err error)

	Checks  []Check  // what must hold for /readyz
	OnDrain []func() // called when draining begins: end streams, stop taking work
	Limits  Limits   // per-address buckets, by class

	Metrics  prometheus.Gatherer   // served at /metrics, to this machine and at Listeners.Metrics; nil: not served
	Register prometheus.Registerer // where the server's own metrics go; nil: nowhere

	Logger hclog.Logger // nil means silent
	Now    func() time.Time
}

// Server serves Sigra. Make it with New, run it with Serve.
type Server struct {
	cfg           Config
	base          *url.URL
	hosts         map[string]bool
	internalHosts map[string]bool
	fields        []field // headers of every answer
	router        *mux.Router
	metrics       *metrics
	origin        *http.CrossOriginProtection
	ready         *readiness
	log           hclog.Logger

	public, control, scrape http.Handler

	unheard  sync.Once // says that a proxy sends the other header
	draining atomic.Bool
	mu       sync.Mutex
	streams  map[*recorder]context.CancelFunc // long-lived answers, ended when draining begins
}

// New puts the routes and what stands in front of them together. It opens nothing.
func New(cfg Config) (*Server, error) {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("server: base URL %q is not an http or https address", cfg.BaseURL)
	}
	if base.Path != "" && base.Path != "/" {
		return nil, fmt.Errorf("server: base URL %q has a path; Sigra wants a host of its own", cfg.BaseURL)
	}
	if cfg.MaxBody < 0 || cfg.Grace < 0 {
		return nil, errors.New("server: limits must not be negative")
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.Grace == 0 {
		cfg.Grace = 20 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg: cfg, base: base, log: cfg.Logger,
		hosts:         allowedHosts(base, cfg.Hosts),
		internalHosts: internalHosts(base, cfg.InternalHosts),
		fields:        baseHeaders(base.Scheme == "https", cfg.HSTSSubdomains),
		streams:       map[*recorder]context.CancelFunc{},
	}
	if s.metrics, err = newMetrics(cfg.Register); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.ready = newReadiness(cfg.Checks, cfg.Now, s.log)
	// A proxy that ends TLS leaves Host as it was, so Origin and Host agree; the base URL is trusted besides for one
	// that does not.
	s.origin = http.NewCrossOriginProtection()
	if err := s.origin.AddTrustedOrigin(base.Scheme + "://" + base.Host); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	for _, pattern := range cfg.Foreign {
		s.origin.AddInsecureBypassPattern(pattern)
	}
	s.router = s.routes()
	if err := s.undeclared(); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.public = s.edge(s.observe(s.recover(s.headers(s.checkHost(s.dispatch(true))))))
	s.control = s.edge(s.observe(s.recover(s.headers(s.dispatch(false)))))
	s.scrape = s.edge(s.observe(s.recover(s.headers(s.metricsAlone()))))
	return s, nil
}

// Handler is what the public listeners serve, for tests and for embedding.
func (s *Server) Handler() http.Handler { return s.public }

// ControlHandler is what the control socket serves: the same routes, without the checks that are about browsers.
func (s *Server) ControlHandler() http.Handler { return s.control }
