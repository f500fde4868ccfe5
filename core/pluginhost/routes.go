package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// exchange is one request on its way through a plugin.
type exchange struct {
	h      *Host
	rt     *route
	w      http.ResponseWriter
	r      *http.Request
	stream pluginv1.Routes_ServeClient
	idle   *time.Timer // cancels the stream
	head   bool        // the answer has begun
	wrote  bool        // writing to the client failed: it is gone
}

func (rh *routeHandler) serve(w http.ResponseWriter, r *http.Request, who principal.Principal, bearer bool) {
	p := rh.r.p
	// A place among the calls in flight is waited for shortly, whatever the request's own deadline.
	waiting, enough := context.WithTimeout(r.Context(), time.Second)
	in, done, err := p.enter(waiting, pluginv1.Routes_ServiceDesc.ServiceName)
	enough()
	if err != nil {
		rh.fail(w, r, errDown.Because(err))
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x := &exchange{h: rh.h, rt: rh.r, w: w, r: r}
	x.idle = time.AfterFunc(p.patience(rh.h.timing.head), func() { cancel(context.DeadlineExceeded) })
	defer x.idle.Stop()
	err = x.run(ctx, in, who, bearer)
	cause := context.Cause(ctx)
	if err != nil && r.Context().Err() == nil && errors.Is(cause, context.DeadlineExceeded) {
		err = status.Error(codes.DeadlineExceeded, "no answer in time")
	}
	judged := ctx
	if r.Context().Err() == nil {
		judged = context.Background()
	}
	if x.wrote {
		_ = done(r.Context(), nil) // the client went away: nothing against the plugin
	} else {
		err = done(judged, err)
	}
	switch {
	case err == nil && !x.wrote:
	case x.head || x.wrote:
		panic(http.ErrAbortHandler) // half an answer is out: cut it off, so that nobody takes it for a whole one
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody is there any more
	default:
		p.log.Warn("request not served", "path", rh.r.GetPath(), "request_id", request.From(r.Context()).ID, "error", err)
		var ce *CallError
		if errors.As(err, &ce) && ce.Code == codes.Internal {
			rh.fail(w, r, errBadAnswer.Because(err))
			return
		}
		rh.fail(w, r, errDown.Because(err))
	}
}

// run carries the exchange. While the answer comes in, the request's body goes out on a goroutine of its own.
func (x *exchange) run(ctx context.Context, in *instance, who principal.Principal, bearer bool) (err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	x.stream, err = pluginv1.NewRoutesClient(in.conn).Serve(ctx)
	if err != nil {
		return err
	}
	info := request.From(x.r.Context())
	scheme := "http"
	if x.r.TLS != nil || strings.HasPrefix(x.h.cfg.BaseURL, "https://") {
		scheme = "https"
	}
	target := x.r.RequestURI
	if target == "" || target[0] != '/' {
		target = x.r.URL.RequestURI()
	}
	err = x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_Head{Head: &pluginv1.RequestHead{
		Method: x.r.Method, Target: strings.ToValidUTF8(target, "?"), Host: strings.ToValidUTF8(x.r.Host, "?"), Scheme: scheme, Headers: requestHeaders(x.r.Header, x.rt.plugin(), bearer),
		Principal: x.h.principalTo(&who), Request: requestTo(info), ContentLength: x.r.ContentLength, ClientCertificate: x.certificate(),
	}}})
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the reason is in Recv
		return err
	}
	control := http.NewResponseController(x.w)
	if x.r.ProtoMajor == 1 {
		_ = control.EnableFullDuplex() // the answer may begin before the body has ended
	}
	pumped := make(chan struct{})
	if x.r.Body == nil || x.r.Body == http.NoBody || x.r.ContentLength == 0 {
		_ = x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_End{End: &pluginv1.BodyEnd{}}})
		_ = x.stream.CloseSend()
		close(pumped)
	} else {
		go func() {
			defer close(pumped)
			x.pump()
		}()
	}
	err = x.answer()
	end() // a body that the plugin does not read must not hold this up
	// The body must not be read any more once this returns. A reader that waits for the client is woken by a deadline,
	// which also ends the connection: the rest of the body is still in it.
	select {
	case <-pumped:
	default:
		_ = control.SetReadDeadline(time.Unix(1, 0))
		select {
		case <-pumped:
		case <-time.After(time.Second):
			_ = x.r.Body.Close()
			<-pumped
		}
	}
	return err
}

// certificate is what the client proved to own, for routes that ask for it.
func (x *exchange) certificate() *pluginv1.ClientCertificate {
	if !x.rt.GetClientCertificates() || x.h.cfg.Certificates == nil {
		return nil
	}
	chain, source, verified := x.h.cfg.Certificates(x.r)
	if len(chain) == 0 {
		return nil
	}
	out := &pluginv1.ClientCertificate{Source: source, Verified: verified}
	for _, c := range chain {
		out.Chain = append(out.Chain, c.Raw)
	}
	return out
}

// pump sends the request's body.
func (x *exchange) pump() {
	defer func() { _ = x.stream.CloseSend() }()
	buf := make([]byte, chunk)
	for {
		n, err := x.r.Body.Read(buf)
		if n > 0 {
			// Send does not keep the slice: it is encoded before it returns.
			if x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_Body{Body: buf[:n]}}) != nil {
				return
			}
			x.idle.Reset(x.rt.p.patience(x.h.timing.idle))
		}
		if errors.Is(err, io.EOF) {
			end := &pluginv1.BodyEnd{Trailers: requestHeaders(x.r.Trailer, x.rt.plugin(), true)}
			_ = x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_End{End: end}})
			return
		}
		if err != nil {
			return // the plugin sees a body that ends without its end frame
		}
	}
}

// answer passes on what the plugin sends: a head, chunks, an end.
func (x *exchange) answer() error {
	for {
		resp, err := x.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return x.bad("its answer has no end")
			}
			return err
		}
		if x.rt.GetStreaming() {
			x.idle.Stop() // it may be silent for hours
		} else {
			x.idle.Reset(x.rt.p.patience(x.h.timing.idle))
		}
		switch f := resp.GetFrame().(type) {
		case *pluginv1.ServeResponse_Head:
			if x.head {
				return x.bad("its answer has two heads")
			}
			if err := x.begin(f.Head); err != nil {
				return err
			}
		case *pluginv1.ServeResponse_Body:
			if !x.head {
				return x.bad("its answer begins with a body")
			}
			if len(f.Body) > 4*chunk {
				return x.bad("a chunk of its answer is too large")
			}
			if _, err := x.w.Write(f.Body); err != nil {
				switch {
				case errors.Is(err, http.ErrContentLength):
					return x.bad("its answer is longer than it said")
				case errors.Is(err, http.ErrBodyNotAllowed):
					continue // HEAD, 204, 304
				}
				x.wrote = true
				return err
			}
		case *pluginv1.ServeResponse_Flush:
			if x.head && http.NewResponseController(x.w).Flush() != nil {
				continue // this writer can't
			}
		case *pluginv1.ServeResponse_End:
			if !x.head {
				return x.bad("its answer has no head")
			}
			trailers := http.Header{}
			if _, ok := responseHeaders(trailers, x.rt.plugin(), f.End.GetTrailers()); ok {
				for name, values := range trailers {
					if name != "Set-Cookie" {
						x.w.Header()[http.TrailerPrefix+name] = values
					}
				}
			}
			return nil
		default:
			return x.bad("its answer has an empty frame")
		}
	}
}

// begin writes the head of the answer, with what the host adds and without what a plugin may not say.
func (x *exchange) begin(head *pluginv1.ResponseHead) error {
	code := int(head.GetStatus())
	h := x.w.Header()
	if code >= 100 && code < 200 {
		if code != http.StatusEarlyHints && code != http.StatusProcessing {
			return x.bad(fmt.Sprintf("it answered with status %d", code))
		}
		before := h.Clone()
		if _, ok := responseHeaders(h, x.rt.plugin(), head.GetHeaders()); ok {
			h.Del("Set-Cookie")
			x.w.WriteHeader(code)
		}
		clear(h)
		for k, v := range before {
			h[k] = v
		}
		return nil
	}
	if code < 200 || code > 599 {
		return x.bad(fmt.Sprintf("it answered with status %d", code))
	}
	fresh := http.Header{}
	refused, ok := responseHeaders(fresh, x.rt.plugin(), head.GetHeaders())
	for _, what := range refused {
		x.h.metrics.answers.WithLabelValues(x.rt.p.name, badLabel(what)).Inc()
	}
	if len(refused) > 0 {
		x.rt.p.log.Warn("parts of an answer taken out", "path", x.rt.GetPath(), "what", printable(clip(strings.Join(refused, ", "), 200)))
	}
	if !ok {
		return x.bad("the head of its answer is too large")
	}
	for name, values := range fresh {
		h[name] = values
	}
	h["Content-Security-Policy"] = policies(head.GetHeaders(), x.h.cfg.PagePolicy)
	h.Set("X-Content-Type-Options", "nosniff") // ASVS 5.0 3.4.4
	if !slices.ContainsFunc(h["Content-Security-Policy"], framesAllowed) {
		h.Set("X-Frame-Options", "DENY")
	} else {
		h.Del("X-Frame-Options")
	}
	if h.Get("Referrer-Policy") == "" {
		h.Set("Referrer-Policy", "same-origin")
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store") // ASVS 5.0 14.3.2: who sees it depends on who asks
	}
	x.head = true
	x.w.WriteHeader(code)
	return nil
}

// framesAllowed reports whether a policy names somebody who may frame the page.
func framesAllowed(policy string) bool {
	p := strings.ToLower(policy)
	i := strings.Index(p, "frame-ancestors")
	return i >= 0 && !strings.HasPrefix(strings.TrimSpace(p[i+len("frame-ancestors"):]), "'none'")
}

func badLabel(what string) string {
	if what == "cookie" || what == "header_name" || what == "header_value" {
		return what
	}
	return "header"
}

func (x *exchange) bad(text string) error {
	p := x.rt.p
	x.h.metrics.answers.WithLabelValues(p.name, "answer").Inc()
	return p.fail(p.seams[pluginv1.Routes_ServiceDesc.ServiceName], codes.Internal, text)
}
