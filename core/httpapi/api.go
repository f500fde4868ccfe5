package httpapi

import (
	"context"
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

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Config is what the API stands on. Callers is needed; an operation whose part is nil answers 503, so that an
// API can be built of the parts there are.
type Config struct {
	BaseURL string // for links, without a slash at the end
	Version string

	Callers *principal.Chain     // tells who sends a request
	Cookie  cookie.SessionCookie // the cookie that sessions are in
	// Recent says nil of somebody who has proved who they are in the last minutes, and a fault of kind Denied with the code
	// step_up_required of others. Needed where there are operations that ask for it.
	Recent func(ctx context.Context, p principal.Principal) error
	// Administrators says what an administrator's session must have shown. Needed.
	Administrators Administrators
	Services

	Now    func() time.Time // nil means the clock
	Logger hclog.Logger     // nil means none
}

// Administrators judges what administrators' sessions have shown; *administration.Service does.
type Administrators interface {
	// Check says nil, or a fault of kind Denied or Unauthenticated, of an administrator. What is sensitive needs both factors, shown
	// in the last minutes.
	Check(ctx context.Context, p principal.Principal, sensitive bool) error
	// Guard gives a context in which every transaction begins with Check.
	Guard(ctx context.Context, p principal.Principal, sensitive bool) context.Context
}

// API serves the operations. Make one with New.
type API struct {
	kit *kit

	closing   chan struct{}
	closeOnce sync.Once
}

// strictCasing sets huma's only switch against members in another case, which it has for the whole process.
var strictCasing sync.Once

// New builds the API with every operation mounted. It fails when one does not say what it costs and who may use it.
func New(cfg Config) (*API, error) {
	if cfg.Callers == nil || cfg.Administrators == nil {
		return nil, errors.New("httpapi: callers and a judge of administrators are needed")
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC() }
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	k := &kit{
		baseURL: strings.TrimRight(cfg.BaseURL, "/"), callers: cfg.Callers, cookie: cfg.Cookie, recent: cfg.Recent, administrators: cfg.Administrators, record: cfg.Note,
		now: cfg.Now, log: cfg.Logger.Named("api"), router: mux.NewRouter().SkipClean(true), rules: endpoint.Table{},
	}
	k.router.NotFoundHandler = http.HandlerFunc(notFound)
	k.router.MethodNotAllowedHandler = http.HandlerFunc(k.wrongMethod)
	strictCasing.Do(func() { huma.ValidateStrictCasing = true })
	k.huma = humamux.New(k.router, k.document(cfg.Version))

	a := &API{kit: k, closing: make(chan struct{})}
	for _, d := range cfg.Services.domains(k, a.closing) {
		d.Mount(k)
	}
	k.mountProblems()
	k.mountDocument()
	return a, k.err()
}

// Handler serves the API: everything below /v1, the OpenAPI document, and what a problem's type points to. What is
// known of who asks comes in the request's context: see request.Info. It is a router, so that whoever mounts it
// can tell what a route declares.
func (a *API) Handler() *mux.Router { return a.kit.router }

// Rules are what each route of Handler declares.
func (a *API) Rules() endpoint.Table { return a.kit.rules }

// Close ends every open stream, so that nobody who shuts down need wait for them. Other requests go on.
func (a *API) Close() { a.closeOnce.Do(func() { close(a.closing) }) }

// plain declares a route that is no operation: a document to read.
func (k *kit) plain(path string) {
	if err := k.rules.Add(http.MethodGet, path, endpoint.Rules{Limit: ratelimit.General, Access: endpoint.Anyone}); err != nil {
		k.errs = append(k.errs, err)
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusNotFound, "no_such_path", "There is nothing at this path. The operations are listed in /openapi.json.").write(w, r)
}

// wrongMethod names the methods there are (RFC 9110 §15.5.6).
func (k *kit) wrongMethod(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = m
		var match mux.RouteMatch
		if k.router.Match(&probe, &match) && match.MatchErr == nil && !slices.Contains(allowed, m) {
			allowed = append(allowed, m)
		}
	}
	p := newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This path does not take "+clip(r.Method)+" but "+strings.Join(allowed, ", ")+".")
	p.allow = strings.Join(allowed, ", ")
	p.write(w, r)
}
