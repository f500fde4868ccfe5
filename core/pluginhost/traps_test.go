package pluginhost_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// The known traps of go-plugin v1.8.0, in the order of the architecture. Each of these was seen to fail with its cure
// taken out, as its comment says.

// With go-plugin reading stderr, the test program itself panics in its log parser.
func TestTrap1_aLogLineThatPanicsTheHost(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed")
	f.apply(`plugin "routed" {}`)
	f.wait("routed", pluginhost.Ready)
	for _, line := range []string{
		`{"@level": 5}`, `{"@message": {"a": 1}, "@level": "info"}`, `{"@timestamp": 3}`, `{"@level":"error","@message":"fine","x":[1,2]}`,
		strings.Repeat("x", 300_000), "\x1b[2J\x00\xff", `{`, strings.Repeat("flood\n", 20_000),
	} {
		if code, body, _ := f.do("POST", "/routed/stderr", strings.NewReader(line+"\n")); code != 200 {
			t.Fatalf("after %.20q: %d %s", line, code, body)
		}
	}
	if code, body := f.get("/routed/hello"); code != 200 || body != "hello" {
		t.Fatalf("%d %s", code, body)
	}
	info, _ := f.Info("routed")
	if n := len(info.Log); n == 0 || n > 64 {
		t.Errorf("%d lines kept", n)
	}
	for _, l := range info.Log {
		if len(l) > 1100 || strings.ContainsAny(l, "\x1b\x00") {
			t.Errorf("kept line %.40q", l)
		}
	}
}

// With Kill alone, closing never returns.
func TestTrap2_killWaitsForeverForAStoppedProcess(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed")
	f.apply(`plugin "routed" {}`)
	info := f.wait("routed", pluginhost.Ready)
	if err := syscall.Kill(info.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping a wedged plugin took %s", took)
	}
	dead(t, info.PID)
}

// With Kill alone, no other process is ever started.
func TestTrap2_aWedgedPluginIsKilledAndStartedAnew(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed")
	f.apply(`plugin "routed" {}`)
	before := f.wait("routed", pluginhost.Ready)
	if err := syscall.Kill(before.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	poll(t, "another process", func() (string, bool) {
		i, _ := f.Info("routed")
		return string(i.State), i.State == pluginhost.Ready && i.PID != before.PID
	})
	after, _ := f.Info("routed")
	if !strings.Contains(after.LastCrash, "health checks") || after.Restarts != 1 {
		t.Errorf("restarts %d, last crash %q", after.Restarts, after.LastCrash)
	}
	dead(t, before.PID)
}

// Without draining, the call in flight gets 503; without the plugin's own Stop, go-plugin's shutdown cuts it short.
func TestTrap3_callsInFlightEndAndStopReachesTheHost(t *testing.T) {
	t.Parallel()
	f := newHost(t, "stopper")
	f.apply(`plugin "stopper" {}`)
	f.wait("stopper", pluginhost.Ready)
	type answer struct {
		code int
		body string
	}
	got := make(chan answer, 1)
	go func() {
		code, body := f.get("/stopper/sleep?d=1500ms")
		got <- answer{code, body}
	}()
	poll(t, "the call to be in flight", func() (string, bool) {
		time.Sleep(300 * time.Millisecond) // it has no other sign than being there
		return "", true
	})
	f.apply(``)
	if a := <-got; a.code != 200 || a.body != "slept" {
		t.Errorf("the call in flight got %d %q", a.code, a.body)
	}
	var value []byte
	if err := f.db.QueryRow(context.Background(), `SELECT value FROM plugin_kv WHERE plugin = 'stopper'`).Scan(&value); err != nil || string(value) != "in order" {
		t.Errorf("the plugin's Stop could not reach the host: %q %v", value, err)
	}
}

// With the host dialled 5.5 s after the start, its services are out of reach for good.
func TestTrap4_theHostCanBeAskedLongAfterTheStart(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed")
	f.apply(`plugin "routed" {}`)
	f.wait("routed", pluginhost.Ready)
	time.Sleep(6 * time.Second) // longer than the broker remembers an address
	if code, body := f.get("/routed/kv?key=a&value=b"); code != 200 || body != "true true <nil>" {
		t.Errorf("%d %s", code, body)
	}
}

// With go-plugin's own start, the environment, the standard input and the shared temporary folder are handed down.
func TestTrap5_aPluginInheritsNothing(t *testing.T) {
	t.Parallel()
	short, err := os.MkdirTemp("", "ph") // the test's own folder has too long a name for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	f := newHost(t, "", func(c *pluginhost.Config, _ *fixture) { c.DataDir = short })
	// As a descriptor looks that Sigra was started with: open, and not marked as its own.
	secret := filepath.Join(t.TempDir(), "inherited-secret")
	fd, err := syscall.Open(secret, syscall.O_CREAT|syscall.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	path, sum := external(t, t.TempDir(), "routed-external")
	f.apply(fmt.Sprintf(`plugin "routed" {
  source = %q
  sha256 = %q
  env    = ["SIGRA_TEST_NAMED"]
  grants = ["routes.public:/routed", "routes.public:/routed-machine", "routes.serve:/routed-in", "routes.serve:/routed-admin"]
}`, path, sum))
	f.wait("routed", pluginhost.Ready)
	code, body := f.get("/routed/environ")
	var got struct {
		Env              []string
		Dir, Mode, Stdin string
		Open             []string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	named := false
	for _, kv := range got.Env {
		k, _, _ := strings.Cut(kv, "=")
		switch {
		case k == "SIGRA_TEST_NAMED":
			named = true
		case strings.HasPrefix(k, "PLUGIN_"), k == "SIGRA_PLUGIN_COOKIE", k == "SIGRA_PLUGIN_LIFELINE_FD", k == "TZ", k == "LANG",
			strings.HasPrefix(k, "SSL_CERT_"), strings.HasSuffix(strings.ToUpper(k), "_PROXY"):
		default:
			t.Errorf("the plugin was given %s", k)
		}
	}
	if !named {
		t.Error("the variable named in the block did not go through")
	}
	if got.Mode != "-rwx------" || !strings.HasPrefix(got.Dir, f.dir) {
		t.Errorf("sockets in %s with mode %s", got.Dir, got.Mode)
	}
	if len(got.Open) == 0 || slices.Contains(got.Open, secret) {
		t.Errorf("open in the plugin: %v", got.Open)
	}
	if got.Stdin != "/dev/null" {
		t.Errorf("stdin is %s", got.Stdin)
	}
}

// Without the lifeline, the plugin is still there after 20 s.
func TestTrap6_aPluginDoesNotOutliveAKilledHost(t *testing.T) {
	t.Parallel()
	short, err := os.MkdirTemp("", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	cmd := exec.Command("/proc/self/exe", "host-serve", short)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := atoi(t, line)
	if pid == 0 {
		t.Fatal("the plugin did not start")
	}
	begin := time.Now()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	dead(t, pid)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("the plugin lived on for %s", took)
	}
	// What a killed host leaves behind, the next one on the same folder takes away.
	left := filepath.Join(short, "run", "plugins")
	if e, err := os.ReadDir(left); err != nil || len(e) != 1 {
		t.Errorf("left behind: %v %v", e, err)
	}
	newHost(t, "", func(c *pluginhost.Config, _ *fixture) { c.DataDir = short })
	if e, err := os.ReadDir(left); err != nil || len(e) != 0 {
		t.Errorf("still left behind: %v %v", e, err)
	}
}

// A plugin that keeps no lifeline lives on, until the next host on the same folder ends it.
func TestTrap6_theNextHostEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	short, err := os.MkdirTemp("", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	cmd := exec.Command("/proc/self/exe", "host-serve", short, "raw")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := atoi(t, line)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := os.Stat(filepath.Join("/proc", itoa(pid))); err != nil || pid == 0 {
		t.Fatalf("process %d did not outlive its host: this test shows nothing", pid)
	}
	newHost(t, "", func(c *pluginhost.Config, _ *fixture) { c.DataDir = short })
	dead(t, pid)
}

// With the client of the first start used again, the second fails, and the plugin ends in quarantine.
func TestTrap7_everyStartIsMadeOfNewParts(t *testing.T) {
	t.Parallel()
	f := newHost(t, "")
	path, sum := external(t, t.TempDir(), "routed-external")
	f.apply(fmt.Sprintf("plugin \"routed\" {\n source = %q\n sha256 = %q\n grants = [\"routes.public:/routed\", \"routes.public:/routed-machine\", \"routes.serve:/routed-in\", \"routes.serve:/routed-admin\"]\n}", path, sum))
	seen := map[int]bool{}
	for range 3 {
		info := f.wait("routed", pluginhost.Ready)
		seen[info.PID] = true
		f.get("/routed/crash")
		dead(t, info.PID)
		poll(t, "the end to be noticed", func() (string, bool) {
			i, _ := f.Info("routed")
			return "", i.PID != info.PID
		})
	}
	if len(seen) != 3 {
		t.Errorf("processes %v", seen)
	}
	if info := f.wait("routed", pluginhost.Ready); !strings.Contains(info.LastCrash, "status 5") || !strings.Contains(info.LastCrash, "panic: told to crash") {
		t.Errorf("last crash: %q", info.LastCrash)
	}
}

func TestStart_whatOtherProgramsSay(t *testing.T) {
	t.Parallel()
	f := newHost(t, "noisystart crashstart elsewhere")
	f.apply("plugin \"noisystart\" {}\nplugin \"crashstart\" {}\nplugin \"elsewhere\" {}\n")
	for name, want := range map[string]string{
		"noisystart": `it wrote "Hello, I am a program that prints." to standard output`,
		"crashstart": "panic: crashing at start",
		"elsewhere":  "not on a socket in its own folder",
	} {
		info := f.wait(name, pluginhost.Quarantined)
		if !strings.Contains(info.LastCrash+info.Detail, want) {
			t.Errorf("%s: %s / %s", name, info.Detail, info.LastCrash)
		}
		if info.Failures != 5 {
			t.Errorf("%s failed %d times before its quarantine", name, info.Failures)
		}
	}
	// A reload gives another chance.
	f.apply("plugin \"noisystart\" {}\nplugin \"crashstart\" {}\nplugin \"elsewhere\" {}\n")
	f.wait("crashstart", pluginhost.Quarantined)
}

func TestStop_nothingOutlivesAPlugin(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed", func(c *pluginhost.Config, _ *fixture) { c.DB = storetest.Open(t, store.SQLite, sources...) })
	f.apply(`plugin "routed" {}`)
	f.wait("routed", pluginhost.Ready)
	_, inGroup := f.get("/routed/fork")
	_, outside := f.get("/routed/fork?setsid=1")
	f.apply(``)
	dead(t, atoi(t, inGroup))
	dead(t, atoi(t, outside))
}
