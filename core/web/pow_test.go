package web_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/web"
)

type powMarks struct{}

func (powMarks) MAC(purpose string, msg []byte) []byte {
	h := hmac.New(sha256.New, []byte("for this test"))
	h.Write(append([]byte(purpose), msg...))
	return h.Sum(nil)
}

// powPage has a form as sign-in will have it, under the policy of Sigra's pages with nothing added but script-src 'self'.
var powPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>x</title><h1>Sign in</h1>
<script src="/assets/pow.js" defer></script>
<form method="post" action="/" data-pow="{{.Puzzle}}" data-pow-difficulty="{{.Difficulty}}" data-pow-wait="{{.Wait}}">
<input type="hidden" name="pow_challenge"><input type="hidden" name="pow_solution">
<input id="password" name="password" required><button name="by" value="button">Sign in</button>
<p data-pow-status aria-live="polite" data-working="One moment." data-done="You can sign in now.">Try again in 12 minutes.</p>
<progress data-pow-progress hidden></progress></form>`))

type powForm struct {
	Puzzle     string
	Difficulty int
	Wait       float64
}

// powSite serves the form, and keeps what it was sent.
type powSite struct {
	*httptest.Server
	mu    sync.Mutex
	next  powForm
	posts []map[string]string
}

func newPowSite(t *testing.T) *powSite {
	t.Helper()
	pages, err := web.New(web.Config{BaseURL: "http://localhost:8484", Services: noFlows(errors.New("unused"))})
	if err != nil {
		t.Fatal(err)
	}
	s := &powSite{}
	r := mux.NewRouter()
	r.Path("/").Methods("GET").HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-store")
		_ = powPage.Execute(w, s.next)
	})
	r.Path("/").Methods("POST").HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		post := map[string]string{"at": fmt.Sprint(time.Now().UnixMilli())}
		_ = r.ParseForm()
		for k := range r.PostForm {
			post[k] = r.PostForm.Get(k)
		}
		s.posts = append(s.posts, post)
		_, _ = fmt.Fprint(w, `<!doctype html><title>x</title><h1>Sent</h1>`)
	})
	r.Path("/favicon.ico").HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	pages.Mount(r)
	s.Server = httptest.NewServer(r)
	t.Cleanup(s.Close)
	return s
}

func (s *powSite) show(f powForm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.posts = f, nil
}

func (s *powSite) sent(t *testing.T) map[string]string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.posts) != 1 {
		t.Fatalf("the form was sent %d times", len(s.posts))
	}
	return s.posts[0]
}

func TestProofOfWork_browser(t *testing.T) {
	t.Parallel()
	s, ctx := newPowSite(t), chrome(t)
	var mu sync.Mutex
	var complaints []string
	if err := chromedp.Listen(ctx, func(ev any) {
		if entry, ok := ev.(*log.EventEntryAdded); ok && entry.Entry.Level != log.EntryLevelInfo {
			mu.Lock()
			defer mu.Unlock()
			complaints = append(complaints, entry.Entry.Text+" "+entry.Entry.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	run := func(what string, steps ...step) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
			t.Fatalf("%s: %v\n%s", what, err, text)
		}
	}
	run("listen", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, log.Enable, cdp.Empty{})
		return err
	}))
	open := chromedp.Navigate(s.URL)
	said := func(text string) step {
		return until(`document.querySelector("[data-pow-status]")?.textContent === ` + quote(text))
	}
	solvedIt := `document.querySelector("[name=pow_solution]").value !== ""`

	// The script and core/ratelimit agree, number by number.
	b, err := os.ReadFile("../ratelimit/testdata/puzzles.json")
	if err != nil {
		t.Fatal(err)
	}
	var known []struct {
		Challenge, Solution string
		Difficulty          int
	}
	if err := json.Unmarshal(b, &known); err != nil || len(known) == 0 {
		t.Fatal(err)
	}
	for _, k := range known {
		s.show(powForm{Puzzle: k.Challenge, Difficulty: k.Difficulty})
		run("known answer", open, said("You can sign in now."))
		got, err := chromedp.Run(ctx, chromedp.Value(chromedp.CSS("[name=pow_solution]")))
		if err != nil || got != k.Solution {
			t.Errorf("difficulty %d: %v\n got %s\nwant %s", k.Difficulty, err, got, k.Solution)
		}
	}

	puzzles, err := ratelimit.NewPuzzles(ratelimit.PuzzleConfig{Marks: powMarks{}, Difficulty: 16})
	if err != nil {
		t.Fatal(err)
	}
	issue := func(step int, wait float64) {
		c := puzzles.Issue("sign_in", step)
		s.show(powForm{c.Puzzle, c.Difficulty, wait})
	}
	redeemed := func(step int) {
		t.Helper()
		post := s.sent(t)
		if _, err := puzzles.Verify(t.Context(), "sign_in", step, ratelimit.Proof{Challenge: post["pow_challenge"], Solution: post["pow_solution"]}); err != nil {
			t.Errorf("%v: %v", err, post)
		}
		if post["password"] != "hunter22" || post["by"] != "button" {
			t.Errorf("the rest of the form was lost: %v", post)
		}
	}
	issue(0, 0)
	run("solved while typing", open, until(solvedIt), typed("#password", "hunter22"), click("button"), arrive("Sent"))
	redeemed(0)

	// Sent at once, before the work is done: it follows by itself, once, and the page was not frozen meanwhile.
	issue(3, 0)
	run("sent too early", open, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](`(() => {
			const form = document.forms[0];
			window.longest = 0;
			let last = performance.now();
			const watch = () => { const now = performance.now(); longest = Math.max(longest, now - last); last = now; setTimeout(watch, 0); };
			watch();
			document.title = "live: " + !document.querySelector("progress").hidden + " " + document.querySelector("[data-pow-status]").textContent;
			sessionStorage.title = document.title;
			form.password.value = "hunter22";
			for (let i = 0; i < 3; i++) form.querySelector("button").click();
			addEventListener("pagehide", () => sessionStorage.longest = longest);
			return true;
		})()`)(ctx, tab)
		return err
	}), arrive("Sent"))
	redeemed(3)
	if title, err := chromedp.Run(ctx, chromedp.Evaluate[string](`sessionStorage.title`)); err != nil || title != "live: true One moment." {
		t.Errorf("while it works the page says %q, %v", title, err)
	}
	if longest, err := chromedp.Run(ctx, chromedp.Evaluate[string](`sessionStorage.longest`)); err == nil {
		t.Logf("the longest time the page had to wait for its turn: %.5s ms", longest)
	}

	// Not before its time.
	issue(0, 0.7)
	began := time.Now()
	run("too soon", open, until(`!document.querySelector("progress").hidden`), typed("#password", "hunter22"), click("button"), arrive("Sent"))
	redeemed(0)
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("sent after %s, it had to wait 700 ms", took)
	}

	// Where scripts don't run, or can't do it, the form says when to try again, and can still be sent.
	scripts := func(off bool) step {
		return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off})
			return err
		})
	}
	issue(0, 0)
	run("without scripts", scripts(true), open, said("Try again in 12 minutes."), until(`document.querySelector("progress").hidden`))
	run("sent without", typed("#password", "hunter22"), click("button"), arrive("Sent"), scripts(false))
	if post := s.sent(t); post["pow_solution"] != "" || post["password"] != "hunter22" {
		t.Errorf("%v", post)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, c := range complaints {
		t.Errorf("the browser complains: %s", c)
	}
}

// TestProofOfWork_time prints what the default difficulty costs here. SIGRA_TEST_SAMPLES sets how many puzzles are solved.
func TestProofOfWork_time(t *testing.T) {
	n := 0
	if _, err := fmt.Sscan(os.Getenv("SIGRA_TEST_SAMPLES"), &n); err != nil || n == 0 {
		t.Skip("SIGRA_TEST_SAMPLES is not set")
	}
	s, ctx := newPowSite(t), chrome(t)
	puzzles, err := ratelimit.NewPuzzles(ratelimit.PuzzleConfig{Marks: powMarks{}})
	if err != nil {
		t.Fatal(err)
	}
	var browser, native []time.Duration
	for range n {
		c := puzzles.Issue("sign_in", 0)
		s.show(powForm{Puzzle: c.Puzzle, Difficulty: c.Difficulty})
		if err := chromedp.Do(ctx, chromedp.Navigate(s.URL), until(`document.querySelector("[name=pow_solution]").value !== ""`)); err != nil {
			t.Fatal(err)
		}
		ms, err := chromedp.Run(ctx, chromedp.Evaluate[float64](`performance.now() - performance.getEntriesByType("navigation")[0].domInteractive`))
		if err != nil {
			t.Fatal(err)
		}
		browser = append(browser, time.Duration(ms*float64(time.Millisecond)))
		began := time.Now()
		if _, err := ratelimit.Solve(t.Context(), c.Puzzle, c.Difficulty); err != nil {
			t.Fatal(err)
		}
		native = append(native, time.Since(began))
	}
	for name, d := range map[string][]time.Duration{"Chromium": browser, "Go": native} {
		slices.Sort(d)
		t.Logf("%s: median %s, fastest %s, slowest %s of %d", name, d[n/2].Round(time.Millisecond), d[0].Round(time.Millisecond), d[n-1].Round(time.Millisecond), n)
	}
}
