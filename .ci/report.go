//go:build ignore

// Report reads what `go test -json` says of one run or of several, one after the other. While they run it prints how long each package
// took, and everything about what fails. At the end: the slowest tests, the packages by time, those that took longer than
// .ci/budgets allows, and last go test's own closing lines. It fails when a test did.
//
//	{ go test -json ./...; echo "stage: without satellites"; go test -json -tags core_only ./cmd/...; } | go run .ci/report.go .ci/budgets
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// event is documented by `go doc test2json`.
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

// run is one package in one stage.
type run struct {
	stage, pkg string
	closing    string
	seconds    float64
	cached     bool
	output     []event
	finished   map[string]string // what came of each test
}

type slow struct {
	seconds float64
	name    string
}

func main() {
	budgets, err := readBudgets(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var (
		stage, module string
		open          = map[string]*run{}
		done          []*run
		tests         []slow
		failed        bool
		started       = time.Now()
	)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		line := in.Text()
		var e event
		if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
			if after, ok := strings.CutPrefix(line, "stage: "); ok {
				stage = after
			} else {
				fmt.Println(line)
			}
			continue
		}
		switch e.Action {
		case "build-output":
			fmt.Print(e.Output)
			continue
		case "build-fail":
			failed = true
			continue
		}
		r := open[e.Package]
		if r == nil {
			r = &run{stage: stage, pkg: e.Package, finished: map[string]string{}}
			open[e.Package] = r
			if parts := strings.SplitN(e.Package, "/", 4); len(parts) > 2 {
				module = strings.Join(parts[:3], "/") + "/"
			}
		}
		switch {
		case e.Action == "output":
			r.output = append(r.output, e)
			if e.Test == "" {
				for _, head := range []string{"ok  \t", "FAIL\t", "---\t", "?   \t", "\t" + e.Package + "\t"} {
					if strings.HasPrefix(e.Output, head) {
						r.closing, r.cached = e.Output, strings.Contains(e.Output, "(cached)")
					}
				}
			}
		case e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
			r.finished[e.Test] = e.Action
			if !strings.Contains(e.Test, "/") && e.Elapsed > 0 && !r.cached {
				tests = append(tests, slow{e.Elapsed, e.Package + " " + e.Test})
			}
		case e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
			delete(open, e.Package)
			done = append(done, r)
			r.seconds = e.Elapsed
			switch {
			case e.Action == "fail":
				failed = true
				r.complain()
				if r.closing == "" {
					r.closing = "FAIL\t" + r.pkg + "\n"
				}
				fallthrough
			case e.Elapsed >= 1 && !r.cached:
				fmt.Printf("%5d s  %-4s %s\n", int(time.Since(started).Seconds()), e.Action, r.pkg)
			}
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "read go test's output:", err)
		failed = true
	}
	for _, r := range open { // go test itself ended
		failed = true
		r.closing = "FAIL\t" + r.pkg + "\n"
		r.complain()
		done = append(done, r)
	}
	short := func(s string) string { return strings.TrimPrefix(s, module) }

	fmt.Println("\nThe slowest tests:")
	slices.SortFunc(tests, func(a, b slow) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, t := range tests[:min(20, len(tests))] {
		fmt.Printf("%7.1f s  %s\n", t.seconds, short(t.name))
	}
	fmt.Println("\nThe packages, by time:")
	byTime := slices.Clone(done)
	slices.SortStableFunc(byTime, func(a, b *run) int { return cmp.Compare(b.seconds, a.seconds) })
	var quick int
	var over []string
	for _, r := range byTime {
		if r.cached || r.seconds < 1 {
			quick++
			continue
		}
		name := short(r.pkg)
		if r.stage != "" {
			name += ", " + r.stage
		}
		fmt.Printf("%7.1f s  %s\n", r.seconds, name)
		budget, ok := budgets[short(r.pkg)]
		if !ok {
			budget = budgets["*"]
		}
		if r.seconds > budget {
			over = append(over, fmt.Sprintf("%7.1f s  %s, of %g s", r.seconds, name, budget))
		}
	}
	fmt.Printf("           %d took less than a second or were not run again\n", quick)
	fmt.Printf("           in all %s\n", time.Since(started).Round(time.Second))
	if len(over) > 0 {
		fmt.Printf("\nOver budget (.ci/budgets):\n%s\n", strings.Join(over, "\n"))
	}
	fmt.Println()
	for _, r := range done {
		if !strings.Contains(r.closing, "[no test files]") {
			fmt.Print(r.closing)
		}
	}
	if failed {
		fmt.Println("FAIL")
		os.Exit(1)
	}
}

// complain prints what a failed package's tests said, other than those that passed.
func (r *run) complain() {
	for _, e := range r.output {
		if o := r.finished[e.Test]; o == "pass" || o == "skip" || e.Output == r.closing {
			continue
		}
		if strings.HasPrefix(e.Output, "=== ") || e.Test == "" && (e.Output == "PASS\n" || e.Output == "FAIL\n") {
			continue
		}
		fmt.Print(e.Output)
	}
}

// readBudgets reads lines of a package and its seconds; * is every other package.
func readBudgets(path string) (map[string]float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for i, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		var pkg string
		var seconds float64
		if n, err := fmt.Sscan(line, &pkg, &seconds); n != 2 {
			return nil, fmt.Errorf("%s:%d: want a package and its seconds: %w", path, i+1, err)
		}
		out[pkg] = seconds
	}
	if out["*"] == 0 {
		return nil, fmt.Errorf("%s: no line for * (every other package)", path)
	}
	return out, nil
}
