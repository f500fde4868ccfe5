package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/pluginsdk/scaffold"
)

func checkout(t *testing.T) string {
	t.Helper()
	dir, ok := scaffold.FindCheckout(".")
	if !ok {
		t.Fatal("this test runs outside of Sigra's source")
	}
	return dir
}

// goTool runs the go command in the new module, without a network.
func goTool(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Whatever seams are chosen, alone and together, the module builds and passes its own test, the conformance suite in it.
func TestWrite_everySeamBuildsAndConforms(t *testing.T) {
	t.Parallel()
	for _, seams := range append([][]scaffold.Seam{nil, scaffold.Seams()}, alone()...) {
		name := "default"
		if len(seams) > 0 {
			name = string(seams[0])
		}
		if len(seams) > 1 {
			name = "all"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "made")
			r, err := scaffold.Write(scaffold.Config{Name: "my_plugin", Dir: dir, Seams: seams, SDK: scaffold.SDK{Checkout: checkout(t)}})
			if err != nil {
				t.Fatal(err)
			}
			goTool(t, dir, "vet", "./...")
			if len(seams) == 1 {
				return // it compiles; what it does is tested with all of them
			}
			goTool(t, dir, "test", "./...")
			goTool(t, dir, "build")
			if fi, err := os.Stat(r.Program); err != nil || fi.Mode()&0o111 == 0 {
				t.Errorf("the program %s: %v, %v", r.Program, fi, err)
			}
			if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("not gofmt'd: %s %v", out, err)
			}
			if !strings.Contains(r.Block, `plugin "my_plugin" {`) || !strings.Contains(r.Block, r.Program) || !slices.Contains(r.Files, "my_plugin.hcl") {
				t.Errorf("block %s\nfiles %s", r.Block, r.Files)
			}
		})
	}
}

func alone() (out [][]scaffold.Seam) {
	for _, s := range scaffold.Seams() {
		out = append(out, []scaffold.Seam{s})
	}
	return out
}

func TestWrite_refuses(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine.txt"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	sdk := scaffold.SDK{Version: "v1.2.3"}
	for what, c := range map[string]struct {
		cfg  scaffold.Config
		want string
	}{
		"a dash in the name":       {scaffold.Config{Name: "my-plugin", SDK: sdk}, `"my_plugin" would do`},
		"capitals":                 {scaffold.Config{Name: "Greeter", SDK: sdk}, `"greeter" would do`},
		"a path as a name":         {scaffold.Config{Name: "../greeter", SDK: sdk}, "lower-case letter"},
		"no name":                  {scaffold.Config{SDK: sdk}, "lower-case letter"},
		"a long name":              {scaffold.Config{Name: strings.Repeat("a", 64), SDK: sdk}, "63 at most"},
		"a folder that is in use":  {scaffold.Config{Name: "greeter", Dir: full, SDK: sdk}, "is there already and not empty"},
		"a file for a folder":      {scaffold.Config{Name: "greeter", Dir: filepath.Join(full, "mine.txt"), SDK: sdk}, "can't be used"},
		"an unknown seam":          {scaffold.Config{Name: "greeter", Seams: []scaffold.Seam{"telepathy"}, SDK: sdk}, "the seams are audit, events, mailer"},
		"a module that is no path": {scaffold.Config{Name: "greeter", Module: "a b\nreplace", SDK: sdk}, "path of a Go module"},
		"no SDK":                   {scaffold.Config{Name: "greeter"}, "version of the SDK"},
		"a version of no shape":    {scaffold.Config{Name: "greeter", SDK: scaffold.SDK{Version: "latest"}}, "version of the SDK"},
	} {
		if c.cfg.Dir == "" {
			c.cfg.Dir = filepath.Join(t.TempDir(), "new")
		}
		_, err := scaffold.Write(c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(c.cfg.Dir, "go.mod")); err == nil {
			t.Errorf("%s: something was written", what)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(c.cfg.Dir), ".sigra-plugin-*")); len(left) > 0 {
			t.Errorf("%s: left behind %s", what, left)
		}
	}
	if b, err := os.ReadFile(filepath.Join(full, "mine.txt")); err != nil || string(b) != "precious" {
		t.Errorf("what was there is %q, %v", b, err)
	}
}

func TestWrite_forAReleaseRequiresThatVersion(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "greeter")
	r, err := scaffold.Write(scaffold.Config{Name: "greeter", Dir: dir, Module: "github.com/acme/hello/v2", SDK: scaffold.SDK{Version: "v1.2.3"}})
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "module github.com/acme/hello/v2\n\ngo 1.26.0\n\nrequire github.com/sigra-auth/sigra v1.2.3\n"; string(mod) != want {
		t.Errorf("go.mod is\n%s\nwant\n%s", mod, want)
	}
	if filepath.Base(r.Program) != "hello" {
		t.Errorf("the program is %s; go build calls it hello", r.Program)
	}
}
