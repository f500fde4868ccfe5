package pluginsdk_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// childDir is where child builds; TestMain removes it.
var childDir string

// child is testdata/child, built once, by the first test that asks.
var child = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(childDir, "child")
	if out, err := exec.Command("go", "build", "-o", bin, "./testdata/child").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the child: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	var err error
	if childDir, err = os.MkdirTemp("", "sigra-pluginsdk"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(childDir)
	os.Exit(code)
}

func childBinary(t *testing.T) string {
	t.Helper()
	bin, err := child()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}
