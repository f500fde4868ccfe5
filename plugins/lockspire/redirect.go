package lockspire

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// maxURI is the longest redirect URI, in bytes.
const maxURI = 2048

// loopbacks are the only forms of loopback addresses that the port rule knows: others are different strings.
var loopbacks = []string{"http://127.0.0.1", "http://[::1]"}

// matchRedirect says whether a redirect URI is the registered one. It compares strings (RFC 9700 §4.1.3). Only native applications may
// come with another port of a loopback address, since they can't choose theirs beforehand (RFC 8252 §7.3).
func matchRedirect(registered, asked string, native bool) bool {
	if asked == "" {
		return false
	}
	if registered == asked {
		return true
	}
	if !native {
		return false
	}
	for _, host := range loopbacks {
		want, isLoopback := cutPort(registered, host)
		got, same := cutPort(asked, host)
		if isLoopback && same {
			return want == got
		}
	}
	return false
}

// cutPort gives what follows host and port. ok is false when uri is of another host or its port can't be one.
func cutPort(uri, host string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(uri, host)
	if !ok {
		return "", false
	}
	port, hasPort := strings.CutPrefix(rest, ":")
	if !hasPort {
		return rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
	n, err := strconv.Atoi(port[:digits])
	if err != nil || port[0] == '0' || n > 65535 {
		return "", false
	}
	rest = port[digits:]
	return rest, rest == "" || rest[0] == '/' || rest[0] == '?'
}

// forbiddenSchemes run or show something in the browser instead of leading to an application.
var forbiddenSchemes = []string{"javascript", "data", "vbscript", "file", "about", "blob", "intent", "filesystem", "view-source", "ftp", "ws", "wss", "mailto"}

// checkRedirect says why a redirect URI can't be registered. development also allows http on this machine for clients that are not native.
func checkRedirect(uri string, native, development bool) error {
	fail := func(why string) error { return fmt.Errorf("redirect URI %q: %s", uri, why) }
	if len(uri) > maxURI {
		return fmt.Errorf("a redirect URI has at most %d bytes", maxURI)
	}
	for _, r := range uri {
		switch {
		case r <= ' ' || r == 0x7f:
			return fail("it has a space or control character")
		case r == '\\':
			return fail("it has a backslash, which browsers and other programs read differently")
		case r == '*':
			return fail("wildcards are not supported (RFC 9700 §4.1.3); register each URI")
		case r > 0x7e:
			return fail(asciiForm(uri))
		}
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return fail("it must be absolute, such as https://app.example/callback")
	case strings.Contains(uri, "#"):
		return fail("it must not have a fragment (RFC 6749 §3.1.2)")
	case u.User != nil:
		return fail("it must not have a user name or password")
	case u.Scheme != uri[:len(u.Scheme)]:
		return fail("write the scheme in lower case")
	}
	for _, s := range forbiddenSchemes {
		if u.Scheme == s {
			return fail("the scheme " + s + " can't lead to an application")
		}
	}
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." {
			return fail("write it without dot segments")
		}
	}
	switch u.Scheme {
	case "https":
		if u.Hostname() == "" {
			return fail("it has no host")
		}
		return nil
	case "http":
		return checkHTTP(u, native, development, fail)
	}
	if !native {
		return fail("only native applications may have a scheme of their own")
	}
	if !strings.Contains(u.Scheme, ".") {
		return fail("a scheme of your own is a domain name in reverse, such as com.example.app (RFC 8252 §7.1)")
	}
	return nil
}

func checkHTTP(u *url.URL, native, development bool, fail func(string) error) error {
	host := u.Hostname()
	ip := net.ParseIP(host)
	local := host == "localhost" || host == "127.0.0.1" || host == "::1"
	switch {
	case local && (native || development):
		return nil
	case local:
		return fail("http on this machine is for native applications, and for others during development only")
	case ip != nil:
		return fail("http leads to loopback addresses only")
	}
	return fail("it must be https")
}

// asciiForm says how to write a URI that has other characters.
func asciiForm(uri string) string {
	if u, err := url.Parse(uri); err == nil && u.Host != "" {
		if ascii, err := idna.Lookup.ToASCII(u.Hostname()); err == nil && ascii != u.Hostname() {
			return "write the host as " + ascii
		}
	}
	return "write other characters than ASCII percent-encoded"
}

var errNoRedirect = errors.New("name at least one redirect URI with --redirect-uri")

// originOf is what a redirect URI's answer comes from, for Content-Security-Policy and CORS: an origin, or a scheme with its colon.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "https" || u.Scheme == "http":
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}
