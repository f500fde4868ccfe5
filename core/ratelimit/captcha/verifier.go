package captcha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/secret"
)

// Config of a Verifier.
type Config struct {
	Provider Provider
	SiteKey  string           // public: the widget has it
	Secret   secret.Text      // authenticates Sigra with the provider
	URL      string           // where tokens are judged, when not at Provider.VerifyURL
	Hostname string           // where the widget must have been shown; empty: anywhere the provider allows
	SendIP   bool             // tell the provider the client's address
	Timeout  time.Duration    // of one call; zero means 5 s
	Calls    int              // how many run at once; zero means 64
	Now      func() time.Time // nil: the system's
	Logger   hclog.Logger     // nil: silent
}

// Verifier has tokens judged. Safe for concurrent use.
type Verifier struct {
	cfg    Config
	client *http.Client
	calls  chan struct{}
	log    hclog.Logger
}

var _ ratelimit.Verifier = (*Verifier)(nil)

const (
	maxToken  = 8 << 10   // Turnstile's are 2 KiB at most, hCaptcha's about as long
	maxAnswer = 64 << 10  // of what the provider says
	tokenLife = time.Hour // longer than any provider takes a token
)

// New makes a Verifier.
func New(cfg Config) (*Verifier, error) {
	if cfg.SiteKey == "" || cfg.Secret.IsZero() {
		return nil, errors.New("captcha: a site key and a secret are needed")
	}
	if cfg.URL == "" {
		cfg.URL = cfg.Provider.VerifyURL
	}
	if u, err := url.Parse(cfg.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("captcha: %q is no address to have tokens judged at", cfg.URL)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Calls <= 0 {
		cfg.Calls = 64
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	return &Verifier{
		cfg: cfg, calls: make(chan struct{}, cfg.Calls), log: cfg.Logger,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:       http.ProxyFromEnvironment,
				DialContext: (&net.Dialer{Timeout: cfg.Timeout}).DialContext, TLSHandshakeTimeout: cfg.Timeout,
				ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxAnswer,
			},
			// A redirect would carry the secret elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close ends connections that are kept open for later.
func (v *Verifier) Close() { v.client.CloseIdleConnections() }

// Provider says whose widget to show.
func (v *Verifier) Provider() Provider { return v.cfg.Provider }

// Issue implements ratelimit.Verifier. The provider decides how hard its captchas are.
func (v *Verifier) Issue(string, int) ratelimit.Challenge {
	return ratelimit.Challenge{Kind: ratelimit.Captcha, Provider: v.cfg.Provider.Name, SiteKey: v.cfg.SiteKey}
}

var errUnavailable = fault.New(fault.Unavailable, "captcha_unavailable", "The captcha can't be checked right now. Try again shortly.").After(5 * time.Second)

// Verify implements ratelimit.Verifier. A fault of kind Unavailable when the provider gave no answer, or none about the token.
func (v *Verifier) Verify(ctx context.Context, _ string, _ int, p ratelimit.Proof) (ratelimit.Ticket, error) {
	if p.Challenge != "" || p.Solution == "" || len(p.Solution) > maxToken {
		return ratelimit.Ticket{}, fmt.Errorf("%w: no captcha token", ratelimit.ErrProof)
	}
	select {
	case v.calls <- struct{}{}:
		defer func() { <-v.calls }()
	default: // the provider is slow: nobody waits for a place in its queue
		return ratelimit.Ticket{}, errUnavailable.Because(errors.New("too many captchas are being checked"))
	}
	a, err := v.ask(ctx, p.Solution)
	switch {
	case ctx.Err() != nil:
		return ratelimit.Ticket{}, ctx.Err()
	case err != nil:
		v.log.Warn("captcha not checked", "provider", v.cfg.Provider.Name, "error", err)
		return ratelimit.Ticket{}, errUnavailable.Because(err)
	case !a.Success && slices.ContainsFunc(a.Codes, ours):
		v.log.Error("captchas can't be checked: the provider refuses Sigra itself", "provider", v.cfg.Provider.Name, "codes", a.codes())
		return ratelimit.Ticket{}, errUnavailable.Because(fmt.Errorf("the provider says %s", a.codes()))
	case !a.Success:
		return ratelimit.Ticket{}, fmt.Errorf("%w: the provider says %s", ratelimit.ErrProof, a.codes())
	case v.cfg.Hostname != "" && !strings.EqualFold(a.Hostname, v.cfg.Hostname):
		return ratelimit.Ticket{}, fmt.Errorf("%w: the captcha was solved on another site", ratelimit.ErrProof)
	}
	return ratelimit.NewTicket(ratelimit.Captcha, p.Solution, v.cfg.Now().Add(tokenLife)), nil
}

// answer is what providers say.
type answer struct {
	Success  bool     `json:"success"`
	Codes    []string `json:"error-codes"`
	Hostname string   `json:"hostname"`
}

// codes are the provider's words, as far as they look like codes: they go to the log.
func (a answer) codes() string {
	var out []string
	for _, c := range a.Codes[:min(len(a.Codes), 8)] {
		if len(c) <= 64 && !strings.ContainsFunc(c, func(r rune) bool { return r <= ' ' || r > '~' }) {
			out = append(out, c)
		}
	}
	return "[" + strings.Join(out, " ") + "]"
}

// ours reports whether a code complains of Sigra's configuration or the provider itself, and not of the token.
func ours(code string) bool {
	switch code {
	case "missing-input-secret", "invalid-input-secret", "sitekey-secret-mismatch", "missing-remoteip", "invalid-remoteip",
		"bad-request", "not-using-dummy-secret", "internal-error":
		return true
	}
	return false
}

// ask has one token judged.
func (v *Verifier) ask(ctx context.Context, token string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	form := url.Values{"secret": {v.cfg.Secret.Reveal()}, "response": {token}}
	if v.cfg.Provider.SiteKey {
		form.Set("sitekey", v.cfg.SiteKey)
	}
	if ip := request.From(ctx).IPString(); v.cfg.SendIP && ip != "" {
		form.Set("remoteip", ip)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.cfg.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	res, err := v.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }() // read as far as it matters
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, err
	case len(body) > maxAnswer:
		return answer{}, errors.New("the answer is too long")
	// Some providers answer 400 with codes about the token.
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusBadRequest:
		return answer{}, fmt.Errorf("the provider answers with status %d", res.StatusCode)
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return answer{}, fmt.Errorf("the answer can't be read: %w", err)
	}
	if res.StatusCode != http.StatusOK && (a.Success || len(a.Codes) == 0) {
		return answer{}, fmt.Errorf("the provider answers with status %d", res.StatusCode)
	}
	return a, nil
}
