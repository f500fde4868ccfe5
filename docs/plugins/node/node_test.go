package node_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// callers knows nobody: everybody is a stranger.
type callers struct{}

func (callers) Caller(*http.Request) (principal.Principal, bool, error) {
	return principal.Principal{}, false, nil
}
func (callers) SignIn(*http.Request, time.Duration, string) string { return "" }

// install brings the modules that package-lock.json names, unless they are there.
func install(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is needed to test the plugin in JavaScript: apt-get install nodejs npm, or run .ci/tools", tool)
		}
	}
	if _, err := os.ReadDir("."); err != nil { // Go keeps the results of tests by the files that they read themselves
		t.Fatal(err)
	}
	want, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	const mark = "node_modules/.installed"
	if got, err := os.ReadFile(mark); err == nil && string(got) == string(want) {
		return
	}
	out, err := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline").CombinedOutput()
	if err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(mark, want, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNode_runsUnderSigra(t *testing.T) {
	install(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	h, err := pluginhost.New(pluginhost.Config{
		DB: storetest.Open(t, store.SQLite, pluginhost.Migrations), DataDir: data, BaseURL: "http://localhost:8484", Callers: callers{},
	})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	t.Cleanup(func() {
		if !closed {
			_ = h.Close(context.Background())
		}
	})
	sample, err := os.ReadFile("hello_node.hcl")
	if err != nil {
		t.Fatal(err)
	}
	block := func(greeting string) []config.Plugin {
		text := strings.Replace(string(sample), "/usr/local/lib/sigra/hello-node/index.js", filepath.Join(dir, "index.js"), 1)
		cfg, diags := config.Parse([]byte(strings.Replace(text, "Good day", greeting, 1)), filepath.Join(data, "sigra.hcl"))
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return cfg.Plugins
	}
	if diags := h.Apply(t.Context(), block("Good day")); diags.HasErrors() {
		t.Fatal(diags)
	}
	ready(t, h)

	get := func() (int, string) {
		handler, ok := h.Route("/hello_node")
		if !ok {
			t.Fatal("nobody serves /hello_node")
		}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest("GET", "http://sigra/hello_node", nil))
		return rec.Code, rec.Body.String()
	}
	for i := range 2 {
		if code, body := get(); code != 200 || body != fmt.Sprintf("Good day, stranger! You are visitor %d.\n", i+1) {
			t.Errorf("%d %q", code, body)
		}
	}

	// New settings go to the process that runs; wrong ones are shown at their line and change nothing.
	pid := h.Status()[0].PID
	if diags := h.Apply(t.Context(), block(strings.Repeat("x", 101))); !diags.HasErrors() || !strings.Contains(diags.String(), "The greeting is too long.") ||
		!strings.Contains(diags.String(), "sigra.hcl:8:") {
		t.Errorf("a greeting that is too long: %s", diags)
	}
	if diags := h.Apply(t.Context(), block("Welcome")); diags.HasErrors() {
		t.Fatal(diags)
	}
	if code, body := get(); code != 200 || body != "Welcome, stranger! You are visitor 3.\n" {
		t.Errorf("%d %q", code, body)
	}
	if now := h.Status()[0].PID; now != pid {
		t.Errorf("process %d became %d for a setting", pid, now)
	}
	info, err := h.Info("hello_node")
	if err != nil || info.Contract != "sigra.plugin.v1" || len(info.Settings) != 1 || info.Failures != 0 {
		t.Errorf("%+v %v", info, err)
	}

	// It ends when it is told to, and leaves nothing behind.
	began := time.Now()
	closed = true
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if syscall.Kill(pid, 0) == nil {
		t.Errorf("process %d is still there", pid)
	}
}

func ready(t *testing.T, h *pluginhost.Host) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s := h.Status()[0]
		if s.State == pluginhost.Ready {
			return
		}
		if time.Now().After(deadline) {
			info, _ := h.Info("hello_node")
			t.Fatalf("it is %s: %s\n%s\n%s", s.State, s.Detail, info.LastCrash, strings.Join(info.Log, "\n"))
		}
	}
}
