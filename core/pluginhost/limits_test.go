package pluginhost_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/secret"
)

func limited(limits string) string { return "plugin \"routed\" {\n limits {\n" + limits + "\n }\n}" }

func TestLimits_memory(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	f := newHost(t, "routed", func(c *pluginhost.Config, _ *fixture) { c.Registerer = reg })
	f.apply(limited(`memory = "256MiB"`))
	before := f.wait("routed", pluginhost.Ready)
	code, _ := f.get("/routed/alloc?mb=512")
	if code != 503 {
		t.Errorf("the call that took it all: %d", code)
	}
	dead(t, before.PID)
	poll(t, "another process", func() (string, bool) {
		i, _ := f.Info("routed")
		return string(i.State), i.State == pluginhost.Ready && i.PID != before.PID && i.PID != 0
	})
	after, _ := f.Info("routed")
	if !strings.Contains(after.LastCrash, "of memory, and its block allows 256MiB") || after.Restarts != 1 || after.Failures != 1 {
		t.Errorf("restarts %d, last crash %q", after.Restarts, after.LastCrash)
	}
	if n := figure(t, reg, "sigra_plugin_killed_total", "routed", "memory"); n != 1 {
		t.Errorf("%v kills counted", n)
	}
	if code, body := f.get("/routed/hello"); code != 200 {
		t.Errorf("afterwards: %d %s", code, body)
	}
}

// One that needs more than its limit to start says so, and is not tried for ever.
func TestLimits_memoryAtTheStart(t *testing.T) {
	t.Parallel()
	f := newHost(t, "fatstart")
	f.apply("plugin \"fatstart\" {\n limits {\n memory = \"128MiB\"\n }\n}")
	info := f.wait("fatstart", pluginhost.Quarantined)
	if !strings.Contains(info.Detail, "of memory, and its block allows 128MiB") {
		t.Errorf("detail %q", info.Detail)
	}
}

func TestLimits_openFiles(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed")
	f.apply(limited(`open_files = 64`))
	info := f.wait("routed", pluginhost.Ready)
	_, body := f.get("/routed/open")
	n := atoi(t, strings.Fields(body)[0])
	if n >= 64 || n == 0 || !strings.Contains(body, "too many open files") {
		t.Errorf("it opened %s", body)
	}
	if after := f.wait("routed", pluginhost.Ready); after.PID != info.PID {
		t.Error("it did not survive its limit")
	}
}

func TestUser_aPluginOfItsOwn(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		f := newHost(t, "routed")
		f.refused("plugin \"routed\" {\n user = \"nobody\"\n}", "only root")
		return
	}
	f := newHost(t, "routed")
	f.refused("plugin \"routed\" {\n user = \"who-is-that\"\n}", "no user", "sigra.hcl:2")
	f.apply("plugin \"routed\" {\n user = \"nobody\"\n}")
	info := f.wait("routed", pluginhost.Ready)
	_, body := f.get("/routed/whoami")
	if !strings.HasPrefix(body, "65534 65534 [] ") || !strings.HasSuffix(body, "permission denied") {
		t.Errorf("it is %s", body)
	}
	// The host's services are reached through a socket that it may use.
	if code, body := f.get("/routed/kv?key=a&value=b"); code != 200 || body != "true true <nil>" {
		t.Errorf("%d %s", code, body)
	}
	fi, err := os.Stat(filepath.Join("/proc", itoa(info.PID)))
	if err != nil || fi.Sys().(*syscall.Stat_t).Uid != 65534 {
		t.Errorf("%v %v", fi, err)
	}
	link, err := os.ReadDir(filepath.Join(f.dir, "run", "plugins"))
	if err != nil || len(link) != 1 {
		t.Fatalf("%v %v", link, err)
	}
	folder, err := os.Readlink(filepath.Join(f.dir, "run", "plugins", link[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(folder); err != nil || fi.Mode().Perm() != 0o700 || fi.Sys().(*syscall.Stat_t).Uid != 65534 {
		t.Errorf("its folder: %v %v", fi, err)
	}
	f.apply(``)
	if _, err := os.Stat(folder); err == nil {
		t.Errorf("%s was left behind", folder)
	}
}

func TestUser_itsDataIsItsOwn(t *testing.T) {
	t.Parallel()
	f := newHost(t, "")
	ctx := context.Background()
	b := config.Plugin{Name: "greeter", Enabled: true, User: "nobody"}
	if os.Geteuid() != 0 {
		b.DatabaseURL = secret.New("sqlite://" + t.TempDir() + "/own.db")
		if _, err := f.Storage(ctx, b); err == nil || !strings.Contains(err.Error(), "only root") {
			t.Errorf("giving a file away: %v", err)
		}
		return
	}
	if _, err := f.Storage(ctx, b); err == nil || !strings.Contains(err.Error(), "database { url") {
		t.Errorf("a file in data_dir: %v", err)
	}
	b.DatabaseURL = secret.New("sqlite://" + t.TempDir() + "/own.db")
	st, err := f.Storage(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(st.GetDsn()); err != nil || fi.Sys().(*syscall.Stat_t).Uid != 65534 || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
}

// A plugin that gave up its rights serves on, and uses the host.
func TestSandbox_aPluginThatGaveUpItsRights(t *testing.T) {
	t.Parallel()
	f := newHost(t, "boxed")
	f.apply(`plugin "boxed" {}`)
	before := f.wait("boxed", pluginhost.Ready)
	if code, body := f.get("/boxed/kv?key=a&value=b"); code != 200 || body != "true true <nil>" {
		t.Errorf("%d %s", code, body)
	}
	_, body := f.get("/boxed/passwd")
	if said := strings.Join(before.Log, "\n"); strings.Contains(said, "no Landlock") {
		t.Logf("this kernel can't: %s", body)
	} else if !strings.Contains(body, "permission denied") {
		t.Errorf("it read what it gave up: %s", body)
	}
	f.apply("plugin \"boxed\" {\n config { greeting = \"two\" }\n}") // Configure once more, in the box
	if code, body := f.get("/boxed/hello"); code != 200 || body != "two" {
		t.Errorf("%d %s", code, body)
	}
	if err := f.Restart(context.Background(), "boxed"); err != nil {
		t.Error(err)
	}
}
