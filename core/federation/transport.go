package federation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	// maxBody bounds every answer. One byte less than what x/oauth2 reads at most, so that longer ones are noticed there too.
	maxBody      = 1<<20 - 1
	maxRedirects = 3
	// defaultTimeout bounds one call to a provider. A person is waiting.
	defaultTimeout = 10 * time.Second
)

var (
	errTooLarge = errors.New("the answer is larger than 1 MiB")
	errRedirect = errors.New("it redirects to another place")
	errInsecure = errors.New("it is not https")
)

// newTransport is how providers are reached when the caller has no way of their own.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
	}
}

// caller calls providers.
type caller struct {
	client  *http.Client
	timeout time.Duration // of one call, answer included
}

// newCaller makes a caller that reads at most maxBody, follows redirects only to the same host and only for what reads, and
// never speaks plain http to another machine.
func newCaller(rt http.RoundTripper, timeout time.Duration) *caller {
	return &caller{timeout: timeout, client: &http.Client{
		Transport: guard{rt},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			first := via[0]
			// A token request carries the client's secret and a code, an API request the token: neither goes where a redirect says.
			if first.Method != http.MethodGet || first.Header.Get("Authorization") != "" || len(via) > maxRedirects ||
				req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme {
				return errRedirect
			}
			return nil
		},
	}}
}

// guard stands around a RoundTripper.
type guard struct{ next http.RoundTripper }

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !(req.URL.Scheme == "http" && isLoopback(req.URL.Hostname())) {
		return nil, errInsecure
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", "Sigra")
	res, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > maxBody {
		_ = res.Body.Close()
		return nil, errTooLarge
	}
	res.Body = &bounded{body: res.Body, left: maxBody}
	return res, nil
}

// tokens is the client for token answers.
func (c *caller) tokens() *http.Client {
	client := *c.client
	client.Transport = tokenAnswers{c.client.Transport}
	return &client
}

// tokenAnswers has token answers read by what they are. Providers label JSON as text, for which x/oauth2 would take it for a form; and they
// write expires_in in ways of their own, which nothing here needs: a token is used at once and forgotten.
type tokenAnswers struct{ next http.RoundTripper }

func (t tokenAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body) // bounded by guard
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) == nil && members != nil {
		delete(members, "expires_in")
		if body, err = json.Marshal(members); err != nil {
			return nil, err
		}
		res.Header.Set("Content-Type", "application/json")
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

// bounded fails where a LimitReader would pretend that the answer had ended.
type bounded struct {
	body io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }

func isLoopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// callError is what went wrong with one call.
type callError struct {
	reason string
	down   bool // not reached, or failing: it may be better later
	err    error
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// callFailed sorts out why a call gave no answer. Of what url.Error says the address stays, its query goes: a token could be in it.
func callFailed(err error) *callError {
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		where, _, _ := strings.Cut(ue.URL, "?")
		err = fmt.Errorf("%s %s: %w", strings.ToUpper(ue.Op), where, ue.Err)
	}
	switch timeout := net.Error(nil); {
	case errors.Is(err, errTooLarge):
		return &callError{"too_large", false, err}
	case errors.Is(err, errRedirect):
		return &callError{"redirected", false, err}
	case errors.Is(err, errInsecure):
		return &callError{"insecure", false, err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &callError{"timeout", true, err}
	}
	return &callError{"unreachable", true, err}
}

// call makes a request and reads a JSON answer into dst.
func (c *caller) call(ctx context.Context, req *http.Request, dst any) *callError {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	where := req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.Path
	res, err := c.client.Do(req.WithContext(ctx))
	if err != nil {
		return callFailed(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return callFailed(fmt.Errorf("%s: %w", where, err))
	}
	switch {
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return &callError{"status", true, fmt.Errorf("%s: %s", where, res.Status)}
	case res.StatusCode != http.StatusOK:
		return &callError{"status", false, fmt.Errorf("%s: %s", where, res.Status)}
	}
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && media == "application/jwt" {
		return &callError{"signed", false, fmt.Errorf("%s: the answer is a JWT; register the client for plain JSON", where)}
	}
	if err := decode(body, dst); err != nil {
		return &callError{"malformed", false, fmt.Errorf("%s: no JSON as expected: %w", where, err)}
	}
	return nil
}

// decode reads JSON, keeping numbers as they are written: ids are larger than a float is exact.
func decode(body []byte, dst any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(dst); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}
