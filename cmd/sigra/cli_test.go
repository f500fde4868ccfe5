package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var updateScripts = flag.Bool("update-scripts", false, "write what commands print into the scripts that compare it")

// TestCLI runs the scripts under testdata/script: the command line as people meet it, word for word. Each script has a
// folder and a free address of its own (ADDR, URL).
func TestCLI(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(exe, filepath.Join(bin, "sigra")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "localhost:8484")
	defaultFree := err == nil
	if defaultFree {
		_ = l.Close()
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			addr := freeAddr(t)
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv(asSigra, "1")
			e.Setenv("ADDR", addr)
			e.Setenv("URL", "http://"+addr)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "bundled":
				return bundled(), nil
			case "default-port-free":
				return defaultFree, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":   scriptReady,
			"capture": scriptCapture,
			"json":    scriptJSON,
			"until":   scriptUntil,
		},
		RequireExplicitExec: true,
		UpdateScripts:       *updateScripts,
	})
}

// scriptReady waits until the server at $URL, or the address given, is ready.
func scriptReady(ts *testscript.TestScript, _ bool, args []string) {
	url := ts.Getenv("URL")
	if len(args) == 1 {
		url = args[0]
	}
	deadline := time.Now().Add(40 * time.Second)
	for {
		res, err := http.Get(url + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("answer %d", res.StatusCode)
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not ready: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // another process is waited for; nothing tells us
	}
}

// scriptCapture sets a variable to what the pattern's group matches in the last output: capture NAME pattern.
func scriptCapture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: capture NAME pattern")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("%s does not match the output", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// scriptJSON holds that the last output, on stdout or as named, is JSON: one value, or with -lines one on each line.
func scriptJSON(ts *testscript.TestScript, _ bool, args []string) {
	lines := false
	name := "stdout"
	for _, a := range args {
		if a == "-lines" {
			lines = true
		} else {
			name = a
		}
	}
	text := []byte(ts.ReadFile(name))
	parts := [][]byte{text}
	if lines {
		parts = bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	}
	for _, p := range parts {
		dec := json.NewDecoder(bytes.NewReader(p))
		var v any
		if err := dec.Decode(&v); err != nil {
			ts.Fatalf("%s is not JSON: %v\n%s", name, err, p)
		}
		if rest, _ := io.ReadAll(dec.Buffered()); len(bytes.TrimSpace(rest)) > 0 {
			ts.Fatalf("%s goes on behind the JSON: %s", name, rest)
		}
	}
}

// scriptUntil runs a command again and again until its output matches: until pattern command...
func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until pattern command...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && want.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never matched; last:\n%s(%v)", want, out, err)
		}
		time.Sleep(50 * time.Millisecond) // another process is waited for; nothing tells us
	}
}
