package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// TestBench measures the whole server and prints every figure beside what it was measured against in the same run, taking
// turns with it. It fails only when something is wrong with what was measured: machines differ, and a busy one is no
// defect. `make bench` runs it, `-run 'TestBench/session'` a part of it.
func TestBench(t *testing.T) {
	if !*benchReport {
		t.Log("make bench runs this")
		return
	}
	b := &bench{T: t, bare: buildSigra(t, "./testdata/bare"), hello: buildSigra(t, "./testdata/hello")}
	if *benchProfile == "" {
		b.exe = buildSigra(t, ".")
	}
	t.Run("session", b.sessionCheck)
	t.Run("signin", b.signIn)
	t.Run("start", b.start)
	t.Run("flood", b.flood)
	if bundled() {
		t.Run("timeline", b.timeline)
		t.Run("plugin", b.pluginStates)
	}
	t.Logf("%d processors, %s\n%s", runtime.NumCPU(), runtime.Version(), b.table())
}

// bench is one run: the programs that it compares, and what it found.
type bench struct {
	*testing.T
	exe, bare, hello string

	mu    sync.Mutex
	lines []finding
}

// finding is one line of the report. Its ratio is the figure that means something on another machine.
type finding struct {
	what, database  string
	sigra, baseline string
	ratio           float64 // zero: there is none
	target          string
	met             bool
}

func (b *bench) found(f finding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, f)
}

func (b *bench) table() string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 2, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WHAT\tDATABASE\tSIGRA\tAGAINST\tRATIO\tTARGET")
	for _, l := range b.lines {
		ratio, target := "", l.target
		if l.ratio != 0 {
			ratio = fmt.Sprintf("%.2f", l.ratio)
		}
		if target != "" && !l.met {
			target += "  MISSED"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", l.what, l.database, l.sigra, l.baseline, ratio, target)
	}
	_ = w.Flush()
	return s.String()
}

// sigra makes one more Sigra: the real binary, or this test binary when it is to be profiled.
func (b *bench) sigra(t testing.TB, s setup) *instance {
	t.Helper()
	in := newInstance(t, s)
	in.exe = b.exe
	if *benchProfile != "" { // this test binary, which can profile itself
		in.exe = ""
		in.env = append(in.env, profileEnv+"="+filepath.Join(*benchProfile, strings.ReplaceAll(t.Name(), "/", "_")))
		t.Cleanup(in.stop) // lets it write them
	}
	return in
}

func median[T cmp.Ordered](v []T) T { return percentile(v, 50) }

// percentile needs no sorted input.
func percentile[T cmp.Ordered](v []T, p float64) T {
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, int(float64(len(s))*p/100))]
}

// spread is the middle half of what was seen.
func spread(v []float64) string {
	return fmt.Sprintf("%.2f–%.2f", percentile(v, 25), percentile(v, 75))
}

func mib(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// rounds is fewer of them for a look, more for a proof.
func rounds(n int) int {
	if *soak {
		return 4 * n
	}
	return n
}

func nameOf(database string) string {
	if strings.HasPrefix(database, "postgres") {
		return "postgres"
	}
	return "sqlite"
}
