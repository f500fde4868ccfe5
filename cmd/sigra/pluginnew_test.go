package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/config"
)

// A new author's first minutes: new, test, build, paste, run. Then a change, a lock, and a program that is not the locked one.
func TestPluginNew_fromNothingToAPluginThatRuns(t *testing.T) {
	t.Parallel()
	in := newInstance(t, setup{})
	began := time.Now()
	step := func(what string) { t.Logf("%6.2f s  %s", time.Since(began).Seconds(), what) }

	// The commands as the documentation has them.
	script, err := os.ReadFile(filepath.Join(repoRoot(t), "docs", "plugins", "examples", "new.sh"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(in.dir, "greeter")
	bin := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "sigra"), []byte("#!/bin/sh\nexec env "+asSigra+"=1 "+exe+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out string
	cwd := in.dir
	for command := range strings.Lines(string(script)) {
		command = strings.TrimSpace(command)
		if to, ok := strings.CutPrefix(command, "cd "); ok {
			cwd = filepath.Join(cwd, to)
			continue
		}
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = cwd
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "PATH="+bin+":"+os.Getenv("PATH"))
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, b)
		}
		out += string(b)
		step(command)
	}
	block, err := os.ReadFile(filepath.Join(dir, "greeter.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(block)) {
		if !strings.Contains(out, line) {
			t.Errorf("the command does not show the line %q:\n%s", line, out)
		}
	}
	in.configure(setup{plugins: string(block)})
	in.cli("check")
	step("sigra check")
	in.start()
	in.awaitPage(t, "/greeter", "Hello, stranger!\n")
	step("sigra serve, and the page answers")
	t.Logf("from nothing to a running plugin in %.1f s", time.Since(began).Seconds())

	// A change: build, reload.
	src := filepath.Join(dir, "plugin.go")
	text, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(src, []byte(strings.Replace(string(text), "default=Hello", "default=Good day", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	rebuild(t, dir)
	in.cli("reload")
	in.awaitPage(t, "/greeter", "Good day, stranger!\n")

	// For production: pinned by the lock file.
	pinned := strings.ReplaceAll(string(block), "insecure_unpinned", "# insecure_unpinned")
	in.configure(setup{plugins: pinned})
	if out, errOut, err := in.tryCLI("check"); err == nil || !strings.Contains(out+errOut, "sigra plugin lock greeter") {
		t.Errorf("a plugin that nobody pinned: %v\n%s", err, out+errOut)
	}
	locked := in.cli("plugin", "lock", "greeter")
	if !strings.Contains(locked, config.Platform) || !strings.Contains(locked, "sigra.lock.hcl") {
		t.Errorf("lock says\n%s", locked)
	}
	in.cli("check")
	in.cli("reload")
	in.awaitPage(t, "/greeter", "Good day, stranger!\n")
	info := in.cli("plugin", "info", "greeter")
	for _, want := range []string{"pinned       by the lock file", "contract     sigra.plugin.v1", "/greeter  public", "blocked   list(string)", "Routes", "≤"} {
		if !strings.Contains(info, want) {
			t.Errorf("plugin info lacks %q:\n%s", want, info)
		}
	}

	// Another program at the same place is not run, and what runs goes on.
	if err := os.WriteFile(src, text, 0o600); err != nil {
		t.Fatal(err)
	}
	rebuild(t, dir)
	if _, errOut, err := in.tryCLI("plugin", "restart", "greeter"); err == nil || !strings.Contains(errOut, "sigra.lock.hcl:") {
		t.Errorf("a program that is not the locked one: %v\n%s", err, errOut)
	}
	in.awaitPage(t, "/greeter", "Good day, stranger!\n")
}

func rebuild(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("go", "build")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, b)
	}
}

func (in *instance) awaitPage(t *testing.T, path, want string) {
	t.Helper()
	in.eventually(20*time.Second, "answering at "+path, func() error {
		r, err := in.call("GET", path, "", nil)
		if err == nil && (r.status != 200 || string(r.body) != want) {
			err = errNotYet
			t.Logf("%d %s", r.status, r.body)
		}
		return err
	})
}

func TestPluginNew_refusesNamesThatWouldNotRun(t *testing.T) {
	t.Parallel()
	in := newInstance(t, setup{})
	for name, want := range map[string]string{"auth": "Sigra's own audit actions", "Bad-Name": `"bad_name" would do`} {
		if _, errOut, err := in.tryCLI("plugin", "new", name); err == nil || !strings.Contains(errOut, want) {
			t.Errorf("%s: %v %s", name, err, errOut)
		}
	}
	if bundled() {
		if _, errOut, err := in.tryCLI("plugin", "new", "threadline"); err == nil || !strings.Contains(errOut, "part of Sigra") {
			t.Errorf("threadline: %v %s", err, errOut)
		}
	}
}
