package sandbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
	_ "modernc.org/sqlite"

	"github.com/sigra-auth/sigra/pluginsdk/sandbox"
)

// What is given up is gone for good, so each test does it in a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SANDBOX_TEST_DIR"); dir != "" {
		boxed(dir, os.Getenv("SANDBOX_TEST_PORTS"))
		return
	}
	os.Exit(m.Run())
}

func boxed(dir, ports string) {
	var allowed, other int
	if _, err := fmt.Sscan(ports, &allowed, &other); err != nil {
		panic(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "data", "plugin.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		panic(err)
	}
	if _, err := db.Exec("CREATE TABLE note (text TEXT)"); err != nil {
		panic(err)
	}
	// A thread that is there already is held as well.
	ask, answer := make(chan string), make(chan error)
	go func() {
		runtime.LockOSThread()
		for path := range ask {
			_, err := os.ReadFile(path)
			answer <- err
		}
	}()
	var log bytes.Buffer
	logger := hclog.New(&hclog.LoggerOptions{Output: &log})
	level, err := sandbox.Restrict(logger, sandbox.Rights{
		Read: []string{filepath.Join(dir, "read"), filepath.Join(dir, "file"), "/not/there"}, Write: []string{filepath.Join(dir, "write")}, Connect: []uint16{uint16(allowed)},
	})
	fmt.Println("level", level, err, strings.Contains(log.String(), "[WARN]"))
	say := func(what string, err error) {
		switch {
		case err == nil:
			fmt.Println(what, "done")
		case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EPERM):
			fmt.Println(what, "refused")
		default:
			fmt.Println(what, err)
		}
	}
	read := func(path string) error { _, err := os.ReadFile(path); return err }
	say("read below", read(filepath.Join(dir, "read", "x")))
	say("read file", read(filepath.Join(dir, "file")))
	say("read elsewhere", read(filepath.Join(dir, "secret")))
	say("read passwd", read("/etc/passwd"))
	ask <- filepath.Join(dir, "secret")
	say("read on another thread", <-answer)
	say("write", os.WriteFile(filepath.Join(dir, "write", "y"), []byte("y"), 0o600))
	say("write where it reads", os.WriteFile(filepath.Join(dir, "read", "x"), []byte("y"), 0o600))
	say("remove elsewhere", os.Remove(filepath.Join(dir, "secret")))
	_, err = db.Exec("INSERT INTO note VALUES ('after')")
	say("database", err)
	say("start a program", exec.Command("/bin/true").Run())
	dial := func(port int) error {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	say("connect", dial(allowed))
	say("connect elsewhere", dial(other))
	var wg sync.WaitGroup
	wg.Go(func() { say("read in a goroutine", read("/etc/passwd")) })
	wg.Wait()
	// Asking for more does not give it back.
	_, err = sandbox.Restrict(logger, sandbox.Rights{Read: []string{dir, "/etc"}, Connect: []uint16{uint16(other)}})
	fmt.Println("again", err)
	say("read elsewhere again", read(filepath.Join(dir, "secret")))
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{"read", "write", "data"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"read/x", "file", "secret"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var ports []int
	for range 2 {
		var lc net.ListenConfig
		l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "SANDBOX_TEST_DIR="+dir, fmt.Sprintf("SANDBOX_TEST_PORTS=%d %d", ports[0], ports[1]))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var level int
	_, _ = fmt.Sscanf(string(out), "level %d", &level)
	if sandbox.Level(level) < sandbox.Files {
		if !strings.Contains(string(out), "level 0 <nil> true") {
			t.Errorf("nothing can be held here, and it was not said:\n%s", out)
		}
		t.Skip("this kernel has no Landlock: that it is missed is all that could be tested")
	}
	elsewhere := "connect elsewhere refused"
	if sandbox.Level(level) < sandbox.Ports {
		elsewhere = "connect elsewhere done"
	}
	for _, want := range []string{
		"read below done", "read file done", "read elsewhere refused", "read passwd refused", "read on another thread refused", "write done",
		"write where it reads refused", "remove elsewhere refused", "database done", "start a program refused", "connect done", elsewhere,
		"read in a goroutine refused", "again <nil>", "read elsewhere again refused",
	} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
