package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A plugin that is not part of the binary has commands all the same: those that run in its process, through the control socket, and those that its own
// program runs, held to the checksum in its block.
func TestCommands_ofAnExternalPlugin(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "postbox")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/postbox").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sum, err := sumOf(program)
	if err != nil {
		t.Fatal(err)
	}
	in := newInstance(t, setup{plugins: fmt.Sprintf("plugin \"postbox\" {\n  source = %q\n  sha256 = %q\n  grants = [\"commands.run\"]\n}\n", program, sum)})
	in.start()
	in.pluginReady("postbox")
	status := func(err error) int {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	}

	if out, err := in.pipe("four", "postbox", "letters", "count", "--kind", "card", "--json"); err != nil || !strings.HasPrefix(out, "4 letters [--kind card] json=true by ") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := in.pipe("not for it", "postbox", "fail"); status(err) != 7 || !strings.Contains(out, "something to say first") || !strings.Contains(out, "it failed with 0 bytes of input") {
		t.Errorf("%v: %s", err, out)
	}
	if out := in.cli("plugin", "info", "postbox"); !strings.Contains(out, "sigra postbox letters count [NAME…]") {
		t.Error(out)
	}
	if out := in.cli("postbox", "--help"); !strings.Contains(out, "A box for letters") || !strings.Contains(out, "Read letters") {
		t.Error(out)
	}
	if rows := in.cli("audit", "list", "--action", "admin.plugin.command"); !strings.Contains(rows, "admin.plugin.command") {
		t.Error(rows)
	}
	// Before, a file that somebody was at work on hid the server that runs.
	config := filepath.Join(in.dir, "sigra.hcl")
	whole, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, mistake := range []string{"\nplugin \"new\" { source = \"/nowhere\" }\n", "\nnonsense {\n"} {
		if err := os.WriteFile(config, append(slices.Clone(whole), mistake...), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, errOut, err := in.tryCLI("plugin", "list"); err != nil || !strings.Contains(out, "postbox") || !strings.Contains(errOut, "has mistakes") {
			t.Errorf("beside a broken file: %v %s %s", err, out, errOut)
		}
	}
	if err := os.WriteFile(config, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	letter := filepath.Join(t.TempDir(), "letter")
	if err := os.WriteFile(letter, []byte("Dear Ada"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := in.cli("postbox", "read", letter, "--json"); out != "Dear Ada json=true\n" {
		t.Errorf("%q", out)
	}
	if _, errOut, err := in.tryCLI("postbox", "read", letter+"-gone"); status(err) != 3 || !strings.Contains(errOut, "no such file") {
		t.Errorf("%v: %s", err, errOut)
	}
	if _, errOut, err := in.tryCLI("postbox", "nothing"); status(err) != 2 || !strings.Contains(errOut, `there is no command "sigra postbox nothing"`) {
		t.Errorf("%v: %s", err, errOut)
	}
	// Somebody has put another program in its place.
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho taken over\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, errOut, err := in.tryCLI("postbox", "read", letter); err == nil || strings.Contains(out, "taken over") || !strings.Contains(errOut, "but the block pins") {
		t.Errorf("%v: %s %s", err, out, errOut)
	}
}
