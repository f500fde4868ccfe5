package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/server"
)

// pipes is a listener whose connections are pairs of pipes, so that waiting is done by synctest's clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "203.0.113.9:1" }

func (p *pipes) dial() (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, errors.New("connection refused")
	}
}

// serve runs the server until the test ends it; end returns what Serve returned.
func serve(t *testing.T, s *server.Server) (l *pipes, end func() error) {
	t.Helper()
	l = newPipes()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, server.Listeners{Public: []net.Listener{l}}) }()
	return l, func() error { cancel(); return <-result }
}

const get = "GET %s HTTP/1.1\r\nHost: localhost:8484\r\n\r\n"

func TestDrain_requestInFlightFinishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		drained := false
		s := setup(t, server.Config{OnDrain: []func(){func() { drained = true }}}, map[string]http.HandlerFunc{
			"/slow": func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-time.After(10 * time.Second):
					_, _ = w.Write([]byte("whole answer"))
				case <-r.Context().Done():
					t.Error("the request was given up")
				}
			},
		})
		l, end := serve(t, s)
		c, err := l.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		answer := make(chan string)
		go func() {
			_, _ = fmt.Fprintf(c, get, "/slow")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				answer <- err.Error()
				return
			}
			b, _ := io.ReadAll(res.Body)
			answer <- string(b)
		}()
		synctest.Wait()
		if err := end(); err != nil {
			t.Error(err)
		}
		if !drained {
			t.Error("OnDrain was not called")
		}
		if got := <-answer; got != "whole answer" {
			t.Errorf("got %q", got)
		}
		if _, err := l.dial(); err == nil {
			t.Error("a new connection was accepted after the end")
		}
		if res := do(s, newRequest("GET", "/readyz")); res.StatusCode != 503 {
			t.Errorf("/readyz while draining: %d", res.StatusCode)
		}
	})
}

// A stop is announced: whoever asks is answered, told so, and goes elsewhere with the next request, until the doors close.
func TestDrain_isAnnounced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, server.Config{DrainDelay: 5 * time.Second}, map[string]http.HandlerFunc{"/page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a page")) }})
		l, end := serve(t, s)
		ask := func(path string) (status int, closes bool) {
			t.Helper()
			c, err := l.dial()
			if err != nil {
				return 0, false
			}
			defer c.Close()
			go func() { _, _ = fmt.Fprintf(c, get, path) }()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			return res.StatusCode, res.Close
		}
		if status, closes := ask("/page"); status != 200 || closes {
			t.Errorf("before: %d, closes %v", status, closes)
		}
		stopped := make(chan error, 1)
		began := time.Now()
		go func() { stopped <- end() }()
		synctest.Wait()
		if status, closes := ask("/readyz"); status != 503 || !closes {
			t.Errorf("/readyz: %d, closes %v", status, closes)
		}
		time.Sleep(4 * time.Second)
		if status, closes := ask("/page"); status != 200 || !closes {
			t.Errorf("meanwhile: %d, closes %v", status, closes)
		}
		if err := <-stopped; err != nil || time.Since(began) < 5*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if status, _ := ask("/page"); status != 0 {
			t.Errorf("after the end: %d", status)
		}
	})
}

func TestDrain_streamsAreToldToEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		s := setup(t, server.Config{}, map[string]http.HandlerFunc{
			"/stream": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte("data: hello\n\n"))
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done() // for ever, as far as it knows
				close(ended)
			},
		})
		l, end := serve(t, s)
		c, err := l.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() { _, _ = fmt.Fprintf(c, get, "/stream"); _, _ = io.Copy(io.Discard, c) }()
		// Hours later the stream still stands: no timeout of the server's ends it.
		time.Sleep(3 * time.Hour)
		select {
		case <-ended:
			t.Fatal("the stream was ended while serving")
		default:
		}
		began := time.Now()
		if err := end(); err != nil {
			t.Error(err)
		}
		<-ended
		if took := time.Since(began); took > time.Second {
			t.Errorf("drain waited %s for a stream", took)
		}
	})
}

func TestDrain_graceIsAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, server.Config{Grace: 5 * time.Second}, map[string]http.HandlerFunc{
			"/wedged": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		})
		l, end := serve(t, s)
		c, err := l.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() { _, _ = fmt.Fprintf(c, get, "/wedged"); _, _ = io.Copy(io.Discard, c) }()
		synctest.Wait()
		began := time.Now()
		if err := end(); err == nil {
			t.Error("a request was cut off and Serve said nothing")
		}
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("drain took %s", took)
		}
	})
}

// TestSlowClients holds that a client which does not go on loses its connection, whichever part it is slow at.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent   string
		drip   string // one more of it every five seconds
		within time.Duration
	}{
		"says nothing":               {"", "", 15 * time.Second},
		"half a header":              {"GET / HTTP/1.1\r\nHost: loc", "", 15 * time.Second},
		"a header byte now and then": {"GET / HTTP/1.1\r\nX: ", "a", 15 * time.Second},
		"half a body":                {"POST /read HTTP/1.1\r\nHost: localhost:8484\r\nContent-Length: 1000\r\n\r\nabc", "", 20 * time.Second},
		"a body byte now and then":   {"POST /read HTTP/1.1\r\nHost: localhost:8484\r\nContent-Length: 1000\r\n\r\n", "a", 70 * time.Second},
		"idle between requests":      {"GET /healthz HTTP/1.1\r\nHost: localhost:8484\r\n\r\n", "", 130 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, server.Config{}, map[string]http.HandlerFunc{
					"/read": func(w http.ResponseWriter, r *http.Request) {
						if _, err := io.ReadAll(r.Body); err != nil {
							w.WriteHeader(408)
						}
					},
				})
				l, end := serve(t, s)
				conn, err := l.dial()
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				closed := make(chan struct{})
				go func() { defer close(closed); _, _ = io.Copy(io.Discard, conn) }()
				go func() {
					if _, err := io.WriteString(conn, c.sent); err != nil || c.drip == "" {
						return
					}
					for {
						select {
						case <-closed:
							return
						case <-time.After(5 * time.Second):
							if _, err := io.WriteString(conn, c.drip); err != nil {
								return
							}
						}
					}
				}()
				<-closed
				if took := time.Since(began); took > c.within {
					t.Errorf("held a connection for %s", took)
				}
				_ = conn.Close()
				if err := end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSlowReaderOfAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gaveUp := make(chan error, 1)
		s := setup(t, server.Config{}, map[string]http.HandlerFunc{
			"/big": func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						gaveUp <- err
						return
					}
				}
			},
		})
		l, end := serve(t, s)
		c, err := l.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		_, _ = fmt.Fprintf(c, get, "/big") // and reads nothing
		<-gaveUp
		if took := time.Since(began); took > 35*time.Second {
			t.Errorf("wrote at a wall for %s", took)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestKeptConnection holds that a pace set for one answer is not a trap for the next on the same connection.
func TestKeptConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, server.Config{}, map[string]http.HandlerFunc{
			"/body":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("text")) },
			"/bare":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
			"/pause": func(w http.ResponseWriter, _ *http.Request) { time.Sleep(time.Minute); w.WriteHeader(204) },
		})
		l, end := serve(t, s)
		c, err := l.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for _, path := range []string{"/body", "/bare", "/pause", "/bare", "/body"} {
			if _, err := fmt.Fprintf(c, get, path); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			time.Sleep(100 * time.Second) // less than the idle timeout
		}
		_ = c.Close()
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestSilentStream holds that a stream may say nothing for hours, on HTTP/2 as well, where a deadline belongs to the
// stream and would end it.
func TestSilentStream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, "localhost")
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("http%d", version), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, server.Config{}, map[string]http.HandlerFunc{
					"/stream": func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Content-Type", "text/event-stream")
						for _, line := range []string{"first\n", "second\n"} {
							_, _ = io.WriteString(w, line)
							_ = http.NewResponseController(w).Flush()
							select {
							case <-time.After(3 * time.Hour):
							case <-r.Context().Done():
								t.Error("the stream was ended")
								return
							}
						}
						_, _ = io.WriteString(w, "third\n")
					},
				})
				cert, err := server.LoadCertificate(certFile, keyFile, nil)
				if err != nil {
					t.Fatal(err)
				}
				l := newPipes()
				ctx, cancel := context.WithCancel(context.Background())
				result := make(chan error, 1)
				go func() { result <- s.Serve(ctx, server.Listeners{Public: []net.Listener{cert.Wrap(l)}}) }()
				tr := &http.Transport{
					DialContext:       func(context.Context, string, string) (net.Conn, error) { return l.dial() },
					TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
					ForceAttemptHTTP2: version == 2,
				}
				res, err := (&http.Client{Transport: tr}).Get("https://localhost:8484/stream")
				if err != nil {
					t.Fatal(err)
				}
				if res.ProtoMajor != version {
					t.Fatalf("spoke %s", res.Proto)
				}
				b, err := io.ReadAll(res.Body)
				if err != nil || string(b) != "first\nsecond\nthird\n" {
					t.Errorf("%q, %v", b, err)
				}
				_ = res.Body.Close()
				tr.CloseIdleConnections()
				cancel()
				if err := <-result; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestMetricsDoorServesNothingElse(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := setup(t, server.Config{BaseURL: "https://id.example.com", Metrics: reg, Register: reg}, map[string]http.HandlerFunc{"/account": func(http.ResponseWriter, *http.Request) {}})
	public, door := newPipes(), newPipes()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, server.Listeners{Public: []net.Listener{public}, Metrics: door}) }()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return door.dial() }}
	for path, want := range map[string]int{"/metrics": 200, "/account": 404, "/": 404, "/metrics/": 404, "/readyz": 404} {
		res, err := (&http.Client{Transport: tr}).Get("http://10.0.0.5:9090" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want || (want == 200) != strings.Contains(string(body), "sigra_http_requests_in_flight") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	tr.CloseIdleConnections()
	cancel()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestListen_saysWhoIsThereAndWhatToSet(t *testing.T) {
	t.Parallel()
	l, err := server.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = server.Listen(context.Background(), l.Addr().String())
	if err == nil {
		t.Fatal("listened twice")
	}
	for _, want := range []string{l.Addr().String(), "in use by", "server.listen", "process"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if _, err := server.Listen(context.Background(), "192.0.2.1:8484"); err == nil || !strings.Contains(err.Error(), "server.listen") {
		t.Errorf("%v", err)
	}
}
