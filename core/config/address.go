package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

func validHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	return len(h) <= 253 && hostName.MatchString(h)
}

// listenAddress checks host:port.
func listenAddress(s string) (string, *problem) {
	const want = `A host and a port, such as "localhost:8484"; ":8484" listens on all addresses.`
	if _, rest, ok := strings.Cut(s, "://"); ok {
		return "", &problem{is: "is an address to listen on, not a URL", want: want, try: strings.TrimRight(rest, "/")}
	}
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return "", &problem{is: "has a port but no host", want: want, try: "localhost:" + s}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return "", &problem{is: "has no port", want: want, try: netip.AddrPortFrom(a, 8484).String()}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if validHost(s) {
			return "", &problem{is: "has no port", want: want, try: s + ":8484"}
		}
		return "", &problem{is: "is no address to listen on", want: want}
	}
	if host == "*" {
		return "", &problem{is: "has * for a host", want: want, try: ":" + port}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", &problem{is: "has a port that is not a number from 0 to 65535", want: want}
	}
	if host != "" && !validHost(host) {
		if a, err := netip.ParseAddr(host); err != nil || a.Zone() == "" {
			return "", &problem{is: "has a host that is neither a name nor an address", want: want}
		}
	}
	return s, nil
}

// loopback reports whether a host is this machine only.
func loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// baseURL checks and normalises where people reach Sigra.
func baseURL(s string) (string, *problem) {
	const want = `A scheme and a host, with the port if it isn't the usual one: "https://id.example.com".`
	if s == "" {
		return "", &problem{is: "is empty", want: want}
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return "", &problem{is: "has white space or a backslash in it", want: want}
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		if host, _, _ := strings.Cut(s, "/"); !strings.Contains(s, "://") && validHostPort(host) {
			scheme := "https://"
			if h, _, err := net.SplitHostPort(host); loopback(host) || err == nil && loopback(h) {
				scheme = "http://"
			}
			return "", &problem{is: "has no scheme", want: want, try: scheme + host}
		}
		return "", &problem{is: "is no URL", want: want}
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return "", &problem{is: "must be an https URL", want: want}
	}
	host := strings.ToLower(u.Hostname())
	if host == "" || !validHost(host) {
		p := &problem{is: "has no host that is a name or an address", want: want}
		if strings.ContainsFunc(host, func(r rune) bool { return r > 0x7f }) {
			p.want = "A name with other letters than English ones is written in its xn-- form."
			if a, err := idna.Lookup.ToASCII(host); err == nil && validHost(a) {
				p.try = u.Scheme + "://" + a
				if port := u.Port(); port != "" {
					p.try += ":" + port
				}
			}
		}
		return "", p
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	origin := u.Scheme + "://" + host
	if port := u.Port(); port != "" && !(u.Scheme == "https" && port == "443") && !(u.Scheme == "http" && port == "80") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
			return "", &problem{is: "has a port that is not a number from 0 to 65535", want: want}
		}
		origin += ":" + port
	}
	// The session cookie has the prefix __Host-, which browsers take only with Secure (draft-ietf-httpbis-rfc6265bis
	// §4.1.3.2), and Secure over plain HTTP only from what they trust anyway (W3C Secure Contexts §3.1).
	plain := u.Scheme == "http" && host != "localhost" && host != "127.0.0.1" && host != "[::1]"
	if plain {
		origin = "https" + strings.TrimPrefix(origin, "http")
	}
	switch {
	case u.User != nil:
		return "", &problem{is: "must not have a user or password in it", want: want, try: origin}
	case u.Path != "" || u.RawPath != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "", &problem{is: "must end after the host: no path, no query, no slash", want: "Sigra has a host of its own, because its cookie does. " + want, try: origin}
	}
	if plain {
		return "", &problem{is: "must be https", try: origin,
			want: "Over plain http, browsers keep the session cookie only from localhost, 127.0.0.1 and [::1]."}
	}
	return origin, nil
}

func validHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return validHost(s)
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil && validHost(host)
}

// databaseURL checks what the store will open.
func databaseURL(s string) *problem {
	const want = `"postgres://user:password@host:5432/database", or "sqlite:///absolute/path.db"; leave it out for the embedded database in data_dir.`
	u, err := url.Parse(s)
	if err != nil {
		return &problem{is: "is no URL", want: "If the password has special characters in it, write them as %40 and the like. " + want}
	}
	if !strings.Contains(s, "://") {
		return &problem{is: "has no scheme", want: want}
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		if u.Host == "" && !u.Query().Has("host") {
			return &problem{is: "names no host", want: want}
		}
		if strings.Trim(u.Path, "/") == "" && !u.Query().Has("dbname") {
			return &problem{is: "names no database", want: want}
		}
		return nil
	case "sqlite":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasSuffix(u.Path, "/") {
			return &problem{is: "needs the absolute path of a file", want: want}
		}
		return nil
	}
	return &problem{is: "is for a database that Sigra does not run on", want: want}
}

// rangeURL checks where passwords are looked up. To it the first five digits of a hash are added.
func rangeURL(s string) (string, *problem) {
	const want = `The URL of an API as Pwned Passwords has it: "https://api.pwnedpasswords.com/range/".`
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme == "" || u.Host == "" || !validHost(u.Hostname()) {
		return "", &problem{is: "is no URL", want: want}
	}
	switch {
	case u.User != nil:
		return "", &problem{is: "must not have a user or password in it", want: want}
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", &problem{is: "must not have a query", want: "Five digits are added at its end. " + want}
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "", &problem{is: "must be https", want: "Plain http is for this machine.", try: "https" + s[len("http"):]}
	case u.Scheme != "https" && u.Scheme != "http":
		return "", &problem{is: "must be an https URL", want: want}
	}
	return strings.TrimRight(s, "/") + "/", nil
}

// collectorURL checks where OpenTelemetry data go.
func collectorURL(s string) (string, *problem) {
	const want = `The URL of a collector that speaks OTLP over HTTP: "https://otel.example.com:4318".`
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme == "" || u.Host == "" || !validHost(u.Hostname()) {
		p := &problem{is: "is no URL", want: want}
		if !strings.Contains(s, "://") && validHostPort(s) {
			p.is, p.try = "has no scheme", fmt.Sprintf("https://%s", s)
		}
		return "", p
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "", &problem{is: "must be an https or http URL", want: want}
	case u.User != nil:
		return "", &problem{is: "must not have a user or password in it", want: "Put credentials into headers."}
	case u.RawQuery != "" || u.Fragment != "":
		return "", &problem{is: "must not have a query", want: want}
	}
	return strings.TrimRight(s, "/"), nil
}
