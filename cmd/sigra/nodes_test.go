package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/store/storetest"
)

// zombie reports whether a process has ended and only waits for its parent.
func zombie(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return true
	}
	i := strings.LastIndexByte(string(b), ')')
	return i > 0 && strings.HasPrefix(string(b[i+1:]), " Z")
}

// runners says which node runs each cursor, as a node sees it.
func (in *instance) runners() (map[string]string, error) {
	r, err := in.control("GET", "/v1/admin/relay", nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Cursors []struct{ Sink, Runner string }
	}
	if err := json.Unmarshal(r.body, &list); err != nil {
		return nil, fmt.Errorf("%w: %s", err, r.body)
	}
	out := map[string]string{}
	for _, c := range list.Cursors {
		out[c.Sink] = c.Runner
	}
	return out, nil
}

func (in *instance) nodeName() string {
	in.t.Helper()
	b, err := os.ReadFile(filepath.Join(in.data, "node"))
	if err != nil {
		in.t.Fatal(err)
	}
	return string(b)
}

// TestNodes runs two and three nodes on one Postgres: one of them at a time runs Threadline's cursor, and when it is
// killed another takes over within seconds; what all of them record arrives once.
func TestNodes(t *testing.T) {
	t.Parallel()
	if !bundled() {
		t.Log("no satellite whose cursor could be run in this build")
		return
	}
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d nodes", n), func(t *testing.T) {
			t.Parallel()
			database := storetest.PostgresURL(t)
			nodes := make([]*instance, n)
			for i := range nodes {
				s := setup{database: database, plugins: threadlineBlock}
				if i > 0 {
					s.share = nodes[0]
				}
				nodes[i] = newInstance(t, s)
				if i == 0 {
					nodes[0].start() // it makes the root key that the others share
					continue
				}
				nodes[i].launch() // all at once: they migrate once
			}
			for _, in := range nodes[1:] {
				in.waitReady()
			}
			admin := nodes[0].admin("root@example.com")
			// A session made on one node stands on all of them.
			for _, in := range nodes {
				in.must(200, "GET", "/v1/session", admin.Token, nil)
			}
			emails := nodes[0].people(2)
			var loads []*load
			for _, in := range nodes {
				loads = append(loads, newLoad(in, emails))
			}
			victim := -1
			nodes[0].eventually(20*time.Second, "run by one node", func() error {
				r, err := nodes[0].runners()
				if err != nil {
					return err
				}
				for i, in := range nodes {
					if r["plugin.threadline"] == in.nodeName() {
						victim = i
						return nil
					}
				}
				return fmt.Errorf("runners: %v", r)
			})
			killed := time.Now()
			nodes[victim].kill()
			other := nodes[(victim+1)%n]
			other.eventually(20*time.Second, "taken over", func() error {
				r, err := other.runners()
				if err != nil {
					return err
				}
				if got := r["plugin.threadline"]; got == "" || got == nodes[victim].nodeName() {
					return fmt.Errorf("run by %q", got)
				}
				return nil
			})
			took := time.Since(killed)
			for _, l := range loads {
				l.end()
			}
			rows := other.auditLog(admin.Token)
			for i, l := range loads {
				l.check(t, rows)
				if i != victim && l.failed.Load() > 0 {
					t.Errorf("node %d failed %d requests: %v", i, l.failed.Load(), l.failures)
				}
			}
			other.agree(admin.Token, inTimeline)
			// Signing out on one node takes effect on the others at once.
			if r, err := other.call("POST", "/v1/logout", admin.Token, nil); err != nil || r.status/100 != 2 {
				t.Fatalf("sign-out: %v %v", r.status, err)
			}
			for i, in := range nodes {
				if i != victim {
					in.must(401, "GET", "/v1/session", admin.Token, nil)
				}
			}
			t.Logf("another node ran the cursor %v after its runner was killed; %d audit rows", took.Round(time.Millisecond), len(rows))
		})
	}
}
