package process_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sigra-auth/sigra/core/pluginhost/process"
)

// With the path executed instead of the descriptor, the swapped file runs.
func TestProgram_whatWasCheckedIsWhatRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plugin")
	write := func(text string) {
		if err := os.WriteFile(path+".new", []byte("#!/bin/sh\necho "+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("checked")
	out, err := process.OpenAndSwap(path, "", func() { write("swapped") })
	if err != nil || out != "checked\n" {
		t.Errorf("ran %q, %v", out, err)
	}
}

func TestProgram_refusesFilesThatOthersCanChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "plugin")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	try := func(path, pin, want string) {
		t.Helper()
		if _, err := process.OpenAndSwap(path, pin, func() {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	try(path, strings.Repeat("0", 64), "but the block pins")
	try(dir, "", "not a regular file")
	try(fifo, "", "not a regular file")
	try("plugin", "", "absolute")
	try(filepath.Join(dir, "none"), "", "no such file")
	for mode, want := range map[os.FileMode]string{0o775: "chmod go-w", 0o757: "chmod go-w", 0o644: "not executable"} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		try(path, "", want)
	}
	if os.Geteuid() == 0 {
		_ = os.Chmod(path, 0o755)
		if err := os.Chown(path, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		try(path, "", "belongs to user 12345")
	}
}
