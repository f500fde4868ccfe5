package pluginhost

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// chunk is how much of a body one frame carries.
const chunk = 32 << 10

// routeTable is who serves which path, made anew whenever that changes.
type routeTable struct{ routes []*route }

// route is one path of one plugin.
type route struct {
	*pluginv1.Route
	p     *plugin
	slots chan struct{} // nil: no bound of its own
}

func newRoute(p *plugin, r *pluginv1.Route) *route {
	out := &route{Route: r, p: p}
	if n := r.GetMaxInFlight(); n > 0 {
		out.slots = make(chan struct{}, min(n, maxRouteCalls))
	}
	return out
}

// maxRouteCalls is the most that a route may ask for; the plugin's common bound is below it.
const maxRouteCalls = 4096

// plugin is what the route's plugin calls itself: its cookies bear that name.
func (r *route) plugin() string {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if r.p.manifest == nil {
		return r.p.name
	}
	return r.p.manifest.GetName()
}

// Link is a plugin's page for navigation.
type Link struct {
	Plugin, Path, Title string
	Section             string // account, administration, organization
}

// find gives the most particular route that a path is at or below.
func (t *routeTable) find(p string) *route {
	var best *route
	for _, r := range t.routes {
		if under(p, r.GetPath()) && (best == nil || len(r.GetPath()) > len(best.GetPath())) {
			best = r
		}
	}
	return best
}

// cleanPath refuses paths that mean another place than they say: what the router matched must be what the plugin sees.
func cleanPath(p string) bool {
	if p == "" || p[0] != '/' || strings.ContainsAny(p, "\\\x00") {
		return false
	}
	c := path.Clean(p)
	return c == p || c+"/" == p
}

// Route finds the handler of a path that no core route has; ok is false when no plugin serves it either.
func (h *Host) Route(p string) (http.Handler, bool) {
	if !cleanPath(p) {
		return nil, false
	}
	r := h.routes.Load().find(p)
	if r == nil {
		return nil, false
	}
	return &routeHandler{h: h, r: r}, true
}

// Links are the plugins' pages for the navigation of somebody, in a language.
func (h *Host) Links(who principal.Principal, language string) []Link {
	var out []Link
	for _, r := range h.routes.Load().routes {
		if r.GetTitle() != "" && r.admits(who) == nil {
			out = append(out, Link{Plugin: r.p.name, Path: r.GetPath(), Title: r.p.text(r.GetTitle(), language), Section: sectionName(r.GetSection())})
		}
	}
	return out
}

func sectionName(s pluginv1.Section) string {
	switch s {
	case pluginv1.Section_SECTION_ADMINISTRATION:
		return "administration"
	case pluginv1.Section_SECTION_ORGANIZATION:
		return "organization"
	}
	return "account"
}

// routeHandler is the Routes facade: one HTTP exchange as one stream.
type routeHandler struct {
	h *Host
	r *route
}

var (
	errCrossOrigin            = fault.New(fault.Denied, "cross_origin", "This request came from another site.")
	errSignIn                 = fault.New(fault.Unauthenticated, "unauthenticated", "Sign in first.")
	errAdminsOnly             = fault.New(fault.Denied, "administrators_only", "This is for administrators of this service.")
	errNotPrograms            = fault.New(fault.Denied, "not_for_programs", "Keys and tokens aren't accepted here.")
	errProgramsOnly           = fault.New(fault.Denied, "programs_only", "This is for programs with a key or token.")
	errOrganizationAdminsOnly = fault.New(fault.Denied, "organization_administrators_only", "This is for administrators of the organization.")
	errStepUp                 = fault.New(fault.Denied, "step_up_required", "Confirm that it's you first.")
	errTooLarge               = fault.New(fault.TooLarge, "body_too_large", "The request is too large.")
	errBusy                   = fault.New(fault.Unavailable, "too_many_requests_in_flight", "Too many requests are being answered already. Try again shortly.").After(time.Second)
	errDown                   = fault.New(fault.Unavailable, "plugin_unavailable", "This part of the service is not available right now. Try again shortly.").After(5 * time.Second)
	errUpgrade                = fault.New(fault.Invalid, "upgrade_not_supported", "Protocol upgrades are not supported here.")
	errBadAnswer              = fault.New(fault.Unavailable, "bad_plugin_answer", "This part of the service gave an answer that can't be passed on.")
)

// ServeHTTP implements http.Handler.
func (rh *routeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// RFC 6454; ASVS 5.0 3.5.1: a page elsewhere must not act with the visitor's session.
	foreign := http.NewCrossOriginProtection().Check(r)
	if foreign != nil && rh.r.GetCrossSite() < pluginv1.CrossSite_CROSS_SITE_ANONYMOUS {
		rh.fail(w, r, errCrossOrigin.Because(foreign))
		return
	}
	if r.Header.Get("Upgrade") != "" && slices.Contains(connectionNames(r.Header), "Upgrade") && r.ProtoMajor == 1 && !strings.EqualFold(r.Header.Get("Upgrade"), "h2c") {
		rh.fail(w, r, errUpgrade)
		return
	}
	var who principal.Principal
	bearer := false
	if rh.h.cfg.Callers != nil {
		var err error
		if who, bearer, err = rh.h.cfg.Callers.Caller(r); err != nil {
			rh.fail(w, r, err)
			return
		}
	}
	if !bearer && who.Kind != principal.Operator && (foreign != nil || rh.r.GetCrossSite() == pluginv1.CrossSite_CROSS_SITE_MACHINE) {
		who = principal.Principal{} // what a browser sends by itself proves nothing here
	}
	err := rh.r.admits(who)
	if err == nil {
		err = rh.r.fresh(who, rh.h.now())
	}
	if err != nil {
		if to := rh.signIn(r, err); to != "" {
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		rh.fail(w, r, err)
		return
	}
	if most := rh.r.GetMaxBodyBytes(); most > 0 {
		if r.ContentLength > most {
			rh.fail(w, r, errTooLarge)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
	}
	if rh.r.slots != nil {
		select {
		case rh.r.slots <- struct{}{}:
			defer func() { <-rh.r.slots }()
		default:
			rh.fail(w, r, errBusy)
			return
		}
	}
	rh.serve(w, r, who, bearer)
}

// admits says whether somebody gets to the route at all.
func (r *route) admits(who principal.Principal) error {
	switch who.Kind {
	case principal.Operator:
		return nil
	case principal.Application, principal.ServiceAccount:
		if r.GetAccess() <= pluginv1.Access_ACCESS_PUBLIC {
			return nil
		}
		if who.Kind == principal.Application && !r.GetApplications() || who.Kind == principal.ServiceAccount && !r.GetServiceAccounts() {
			return errNotPrograms
		}
		return r.scoped(who)
	}
	if r.GetAccess() <= pluginv1.Access_ACCESS_PUBLIC {
		return nil
	}
	if who.Kind == "" {
		return errSignIn
	}
	if who.Scopes != nil { // a person's token: it may do what its scopes say of what the person may
		if !r.GetServiceAccounts() {
			return errNotPrograms
		}
		if err := r.scoped(who); err != nil {
			return err
		}
	}
	switch r.GetAccess() {
	case pluginv1.Access_ACCESS_ADMINISTRATOR:
		if !who.Administrator {
			return errAdminsOnly
		}
	case pluginv1.Access_ACCESS_ORGANIZATION_ADMINISTRATOR:
		if !who.Administrator && !r.p.host.administers(who) {
			return errOrganizationAdminsOnly
		}
	case pluginv1.Access_ACCESS_PROGRAMS:
		return errProgramsOnly
	}
	return nil
}

// scoped holds the scopes of a key or token against those that the route wants.
func (r *route) scoped(who principal.Principal) error {
	for _, s := range r.GetScopes() {
		if !slices.Contains(who.Scopes, s) {
			return fault.Newf(fault.Denied, "scope_missing", "This needs the scope %s.", printable(clip(s, 64)))
		}
	}
	return nil
}

// fresh holds a person's session against the assurance and age that the route wants.
func (r *route) fresh(who principal.Principal, now time.Time) error {
	if who.Kind != principal.User || who.SessionID == uuid.Nil {
		return nil
	}
	if r.GetRequiredAal() == principal.AAL2 && who.AAL != principal.AAL2 || r.GetMaxAge() != nil && now.Sub(who.AuthTime) > r.GetMaxAge().AsDuration() {
		return errStepUp
	}
	return nil
}

// signIn is where a browser that wants to see a page goes first; programs are told 401 or 403 instead.
func (rh *routeHandler) signIn(r *http.Request, why error) string {
	if rh.h.cfg.Callers == nil || (r.Method != http.MethodGet && r.Method != http.MethodHead) || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return ""
	}
	switch f := fault.From(why); f.Code {
	case errSignIn.Code, errStepUp.Code:
		return rh.h.cfg.Callers.SignIn(r, rh.r.GetMaxAge().AsDuration(), rh.r.GetRequiredAal())
	}
	return ""
}

func (rh *routeHandler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if rh.h.cfg.Failures != nil {
		rh.h.cfg.Failures(w, r, err)
		return
	}
	f := fault.From(err)
	code := map[fault.Kind]int{
		fault.Invalid: 422, fault.Unauthenticated: 401, fault.Denied: 403, fault.NotFound: 404, fault.Conflict: 409, fault.TooLarge: 413,
		fault.RateLimited: 429, fault.Unavailable: 503,
	}[f.Kind]
	if code == 0 {
		code = 500
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	w.Header().Set("Content-Type", "application/problem+json") // RFC 9457
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(code), "status": code, "code": f.Code, "detail": f.Message, "request_id": request.From(r.Context()).ID,
	})
}
