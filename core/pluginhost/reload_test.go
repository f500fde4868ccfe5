package pluginhost_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/pluginhost"
)

func TestReload_changesUnderTrafficLoseNoRequest(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed other")
	path, sum := external(t, t.TempDir(), "routed-external")
	grants := `grants = ["routes.public:/routed", "routes.public:/routed-machine", "routes.serve:/routed-in", "routes.serve:/routed-admin"%s]`
	block := func(extra, greeting string) string {
		return fmt.Sprintf("plugin \"routed\" {\n source = %q\n sha256 = %q\n %s\n config { greeting = %q }\n}\n", path, sum, fmt.Sprintf(grants, extra), greeting)
	}
	f.apply(block("", "one"))
	f.wait("routed", pluginhost.Ready)

	var failed, served atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Get(f.web.URL + "/routed/hello")
				if err != nil || resp.StatusCode != 200 {
					failed.Add(1)
				}
				if err == nil {
					_ = resp.Body.Close()
				}
				served.Add(1)
			}
		})
	}
	for i := range 4 {
		f.apply(block("", fmt.Sprintf("settings %d", i)))                                   // Configure
		f.apply(block(`, "kv.use"`, fmt.Sprintf("grants %d", i)))                           // new before old
		f.apply(block(`, "kv.use"`, fmt.Sprintf("grants %d", i)) + "plugin \"other\" {}\n") // another comes
		f.refused(block(`, "kvv"`, "never")+"plugin \"other\" {}\n", `there is no grant "kvv"`)
		f.refused(block(`, "kv.use"`, "never")+"plugin \"other\" { \n config { refuse = true } \n}", "this plugin refuses")
		f.apply(block("", fmt.Sprintf("alone %d", i))) // and goes
	}
	close(stop)
	wg.Wait()
	if failed.Load() > 0 || served.Load() < 50 {
		t.Errorf("%d of %d requests failed", failed.Load(), served.Load())
	}
	if code, body := f.get("/routed/hello"); code != 200 || body != "alone 3" {
		t.Errorf("in the end: %d %s", code, body)
	}
	if code, _ := f.get("/other/hello"); code != 404 {
		t.Errorf("the removed plugin's path: %d", code)
	}
	if s := f.Status(); len(s) != 1 || s[0].State != pluginhost.Ready || s[0].Restarts != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestReload_settingsGoToTheRunningProcess(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed")
	f.apply("plugin \"routed\" {\n config { greeting = \"one\" }\n}")
	before := f.wait("routed", pluginhost.Ready)
	f.apply("plugin \"routed\" {\n config { greeting = \"two\" }\n}")
	if _, body := f.get("/routed/hello"); body != "two" {
		t.Errorf("got %q", body)
	}
	if after, _ := f.Info("routed"); after.PID != before.PID {
		t.Error("the process was restarted for a setting")
	}
	f.apply("plugin \"routed\" {\n enabled = false\n}")
	if code, _ := f.get("/routed/hello"); code != 404 || f.Status()[0].State != pluginhost.Disabled {
		t.Errorf("disabled: %d %v", code, f.Status())
	}
	dead(t, before.PID)
	f.apply(`plugin "routed" {}`)
	f.wait("routed", pluginhost.Ready)
	if _, body := f.get("/routed/hello"); body != "hello" {
		t.Errorf("enabled again: %q", body)
	}
}

func TestReload_mistakesChangeNothingAndSaySo(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed second crashstart")
	f.apply(`plugin "routed" {}`)
	before := f.wait("routed", pluginhost.Ready)
	path, sum := external(t, t.TempDir(), "routed-external")
	loose := filepath.Join(t.TempDir(), "loose")
	if err := os.WriteFile(loose, []byte("#!/bin/sh\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o777); err != nil {
		t.Fatal(err)
	}
	f.refused("plugin \"routed\" {\n  config {\n    greetin = \"x\"\n  }\n}", `"greetin"`, "sigra.hcl:3", "greeting")
	f.refused("plugin \"routed\" {\n  config {\n    every = \"soon\"\n  }\n}", "sigra.hcl:3", "duration")
	f.refused("plugin \"routed\" {\n  config {\n    rule {}\n  }\n}", "port")
	f.refused("plugin \"routed\" {\n  config {\n    rule {\n port = 1\n }\n rule {\n port = 13\n }\n  }\n}", "an unlucky port", "sigra.hcl:7")
	f.refused("plugin \"routed\" {\n  config {\n    token = 1 + \"secret-value\"\n  }\n}", "sigra.hcl:3")
	f.refused(fmt.Sprintf("plugin \"routed\" {\n source = %q\n sha256 = %q\n}", path, strings.Repeat("a", 64)), "pins")
	f.refused(fmt.Sprintf("plugin \"routed\" {\n source = %q\n sha256 = %q\n}", path, sum), "needs", `grants = ["routes.public:/routed", "routes.public:/routed-machine", "routes.serve:/routed-admin"`)
	f.refused(fmt.Sprintf("plugin \"loose\" {\n source = %q\n insecure_unpinned = true\n}\nplugin \"routed\" {}", loose), "chmod go-w")
	f.refused("plugin \"secand\" {}", "second")
	f.refused("plugin \"routed\" {\n gate \"login\" {}\n}", "no questions")
	after, err := f.Info("routed")
	if err != nil || after.PID != before.PID || after.State != pluginhost.Ready {
		t.Errorf("after all that: %v %v", after.Status, err)
	}
	if len(f.Status()) != 1 {
		t.Errorf("status %v", f.Status())
	}
	if _, body := f.get("/routed/hello"); body != "hello" {
		t.Errorf("got %q", body)
	}
	// A plugin that merely crashes is no mistake of the file: it is listed as failed, and the rest goes on.
	f.apply("plugin \"routed\" {}\nplugin \"crashstart\" {}")
	f.wait("crashstart", pluginhost.Failed, pluginhost.Quarantined)
}

func TestApply_theFirstTimeWaitsForNobody(t *testing.T) {
	t.Parallel()
	f := newHost(t, "hangstart routed")
	begin := time.Now()
	f.apply("plugin \"hangstart\" {\n required = true\n}\nplugin \"routed\" {}")
	if took := time.Since(begin); took > 5*time.Second { // a start that hangs takes ten
		t.Errorf("apply took %s", took)
	}
	f.wait("routed", pluginhost.Ready)
	if r := f.Ready(context.Background()); len(r) != 1 || !strings.Contains(r[0], "hangstart") {
		t.Errorf("not ready because of %q", r)
	}
}

func TestRestart_swapsProcesses(t *testing.T) {
	t.Parallel()
	f := ready(t)
	before, _ := f.Info("routed")
	if err := f.Restart(context.Background(), "routed"); err != nil {
		t.Fatal(err)
	}
	after, _ := f.Info("routed")
	if after.PID == before.PID || after.State != pluginhost.Ready {
		t.Errorf("%v then %v", before.Status, after.Status)
	}
	dead(t, before.PID)
	if err := f.Restart(context.Background(), "nobody"); err == nil {
		t.Error("restarted nobody")
	}
}

func TestCheck_leavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed crashstart")
	good := blocks(t, `plugin "routed" {}`)[0]
	if diags := f.Check(context.Background(), good); len(diags) > 0 {
		t.Error(diags)
	}
	bad := blocks(t, "plugin \"routed\" {\n config { nothing = 1 }\n}")[0]
	if diags := f.Check(context.Background(), bad); !diags.HasErrors() {
		t.Error("a setting that does not exist was not noticed")
	}
	crash := blocks(t, `plugin "crashstart" {}`)[0]
	if diags := f.Check(context.Background(), crash); !strings.Contains(diags.String(), "crashing at start") {
		t.Error(diags)
	}
	if len(f.Status()) != 0 {
		t.Error(f.Status())
	}
}

// Before, a reload said that nothing was different after all of these.
func TestReload_saysWhatChanged(t *testing.T) {
	t.Parallel()
	f := newHost(t, "gatekeeper")
	dir := t.TempDir()
	program, _ := external(t, dir, "routed-external")
	routed := func(grants, more string) string {
		return fmt.Sprintf("plugin \"routed\" {\n source = %q\n insecure_unpinned = true\n grants = [\"routes.public:/routed\", \"routes.public:/routed-machine\", \"routes.serve:/routed-in\", \"routes.serve:/routed-admin\"%s]\n %s\n}\n", program, grants, more)
	}
	gatekeeper := "plugin \"gatekeeper\" {\n gate \"login\" {\n on_error = %q\n }\n}\n"
	allow, deny := fmt.Sprintf(gatekeeper, "allow"), fmt.Sprintf(gatekeeper, "deny")
	f.apply(routed("", "") + deny)
	f.wait("routed", pluginhost.Ready)
	f.wait("gatekeeper", pluginhost.Ready)
	for _, c := range []struct {
		src  string
		do   func()
		want string
	}{
		{src: routed("", "") + deny, want: "[]"},
		{src: "\n\n" + routed("", "") + deny, want: "[]"},
		{src: routed(`, "kv.use"`, "") + deny, want: `[plugin "routed": grants]`},
		{src: routed(`, "kv.use"`, "config { greeting = \"new\" }") + deny, want: `[plugin "routed": settings]`},
		{src: routed(`, "kv.use"`, "config { greeting = \"new\" }") + allow, want: `[plugin "gatekeeper": gates]`},
		{src: routed(`, "kv.use"`, "config { greeting = \"new\" }\n events { exclude = [\"auth.*\"] }") + allow, want: `[plugin "routed": events]`},
		{src: routed("", "enabled = false") + allow, want: `[plugin "routed": disabled, grants, events]`},
		{src: routed("", "") + allow, want: `[plugin "routed": enabled]`},
		{src: routed("", "") + allow, want: `[plugin "routed": program]`, do: func() {
			f.wait("routed", pluginhost.Ready)
			file, err := os.OpenFile(filepath.Join(dir, "new"), os.O_CREATE|os.O_WRONLY, 0o755)
			if err == nil {
				var old []byte
				if old, err = os.ReadFile(program); err == nil {
					_, err = file.Write(append(old, "another build"...))
				}
				_ = file.Close()
			}
			if err == nil {
				err = os.Rename(filepath.Join(dir, "new"), program)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if c.do != nil {
			c.do()
		}
		changed, diags := f.Reload(context.Background(), blocks(t, c.src))
		if diags.HasErrors() || fmt.Sprint(changed) != c.want {
			t.Errorf("%v, want %s: %v", changed, c.want, diags)
		}
	}
	info, _ := f.Info("gatekeeper") // what it is asked, and not only what it could be
	if got := strings.Join(info.Questions, "; "); got != "login (allowed where it fails); member.add (not asked: its block has no gate \"member.add\" { on_error = \"deny\" })" {
		t.Error(got)
	}
}
