package pluginhost_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

var sources = []store.Source{pluginhost.Migrations}

type fixture struct {
	*pluginhost.Host
	t     testing.TB
	db    *store.DB
	dir   string
	gates *gate.Table
	web   *httptest.Server
	audit *trail
}

// trail remembers what was audited.
type trail struct {
	mu      sync.Mutex
	entries []audit.Entry
	ids     []uuid.UUID
}

func (tr *trail) Record(_ context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error) {
	id := uuid.New()
	tx.AfterCommit(func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.entries, tr.ids = append(tr.entries, e), append(tr.ids, id)
	})
	return id, nil
}

func (tr *trail) RecordAs(ctx context.Context, tx *store.Tx, prefix string, e audit.Entry) (uuid.UUID, error) {
	if !strings.HasPrefix(e.Action, prefix+".") {
		return uuid.Nil, fmt.Errorf("not below %s", prefix)
	}
	return tr.Record(ctx, tx, e)
}

func (tr *trail) Read(context.Context, audit.Position, int) ([]audit.Row, audit.Position, error) {
	return nil, audit.Position{}, nil
}

func (tr *trail) count(action string) (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, e := range tr.entries {
		if e.Action == action {
			n++
		}
	}
	return n
}

// callers tells people by a header, as a test may.
type callers struct{}

func (callers) Caller(r *http.Request) (principal.Principal, bool, error) {
	var p principal.Principal
	switch who := r.Header.Get("Test-Who"); who {
	case "user", "admin":
		p = principal.Principal{Kind: principal.User, UserID: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), Email: "ada@example.com", Administrator: who == "admin", AAL: "aal1"}
	}
	return p, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer sigra"), nil
}

func (callers) SignIn(r *http.Request, _ time.Duration, _ string) string {
	return "/login?return_to=" + r.URL.Path
}

type option func(*pluginhost.Config, *fixture)

func newHost(t testing.TB, bundled string, opts ...option) *fixture {
	t.Helper()
	f := &fixture{t: t, gates: &gate.Table{}, audit: &trail{}}
	cfg := pluginhost.Config{
		DataDir: t.TempDir(), BaseURL: "http://localhost:8484", Version: "test", Bundled: strings.Fields(bundled), Gates: f.gates, Audit: f.audit,
		Callers: callers{}, CorePaths: []string{"/v1", "/login"}, Command: self,
	}
	if testing.Verbose() {
		cfg.Logger = hclog.New(&hclog.LoggerOptions{Name: t.Name(), Level: hclog.Debug, Output: os.Stderr})
	}
	for _, o := range opts {
		o(&cfg, f)
	}
	if cfg.DB == nil {
		cfg.DB = storetest.Open(t, store.SQLite, sources...)
	}
	f.db, f.dir = cfg.DB, cfg.DataDir
	h, err := pluginhost.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Host = h
	h.Hasten(200*time.Millisecond, 20*time.Millisecond, 0)
	t.Cleanup(f.close)
	f.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hd, ok := h.Route(r.URL.Path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		hd.ServeHTTP(w, r)
	}))
	t.Cleanup(f.web.Close)
	return f
}

func (f *fixture) close() {
	begin := time.Now()
	if err := f.Close(context.Background()); err != nil {
		f.t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		f.t.Errorf("closing took %s, at most 5 s are allowed", took)
	}
	// Nothing of a plugin may be left: no process, no socket.
	left, _ := os.ReadDir(filepath.Join(f.dir, "run", "plugins"))
	for _, e := range left {
		f.t.Errorf("left behind in the socket folder: %s", e.Name())
	}
}

func self(name string) (string, []string) {
	return "/proc/self/exe", []string{"sigra", "plugin-serve", name}
}

func blocks(t testing.TB, src string) []config.Plugin {
	t.Helper()
	cfg, diags := config.Parse([]byte(src), filepath.Join(t.TempDir(), "sigra.hcl"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg.Plugins
}

// apply expects a configuration without errors.
func (f *fixture) apply(src string) {
	f.t.Helper()
	if diags := f.Apply(context.Background(), blocks(f.t, src)); diags.HasErrors() {
		f.t.Fatalf("apply:\n%s", diags)
	}
}

func (f *fixture) refused(src string, want ...string) {
	f.t.Helper()
	diags := f.Apply(context.Background(), blocks(f.t, src))
	if !diags.HasErrors() {
		f.t.Fatalf("applied, but should have been refused for %q", want)
	}
	for _, w := range want {
		if !strings.Contains(diags.String(), w) {
			f.t.Errorf("diagnostics lack %q:\n%s", w, diags)
		}
	}
}

func (f *fixture) wait(name string, want ...pluginhost.State) pluginhost.Info {
	f.t.Helper()
	var info pluginhost.Info
	poll(f.t, fmt.Sprintf("plugin %s to be %v", name, want), func() (string, bool) {
		var err error
		if info, err = f.Info(name); err != nil {
			return err.Error(), false
		}
		for _, w := range want {
			if info.State == w {
				return "", true
			}
		}
		return fmt.Sprintf("%s (%s)", info.State, info.Detail), false
	})
	return info
}

func poll(t testing.TB, what string, f func() (string, bool)) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		last, ok := f()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s; last: %s", what, last)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (f *fixture) do(method, path string, body io.Reader, headers ...string) (int, string, http.Header) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.web.URL+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := noRedirects.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, "reading: " + err.Error(), resp.Header
	}
	return resp.StatusCode, string(b), resp.Header
}

var noRedirects = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (f *fixture) get(path string) (int, string) {
	f.t.Helper()
	code, body, _ := f.do("GET", path, nil)
	return code, body
}

// external makes a program file that behaves as the plugin its name begins with, and gives its path and hash.
func external(t testing.TB, dir, name string) (path, sum string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name)
	// A copy, not a link: who changes this file must not change the running test.
	src, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(dst, h), src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	return path, hex.EncodeToString(h.Sum(nil))
}

// figure is the value of the metric that has all these label values; 0 when there is none.
func figure(t testing.TB, reg prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetValue()) {
					have++
				}
			}
			if have == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func dead(t testing.TB, pid int) {
	t.Helper()
	poll(t, fmt.Sprintf("process %d to be gone", pid), func() (string, bool) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return "", true
		}
		_, after, _ := strings.Cut(string(b), ") ")
		return string(b), strings.HasPrefix(after, "Z") // a zombie whose parent was killed as well
	})
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatalf("not a number: %q", s)
	}
	return n
}

// hostOnly is a host in a process of its own, to be killed.
func hostOnly(dir, plugin string) {
	db, err := store.Open(context.Background(), store.Config{DataDir: dir})
	if err != nil {
		panic(err)
	}
	if _, err := db.Migrate(context.Background(), sources...); err != nil {
		panic(err)
	}
	h, err := pluginhost.New(pluginhost.Config{DB: db, DataDir: dir, Bundled: []string{plugin}, Command: self, ReapOrphans: plugin == "reaping"})
	if err != nil {
		panic(err)
	}
	h.Apply(context.Background(), []config.Plugin{{Name: plugin, Enabled: true}})
	h.Settle(context.Background())
	pid := h.Status()[0].PID
	if plugin == "reaping" {
		_ = h.Close(context.Background())
	}
	fmt.Println(pid)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	<-c
}

func kill(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
