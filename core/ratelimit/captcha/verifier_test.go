package captcha_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/ratelimit/captcha"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

const ourSecret = "0x-the-secret-of-this-site"

// provider answers on loopback as f says.
func provider(t *testing.T, f http.HandlerFunc, change func(*captcha.Config)) *captcha.Verifier {
	t.Helper()
	s := httptest.NewServer(f)
	cfg := captcha.Config{Provider: captcha.Turnstile(), SiteKey: "site", Secret: secret.New(ourSecret), URL: s.URL, Timeout: 10 * time.Second}
	if change != nil {
		change(&cfg)
	}
	v, err := captcha.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close(); s.Close() })
	return v
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func verify(v *captcha.Verifier, token string) error {
	_, err := v.Verify(context.Background(), "scope", 0, ratelimit.Proof{Solution: token})
	return err
}

func TestVerifier_whatIsSent(t *testing.T) {
	t.Parallel()
	var form url.Values
	echo := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || len(r.URL.RawQuery) > 0 {
			t.Error(r.Method, r.URL, err)
		}
		form = r.PostForm
		_, _ = io.WriteString(w, `{"success":true,"hostname":"ID.example.org","challenge_ts":"2026-11-23T08:00:00Z","error-codes":[],"more":{"a":1}}`)
	}
	ctx := request.With(t.Context(), request.Info{IP: netip.MustParseAddr("192.0.2.7")})
	for name, c := range map[string]struct {
		change func(*captcha.Config)
		want   string
	}{
		"turnstile":        {nil, "response=to+ken%26x&secret=" + ourSecret},
		"hcaptcha":         {func(c *captcha.Config) { c.Provider = captcha.HCaptcha() }, "response=to+ken%26x&secret=" + ourSecret + "&sitekey=site"},
		"with the address": {func(c *captcha.Config) { c.SendIP, c.Hostname = true, "id.example.org" }, "remoteip=192.0.2.7&response=to+ken%26x&secret=" + ourSecret},
	} {
		v := provider(t, echo, c.change)
		ticket, err := v.Verify(ctx, "scope", 3, ratelimit.Proof{Solution: "to ken&x"})
		if err != nil || form.Encode() != c.want || ticket.ExpiresAt.Before(time.Now().Add(10*time.Minute)) {
			t.Errorf("%s: %v, %s, want %s", name, err, form.Encode(), c.want)
		}
		if ch := v.Issue("scope", 3); ch.Kind != ratelimit.Captcha || ch.SiteKey != "site" || ch.Provider != v.Provider().Name || ch.Puzzle != "" {
			t.Errorf("%s: %+v", name, ch)
		}
	}
}

func TestVerifier_answers(t *testing.T) {
	t.Parallel()
	const wrong, unknown = "wrong", "unknown"
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"wrong token":         {says(`{"success":false,"error-codes":["invalid-input-response"]}`), wrong},
		"used before":         {says(`{"success":false,"error-codes":["timeout-or-duplicate"]}`), wrong},
		"400 about the token": {status(400, `{"success":false,"error-codes":["invalid-input-response"]}`), wrong},
		"no word why":         {says(`{"success":false}`), wrong},
		"another site":        {says(`{"success":true,"hostname":"evil.example"}`), wrong},
		"no site":             {says(`{"success":true}`), wrong},
		"our secret is wrong": {says(`{"success":false,"error-codes":["invalid-input-secret"]}`), unknown},
		"both":                {says(`{"success":false,"error-codes":["timeout-or-duplicate","invalid-input-secret"]}`), unknown},
		"their own trouble":   {says(`{"success":false,"error-codes":["internal-error"]}`), unknown},
		"500":                 {status(500, `{"success":true,"hostname":"id.example.org"}`), unknown},
		"429":                 {status(429, ``), unknown},
		"400 and success":     {status(400, `{"success":true,"hostname":"id.example.org"}`), unknown},
		"redirect":            {status(307, ``), unknown},
		"nothing":             {says(``), unknown},
		"a page":              {says(`<!doctype html>`), unknown},
		"not a yes":           {says(`{"success":"true","hostname":"id.example.org"}`), unknown},
		"an endless answer":   {says(`{"success":true,"hostname":"id.example.org","x":"` + strings.Repeat("x", 65<<10) + `"}`), unknown},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"success":true}`)
		}, unknown},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			v := provider(t, c.answer, func(cfg *captcha.Config) {
				cfg.Hostname = "id.example.org"
				cfg.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})
			})
			err := verify(v, "the-token")
			switch {
			case c.want == wrong && errors.Is(err, ratelimit.ErrProof):
			case c.want == unknown && fault.KindOf(err) == fault.Unavailable && fault.From(err).RetryAfter > 0 && log.Len() > 0:
			default:
				t.Errorf("%v", err)
			}
			if s := log.String() + fmt.Sprint(err); strings.Contains(s, "the-token") || strings.Contains(s, ourSecret) {
				t.Errorf("told: %s", s)
			}
		})
	}
}

func TestVerifier_bounds(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	hold, began := make(chan struct{}), make(chan struct{}, 10)
	v := provider(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		began <- struct{}{}
		<-hold
		_, _ = io.WriteString(w, `{"success":true}`)
	}, func(c *captcha.Config) { c.Calls = 2 })
	for _, p := range []ratelimit.Proof{{}, {Challenge: "a puzzle"}, {Challenge: "a puzzle", Solution: "1.2"}, {Solution: strings.Repeat("t", 8<<10+1)}} {
		if _, err := v.Verify(t.Context(), "x", 0, p); !errors.Is(err, ratelimit.ErrProof) {
			t.Errorf("%.20q: %v", p.Solution, err)
		}
	}
	if asked.Load() != 0 {
		t.Error("the provider was asked about what can be no token")
	}
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- verify(v, strings.Repeat("t", 8<<10)) }()
		<-began
	}
	if err := verify(v, "third"); fault.KindOf(err) != fault.Unavailable || asked.Load() != 2 {
		t.Errorf("a third call at the same time: %v", err)
	}
	close(hold)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}

	slow := make(chan struct{})
	v = provider(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	}, func(c *captcha.Config) { c.Timeout = 50 * time.Millisecond })
	if err := verify(v, "t"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a provider that says nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, "x", 0, ratelimit.Proof{Solution: "t"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that went away: %v", err)
	}
	close(slow)

	for name, cfg := range map[string]captcha.Config{
		"no secret":   {Provider: captcha.Turnstile(), SiteKey: "x"},
		"no site key": {Provider: captcha.Turnstile(), Secret: secret.New("x")},
		"no provider": {SiteKey: "x", Secret: secret.New("x")},
		"no url":      {SiteKey: "x", Secret: secret.New("x"), URL: "ftp://x"},
	} {
		if _, err := captcha.New(cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, name := range []string{"turnstile", "hcaptcha"} {
		if p, ok := captcha.Find(name); !ok || p.Name != name || !strings.HasPrefix(p.VerifyURL, "https://") || p.Sources["script-src"] == "" {
			t.Errorf("%+v", p)
		}
	}
	if _, ok := captcha.Find("none"); ok {
		t.Error("a provider that there is not")
	}
}

// In the place of the puzzle: asked for after too many failures, and a token lets one attempt in, even if the provider would say yes to
// it again.
func TestVerifier_inTheBackoff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, []store.Source{ratelimit.Migrations}, func(t *testing.T, db *store.DB) {
		v := provider(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `{"success":%t}`, strings.HasPrefix(r.PostFormValue("response"), "good"))
		}, nil)
		now := time.Now()
		b, err := ratelimit.NewBackoff(ratelimit.BackoffConfig{
			Name: "sign_in", After: ratelimit.Quota{Count: 1, Per: time.Hour}, Verifier: v, Now: func() time.Time { return now },
		})
		if err != nil {
			t.Fatal(err)
		}
		guess := func(token string) string {
			t.Helper()
			pass, err := b.Check(t.Context(), db, "k", ratelimit.Proof{Solution: token})
			if err == nil {
				err = db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { _, err := b.Fail(ctx, tx, pass); return err })
			}
			now = now.Add(time.Minute)
			if err == nil {
				return "judged"
			}
			if d := (*ratelimit.Demand)(nil); !errors.As(err, &d) || d.Challenge.Kind != ratelimit.Captcha {
				t.Errorf("no captcha is asked for: %v", err)
			}
			return fault.From(err).Code
		}
		for i, c := range []struct{ token, want string }{
			{"", "judged"}, {"", "captcha_required"}, {"bad", "captcha_invalid"}, {"good-1", "judged"}, {"good-1", "captcha_invalid"}, {"good-2", "judged"},
		} {
			if got := guess(c.token); got != c.want {
				t.Errorf("%d: %q gives %s, want %s", i, c.token, got, c.want)
			}
		}
	})
}
