package forwardauth

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// Access says who gets through at all.
type Access string

// Who gets through.
const (
	Public   Access = "public"    // everybody
	SignedIn Access = "signed_in" // who has a session
	Nobody   Access = "nobody"
)

// Rule is one rule. Empty lists match everything.
type Rule struct {
	Name         string
	Hosts        []string // "app.example.com"; "*.example.com" is any one label
	Paths        []string // "/admin" and nothing else; "/admin/*" that, and all below it
	Methods      []string // "GET"
	Access       Access
	AAL          string        // principal.AAL2: with two factors; empty: any
	MaxAge       time.Duration // since the person last proved who they are; zero: any
	Organization string        // id of the session's active organization; empty: any or none
	Roles        []string      // of which the membership there has one; empty: any
	AskPlugins   bool          // put the question "route" to plugins
}

// Rules are the rules in their order.
type Rules []Rule

// Default is what counts where no rule matches.
var Default = Rule{Name: "default", Access: SignedIn, AskPlugins: true}

// Request is what somebody asks an application for.
type Request struct {
	Method string // in capitals
	Scheme string // "https"
	Host   string // without a port, in lower case
	Port   string // empty: the scheme's own; only to come back
	Path   string // decoded; see Parse
	Query  string // with the question mark; only to come back
}

// ErrAmbiguous says that a path means one thing to a proxy and may mean another to the application.
var ErrAmbiguous = fault.New(fault.Denied, "ambiguous_path", "This address can be read in more than one way.")

// Parse reads what a proxy says of a request. A path with an escaped slash, backslash or dot segment, or with empty segments,
// is ErrAmbiguous: the rule that is found for it could be another than the one for what the application makes of it.
func Parse(method, scheme, host, target string) (Request, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil || u.Path == "" || u.Path[0] != '/' || u.Host != "" || u.Opaque != "" {
		return Request{}, ErrAmbiguous
	}
	low := strings.ToLower(u.EscapedPath())
	if strings.ContainsAny(u.Path, "\\\x00;") || strings.Contains(low, "%2f") || strings.Contains(low, "%5c") || strings.Contains(low, "%25") {
		return Request{}, ErrAmbiguous
	}
	if clean := path.Clean(u.Path); u.Path != clean && u.Path != clean+"/" {
		return Request{}, ErrAmbiguous
	}
	h := url.URL{Host: host}
	r := Request{Method: strings.ToUpper(method), Scheme: strings.ToLower(scheme), Host: strings.TrimSuffix(strings.ToLower(h.Hostname()), "."), Port: h.Port(), Path: u.Path}
	if r.Scheme == "https" && r.Port == "443" || r.Scheme == "http" && r.Port == "80" {
		r.Port = ""
	}
	if u.RawQuery != "" {
		r.Query = "?" + u.RawQuery
	}
	if r.Method == "" || strings.ContainsFunc(r.Method, func(c rune) bool { return c < 'A' || c > 'Z' }) {
		return Request{}, fault.New(fault.Invalid, "invalid_method", "The proxy did not say by which method.")
	}
	return r, nil
}

// Find gives the rule that counts for a request.
func (rs Rules) Find(r Request) Rule {
	for _, rule := range rs {
		if rule.matches(r) {
			return rule
		}
	}
	return Default
}

func (rule Rule) matches(r Request) bool {
	any := func(patterns []string, fits func(string) bool) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, fits)
	}
	return any(rule.Methods, func(m string) bool { return m == r.Method || m == "GET" && r.Method == "HEAD" }) &&
		any(rule.Hosts, func(h string) bool { return hostFits(h, r.Host) }) &&
		any(rule.Paths, func(p string) bool { return pathFits(p, r.Path) })
}

func hostFits(pattern, host string) bool {
	rest, wild := strings.CutPrefix(pattern, "*.")
	if !wild {
		return pattern == host
	}
	label, parent, found := strings.Cut(host, ".")
	return found && label != "" && parent == rest
}

func pathFits(pattern, p string) bool {
	folder, below := strings.CutSuffix(pattern, "/*")
	if !below {
		return p == pattern
	}
	return p == folder || strings.HasPrefix(p, folder+"/")
}

// Verdict is what a rule says of somebody.
type Verdict string

// The verdicts.
const (
	Allowed     Verdict = "allowed"
	NeedsSignIn Verdict = "sign_in" // nobody is signed in
	NeedsProof  Verdict = "step_up" // signed in, and asked to prove it anew or with a second factor
	Refused     Verdict = "refused"
)

// Judge holds somebody against the rule; the zero principal is nobody. Reason is a code, for a refusal.
func (rule Rule) Judge(who principal.Principal, now time.Time) (v Verdict, reason string) {
	switch {
	case rule.Access == Public:
		return Allowed, ""
	case rule.Access == Nobody:
		return Refused, "closed"
	case who.Kind == "":
		return NeedsSignIn, ""
	case who.Kind != principal.User && who.Kind != principal.ServiceAccount:
		return Refused, "not_a_person"
	case rule.Organization != "" && who.OrganizationID.String() != rule.Organization:
		return Refused, "other_organization"
	case len(rule.Roles) > 0 && !slices.Contains(rule.Roles, who.Role):
		return Refused, "role_missing"
	case rule.AAL != "" && who.AAL != rule.AAL, rule.MaxAge > 0 && now.Sub(who.AuthTime) > rule.MaxAge:
		return NeedsProof, ""
	}
	return Allowed, ""
}
