package pluginhost_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/pluginhost"
)

// byHand runs a plugin as somebody would under a debugger, and gives its process.
func byHand(t *testing.T, program, file string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, "--sigra-debug="+file)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	poll(t, "the plugin to say where it runs", func() (string, bool) {
		_, err := os.Stat(file)
		return fmt.Sprint(err), err == nil
	})
	return cmd
}

func TestReattach_aPluginUnderADebuggerIsAttachedToAndNeverEnded(t *testing.T) {
	t.Parallel()
	f := newHost(t, "")
	dir := t.TempDir()
	program, _ := external(t, dir, "routed-debug")
	file := filepath.Join(dir, "routed.reattach.json")
	block := func(greeting string) string {
		return fmt.Sprintf("plugin \"routed\" {\n source = %q\n insecure_unpinned = true\n reattach = %q\n"+
			" grants = [\"routes.public:/routed\", \"routes.public:/routed-machine\", \"routes.serve:/routed-in\", \"routes.serve:/routed-admin\", \"kv.use\"]\n config { greeting = %q }\n}\n", program, file, greeting)
	}
	f.apply(block("one"))
	// Nobody runs it yet: that is no failure, however long it lasts.
	poll(t, "the host to wait", func() (string, bool) {
		s := f.Status()[0]
		return fmt.Sprintf("%s %s", s.State, s.Detail), s.State == pluginhost.Starting && strings.Contains(s.Detail, "--sigra-debug")
	})
	cmd := byHand(t, program, file)
	if info := f.wait("routed", pluginhost.Ready); info.PID != cmd.Process.Pid || !info.Unpinned {
		t.Errorf("attached to %d, it is %d", info.PID, cmd.Process.Pid)
	}
	if code, body := f.get("/routed/hello"); code != 200 || body != "one" {
		t.Fatalf("%d %s", code, body)
	}
	if code, body := f.get("/routed/kv?key=a&value=b"); code != 200 || !strings.HasPrefix(body, "true true") {
		t.Errorf("a host service: %d %s", code, body)
	}

	// At a breakpoint nothing answers, for longer than any check or call would wait otherwise.
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		code, body, _ := f.do("GET", "/routed/hello", nil)
		answer <- fmt.Sprint(code, " ", body)
	}()
	time.Sleep(3 * time.Second) // another process stands still; nothing tells us
	if s := f.Status()[0]; s.State != pluginhost.Ready || s.PID != cmd.Process.Pid {
		t.Errorf("at a breakpoint: %s %s", s.State, s.Detail)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got != "200 one" {
		t.Errorf("after the breakpoint: %s", got)
	}

	// Changed settings reach it; an end and a new start are no failure, and the host comes along.
	f.apply(block("two"))
	if _, body := f.get("/routed/hello"); body != "two" {
		t.Errorf("after a reload: %s", body)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if _, err := os.Stat(file); err == nil {
		t.Error("the file is left behind")
	}
	f.wait("routed", pluginhost.Starting)
	cmd = byHand(t, program, file)
	if info := f.wait("routed", pluginhost.Ready); info.PID != cmd.Process.Pid || info.Failures != 0 || info.Restarts != 0 {
		t.Errorf("after a new start: pid %d of %d, %d failures, %d restarts", info.PID, cmd.Process.Pid, info.Failures, info.Restarts)
	}

	// Another host, after this one ended: the plugin outlives both.
	f.apply("")
	g := newHost(t, "")
	g.apply(block("three"))
	g.wait("routed", pluginhost.Ready)
	if code, body := g.get("/routed/kv?key=a&value=b"); code != 200 || !strings.HasPrefix(body, "true true") {
		t.Errorf("a host service of another host: %d %s", code, body)
	}
	if _, body := g.get("/routed/hello"); body != "three" {
		t.Errorf("from another host: %s", body)
	}
	g.apply("")
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the plugin was ended: %v", err)
	}
}

func TestReattach_whatOthersCouldHaveWrittenIsNotBelieved(t *testing.T) {
	t.Parallel()
	f := newHost(t, "")
	dir := t.TempDir()
	program, _ := external(t, dir, "routed-debug")
	file := filepath.Join(dir, "routed.reattach.json")
	byHand(t, program, file)
	block := fmt.Sprintf("plugin \"routed\" {\n source = %q\n insecure_unpinned = true\n reattach = %q\n"+
		" grants = [\"routes.public:/routed\", \"routes.public:/routed-machine\", \"routes.serve:/routed-in\", \"routes.serve:/routed-admin\"]\n}\n", program, file)
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	f.apply(block)
	if info := f.wait("routed", pluginhost.Failed, pluginhost.Quarantined); !strings.Contains(info.Detail, "writable by nobody else") {
		t.Errorf("a file that everybody can write: %s", info.Detail)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"pid":1,"protocol":"grpc","protocol_version":1,"network":"tcp","address":"192.0.2.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f.apply(block + "\n")
	_ = f.Restart(t.Context(), "routed")
	if info := f.wait("routed", pluginhost.Failed, pluginhost.Quarantined); !strings.Contains(info.Detail, "is not what a plugin writes") {
		t.Errorf("an address of somebody's choosing: %s", info.Detail)
	}
}
