package main

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReload_storm reloads over and over while people sign in: blocks come, change, are broken and go. No request fails,
// in the end every plugin is in the state that its block asks for, and nothing is left of what went.
func TestReload_storm(t *testing.T) {
	t.Parallel()
	if *soak {
		t.Log("TestSoak_reloadStorm runs it at full size")
		return
	}
	reloadStorm(t, 8, 8, 500*time.Millisecond) // others test meanwhile
}

// TestSoak_reloadStorm is the same at full size.
func TestSoak_reloadStorm(t *testing.T) {
	if !*soak {
		t.Log("make soak runs this at full size; TestReload_storm ran it small")
		return
	}
	reloadStorm(t, 200, 50, 0)
}

func reloadStorm(t *testing.T, reloads, clients int, rest time.Duration) {
	exe := buildSigra(t, "./testdata/hostile") // most of what it can be asked to do is to behave
	onEach(t, func(t *testing.T, database string) {
		// A place for everybody's hash: that too many at once are turned away is right, and not what this is about.
		s := setup{database: database, extra: "password {\n  max_concurrent_hashes = 64\n  queue_timeout         = \"30s\"\n" + unscreened + "}\n"}
		in := newInstance(t, s)
		in.start()
		emails := in.people(clients)
		before := in.footprint()
		dir := t.TempDir()
		t.Cleanup(func() { sweep(dir) })
		block := func(name, attrs string) string {
			return hostileBlock(t, exe, dir, hostileCase{name: name, attrs: attrs})
		}
		steady := block("steady", "")
		other := block("passing", "")
		changed := strings.Replace(steady, "\n}\n", "\n  env = [\"TZ\"]\n}\n", 1)
		gate := strings.Replace(steady, "\n}\n", "\n  gate \"login\" {}\n}\n", 1) // which it can't answer
		l := newPacedLoad(in, emails, rest)
		in.reloaded(t, s, steady, true)
		in.awaitPlugin("steady")
		// The plugin that is there all the time answers all the time, whichever of its processes it is.
		var asked, unanswered atomic.Int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				begin := time.Now()
				if r, err := in.call("GET", "/steady/x", "", nil); err != nil || r.status != http.StatusOK {
					if unanswered.Add(1) <= 10 {
						t.Logf("/steady after %s: %d %v %.200s", time.Since(begin), r.status, err, r.body)
						if unanswered.Load() == 1 {
							t.Log(tail(grep(in.log(), "[WARN]", "[ERROR]"), 4000))
						}
					}
				}
				asked.Add(1)
				time.Sleep(time.Millisecond) // it is one of many
			}
		})
		for i := range reloads {
			switch i % 8 {
			case 0:
				in.reloaded(t, s, steady+other, true) // one comes
			case 1:
				in.reloaded(t, s, changed+other, true) // one changes: another process, before the old one goes
			case 2:
				in.reloaded(t, s, gate+other, false) // broken: nothing changes
			case 3:
				in.reloaded(t, s, steady, true) // one goes, one changes back
			case 4:
				in.reloaded(t, s, steady+"plugin \"nosuch\" {}\n", false)
			case 5:
				in.reloaded(t, s, steady+threadlineIfBundled(), true)
			case 6:
				in.reloaded(t, s, steady+"nonsense = [\n", false)
			case 7:
				in.reloaded(t, s, steady, true)
			}
		}
		in.awaitPlugin("steady")
		close(stop)
		wg.Wait()
		if state, _, err := in.pluginNow("passing"); state != "" || err != nil {
			t.Errorf("passing is %q: %v", state, err)
		}
		i, err := in.pluginInfo("steady")
		if err != nil || i.State != "ready" || i.LastCrash != "" {
			t.Errorf("steady: %+v %v", i, err)
		}
		in.reloaded(t, s, "", true)
		l.end()
		if n := l.failed.Load(); n > 0 {
			t.Errorf("%d of %d requests failed: %v", n, l.requests.Load(), l.failures)
		}
		if n := unanswered.Load(); n > 0 {
			t.Errorf("%d of %d requests to the plugin failed; the log warned:\n%s", n, asked.Load(), tail(grep(in.log(), "[WARN]", "[ERROR]"), 4000))
		}
		in.nothingLeft(t, dir, before)
		t.Logf("%d reloads, %d requests of %d people and %d to a plugin, 0 failed", reloads, l.requests.Load(), clients, asked.Load())
	})
}

func threadlineIfBundled() string {
	if bundled() {
		return threadlineBlock
	}
	return ""
}

// reloaded puts plugin blocks into the file and reloads it.
func (in *instance) reloaded(t *testing.T, s setup, plugins string, good bool) {
	t.Helper()
	s.plugins = plugins
	in.configure(s)
	deadline := time.Now().Add(60 * time.Second)
	for {
		out, errOut, err := in.tryCLI("reload")
		if (err == nil) == good {
			return
		}
		// Starting a program may take longer than it is given on a busy machine; that is no mistake of the file.
		if strings.Contains(out+errOut, "in time") && time.Now().Before(deadline) {
			continue
		}
		t.Fatalf("reload: %v, want %v: %s%s", err == nil, good, out, errOut)
	}
}
