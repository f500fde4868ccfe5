package server

import (
	"net/http"
	"path"
	"strings"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

// apiPaths are what belongs to the JSON API; a pattern that ends in a slash takes everything below it.
var apiPaths = []string{"/v1/", "/openapi.json", "/openapi.yaml", "/problems/"}

// routes assembles the core's routes. What matches none of them is a plugin's, or nobody's.
func (s *Server) routes() *mux.Router {
	r := mux.NewRouter().SkipClean(true) // dispatch refuses unclean paths; a redirect would only repeat them
	r.HandleFunc("/healthz", healthz).Methods(http.MethodGet, http.MethodHead)
	r.HandleFunc("/readyz", s.readyz).Methods(http.MethodGet, http.MethodHead)
	if s.cfg.Metrics != nil {
		r.Handle("/metrics", s.localMetrics()).Methods(http.MethodGet)
	}
	if s.cfg.API != nil {
		for _, p := range apiPaths {
			if strings.HasSuffix(p, "/") {
				r.PathPrefix(p).Handler(http.HandlerFunc(s.api))
			} else {
				r.Path(p).Handler(http.HandlerFunc(s.api))
			}
		}
	}
	if s.cfg.Mount != nil {
		s.cfg.Mount(r)
	}
	return r
}

// dispatch is the last step. For browsers a core route is guarded against cross-site requests; the control socket has
// no browser at the other end.
func (s *Server) dispatch(browser bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !cleanPath(r.URL.Path) {
			s.Fail(w, r, errNotFound)
			return
		}
		var match mux.RouteMatch
		switch found := s.router.Match(r, &match); {
		case match.MatchErr == mux.ErrMethodMismatch:
			s.methodNotAllowed(w, r)
		case !found || match.MatchErr != nil || match.Handler == nil:
			s.plugin(w, r)
		default:
			label(w, templateOf(match.Route))
			if browser {
				// ASVS 5.0 3.5.1, by fetch metadata. A request with neither Sec-Fetch-Site nor Origin passes: it comes from
				// a program, or from a browser so old that SameSite=Lax alone has to hold.
				if err := s.origin.Check(r); err != nil {
					s.Fail(w, r, errCrossOrigin.Because(err))
					return
				}
			}
			s.boundBody(w, r)
			match.Handler.ServeHTTP(w, withVars(r, match.Vars))
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

// api hands over to the JSON API, which has a router of its own. Its handler is found here and run, not found a second
// time by the router.
func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	h := s.cfg.API
	if request.From(r.Context()).Operator != "" && s.cfg.ControlAPI != nil {
		h = s.cfg.ControlAPI
	}
	if m, ok := h.(*mux.Router); ok {
		var match mux.RouteMatch
		if m.Match(r, &match) && match.MatchErr == nil && match.Handler != nil {
			label(w, templateOf(match.Route))
			h, r = match.Handler, withVars(r, match.Vars)
		}
	}
	h.ServeHTTP(w, r)
}

// withVars spares a request without variables the copy.
func withVars(r *http.Request, vars map[string]string) *http.Request {
	if len(vars) == 0 {
		return r
	}
	return mux.SetURLVars(r, vars)
}

// plugin asks the plugins, then gives up.
func (s *Server) plugin(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Routes != nil {
		if h, ok := s.cfg.Routes(r.URL.Path); ok {
			first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
			label(w, pluginLabel+"/"+first) // few values: the plugin declared this path
			paceBody(w, r)
			h.ServeHTTP(w, r)
			return
		}
	}
	s.Fail(w, r, errNotFound)
}

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
