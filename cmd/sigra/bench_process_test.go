package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// buildSigra builds a program the way that releases are built.
func buildSigra(t testing.TB, pkg string) string {
	t.Helper()
	if _, err := os.ReadDir(pkg); err != nil { // Go keeps the results of tests by the files that they read themselves
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "program")
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}
	if !bundled() {
		args = append(args, "-tags", "core_only")
	}
	if b, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, b)
	}
	return out
}

// program is a process beside Sigra.
type program struct {
	pid  int
	addr string
}

// serve starts a program that listens on the address that it is given, and waits until it answers.
func serve(t testing.TB, exe string, args func(addr string) []string) program {
	t.Helper()
	addr := freeAddr(t)
	var log bytes.Buffer
	cmd := exec.Command(exe, args(addr)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := untilReady(addr, 20*time.Second); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s: %v\n%s", filepath.Base(exe), err, log.String())
	}
	return program{cmd.Process.Pid, addr}
}

// untilReady asks /readyz as quickly as it is answered.
func untilReady(addr string, within time.Duration) (time.Time, error) {
	ask := get("/readyz", addr, "")
	deadline := time.Now().Add(within)
	for {
		w, err := dial(addr)
		if err == nil {
			var a wireAnswer
			a, err = w.do(ask)
			w.close()
			if err == nil && a.status == 200 {
				return time.Now(), nil
			}
			if err == nil {
				err = fmt.Errorf("/readyz answers %d", a.status)
			}
		}
		if time.Now().After(deadline) {
			return time.Time{}, fmt.Errorf("not ready within %v: %w", within, err)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// cpuOf is the CPU time that a process has used, to the nanosecond: the sum over its threads.
func cpuOf(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("there is no process %d", pid)
	}
	var sum time.Duration
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if errors.Is(err, fs.ErrNotExist) { // a thread that has just ended
			continue
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// memory reads one line, in bytes, of a process's smaps_rollup or status.
func memory(t testing.TB, pid int, file, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("%s of process %d has no %s", file, pid, name)
	return 0
}

func pss(t testing.TB, pid int) int64 { return memory(t, pid, "smaps_rollup", "Pss") }

// meter reads the CPU time of a server and of the database's processes that work for it.
type meter struct {
	t    testing.TB
	pids []int
	app  string    // application_name of its connections; empty: all but ours
	pg   *pgx.Conn // nil: the database is in the process
}

// newMeter takes the database's url; only Postgres has processes of its own.
func newMeter(t testing.TB, database, app string, pids ...int) *meter {
	t.Helper()
	m := &meter{t: t, pids: pids, app: app}
	if strings.HasPrefix(database, "postgres") {
		m.pg = connectPostgres(t, database)
	}
	return m
}

func connectPostgres(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// reading is CPU time at a moment.
type reading struct {
	server  time.Duration
	backend map[int]time.Duration
}

func (m *meter) read() reading {
	m.t.Helper()
	r := reading{backend: map[int]time.Duration{}}
	for _, pid := range m.pids {
		used, err := cpuOf(pid)
		if err != nil {
			m.t.Fatal(err)
		}
		r.server += used
	}
	if m.pg == nil {
		return r
	}
	rows, err := m.pg.Query(context.Background(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND ($1 = '' OR application_name = $1)`, m.app)
	if err != nil {
		m.t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		m.t.Fatal(err)
	}
	for _, pid := range pids {
		if used, err := cpuOf(pid); err == nil { // a connection may end, and Postgres may be on another machine
			r.backend[pid] = used
		}
	}
	return r
}

// during is the CPU time that f cost in the server and in the database.
func (m *meter) during(f func()) (server, database time.Duration) {
	m.t.Helper()
	before := m.read()
	f()
	after := m.read()
	for pid, used := range after.backend {
		database += used - before.backend[pid] // a new connection began at zero
	}
	return after.server - before.server, database
}

// ownCPU is the CPU time that this process has used.
func ownCPU(t testing.TB) time.Duration {
	t.Helper()
	used, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return used
}
