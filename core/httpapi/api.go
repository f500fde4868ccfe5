package httpapi

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/secret"
)

// Config is what the API stands on. Sessions is needed; an operation whose part is nil answers 503, so that an
// API can be built of the parts there are.
type Config struct {
	BaseURL string // for links, without a slash at the end
	Version string

	Sessions Resolver
	Services

	ApplicationKey secret.Text // of POST /v1/events and of metadata; zero means only administrators and operators may

	Now    func() time.Time // nil means the clock
	Logger hclog.Logger     // nil means none
}

// API serves the operations. Make one with New.
type API struct {
	cfg            Config
	now            func() time.Time
	log            hclog.Logger
	router         *mux.Router
	huma           huma.API
	applicationKey []byte // SHA-256; nil when there is none

	closing   chan struct{}
	closeOnce sync.Once
	streams   chan struct{} // a place in it for each open stream
}

// strictCasing sets huma's only switch against members in another case, which it has for the whole process.
var strictCasing sync.Once

// New builds the API with every operation mounted.
func New(cfg Config) (*API, error) {
	if cfg.Sessions == nil {
		return nil, errors.New("httpapi: sessions are needed")
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC() }
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	a := &API{
		cfg: cfg, now: cfg.Now, log: cfg.Logger.Named("api"),
		router: mux.NewRouter().SkipClean(true), closing: make(chan struct{}), streams: make(chan struct{}, maxStreams),
	}
	if !cfg.ApplicationKey.IsZero() {
		sum := sha256.Sum256([]byte(cfg.ApplicationKey.Reveal()))
		a.applicationKey = sum[:]
	}
	a.router.NotFoundHandler = http.HandlerFunc(a.notFound)
	a.router.MethodNotAllowedHandler = http.HandlerFunc(a.wrongMethod)
	strictCasing.Do(func() { huma.ValidateStrictCasing = true })
	a.huma = humamux.New(a.router, a.document())

	a.mountSession() // first, since it is asked most and routes are tried in order
	a.mountSignIn()
	a.mountSecondFactor()
	a.mountMagicLink()
	a.mountAccount()
	a.mountOwnFactors()
	a.mountOwnAccount()
	a.mountProfile()
	a.mountMetadata()
	a.mountLogins()
	a.mountEvents()
	a.mountAudit()
	a.mountAdmin()
	a.mountProblems()
	a.mountDocument()
	return a, nil
}

// Handler serves the API: everything below /v1, the OpenAPI document, and what a problem's type points to. What is
// known of who asks comes in the request's context: see request.Info. It is a *mux.Router, so that whoever mounts it
// can name routes in logs and metrics.
func (a *API) Handler() http.Handler { return a.router }

// Close ends every open stream, so that nobody who shuts down need wait for them. Other requests go on.
func (a *API) Close() { a.closeOnce.Do(func() { close(a.closing) }) }

func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusNotFound, "no_such_path", "There is nothing at this path. The operations are listed in /openapi.json.").write(w, r)
}

// wrongMethod names the methods there are (RFC 9110 §15.5.6).
func (a *API) wrongMethod(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = m
		var match mux.RouteMatch
		if a.router.Match(&probe, &match) && match.MatchErr == nil && !slices.Contains(allowed, m) {
			allowed = append(allowed, m)
		}
	}
	p := newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This path does not take "+clip(r.Method)+" but "+strings.Join(allowed, ", ")+".")
	p.allow = strings.Join(allowed, ", ")
	p.write(w, r)
}
