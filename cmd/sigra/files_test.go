package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Who can write to the folder can put another root key or database in the place of Sigra's.
func TestMakeDataDir_everybodyMayNotWrite(t *testing.T) {
	t.Parallel()
	for was, want := range map[os.FileMode]os.FileMode{0o777: 0o755, 0o707: 0o705, 0o750: 0o750, 0o770: 0o770, 0o700: 0o700} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, was); err != nil {
			t.Fatal(err)
		}
		if err := makeDataDir(dir); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%04o became %v, %v", was, fi.Mode(), err)
		}
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := makeDataDir(dir); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("a new one: %v, %v", fi.Mode(), err)
	}
}
