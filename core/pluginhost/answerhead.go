package pluginhost

import (
	"errors"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// The limits of a plugin's answers. What stands in front of Sigra takes a head of a few thousand bytes, and answers a longer one with an
// error of its own.
const (
	maxHeaderNames = 64
	maxHeaderBytes = 16 << 10
	maxInformed    = 4    // heads before the answer's own
	maxEmpty       = 1000 // frames of one answer that say nothing
)

// answerHeaders are what a plugin's answer may say in its head. What is not here may mean something to a proxy in front of Sigra
// (X-Accel-Redirect, X-Sendfile, Surrogate-Control), acts on the whole origin (Clear-Site-Data, Strict-Transport-Security) or says who asks
// (see identityHeaders): a list of what is refused would always lack the next one. OWASP ASVS 5.0 4.1.3
var answerHeaders = setOf(
	"Accept", "Accept-Patch", "Accept-Post", "Accept-Ranges", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age", "Age", "Allow", "Authentication-Info", "Cache-Control", "Content-Digest",
	"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length", "Content-Location", "Content-Range",
	"Content-Security-Policy-Report-Only", "Content-Type", "Cross-Origin-Embedder-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy",
	"Deprecation", "Dpop-Nonce", "Etag", "Expires", "Last-Modified", "Link", "Location", "Permissions-Policy", "Pragma", "Ratelimit", "Ratelimit-Limit", "Ratelimit-Policy",
	"Ratelimit-Remaining", "Ratelimit-Reset", "Referrer-Policy", "Refresh", "Repr-Digest", "Retry-After", "Server-Timing", "Set-Cookie", "Sunset", "Timing-Allow-Origin",
	"Vary", "Www-Authenticate", "X-Robots-Tag",
)

// ownPrefix is what headers begin with whose meaning is the plugin's own.
const ownPrefix = "X-Plugin-"

func setOf(names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

func allowedHeader(name string) bool {
	return answerHeaders[name] || strings.HasPrefix(name, ownPrefix) && !isIdentity(name)
}

// allowedTrailer reports whether a field may follow a body (RFC 9110 §6.5.1).
func allowedTrailer(name string) bool {
	return slices.Contains([]string{"Content-Digest", "Repr-Digest", "Server-Timing", "Etag"}, name) || strings.HasPrefix(name, ownPrefix)
}

// answerHead reads the heads of one answer.
type answerHead struct {
	plugin string   // what it calls itself
	sent   []string // the request's Cookie lines
}

// said is what a head may say; refused names what was taken out.
type said struct {
	headers http.Header
	refused []string
}

var errHeadTooLarge = errors.New("the head of its answer is too large")

// read looks a head over. An error means that no answer can be made of it.
func (a answerHead) read(in []*pluginv1.Header) (said, error) {
	out := said{headers: http.Header{}}
	if len(in) > maxHeaderNames {
		return out, errHeadTooLarge
	}
	cookies := jar{plugin: a.plugin, pairs: ownPairs(a.sent, a.plugin)}
	total := 0
	for _, h := range in {
		name := textproto.CanonicalMIMEHeaderKey(h.GetName())
		for _, v := range h.GetValues() {
			if total += len(name) + len(v) + 4; total > maxHeaderBytes {
				return out, errHeadTooLarge
			}
		}
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			out.refused = append(out.refused, "header_name")
			continue
		case slices.Contains(hopByHop, name), name == "Content-Security-Policy", name == "X-Frame-Options", name == "X-Content-Type-Options", name == "Date":
			continue // the host says these, see policies
		case !allowedHeader(name):
			out.refused = append(out.refused, name)
			continue
		}
		for _, v := range h.GetValues() {
			switch {
			case !httpguts.ValidHeaderFieldValue(v), !validValue(name, v), single[name] && len(out.headers[name]) > 0:
				out.refused = append(out.refused, "header_value")
			case name == "Set-Cookie":
				if !cookies.put(v) {
					out.refused = append(out.refused, "cookie")
				}
			default:
				out.headers[name] = append(out.headers[name], v)
			}
		}
	}
	if len(cookies.lines) > 0 {
		out.headers["Set-Cookie"] = cookies.lines
	}
	return out, nil
}

// single are fields of which there is one (RFC 9110 §5.3).
var single = setOf("Content-Length", "Content-Type", "Location", "Refresh", "Content-Range", "Content-Location", "Etag", "Last-Modified", "Retry-After", "Access-Control-Allow-Origin")

// validValue parses what browsers and proxies act on.
func validValue(name, value string) bool {
	switch name {
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 63)
		return err == nil && strconv.FormatUint(n, 10) == value
	case "Content-Type":
		_, _, err := mime.ParseMediaType(value)
		return err == nil
	case "Location", "Content-Location":
		return validTarget(value)
	case "Refresh":
		_, after, ok := strings.Cut(value, "=")
		return !ok || validTarget(strings.Trim(strings.TrimSpace(after), `"'`))
	}
	return true
}

// validTarget reports whether a browser may be sent to an address: one that runs nothing here.
func validTarget(value string) bool {
	u, err := url.Parse(value)
	return err == nil && !slices.Contains([]string{"javascript", "data", "vbscript", "blob", "file"}, strings.ToLower(u.Scheme))
}
