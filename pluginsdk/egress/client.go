package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// The defaults of Config.
const (
	DefaultTimeout = 10 * time.Second
	DefaultMaxBody = 1 << 20
)

const (
	dialTimeout = 5 * time.Second
	maxHeader   = 64 << 10
)

var (
	// ErrTooLarge says that an answer is larger than allowed.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrRedirect says that an answer redirects more often than allowed, from https to http, or with something that must not go elsewhere.
	ErrRedirect = errors.New("the answer redirects to where the request must not go")
)

// Config of a Client. Only Allow is the operator's; the others are the caller's.
type Config struct {
	Allow     []netip.Prefix // not public, and reachable all the same: egress.allow in sigra.hcl
	Timeout   time.Duration  // of a whole exchange, the answer's body included; 0 means DefaultTimeout, less than 0 none: the caller's context has a deadline
	MaxBody   int64          // of an answer, decompressed; 0 means DefaultMaxBody
	Redirects int            // how many may be followed, of GET and HEAD; 0: none, and the caller gets the redirecting answer
	Resolver  *net.Resolver  // nil means the system's

	// Proxy is asked which proxy a request goes through; nil: none. Where there is one the operator has chosen it, and it decides what it
	// connects to: only addresses that stand in a URL as such can still be checked here. http.ProxyFromEnvironment is a Proxy.
	Proxy func(*http.Request) (*url.URL, error)
}

// Client makes a client for URLs that somebody else chose. It keeps no cookies.
func Client(cfg Config) *http.Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &http.Client{
		Transport: Bound(Transport(cfg), cfg.MaxBody),
		Timeout:   max(cfg.Timeout, 0),
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			first := via[0]
			switch {
			case cfg.Redirects == 0:
				return http.ErrUseLastResponse
			case len(via) > cfg.Redirects, first.Method != http.MethodGet && first.Method != http.MethodHead,
				first.URL.Scheme == "https" && req.URL.Scheme != "https":
				return ErrRedirect
			}
			return nil
		},
	}
}

// Transport is what a Client stands on: it connects to what the policy lets through, and bounds headers and waiting, not bodies. Callers that
// have rules of their own for redirects build on it.
func Transport(cfg Config) http.RoundTripper {
	policy := Policy{cfg.Allow}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: cfg.Resolver, Control: policy.Control}
	t := &transport{policy: policy}
	t.Transport = &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    4,
		MaxIdleConns:           64,
		IdleConnTimeout:        30 * time.Second,
	}
	if cfg.Proxy != nil {
		open := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: cfg.Resolver}
		t.Transport.Proxy = func(req *http.Request) (*url.URL, error) {
			u, err := cfg.Proxy(req)
			if err == nil && u != nil {
				t.proxies.Store(hostPort(u), true)
			}
			return u, err
		}
		t.Transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if _, ours := t.proxies.Load(addr); ours {
				return open.DialContext(ctx, network, addr)
			}
			return dialer.DialContext(ctx, network, addr)
		}
	}
	return t
}

// transport checks what can be checked without connecting.
type transport struct {
	*http.Transport
	policy  Policy
	proxies sync.Map // of host:port; the operator's
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if a, err := netip.ParseAddr(req.URL.Hostname()); err == nil {
		if err := t.policy.Check(a); err != nil {
			return nil, err
		}
	}
	return t.Transport.RoundTrip(req)
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Bound has answers with a body of more than maxBody bytes fail with ErrTooLarge, where a limited reader would pretend that they had ended. 0
// means DefaultMaxBody.
func Bound(next http.RoundTripper, maxBody int64) http.RoundTripper {
	if maxBody <= 0 {
		maxBody = DefaultMaxBody
	}
	return &bound{next, maxBody}
}

type bound struct {
	next http.RoundTripper
	max  int64
}

// RoundTrip implements http.RoundTripper.
func (b *bound) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > b.max && req.Method != http.MethodHead {
		_ = res.Body.Close()
		return nil, b.tooLarge()
	}
	res.Body = &body{ReadCloser: res.Body, left: b.max, err: b.tooLarge()}
	return res, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (b *bound) CloseIdleConnections() {
	if c, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (b *bound) tooLarge() error { return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.max) }

type body struct {
	io.ReadCloser
	left int64
	err  error
}

func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, b.err
	}
	return n, err
}
