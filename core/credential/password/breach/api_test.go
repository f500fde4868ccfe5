package breach_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/credential/password/breach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const horse = "correct horse battery staple"

func digits(pw string) string {
	sum := sha1.Sum([]byte(pw))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// padding is what the real API mixes in.
const padding = "0018A45C4D1DEF81644B54AB7F969B88D65:0\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:2\r\n"

func newAPI(t *testing.T, handler http.HandlerFunc, cfg breach.APIConfig) *breach.API {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	cfg.URL = s.URL + "/range/"
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second // a busy machine is not what these tests are about
	}
	a, err := breach.NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// Five digits of the hash leave this machine, and nothing else that has to do with the password.
func TestAPI_tellsFiveDigits(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	all := digits(horse)
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		seen = append(seen, string(dump))
		mu.Unlock()
		_, _ = io.WriteString(w, padding+all[5:]+":216\r\n")
	}, breach.APIConfig{})
	n, err := a.Count(t.Context(), sha1.Sum([]byte(horse)))
	if n != 216 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if len(seen) != 1 || !strings.HasPrefix(seen[0], "GET /range/"+all[:5]+" HTTP/1.1\r\n") {
		t.Fatalf("asked %q", seen)
	}
	for _, h := range []string{"Add-Padding: true", "User-Agent: Sigra\r\n"} {
		if !strings.Contains(seen[0], h) {
			t.Errorf("without %q: %q", h, seen[0])
		}
	}
	for line := range strings.SplitSeq(seen[0], "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "", "GET /range/" + all[:5] + " HTTP/1.1", "Host", "Add-Padding", "User-Agent", "Accept-Encoding":
		default:
			t.Errorf("this leaves, too: %q", line)
		}
	}
	if strings.Contains(strings.ToUpper(seen[0]), all[5:11]) || strings.Contains(seen[0], "horse") {
		t.Errorf("more than five digits leave: %q", seen[0])
	}
}

func TestAPI_answers(t *testing.T) {
	t.Parallel()
	rest := digits(horse)[5:]
	for _, c := range []struct {
		name, body string
		count      int
	}{
		{"there", padding + rest + ":216\r\n", 216},
		{"there, at the end without a line break", padding + rest + ":1", 1},
		{"there, in small letters", padding + strings.ToLower(rest) + ":7\n", 7},
		{"not there", padding, 0},
		{"padding with our own digits", padding + rest + ":0\r\n", 0},
		{"one more digit", padding + rest[1:] + "0:9\r\n", 0},
	} {
		a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) }, breach.APIConfig{})
		if n, err := a.Count(t.Context(), sha1.Sum([]byte(horse))); n != c.count || err != nil {
			t.Errorf("%s: %d, %v; want %d", c.name, n, err, c.count)
		}
	}
}

// Whatever is not an answer of the range API is no answer: the password would otherwise pass as clean.
func TestAPI_whatIsNoAnswer(t *testing.T) {
	t.Parallel()
	rest := digits(horse)[5:]
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	for name, h := range map[string]http.HandlerFunc{
		"a portal's page":      text("<html><body>Please sign in to the network</body></html>"),
		"nothing":              text(""),
		"an empty line":        text(padding + "\r\n" + padding),
		"half a line":          text(padding + rest[:20]),
		"no count":             text(padding + rest + ":\r\n"),
		"a negative count":     text(rest + ":-1\r\n"),
		"a count of 2^40":      text(rest + ":1099511627776\r\n"),
		"no digits":            text(strings.Repeat("G", 35) + ":1\r\n"),
		"found, and then junk": text(rest + ":216\r\n" + "junk\r\n"),
		"a line without end":   text(strings.Repeat("0", 1<<20)),
		"two megabytes":        text(strings.Repeat(padding, 30_000)),
		"500":                  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"404":                  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"no content":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("a redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, padding)
		},
		"hung up on": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		a := newAPI(t, h, breach.APIConfig{})
		n, err := a.Count(t.Context(), sha1.Sum([]byte(horse)))
		if n != 0 || !errors.Is(err, breach.ErrUnavailable) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if err != nil && (strings.Contains(err.Error(), rest[:8]) || strings.Contains(err.Error(), digits(horse)[:5])) {
			t.Errorf("%s: the error tells of the password: %v", name, err)
		}
	}
}

// clock is one that the test moves.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// An API that hangs costs its deadline once, whoever waits then; afterwards nobody waits, and a probe that nobody waits for
// finds out when it answers again.
func TestAPI_hangsOnce(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	var mu sync.Mutex
	var paths []string
	asked := func() int { mu.Lock(); defer mu.Unlock(); return len(paths) }
	c := &clock{}
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path)
		mu.Unlock()
		if down.Load() {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, padding)
	}, breach.APIConfig{Timeout: 300 * time.Millisecond, Now: c.now})
	sum := sha1.Sum([]byte(horse))
	fails := func() {
		t.Helper()
		if _, err := a.Count(t.Context(), sum); !errors.Is(err, breach.ErrUnavailable) {
			t.Errorf("%v, want it unavailable", err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(fails)
	}
	wg.Wait()
	n := asked()
	start := time.Now()
	for range 10_000 {
		fails()
	}
	if asked() != n {
		t.Errorf("asked %d times more while the API was known to be down", asked()-n)
	}
	if d := time.Since(start); d > 5*time.Second { // 10 000 deadlines would be 50 minutes
		t.Errorf("10 000 answers took %s", d)
	}
	// It goes on hanging: each pause is twice as long as the one before, up to ten minutes, and a fifth more at most.
	for i := range 8 {
		pause := min(30*time.Second<<i, 10*time.Minute)
		c.advance(pause - time.Second)
		fails()
		a.Settle()
		if got := asked(); got != n+i {
			t.Fatalf("pause %d: %d probes, want %d", i, got-n, i)
		}
		c.advance(pause/5 + time.Second)
		fails()
		a.Settle()
		if got := asked(); got != n+i+1 {
			t.Fatalf("pause %d: %d probes, want %d", i, got-n, i+1)
		}
	}
	down.Store(false)
	c.advance(13 * time.Minute)
	fails() // this one starts the probe
	a.Settle()
	if count, err := a.Count(t.Context(), sum); count != 0 || err != nil {
		t.Errorf("after it answered: %d, %v", count, err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, p := range paths[n : len(paths)-1] {
		if len(p) != len("/range/AAAAA") {
			t.Errorf("a probe asked for %s", p)
		}
	}
}

// As soon as one request knows, all that wait do.
func TestAPI_oneFailureReleasesAll(t *testing.T) {
	t.Parallel()
	const waiting = 8
	var in sync.WaitGroup
	in.Add(waiting)
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/"+digits("bad")[:5]) {
			in.Wait() // all the others hang
			w.WriteHeader(500)
			return
		}
		in.Done()
		<-r.Context().Done()
	}, breach.APIConfig{})
	var wg sync.WaitGroup
	for i := range waiting + 1 {
		pw := fmt.Sprint("good ", i)
		if i == waiting {
			pw = "bad"
		}
		wg.Go(func() {
			if _, err := a.Count(t.Context(), sha1.Sum([]byte(pw))); !errors.Is(err, breach.ErrUnavailable) {
				t.Errorf("%s: %v", pw, err)
			}
		})
	}
	wg.Wait()
}

// Who gives up says nothing of the API.
func TestAPI_givingUpOpensNothing(t *testing.T) {
	t.Parallel()
	in := make(chan struct{})
	var first atomic.Bool
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			close(in)
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, padding)
	}, breach.APIConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-in; cancel() }()
	sum := sha1.Sum([]byte(horse))
	if _, err := a.Count(ctx, sum); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n, err := a.Count(t.Context(), sum); n != 0 || err != nil {
		t.Errorf("the next one: %d, %v", n, err)
	}
}

func TestAPI_retryAfter(t *testing.T) {
	t.Parallel()
	c := &clock{}
	var asked atomic.Int64
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	}, breach.APIConfig{Now: c.now})
	for _, step := range []struct {
		advance time.Duration
		asked   int64
	}{{0, 1}, {119 * time.Second, 1}, {26 * time.Second, 2}} {
		c.advance(step.advance)
		if _, err := a.Count(t.Context(), sha1.Sum([]byte(horse))); !errors.Is(err, breach.ErrUnavailable) {
			t.Error(err)
		}
		a.Settle()
		if asked.Load() != step.asked {
			t.Errorf("after %s: asked %d times, want %d", step.advance, asked.Load(), step.asked)
		}
	}
}

func TestAPI_close(t *testing.T) {
	t.Parallel()
	in := make(chan struct{}, 1)
	a := newAPI(t, func(_ http.ResponseWriter, r *http.Request) { in <- struct{}{}; <-r.Context().Done() }, breach.APIConfig{})
	go func() { <-in; a.Close() }()
	sum := sha1.Sum([]byte(horse))
	for range 2 {
		if _, err := a.Count(t.Context(), sum); !errors.Is(err, breach.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
}

// Nobody there at all, as on a network that refuses.
func TestAPI_refused(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nil)
	url := s.URL
	s.Close()
	a, err := breach.NewAPI(breach.APIConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Count(t.Context(), sha1.Sum([]byte(horse))); !errors.Is(err, breach.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		breach.DefaultURL: true, "https://mirror.internal/range": true, "https://mirror.internal:8443/a/b/": true, "http://localhost:9090/range/": true,
		"http://127.0.0.1:1/": true, "http://[::1]:1/": true,
		"http://mirror.internal/range/": false, "http://127.0.0.1.example.org/": false, "ftp://example.org/": false, "": false, "range": false, "https:": false, "https://": false,
		"https://u:p@example.org/": false, "https://example.org/?q=": false, "https://example.org/#x": false, "https:example.org": false, "%": false,
	} {
		if err := breach.CheckURL(url); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
		if !ok && url != "" {
			if _, err := breach.NewAPI(breach.APIConfig{URL: url}); err == nil {
				t.Errorf("%q was taken", url)
			}
		}
	}
}

func FuzzAnswer(f *testing.F) {
	rest := digits(horse)[5:]
	f.Add(padding + rest + ":216\r\n")
	f.Add("\n\n\n")
	f.Add(strings.ToLower(rest) + ":0")
	f.Add("<html>")
	f.Fuzz(func(t *testing.T, body string) {
		n, err := breach.Find(strings.NewReader(body), rest)
		if n < 0 || err != nil && n != 0 {
			t.Fatalf("%d, %v", n, err)
		}
		if n > 0 && !strings.Contains(strings.ToUpper(body), rest+":") {
			t.Fatalf("found what is not in %q", body)
		}
	})
}
