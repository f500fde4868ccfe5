package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cluster is a Postgres of one test's own, durable unless told otherwise, that may be killed and started again.
type Cluster struct {
	t        testing.TB
	p        *postmaster
	settings []string
}

// StartPostgres makes and starts a cluster for this test alone. Settings are "name=value" and win over the
// defaults, which are Postgres's own: commits are durable. It is stopped and removed when the test ends, and by the
// next test process when this one is killed.
func StartPostgres(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	state, err := stateDir()
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFile(filepath.Join(state, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	removeOrphans(state)
	dir, err := os.MkdirTemp(state, fmt.Sprintf("own-%d-", os.Getpid()))
	unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	t.Cleanup(func() {
		killPostmaster(data)
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("remove test cluster: %v", err)
		}
	})
	p, err := newPostmaster(data)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, p: p, settings: settings}
	c.Start()
	return c
}

// URL is the superuser's, on the database "postgres".
func (c *Cluster) URL() string { return c.p.url }

// Database makes a fresh, empty database in the cluster and gives its url.
func (c *Cluster) Database() string {
	c.t.Helper()
	return createDatabase(c.t, c.p.url)
}

// Start starts the server again, on the same port, after Kill or Stop; it returns when the server answers.
func (c *Cluster) Start() {
	c.t.Helper()
	if err := c.p.start(c.settings...); err != nil {
		c.t.Fatal(err)
	}
}

// Stop ends the server in order, cutting its connections.
func (c *Cluster) Stop() { c.end(syscall.SIGINT) }

// Kill ends the server as a crash would: nothing is flushed, the next Start recovers from the log.
func (c *Cluster) Kill() { c.end(syscall.SIGQUIT) }

func (c *Cluster) end(sig syscall.Signal) {
	c.t.Helper()
	pid := postmasterPID(c.p.data)
	if pid == 0 {
		return
	}
	if err := syscall.Kill(pid, sig); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if postmasterPID(c.p.data) == 0 {
			return
		}
	}
	c.t.Fatal("Postgres did not end")
}

// removeOrphans ends and removes the clusters of test processes that are gone. The lock must be held.
func removeOrphans(state string) {
	dirs, _ := filepath.Glob(filepath.Join(state, "own-*"))
	for _, dir := range dirs {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), "own-"), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		killPostmaster(filepath.Join(dir, "data"))
		_ = os.RemoveAll(dir)
	}
}
