package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
)

const sumA, sumB = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// locked writes a configuration and a lock file, and loads them.
func locked(t *testing.T, block, lock string) (*config.Config, config.Diagnostics) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sigra.hcl")
	for path, text := range map[string]string{file: block, config.LockPath(file): lock} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Load(file)
}

func TestLock_pinsWhatTheBlockDoesNot(t *testing.T) {
	t.Parallel()
	lock := "plugin \"greeter\" {\n  " + config.Platform + " = \"" + sumA + "\"\n  plan9_mips = \"" + sumB + "\"\n}\n"
	cfg, diags := locked(t, "plugin \"greeter\" {\n  source = \"/opt/greeter\"\n}\n", lock)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if p := cfg.Plugins[0]; p.SHA256 != sumA || !strings.HasSuffix(p.Locked, "sigra.lock.hcl:2:3") {
		t.Errorf("pinned to %s by %s", p.SHA256, p.Locked)
	}
	for what, line := range map[string]string{"a block's own sha256 wins": "sha256 = \"" + sumB + "\"", "unpinned stays so": "insecure_unpinned = true"} {
		cfg, diags := locked(t, "plugin \"greeter\" {\n  source = \"/opt/greeter\"\n  "+line+"\n}\n", lock)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if p := cfg.Plugins[0]; p.SHA256 == sumA || p.Locked != "" {
			t.Errorf("%s: pinned to %q by %q", what, p.SHA256, p.Locked)
		}
	}
}

func TestLock_aMissingPlatformGivesTheLineToRun(t *testing.T) {
	t.Parallel()
	_, diags := locked(t, "plugin \"greeter\" {\n  source = \"/opt/greeter\"\n}\n", "plugin \"greeter\" {\n  plan9_mips = \""+sumB+"\"\n}\n")
	text := diags.String()
	for _, want := range []string{"sigra.hcl:2:3: error: plugin greeter is not locked for " + config.Platform, "has it for plan9_mips",
		"sigra plugin lock greeter\n", "sigra plugin lock greeter --platform " + config.Platform + " --file PATH"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	// One that is not in the file at all is told of both ways.
	_, diags = locked(t, "plugin \"other\" {\n  source = \"/opt/greeter\"\n}\n", "plugin \"greeter\" {}\n")
	if text := diags.String(); !strings.Contains(text, "has no sha256") || !strings.Contains(text, "`sigra plugin lock other`") {
		t.Error(text)
	}
}

func TestLock_mistakesHaveTheirPlace(t *testing.T) {
	t.Parallel()
	for lock, want := range map[string]string{
		"plugin \"a\" {\n  linux_amd64 = \"5f\"\n}\n":                              "sigra.lock.hcl:2:17: error: must be 64 hexadecimal digits",
		"plugin \"a\" {\n  linux_amd64 = env(\"HOME\")\n}\n":                       "sigra.lock.hcl:2:17: error: must be 64 hexadecimal digits",
		"plugin \"a\" {\n  linux = \"" + sumA + "\"\n}\n":                          "sigra.lock.hcl:2:3: error: linux is no platform",
		"plugin \"a\" {}\nplugin \"a\" {}\n":                                       "sigra.lock.hcl:2:1: error: plugin a is here twice",
		"plugins \"a\" {}\n":                                                       "sigra.lock.hcl:1:1: error: a lock file has plugin blocks only",
		"x = 1\n":                                                                  "sigra.lock.hcl:1:1: error: a lock file has plugin blocks only",
		"<<<<<<< HEAD\nplugin \"a\" {}\n":                                          "sigra.lock.hcl:1:1: error:",
		"plugin \"a\" {\n  linux_amd64 = \"" + strings.Repeat("A", 64) + "\"\n}\n": "must be 64 hexadecimal digits, lower-case",
	} {
		_, diags := locked(t, "", lock)
		if text := diags.String(); !diags.HasErrors() || !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %q:\n%s", lock, want, text)
		}
	}
}

func TestLock_textReadsBackTheSame(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sigra.lock.hcl")
	l, diags := config.LoadLock(path)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	l.Set("greeter", "linux_amd64", sumA)
	l.Set("greeter", "darwin_arm64", sumB)
	l.Set("another", "linux_amd64", sumB)
	if err := os.WriteFile(path, []byte(l.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	again, diags := config.LoadLock(path)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if again.Text() != l.Text() || strings.Index(l.Text(), "another") > strings.Index(l.Text(), "greeter") {
		t.Errorf("%s\nand then\n%s", l.Text(), again.Text())
	}
	if sum, _, ok := again.Sum("greeter", "darwin_arm64"); !ok || sum != sumB {
		t.Errorf("read back %s, %v", sum, ok)
	}
}

func TestReattach_isForDevelopmentOnly(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"sha256 = \"" + sumA + "\"": "reattach needs insecure_unpinned = true",
		"enabled = true":            "reattach needs insecure_unpinned = true",
		"insecure_unpinned = true":  "",
	} {
		cfg, diags := locked(t, "plugin \"greeter\" {\n  source = \"/opt/greeter\"\n  "+line+"\n  reattach = \"greeter.json\"\n}\n", "")
		if text := diags.String(); want != "" && !strings.Contains(text, want) || want == "" && diags.HasErrors() {
			t.Errorf("%s: %s", line, text)
		}
		if want == "" && (!filepath.IsAbs(cfg.Plugins[0].Reattach) || filepath.Base(cfg.Plugins[0].Reattach) != "greeter.json") {
			t.Errorf("reattach is %q", cfg.Plugins[0].Reattach)
		}
	}
	if _, diags := locked(t, "plugin \"threadline\" {\n  reattach = \"x.json\"\n}\n", ""); !strings.Contains(diags.String(), "reattach is there but no source") {
		t.Error(diags)
	}
}
