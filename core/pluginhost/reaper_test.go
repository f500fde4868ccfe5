package pluginhost_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A helper that was there before the host is nobody's orphan: a shell that starts one and then becomes Sigra.
func TestReaper_sparesWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	short, err := os.MkdirTemp("", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `sleep 300 & echo $!; exec "$0" host-serve "$1" reaping`, exe, short)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	helper := atoi(t, line)
	defer kill(helper)
	if line, err = r.ReadString('\n'); err != nil { // the plugin ran, and the host looked for orphans
		t.Fatal(err)
	}
	dead(t, atoi(t, line))
	if _, err := os.Stat(filepath.Join("/proc", itoa(helper))); err != nil {
		t.Error("the helper was ended")
	}
}
