package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/forwardauth"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
)

// verifyPath is where proxies ask.
const verifyPath = "/auth/verify"

// ForwardAuth is what answers proxies that ask whether a request may go on to an application.
type ForwardAuth struct {
	Rules func() forwardauth.Rules
	// Caller resolves the credentials of a request; nobody is the zero principal and no error.
	Caller func(r *http.Request) (p principal.Principal, bearer bool, err error)
	// SignIn is the path to send a browser to whose person must sign in, or prove more.
	SignIn func(returnTo string, maxAge time.Duration, aal string) string
	// Ask puts the question "route" to plugins.
	Ask func(ctx context.Context, a gate.Ask) (gate.Answer, error)
}

var (
	errNoProxy = fault.New(fault.Denied, "untrusted_proxy", "Only a proxy may ask this. Name its network in server.trusted_proxies.")
	errNoURI   = fault.New(fault.Invalid, "no_original_request", "The proxy did not say which request it asks about: it must send X-Forwarded-Method and X-Forwarded-Uri, or X-Original-Method and X-Original-Uri.")
	errTwoURIs = fault.New(fault.Denied, "two_original_requests", "The request says in two ways what it is about: X-Original-* and X-Forwarded-Uri or -Method. Have the proxy remove the kind that it does not send.")
	errRoute   = fault.New(fault.Denied, "route_denied", "You can't open this page.")
	errSignIn  = fault.New(fault.Unauthenticated, "unauthenticated", "Sign in first.")
	errStepUp  = fault.New(fault.Denied, "step_up_required", "Prove that it is you to open this page.")
)

// signInHeader tells a proxy that can't pass a redirect on, such as nginx with auth_request, where to send the browser.
const signInHeader = "Sigra-Sign-In"

// verify answers one question of a proxy: 200 with who it is, 401 or a redirect to sign in, 403.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	fa, asked := s.cfg.ForwardAuth, request.From(r.Context()).Asked
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case !asked.Trusted:
		s.Fail(w, r, errNoProxy)
		return
	case asked.Contradicts:
		s.Fail(w, r, errTwoURIs)
		return
	case asked.URI == "":
		s.Fail(w, r, errNoURI)
		return
	}
	scheme := r.URL.Scheme
	if scheme == "" {
		scheme = s.base.Scheme
	}
	req, err := forwardauth.Parse(asked.Method, scheme, r.Host, asked.URI)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	who, _, err := fa.Caller(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	rule := fa.Rules().Find(req)
	verdict, reason := rule.Judge(who, s.cfg.Now())
	needs := struct {
		age time.Duration
		aal string
	}{rule.MaxAge, rule.AAL}
	w.Header().Set("Sigra-Obligations", "")
	w.Header().Set("Sigra-Rules-Revision", "")
	if verdict == forwardauth.Allowed && rule.AskPlugins && rule.Access != forwardauth.Public {
		ans, err := fa.Ask(r.Context(), routeQuestion(req, rule, who))
		if err != nil {
			s.Fail(w, r, err)
			return
		}
		if err := owe(w.Header(), ans); err != nil {
			s.Fail(w, r, err)
			return
		}
		switch ans.Decision {
		case gate.Deny:
			verdict, reason = forwardauth.Refused, ans.Reason
		case gate.StepUp:
			if who.AAL != principal.AAL2 && who.AAL != ans.RequiredAAL { // two factors are enough for whatever wants one
				verdict, needs.aal = forwardauth.NeedsProof, ans.RequiredAAL
			}
		}
	}
	switch verdict {
	case forwardauth.Allowed:
		identify(w.Header(), who)
		w.WriteHeader(http.StatusOK)
	case forwardauth.Refused:
		s.log.Debug("forward-auth refused", "rule", rule.Name, "reason", reason, "host", req.Host, "path", req.Path)
		f := errRoute
		if reason != "" {
			w.Header().Set("Sigra-Reason", reason)
		}
		s.Fail(w, r, f)
	default:
		s.sendToSignIn(w, r, req, fa.SignIn(s.returnTo(req), needs.age, needs.aal), verdict)
	}
}

// sendToSignIn sends a browser to sign in, where the proxy passes that on and the request is one for a page; otherwise it says so.
func (s *Server) sendToSignIn(w http.ResponseWriter, r *http.Request, req forwardauth.Request, path string, v forwardauth.Verdict) {
	to := strings.TrimSuffix(s.cfg.BaseURL, "/") + path
	w.Header().Set(signInHeader, to)
	passed := request.From(r.Context()).Asked.Redirects
	if passed && (req.Method == http.MethodGet || req.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, to, http.StatusFound) //nolint:gosec // to is Sigra's own address
		return
	}
	if v == forwardauth.NeedsProof {
		s.Fail(w, r, errStepUp)
		return
	}
	s.Fail(w, r, errSignIn)
}

// returnTo is the page that was asked for. On Sigra's own host it is a path, which may always be returned to.
func (s *Server) returnTo(req forwardauth.Request) string {
	u := url.URL{Path: req.Path}
	at := u.EscapedPath() + req.Query
	host := req.Host
	if req.Port != "" {
		host = net.JoinHostPort(host, req.Port)
	}
	if req.Scheme+"://"+host == s.base.Scheme+"://"+canonicalHost(s.base.Host, s.base.Scheme) {
		return at
	}
	return req.Scheme + "://" + host + at
}

func routeQuestion(req forwardauth.Request, rule forwardauth.Rule, who principal.Principal) gate.Ask {
	a := gate.Ask{
		Question: gate.Route, AttemptID: uuid.NewString(), Subject: audit.Ref{Type: "route", ID: req.Host + req.Path},
		Context: map[string]any{"host": req.Host, "method": req.Method, "path": req.Path, "scheme": req.Scheme, "rule": rule.Name},
	}
	if who.Kind != "" {
		a.Principal = &who
	}
	return a
}

// maxObligations is how long what an application must do may be in a header.
const maxObligations = 4 << 10

// owe tells the application what the plugins that were asked want of it, as JSON, and by which revision of their rules.
func owe(h http.Header, ans gate.Answer) error {
	h.Set("Sigra-Rules-Revision", ans.Revision)
	if len(ans.Obligations) == 0 {
		return nil
	}
	b, err := json.Marshal(ans.Obligations)
	if err != nil {
		return err
	}
	text := asciiJSON(b)
	if len(text) > maxObligations {
		return flow.ErrObligation // what can't be told can't be done
	}
	h.Set("Sigra-Obligations", text)
	return nil
}

// asciiJSON writes JSON with what is beyond ASCII escaped: a header's value has nothing else (RFC 9110 §5.5).
func asciiJSON(b []byte) string {
	var out strings.Builder
	for _, r := range string(b) {
		if r < 0x7f {
			out.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, "\\u%04x", u)
		}
	}
	return out.String()
}

// identify says who somebody is. Every header is set, empty where there is nothing to say: a proxy that copies them then overwrites what a
// client may have sent under the same name.
func identify(h http.Header, p principal.Principal) {
	id := func(u uuid.UUID) string {
		if u == uuid.Nil {
			return ""
		}
		return u.String()
	}
	at := ""
	if !p.AuthTime.IsZero() {
		at = p.AuthTime.UTC().Format(time.RFC3339)
	}
	for name, value := range map[string]string{
		"Sigra-User-Id": id(p.UserID), "Sigra-User-Email": p.Email, "Sigra-Session-Id": id(p.SessionID), "Sigra-Organization-Id": id(p.OrganizationID),
		"Sigra-Organization-Role": p.Role, "Sigra-Assurance": p.AAL, "Sigra-Auth-Time": at,
	} {
		h.Set(name, value)
	}
}
