package pluginsdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// site is a plugin made of one handler.
type site struct{ http.HandlerFunc }

func siteOf(h http.HandlerFunc) pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{Name: "site", Version: "1.0.0", Routes: []pluginsdk.Route{{Path: "/site"}}},
		func(context.Context, *pluginsdk.Host, struct{}) (site, error) { return site{h}, nil })
}

func serveSite(t *testing.T, h http.HandlerFunc) *http.Client {
	t.Helper()
	return plugintest.Start(t, siteOf(h), plugintest.Config{}).Client(plugintest.Ada)
}

func do(t *testing.T, c *http.Client, method string, body io.Reader) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://id.example/site/a%2Fb?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Asked", "yes")
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestRoutes_requestArrivesAsSent(t *testing.T) {
	t.Parallel()
	c := serveSite(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s %q %v %d %v|", r.Method, r.URL.Path, r.URL.RawPath, r.RequestURI, r.Host, b, err, r.ContentLength, r.Trailer)
		fmt.Fprintf(w, "%s %s %s %s", r.Header.Get("X-Asked"), pluginsdk.RequestPrincipal(r.Context()).Email,
			pluginsdk.RequestInfoFrom(r.Context()).IP, r.RemoteAddr)
	})
	_, got, err := do(t, c, http.MethodPost, strings.NewReader("body"))
	want := `POST /site/a/b /site/a%2Fb /site/a%2Fb?q=1 id.example "body" <nil> 4 map[]|yes ada@example.com 192.0.2.7 192.0.2.7:0`
	if err != nil || got != want {
		t.Errorf("got  %s\nwant %s\n%v", got, want, err)
	}
}

func TestRoutes_nobodySignedIn(t *testing.T) {
	t.Parallel()
	run := plugintest.Start(t, siteOf(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, pluginsdk.RequestPrincipal(r.Context()) == nil)
	}), plugintest.Config{})
	if _, got, err := do(t, run.Client(nil), http.MethodGet, nil); err != nil || got != "true" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRoutes_responses(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 10_000)
	for name, c := range map[string]struct {
		method  string
		handler http.HandlerFunc
		status  int
		header  map[string]string // "-" means: not there
		body    string
	}{
		"nothing": {"GET", func(http.ResponseWriter, *http.Request) {}, 200, map[string]string{"Content-Length": "0"}, ""},
		"write before header": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>")
			w.Header().Set("X-Late", "1")
			w.WriteHeader(418)
		}, 200, map[string]string{"Content-Length": "6", "Content-Type": "text/html; charset=utf-8", "X-Late": "-"}, "<html>"},
		"status and own type": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(404)
			_, _ = io.WriteString(w, "{}")
		}, 404, map[string]string{"Content-Type": "application/json"}, "{}"},
		"big, no length": {"GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, big) },
			200, map[string]string{"Content-Length": "-"}, big},
		"flushed, no length": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "b")
		}, 200, map[string]string{"Content-Length": "-"}, "ab"},
		"head": {"HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "unseen") },
			200, map[string]string{"Content-Length": "6"}, ""},
		"head of something big": {"HEAD", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
		}, 200, map[string]string{"Content-Length": "1000000"}, ""},
		"no content": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				panic(err)
			}
		}, 204, map[string]string{"Content-Length": "-"}, ""},
		"more than declared": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			if _, err := io.WriteString(w, "abc"); !errors.Is(err, http.ErrContentLength) {
				panic(err)
			}
			_, _ = io.WriteString(w, "ab")
		}, 200, map[string]string{"Content-Length": "2"}, "ab"},
		"early hints": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(103)
			w.WriteHeader(201)
		}, 201, map[string]string{"Link": "</a.css>"}, ""},
		"several values": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.WriteHeader(302)
			w.WriteHeader(303)
		}, 302, map[string]string{"Set-Cookie": "a=1|b=2"}, ""},
		"no hijacking": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _, err := http.NewResponseController(w).Hijack()
			fmt.Fprint(w, errors.Is(err, http.ErrNotSupported), http.NewResponseController(w).EnableFullDuplex())
		}, 200, nil, "true <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body, err := do(t, serveSite(t, c.handler), c.method, nil)
			if err != nil || resp.StatusCode != c.status || body != c.body {
				t.Fatalf("got %v, %d bytes, %v", resp, len(body), err)
			}
			for h, want := range c.header {
				got := strings.Join(resp.Header.Values(h), "|")
				if want == "-" {
					want = ""
				}
				if got != want {
					t.Errorf("%s is %q, want %q", h, got, want)
				}
			}
		})
	}
}

func TestRoutes_trailers(t *testing.T) {
	t.Parallel()
	c := serveSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, X-Unset")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Client"))
		w.Header().Set(http.TrailerPrefix+"X-Extra", "2")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sigra/site", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Client": {"one"}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.Trailer.Get("X-Sum") != "one" || resp.Trailer.Get("X-Extra") != "2" || resp.Header.Get("X-Sum") != "" {
		t.Errorf("header %v, trailer %v", resp.Header, resp.Trailer)
	}
}

// What goes wrong after the head is a cut connection, never an end that looks whole.
func TestRoutes_cutOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		code    codes.Code
	}{
		"aborted": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, codes.Aborted},
		"panicked": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic("oh")
		}, codes.Internal},
		"less than declared": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}, codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got, err := do(t, serveSite(t, c.handler), http.MethodGet, nil)
			if got != "half" || status.Code(errors.Unwrap(err)) != c.code {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestRoutes_badStatusPanics(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 99, 1000, 101} {
		_, _, err := do(t, serveSite(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }), http.MethodGet, nil)
		if err == nil {
			t.Errorf("status %d went out", code)
		}
	}
}

func TestRoutes_clientGoesAway(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan error, 1)
	c := serveSite(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		_, err := io.ReadAll(r.Body)
		ended <- err
	})
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	defer func() { _ = pw.Close() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sigra/site", pr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-began; cancel() }()
	if _, err := c.Do(req); err == nil {
		t.Error("a cancelled request was answered")
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the body of a client that went away looks whole")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the handler's context did not end")
	}
}

// A handler that does not read holds the sender back: nothing piles up.
func TestRoutes_backpressure(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := serveSite(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	const size = 8 << 20
	src := &counter{r: bytes.NewReader(make([]byte, size)), at: make(chan int, 1)}
	got := make(chan string, 1)
	go func() {
		_, body, _ := do(t, c, http.MethodPost, src)
		got <- body
	}()
	// The sender comes to a stand well before the end.
	last, still := 0, 0
	for still < 20 {
		select {
		case n := <-src.at:
			last, still = n, 0
		case <-time.After(10 * time.Millisecond):
			still++
		}
	}
	if last > 2<<20 {
		t.Errorf("%d bytes were taken from the client while nobody read", last)
	}
	close(release)
	go func() {
		for range src.at { //nolint:revive // drained
		}
	}()
	if n := <-got; n != fmt.Sprint(size) {
		t.Errorf("then %s arrived", n)
	}
	close(src.at)
}

type counter struct {
	r  io.Reader
	n  int
	at chan int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	if n > 0 {
		c.at <- c.n
	}
	return n, err
}

// Goroutines that outlive their handler can't write into what is no longer theirs.
func TestRoutes_writeAfterReturn(t *testing.T) {
	t.Parallel()
	late := make(chan http.ResponseWriter, 1)
	c := serveSite(t, func(w http.ResponseWriter, _ *http.Request) { late <- w })
	if _, _, err := do(t, c, http.MethodGet, nil); err != nil {
		t.Fatal(err)
	}
	w := <-late
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a write after the end was taken")
	}
	w.(http.Flusher).Flush()
	w.WriteHeader(500)
}

func BenchmarkRoutes_getSmall(b *testing.B) {
	run := plugintest.Start(b, siteOf(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), plugintest.Config{})
	c := run.Client(nil)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Get("http://sigra/site")
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}
