package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var schemeName = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// notApplications are schemes that no application may have: a browser runs, shows or opens what they name by itself.
var notApplications = []string{"about", "blob", "chrome", "data", "file", "filesystem", "ftp", "intent", "javascript", "mailto", "sms", "tel", "vbscript", "view-source", "ws", "wss"}

// returnAddress checks a place that people may go on to after signing in: an origin, an origin with one wildcard label, or an application's scheme.
func returnAddress(s string) (string, *problem) {
	const want = `An origin, "https://app.example.com"; one with a wildcard for its first label, "https://*.example.com"; or an application's own scheme, "myapp://".`
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case !ok:
		p := &problem{is: "has an entry without a scheme", want: want}
		if validHostPort(strings.TrimPrefix(s, "*.")) {
			p.try = "https://" + s
		}
		return "", p
	case scheme != "https" && scheme != "http":
		switch {
		case !schemeName.MatchString(scheme) || slices.Contains(notApplications, scheme):
			return "", &problem{is: "has a scheme that is no application's", want: want}
		case rest != "":
			return "", &problem{is: "has an application's scheme with more behind it", want: "What has the scheme may be returned to, whichever address it is. " + want, try: scheme + "://"}
		}
		return scheme + "://", nil
	}
	host, wild := strings.CutPrefix(rest, "*.")
	if strings.Contains(host, "*") {
		return "", &problem{is: "has a wildcard that is not the whole first label", want: want}
	}
	origin, p := baseURL(scheme + "://" + host)
	if p != nil {
		if p.try != "" && wild {
			p.try = strings.Replace(p.try, "://", "://*.", 1)
		}
		return "", &problem{is: "has an entry that " + p.is, want: want, try: p.try}
	}
	if !wild {
		return origin, nil
	}
	u, err := url.Parse(origin)
	if err != nil || isAddress(u.Hostname()) {
		return "", &problem{is: "has a wildcard before an IP address", want: want}
	}
	if above(u.Hostname()) || loopback(u.Hostname()) {
		return "", &problem{is: "has a wildcard for names that anybody can register", want: "People would be sent to whoever does. Put the wildcard below a domain of your own: \"https://*.example.com\"."}
	}
	return strings.Replace(origin, "://", "://*.", 1), nil
}

// cookieDomain checks a domain whose hosts share the session cookie.
func cookieDomain(s string) (string, *problem) {
	const want = `A domain of your own with base_url in it, such as "example.com".`
	s = strings.ToLower(strings.TrimPrefix(s, "."))
	switch {
	case s == "":
		return "", nil
	case strings.Contains(s, "://") || !validHost(s) || isAddress(s):
		return "", &problem{is: "is no domain", want: want}
	case above(s):
		return "", &problem{is: "is a domain under which anybody can register a name", want: "Browsers refuse a cookie for it. " + want}
	}
	return s, nil
}

// tokenAudience checks whom a token is for: any text that a verifier compares (RFC 7519 §4.1.3).
func tokenAudience(s string) (string, *problem) {
	if s == "" || len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", &problem{is: "has an entry that is empty, too long or has white space in it", want: `A name that your applications look for in "aud", such as "https://api.example.com".`}
	}
	return s, nil
}

// internalHost checks a name by which applications reach Sigra: a host, with the port if it isn't the scheme's own.
func internalHost(s string) (string, *problem) {
	const want = `A host with its port, as an application has it in the address: "sigra:8484", "sigra.internal".`
	switch {
	case strings.Contains(s, "://"):
		return "", &problem{is: "has an entry that is a URL", want: want, try: strings.TrimRight(s[strings.Index(s, "://")+3:], "/")}
	case !validHostPort(s):
		return "", &problem{is: "has an entry that is no host", want: want}
	}
	return strings.ToLower(s), nil
}

// checkCookieDomain runs after the server's own checks, which may set base_url.
func (d *decoder) checkCookieDomain(c *Config) {
	base, err := url.Parse(c.Server.BaseURL)
	domain := c.Session.CookieDomain
	if err != nil || domain == "" || d.faulty("server.base_url") || d.faulty("server.listen") {
		return
	}
	host := base.Hostname()
	if host != domain && !strings.HasSuffix(host, "."+domain) {
		d.say(problem{is: fmt.Sprintf("cookie_domain is neither %s nor a domain above it", host), want: "Browsers take a cookie for the host that sets it and for domains above that."}, "session.cookie_domain")
	}
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// checkReturnTo warns of rules for applications that nobody can come back to from signing in.
func (d *decoder) checkReturnTo(c *Config) {
	base, err := url.Parse(c.Server.BaseURL)
	if err != nil || d.faulty("sign_in.return_to") {
		return
	}
	for _, rule := range c.Access {
		if rule.Allow != AllowSignedIn {
			continue
		}
		for _, host := range rule.Hosts {
			if host != base.Hostname() && !slices.ContainsFunc(c.SignIn.ReturnTo, func(to string) bool { return returnsTo(to, host) }) {
				d.say(problem{warn: true, is: fmt.Sprintf("access %q is for %s, which sign_in.return_to leaves out", rule.Name, host),
					want: "People who are sent to sign in from there end on their account page instead.", try: "https://" + host}, "sign_in.return_to", "sign_in")
				return
			}
		}
	}
}

// returnsTo reports whether an entry of return_to covers a host as an access rule names it.
func returnsTo(entry, host string) bool {
	_, rest, _ := strings.Cut(entry, "://")
	if name, _, err := net.SplitHostPort(rest); err == nil {
		rest = name
	}
	_, parent, _ := strings.Cut(host, ".")
	return rest == host || rest == "*."+parent
}
