package suite

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir is the folder of a suite, such as "flagd".
func Dir(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("SIGRA_TEST_VECTORS")
	if root == "" {
		root = filepath.Join(checkout(t), "..", "shared", "vectors")
	}
	dir := filepath.Join(root, name)
	switch _, err := os.Stat(dir); {
	case err == nil:
		return dir
	case os.Getenv("CI") == "true":
		t.Fatalf("the suite %s is not at %s: put it there, or say in SIGRA_TEST_VECTORS where it is", name, dir)
	default:
		t.Skipf("the suite %s is not at %s; SIGRA_TEST_VECTORS can say where it is", name, dir)
	}
	return ""
}

// checkout is the folder that go.mod is in.
func checkout(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	t.Fatal("there is no go.mod above the test")
	return ""
}
