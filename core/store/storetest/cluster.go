package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// sharedCluster finds or makes the one private cluster of this user.
func sharedCluster() (string, error) {
	dir, err := stateDir()
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	removeOrphans(dir)
	urlFile, data := filepath.Join(dir, "url"), filepath.Join(dir, "data")
	if b, err := os.ReadFile(urlFile); err == nil {
		if u := strings.TrimSpace(string(b)); alive(u, data) {
			return u, nil
		}
	}
	// Durability is off, so what a crash left can't be trusted: make it anew.
	killPostmaster(data)
	_ = os.Remove(urlFile)
	if err := os.RemoveAll(data); err != nil {
		return "", fmt.Errorf("remove a stale test cluster: %w", err)
	}
	p, err := newPostmaster(data)
	if err != nil {
		return "", err
	}
	if err := p.start("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=4GB", "autovacuum=off"); err != nil {
		return "", err
	}
	return p.url, os.WriteFile(urlFile, []byte(p.url+"\n"), 0o600)
}

// stateDir is the folder that all test processes of this user share.
func stateDir() (string, error) {
	base := os.TempDir()
	if os.Getuid() == 0 && !traversable(base) {
		base = "/tmp" // the user postgres must reach it
	}
	dir := filepath.Join(base, "sigra-test-postgres-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(dir, 0o711); err != nil && !os.IsExist(err) {
		return "", err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !st.IsDir() || ok && int(sys.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a folder of ours; remove it", dir)
	}
	return dir, nil
}

func traversable(path string) bool {
	for {
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm()&0o001 == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}

func lockFile(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// alive asks a running cluster for an answer. One that is too busy to take us is alive.
func alive(u, data string) bool {
	if postmasterPID(data) == 0 {
		return false
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := pgconn.Connect(ctx, u)
		if err == nil {
			_ = conn.Close(ctx)
		}
		cancel()
		var pe *pgconn.PgError
		if err == nil || errors.As(err, &pe) && pe.Code == "53300" {
			return true
		}
		if errors.As(err, &pe) && pe.Code[:2] == "28" || postmasterPID(data) == 0 {
			return false // not our cluster, or just ended
		}
	}
	return false
}

// postmasterPID is the running server's, or 0.
func postmasterPID(data string) int {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return 0
	}
	// A recycled number is not our server: its command line names the folder.
	if cmd, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && !strings.Contains(string(cmd), data) {
		return 0
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return 0
	}
	return pid
}

func killPostmaster(data string) {
	pid := postmasterPID(data)
	if pid == 0 {
		return
	}
	_ = syscall.Kill(pid, syscall.SIGQUIT) // immediate shutdown: the server ends its own children
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if postmasterPID(data) == 0 {
			return
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// postmaster is one cluster and how to start it.
type postmaster struct {
	bin, data, log string
	port           int
	password       string
	url            string
	cred           *syscall.Credential // nil: run as ourselves
}

// newPostmaster makes a cluster in the folder data, which must not exist.
func newPostmaster(data string) (*postmaster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	p := &postmaster{bin: bin, data: data, log: filepath.Join(data, "server.log"), password: hex.EncodeToString(b)}
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	secret := data + ".password" // a file and not a pipe: initdb opens it by name, as another user
	if err := os.WriteFile(secret, []byte(p.password+"\n"), 0o600); err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(secret) }()
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, fmt.Errorf("running as root, and Postgres refuses root: there must be a user postgres (apt-get install postgresql): %w", err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := errors.Join(os.Chown(data, uid, gid), os.Chown(secret, uid, gid)); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C",
		"--auth=scram-sha-256", "--pwfile="+secret, "--no-sync", "--no-instructions")
	if out, err := p.prepare(initdb).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return p, nil
}

func (p *postmaster) prepare(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + p.bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	return cmd
}

// start runs the server on its port, chosen free on the first start, and waits until it answers.
func (p *postmaster) start(settings ...string) error {
	fixed := p.port != 0
	var last error
	for range 5 {
		if !fixed {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			p.port = l.Addr().(*net.TCPAddr).Port
			_ = l.Close()
		}
		args := []string{"-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "max_connections=500", "-c", "shared_buffers=64MB", "-c", "timezone=UTC"}
		for _, s := range settings {
			args = append(args, "-c", s)
		}
		// pg_ctl makes the server a session of its own, so it outlives this process and its terminal.
		cmd := p.prepare(exec.Command(filepath.Join(p.bin, "pg_ctl"), "start", "-w", "-s", "-t", "60", "-D", p.data, "-l", p.log, "-o", strings.Join(args, " ")))
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		cmd.Stdout, cmd.Stderr = null, null // not a pipe: the server would hold it open
		err = cmd.Run()
		_ = null.Close()
		if err == nil {
			p.url = fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", p.password, p.port)
			return nil
		}
		tail, _ := os.ReadFile(p.log)
		last = fmt.Errorf("start Postgres: %w\n%s", err, tail[max(0, len(tail)-2000):])
	}
	return last
}

var versionDir = regexp.MustCompile(`(\d+)/bin$`)

// programs finds the folder of the newest Postgres programs.
func programs() (string, error) {
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/pgsql/bin"} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
				found = append(found, dir)
			}
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil && len(found) == 0 {
		found = append(found, filepath.Dir(path))
	}
	if len(found) == 0 {
		return "", errors.New("these tests need Postgres 13 or newer: apt-get install postgresql (or set SIGRA_TEST_POSTGRES to a superuser's url)")
	}
	version := func(dir string) int {
		m := versionDir.FindStringSubmatch(strings.NewReplacer("pgsql-", "", "postgresql@", "").Replace(dir))
		if m == nil {
			return 0
		}
		n, _ := strconv.Atoi(m[1])
		return n
	}
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	return found[0], nil
}
