package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
)

// inTimeline is what Threadline gets with its defaults.
func inTimeline(action string) bool {
	a, ok := audit.Lookup(action)
	return ok && a.Timeline
}

// pluginNow asks the running server how a plugin is.
func (in *instance) pluginNow(name string) (state string, pid int, err error) {
	r, err := in.control("GET", "/v1/admin/plugins", nil)
	if err != nil {
		return "", 0, err
	}
	var list struct {
		Plugins []struct {
			Name, State string
			PID         int
		}
	}
	if err := json.Unmarshal(r.body, &list); err != nil {
		return "", 0, fmt.Errorf("%w: %s", err, r.body)
	}
	for _, p := range list.Plugins {
		if p.Name == name {
			return p.State, p.PID, nil
		}
	}
	return "", 0, nil
}

// awaitPlugin waits until a plugin is ready, lifting it out of quarantine as an operator would.
func (in *instance) awaitPlugin(name string) {
	in.t.Helper()
	in.eventually(90*time.Second, name+" ready", func() error {
		state, _, err := in.pluginNow(name)
		switch {
		case err != nil:
			return err
		case state == "quarantined":
			if _, errOut, err := in.tryCLI("plugin", "restart", name); err != nil {
				return fmt.Errorf("restart: %w: %s", err, errOut)
			}
			return errNotYet
		case state != "ready":
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
}

// TestReload_removesAndReturnsUnderLoad takes the block away and puts it back while people sign in: no request fails, and
// the timeline has neither gap nor duplicate.
func TestReload_removesAndReturnsUnderLoad(t *testing.T) {
	t.Parallel()
	removeAndReturn(t, 3)
}

// TestSoak_reload is the same at full size, on its own.
func TestSoak_reload(t *testing.T) {
	if !*soak {
		t.Log("make soak runs this at full size; TestReload_removesAndReturnsUnderLoad ran it small")
		return
	}
	removeAndReturn(t, 50)
}

func removeAndReturn(t *testing.T, rounds int) {
	if !bundled() {
		t.Log("without satellites the block is refused, and nothing is changed")
		in := newInstance(t, setup{})
		in.start()
		in.configure(setup{plugins: threadlineBlock})
		if _, _, err := in.tryCLI("reload"); err == nil {
			t.Error("a block for a plugin that is not in the binary was accepted")
		}
		in.signUp("ada@example.com")
		return
	}
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		in := newInstance(t, setup{database: database, plugins: threadlineBlock})
		in.start()
		admin := in.admin("root@example.com")
		l := newLoad(in, in.people(4))
		for range rounds {
			in.configure(setup{database: database})
			if out := in.cli("reload"); !strings.Contains(out, "removed") {
				t.Errorf("reload said %q", out)
			}
			in.must(http.StatusNotFound, "GET", "/threadline/v1/timeline", admin.Token, nil)
			if _, err := in.signIn("person0@example.com"); err != nil {
				t.Errorf("sign-in without the satellite: %v", err)
			}
			in.configure(setup{database: database, plugins: threadlineBlock})
			in.cli("reload")
			in.awaitPlugin("threadline")
		}
		l.end()
		if n := l.failed.Load(); n > 0 {
			t.Errorf("%d of %d requests failed: %v", n, l.requests.Load(), l.failures)
		}
		l.check(t, in.auditLog(admin.Token))
		in.agree(admin.Token, inTimeline)
		t.Logf("%d reloads under %d requests, 0 failed", 2*rounds, l.requests.Load())
	})
}

// TestReload_invalidFileChangesNothing breaks the file in several ways.
func TestReload_invalidFileChangesNothing(t *testing.T) {
	t.Parallel()
	plugins := ""
	if bundled() {
		plugins = threadlineBlock
	}
	in := newInstance(t, setup{plugins: plugins})
	in.start()
	if bundled() {
		in.awaitPlugin("threadline")
	}
	admin := in.admin("root@example.com")
	for _, broken := range []string{
		"plugin \"threadline\" {\n", "plugin \"nosuch\" {}\n", "plugin \"threadline\" {\n  config {\n    page_sise = 10\n  }\n}\n",
		"plugin \"x\" {\n  source = \"/nonexistent\"\n  insecure_unpinned = true\n}\n", "nonsense = 1\n",
	} {
		in.configure(setup{plugins: broken})
		out, errOut, err := in.tryCLI("reload")
		if err == nil {
			t.Errorf("%q was accepted: %s", broken, out)
		}
		if !strings.Contains(out+errOut, "sigra.hcl:") {
			t.Errorf("%q: the answer names no place: %s%s", broken, out, errOut)
		}
		in.must(http.StatusOK, "GET", "/v1/session", admin.Token, nil)
		if bundled() {
			if state, _, err := in.pluginNow("threadline"); state != "ready" {
				t.Errorf("%q: threadline is %q now: %v", broken, state, err)
			}
		}
	}
}

// TestKill ends the host, the plugin, or both with SIGKILL at random moments under load. Afterwards each acknowledged
// change has its audit row, and each row that Threadline should have is there exactly once.
func TestKill(t *testing.T) {
	t.Parallel()
	killStorm(t, 6) // on each database
}

// TestSoak_kill is the same at full size, on its own.
func TestSoak_kill(t *testing.T) {
	if !*soak {
		t.Log("make soak runs this at full size; TestKill ran it small")
		return
	}
	killStorm(t, 60)
}

func killStorm(t *testing.T, kills int) {
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		plugins := ""
		if bundled() {
			plugins = threadlineBlock
		}
		in := newInstance(t, setup{database: database, plugins: plugins})
		in.start()
		admin := in.admin("root@example.com")
		l := newLoad(in, in.people(4))
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 1))
		t.Logf("seed %d", seed)
		for i := range kills {
			time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond) // the random moment
			victim := i % 3
			if !bundled() {
				victim = 1
			}
			var pid int
			if victim != 1 {
				_, pid, _ = in.pluginNow("threadline")
			}
			if victim != 1 && pid > 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			if victim != 0 {
				in.kill()
				if pid > 0 && syscall.Kill(pid, 0) == nil {
					in.eventually(5*time.Second, "the plugin gone with its host", func() error {
						if alive(pid) {
							return errNotYet
						}
						return nil
					})
				}
				in.start()
			}
			if bundled() {
				in.awaitPlugin("threadline")
			}
		}
		l.end()
		rows := in.auditLog(admin.Token)
		l.check(t, rows)
		in.nothingHalfWritten(t, rows)
		if bundled() {
			in.agree(admin.Token, inTimeline)
		}
		t.Logf("%d kills; %d sign-ins and %d sign-outs acknowledged, %d requests failed meanwhile, %d audit rows", kills, len(l.sessions), len(l.outs), l.failed.Load(), len(rows))
	})
}

// alive reports whether a process exists and is not a zombie waiting to be reaped.
func alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil && !zombie(pid)
}

// nothingHalfWritten compares sessions with the log: a session without its sign-in, or a signed-out one that still
// stands, would be half of a transaction.
func (in *instance) nothingHalfWritten(t *testing.T, rows []auditRow) {
	t.Helper()
	signedIn, out := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		switch r.Action {
		case "auth.login.success", "auth.confirmation.success", "auth.password_reset.success":
			signedIn[r.SessionID] = true
		case "auth.logout":
			out[r.SessionID] = true
		}
	}
	r, err := in.control("GET", "/v1/admin/users?limit=200", nil)
	if err != nil {
		t.Fatal(err)
	}
	var users struct{ Users []struct{ ID string } }
	r.decode(t, &users)
	standing := 0
	for _, u := range users.Users {
		r, err := in.control("GET", "/v1/admin/users/"+u.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		var d struct{ Sessions []struct{ ID string } }
		r.decode(t, &d)
		for _, s := range d.Sessions {
			standing++
			if !signedIn[s.ID] {
				t.Errorf("session %s stands without an audit row of its sign-in", s.ID)
			}
			if out[s.ID] {
				t.Errorf("session %s stands although the log says it was signed out", s.ID)
			}
		}
	}
	if standing == 0 {
		t.Error("no session stands: this check saw nothing")
	}
}

// TestStoppedPlugin freezes the plugin with SIGSTOP: sign-in goes on as if nothing were, and the timeline catches up.
func TestStoppedPlugin(t *testing.T) {
	t.Parallel()
	if !bundled() {
		t.Log("no satellite to stop in this build")
		return
	}
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		in := newInstance(t, setup{database: database, plugins: threadlineBlock})
		in.start()
		admin := in.admin("root@example.com")
		emails := in.people(2)
		_, pid, err := in.pluginNow("threadline")
		if err != nil || pid == 0 {
			t.Fatalf("no process: %v", err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		l := newLoad(in, emails)
		in.eventually(60*time.Second, "busy", func() error {
			if l.requests.Load() < 60 {
				return errNotYet
			}
			return nil
		})
		l.end()
		if n := l.failed.Load(); n > 0 {
			t.Errorf("%d requests failed while the plugin was frozen: %v", n, l.failures)
		}
		// Its pages wait for nobody either: they say that they are not to be had.
		r, err := in.call("GET", "/threadline/v1/status", admin.Token, nil)
		if err == nil && r.status == http.StatusOK {
			t.Error("a frozen process answered")
		}
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && alive(pid) {
			t.Fatal(err)
		}
		in.awaitPlugin("threadline")
		l.check(t, in.auditLog(admin.Token))
		in.agree(admin.Token, inTimeline)
	})
}
