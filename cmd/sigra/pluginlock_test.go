package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
)

func TestPluginLock_onePerPlatform(t *testing.T) {
	t.Parallel()
	in := newInstance(t, setup{})
	sum := func(name, text string) (path, sum string) {
		t.Helper()
		path = filepath.Join(in.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		h := sha256.Sum256([]byte(text))
		return path, hex.EncodeToString(h[:])
	}
	here, hereSum := sum("greeter", "#!/bin/sh\nexit 0\n")
	there, thereSum := sum("greeter-arm", "other")
	in.configure(setup{plugins: "plugin \"greeter\" {\n  source = \"" + here + "\"\n}\n"})

	// Elsewhere first: what is missing here is named with the line to run.
	in.cli("plugin", "lock", "greeter", "--platform", "plan9_mips", "--file", there)
	out, errOut, err := in.tryCLI("check", "--skip-plugins")
	if text := out + errOut; err == nil || !strings.Contains(text, "not locked for "+config.Platform) || !strings.Contains(text, "sigra plugin lock greeter") ||
		!strings.Contains(text, "sigra.hcl:") {
		t.Errorf("a missing platform: %v\n%s", err, text)
	}
	in.cli("plugin", "lock")
	in.cli("check", "--skip-plugins")
	lock, diags := config.LoadLock(filepath.Join(in.dir, "sigra.lock.hcl"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for platform, want := range map[string]string{"plan9_mips": thereSum, config.Platform: hereSum} {
		if got, _, ok := lock.Sum("greeter", platform); !ok || got != want {
			t.Errorf("%s is locked to %q, want %s", platform, got, want)
		}
	}

	// A change is shown; the same again changes nothing.
	_, changed := sum("greeter", "#!/bin/sh\nexit 1\n")
	var done []struct{ Name, Platform, SHA256, Was string }
	if err := json.Unmarshal([]byte(in.cli("plugin", "lock", "--json")), &done); err != nil || len(done) != 1 || done[0].SHA256 != changed || done[0].Was != hereSum {
		t.Errorf("after a change: %+v %v", done, err)
	}
	if out := in.cli("plugin", "lock"); strings.Contains(out, "it was") {
		t.Errorf("without a change: %s", out)
	}

	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"greetr"}, `did you mean "greeter"?`},
		{[]string{"greeter", "--platform", "amiga"}, "is no platform"},
		{[]string{"greeter", "--platform", "plan9_mips"}, "name it with --file"},
		{[]string{"--file", there}, "name which"},
		{[]string{"greeter", "--file", in.dir}, "is not a regular file"},
		{[]string{"greeter", "--file", "/no/such"}, "no such file"},
	} {
		if _, errOut, err := in.tryCLI(append([]string{"plugin", "lock"}, c.args...)...); err == nil || !strings.Contains(errOut, c.want) {
			t.Errorf("lock %v: %v %s, want %q", c.args, err, errOut, c.want)
		}
	}

	// A file that somebody broke is shown with its line, by the server too.
	path := filepath.Join(in.dir, "sigra.lock.hcl")
	if err := os.WriteFile(path, []byte("plugin \"greeter\" {\n  linux_amd64 = \"what\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check"}, {"serve"}, {"plugin", "lock"}} {
		if out, errOut, err := in.tryCLI(args...); err == nil || !strings.Contains(out+errOut, "sigra.lock.hcl:2:17: error: must be 64 hexadecimal digits") {
			t.Errorf("%v with a broken lock file: %v\n%s", args, err, out+errOut)
		}
	}
}
