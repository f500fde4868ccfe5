package breach

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // the index of Pwned Passwords
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// DefaultURL is the range API of Pwned Passwords (haveibeenpwned.com/API/v3#PwnedPasswords).
	DefaultURL = "https://api.pwnedpasswords.com/range/"
	// DefaultTimeout is how long one question may take.
	DefaultTimeout = 2 * time.Second

	maxBody = 1 << 20 // a range has about 40 KiB
	prefix  = 5       // hexadecimal digits that are told
)

// ErrUnavailable says that the API did not answer lately and is left alone for a while.
var ErrUnavailable = errors.New("the breach check is unavailable")

// APIConfig is what an API is made of.
type APIConfig struct {
	URL     string        // to which five digits are added; DefaultURL
	Timeout time.Duration // DefaultTimeout
	Logger  hclog.Logger
	Now     func() time.Time // nil means the clock
}

// API asks over HTTPS. Safe for concurrent use.
type API struct {
	url     string
	timeout time.Duration
	log     hclog.Logger
	http    *http.Transport
	breaker *breaker
}

// NewAPI makes an API. Nothing is connected yet. Call Close at the end.
func NewAPI(cfg APIConfig) (*API, error) {
	if cfg.URL == "" {
		cfg.URL = DefaultURL
	}
	if err := CheckURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("breach check: %w", err)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &API{
		url: strings.TrimSuffix(cfg.URL, "/") + "/", timeout: cfg.Timeout, log: cfg.Logger,
		http: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxConnsPerHost: 16, MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		},
	}
	a.breaker = newBreaker(cfg.Now, a.probe, cfg.Logger)
	return a, nil
}

// CheckURL reports what is wrong with an address of a range API. Plain HTTP is for this machine: five digits of a hash are
// little, and still more than the network in between needs to know.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("the url is no web address")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the url is to be a plain address, to which five digits are added")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("the url must be https, except on this machine")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close ends what goes on in the background and closes connections. Count fails from then on.
func (a *API) Close() {
	a.breaker.close()
	a.http.CloseIdleConnections()
}

// Count tells how often the password with this SHA-1 was seen. It takes the timeout at most, and no time at all while the
// API is known to be down.
func (a *API) Count(ctx context.Context, sum [sha1.Size]byte) (int, error) {
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	asking, done, err := a.breaker.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	n, pause, err := a.ask(asking, digits)
	switch {
	case err == nil:
		return n, nil
	case ctx.Err() != nil:
		return 0, ctx.Err() // who asked has gone; that says nothing of the API
	case asking.Err() != nil:
		return 0, ErrUnavailable // another request found out, or this is the end
	}
	a.breaker.trip(err, pause)
	return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// probe asks whether the API answers again, with a prefix that belongs to nobody.
func (a *API) probe(ctx context.Context, digits string) (pause time.Duration, err error) {
	_, pause, err = a.ask(ctx, digits)
	return pause, err
}

// ask sends the first five digits and looks for the rest in the answer. pause is how long the API asks to be left alone.
func (a *API) ask(ctx context.Context, digits string) (count int, pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+digits[:prefix], nil)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("User-Agent", "Sigra") // the API wants one; no version, no address of ours
	req.Header.Set("Add-Padding", "true")
	res, err := a.http.RoundTrip(req) // not a Client: redirects are not followed, cookies not kept
	if err != nil {
		return 0, 0, fmt.Errorf("ask %s: %w", req.URL.Host, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return 0, time.Duration(min(max(seconds, 0), 3600)) * time.Second, fmt.Errorf("%s answered %d", req.URL.Host, res.StatusCode)
	}
	if count, err = find(io.LimitReader(res.Body, maxBody+1), digits[prefix:]); err != nil {
		return 0, 0, fmt.Errorf("the answer of %s: %w", req.URL.Host, err)
	}
	return count, 0, nil
}

// find looks for the rest of a hash in an answer: lines of 35 digits, a colon and a count. A count of 0 is padding.
func find(r io.Reader, rest string) (count int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 256), 256)
	read, n := 0, 0
	for lines.Scan() {
		line := lines.Text()
		if read += len(line) + 1; read > maxBody {
			return 0, errors.New("too long")
		}
		suffix, seen, ok := strings.Cut(line, ":")
		times, err := strconv.ParseUint(seen, 10, 31)
		if !ok || len(suffix) != len(rest) || err != nil || !isHex(suffix) {
			return 0, fmt.Errorf("line %d is not one of a range", n+1)
		}
		if strings.EqualFold(suffix, rest) {
			count = max(count, int(times))
		}
		n++
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, errors.New("empty")
	}
	return count, nil
}

func isHex(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'F') && (r < 'a' || r > 'f')
	})
}
