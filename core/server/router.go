package server

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// apiPaths are what belongs to the JSON API; a pattern that ends in a slash takes everything below it.
var apiPaths = []string{"/v1/", "/openapi.json", "/openapi.yaml", "/problems/", "/.well-known/jwks.json"}

// own are the rules of the routes that the server answers itself.
var own = endpoint.Table{
	"GET /healthz": {Limit: ratelimit.Exempt, Access: endpoint.Anyone},
	"GET /readyz":  {Limit: ratelimit.Exempt, Access: endpoint.Anyone},
	// Each page of an application is a question, and one address may be a whole office: the check costs one read.
	"GET " + verifyPath: {Limit: ratelimit.Exempt, Access: endpoint.Anyone},
	"GET /metrics":      {Limit: ratelimit.Exempt, Access: endpoint.ThisMachine},
}

// unknown are the rules of what is nobody's route, or a plugin's.
var unknown = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.Anyone}

// routes assembles the core's routes. What matches none of them is a plugin's, or nobody's.
func (s *Server) routes() *mux.Router {
	r := mux.NewRouter().SkipClean(true) // find refuses unclean paths; a redirect would only repeat them
	r.HandleFunc("/healthz", healthz).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/readyz", s.readyz).Methods(http.MethodGet, http.MethodHead)
	if s.cfg.Metrics != nil {
		r.Handle("/metrics", s.localMetrics()).Methods(http.MethodGet)
	}
	if s.cfg.ForwardAuth != nil {
		r.HandleFunc(verifyPath, s.verify).Methods(http.MethodGet, http.MethodHead)
	}
	if s.cfg.API != nil {
		for _, p := range apiPaths {
			if strings.HasSuffix(p, "/") {
				r.PathPrefix(p).Handler(apiHandler{s.cfg.API})
			} else {
				r.Path(p).Handler(apiHandler{s.cfg.API})
			}
		}
	}
	if s.cfg.Mount != nil {
		s.cfg.Mount(r)
	}
	return r
}

// apiHandler marks the routes that belong to the JSON API, which has a router of its own.
type apiHandler struct{ *mux.Router }

// undeclared names the routes that say nothing of what they cost and who may use them.
func (s *Server) undeclared() error {
	var missing []string
	look := func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		if _, api := r.GetHandler().(apiHandler); api {
			return nil
		}
		template, err := r.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := r.GetMethods()
		if err != nil {
			return fmt.Errorf("%s: %w", template, err)
		}
		for _, m := range methods {
			if _, ok := s.rules(m, template); !ok {
				missing = append(missing, m+" "+template)
			}
		}
		return nil
	}
	err := s.router.Walk(look)
	if err == nil && s.cfg.API != nil {
		err = s.cfg.API.Walk(look)
	}
	if n := len(missing); err == nil && n > 0 {
		err = fmt.Errorf("%d routes declare nothing, among them %s", n, strings.Join(missing[:min(n, 5)], ", "))
	}
	return err
}

func (s *Server) rules(method, template string) (endpoint.Rules, bool) {
	if r, ok := own.Find(method, template); ok {
		return r, true
	}
	return s.cfg.Rules.Find(method, template)
}

// found is where a request goes.
type found struct {
	handler http.Handler
	route   string // its template, for logs and metrics
	rules   endpoint.Rules
	core    bool // no plugin's
	vars    map[string]string
}

// find finds the route of a request. A core route is matched by its own spelling alone: with an escape in it that needs none
// (/v1%2Fsession) a proxy in front would have judged another path than the one that answers.
func (s *Server) find(r *http.Request) found {
	if !cleanPath(r.URL.Path) {
		return s.nowhere()
	}
	if r.URL.RawPath != "" {
		return s.plugin(r)
	}
	var match mux.RouteMatch
	switch ok := s.router.Match(r, &match); {
	case match.MatchErr == mux.ErrMethodMismatch:
		return found{handler: http.HandlerFunc(s.methodNotAllowed), rules: unknown, core: true}
	case !ok || match.MatchErr != nil || match.Handler == nil:
		return s.plugin(r)
	}
	if api, ok := match.Handler.(apiHandler); ok {
		match = mux.RouteMatch{}
		if !api.Match(r, &match) || match.MatchErr != nil || match.Handler == nil {
			return found{handler: api, rules: unknown, core: true} // which says what is wrong
		}
	}
	f := found{handler: match.Handler, route: templateOf(match.Route), core: true, vars: match.Vars}
	f.rules, _ = s.rules(r.Method, f.route) // New has seen that there are some
	return f
}

func (s *Server) nowhere() found {
	return found{handler: http.HandlerFunc(s.notFound), rules: unknown, core: true}
}

// plugin asks the plugins, then gives up.
func (s *Server) plugin(r *http.Request) found {
	if s.cfg.Routes != nil {
		if h, ok := s.cfg.Routes(r.URL.Path); ok {
			first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
			return found{handler: h, route: pluginLabel + "/" + first, rules: unknown} // few labels: the plugin declared this path
		}
	}
	return s.nowhere()
}

// dispatch is the last step: it finds the route, limits by its class, and bounds its body. For browsers a core route is guarded
// against cross-site requests; the control socket has no browser at the other end.
func (s *Server) dispatch(browser bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := s.find(r)
		label(w, f.route)
		if browser && !s.limit(w, r, f.rules.Limit) {
			return
		}
		if !f.core {
			r.Header.Del(applicationKeyHeader) // no plugin's business
			paceBody(w, r)
			f.handler.ServeHTTP(w, r)
			return
		}
		if browser {
			// ASVS 5.0 3.5.1, by fetch metadata. A request with neither Sec-Fetch-Site nor Origin passes: it comes from
			// a program, or from a browser so old that SameSite=Lax alone has to hold.
			if err := s.origin.Check(r); err != nil {
				s.Fail(w, r, errCrossOrigin.Because(err))
				return
			}
		}
		s.boundBody(w, r, f.rules.Body)
		f.handler.ServeHTTP(w, withVars(r, f.vars))
		if browser {
			s.settle(w, r, f.rules.Limit)
		}
	})
}

var (
	errNotFound    = fault.New(fault.NotFound, "not_found", "There is nothing at this address.")
	errCrossOrigin = fault.New(fault.Denied, "cross_origin", "This request came from another site. Open Sigra itself and try again from there.")
)

// cleanPath reports whether a path is absolute and without empty, "." or ".." segments, so that what a proxy in front
// allowed and what the router here matches are the same thing. %2e and %2f were decoded before.
func cleanPath(p string) bool {
	if p == "" || p[0] != '/' || strings.ContainsAny(p, "\\\x00") {
		return false
	}
	clean := path.Clean(p)
	return p == clean || clean != "/" && p == clean+"/"
}

// label tells the observers which route was matched.
func label(w http.ResponseWriter, route string) {
	if rec := recorderOf(w); rec != nil && route != "" {
		rec.route = route
	}
}

func templateOf(route *mux.Route) string {
	if route == nil {
		return ""
	}
	t, err := route.GetPathTemplate()
	if err != nil {
		return ""
	}
	return t
}

// withVars spares a request without variables the copy.
func withVars(r *http.Request, vars map[string]string) *http.Request {
	if len(vars) == 0 {
		return r
	}
	return mux.SetURLVars(r, vars)
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) { s.Fail(w, r, errNotFound) }

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		probe := *r
		probe.Method = m
		var match mux.RouteMatch
		if s.router.Match(&probe, &match) && match.MatchErr == nil {
			allow = append(allow, m)
		}
	}
	w.Header().Set("Allow", strings.Join(allow, ", ")) // RFC 9110 §15.5.6
	refuse(w, r, http.StatusMethodNotAllowed, "method_not_allowed", "This address takes "+strings.Join(allow, ", ")+".")
}
