package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/server"
)

// controlServer serves on a control socket below dir and returns its path.
func controlServer(t *testing.T, dir string) string {
	t.Helper()
	path := server.ControlSocket(dir)
	l, err := server.ListenControl(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	serveControl(t, l)
	return path
}

func serveControl(t *testing.T, l net.Listener) {
	t.Helper()
	s := setup(t, server.Config{}, map[string]http.HandlerFunc{
		"/who": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, request.From(r.Context()).Operator)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, server.Listeners{Control: l}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func controlClient(t *testing.T, path string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return server.DialControl(ctx, path) }}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: keyed{tr, path}, Timeout: 10 * time.Second}
}

// keyed shows the control key.
type keyed struct {
	*http.Transport
	socket string
}

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := os.ReadFile(k.socket + ".key")
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set(server.ControlKeyHeader, string(key))
	return k.Transport.RoundTrip(r)
}

func TestControl_permissionsAndOperator(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := controlServer(t, dir)
	for name, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600} {
		fi, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", name, fi.Mode().Perm(), want)
		}
	}
	// A request over the socket needs no Host of Sigra's and cannot be thrown off by forwarded headers.
	req, err := http.NewRequest("POST", "http://sigra.control/who", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "1.2.3.4")
	req.Header.Set("Origin", "https://evil.example")
	res, err := controlClient(t, path).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if want := me.Uid + "/" + me.Username; string(body) != want || res.StatusCode != 200 {
		t.Errorf("%d %q, want %q", res.StatusCode, body, want)
	}
}

func TestControl_generousFolderIsClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o777); err != nil {
		t.Fatal(err)
	}
	path := controlServer(t, dir)
	if fi, err := os.Stat(filepath.Dir(path)); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
}

// TestControl_strangerIsRefused connects as another user, to a socket whose modes were opened wide: what holds is the
// kernel's word for who the peer is.
func TestControl_strangerIsRefused(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else to try")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "sigra-control-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := controlServer(t, dir)
	for _, p := range []string{dir, filepath.Dir(path), path} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	exe := filepath.Join(dir, "stranger.test") // a copy where nobody can read it
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run", "^TestControl_stranger$", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"SIGRA_TEST_CONTROL=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "refused as it should be") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A process that this one started, as this very user, is a plugin and no operator; so is one that it started in turn
// and left behind.
func TestControl_aPluginIsNoOperator(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the peer's process can't be known")
	}
	path := controlServer(t, t.TempDir())
	for name, args := range map[string][]string{
		"child":      {"/proc/self/exe", "-test.run", "^TestControl_stranger$", "-test.v"},
		"grandchild": {"/bin/sh", "-c", "/proc/" + strconv.Itoa(os.Getpid()) + "/exe -test.run '^TestControl_stranger$' -test.v; true"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = []string{"SIGRA_TEST_CONTROL=" + path}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "refused as it should be") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	res, err := controlClient(t, path).Get("http://sigra.control/who") // what is refused is only them
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// Whoever connects shows the key of this very server, which is for the user that it runs as alone.
func TestControl_theKeyIsAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := server.ControlSocket(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(server.ControlKey(dir), []byte("of a server before"), 0o666); err != nil {
		t.Fatal(err)
	}
	controlServer(t, dir)
	key, err := os.ReadFile(server.ControlKey(dir))
	if err != nil || len(key) < 26 {
		t.Fatalf("%q %v", key, err)
	}
	if fi, err := os.Stat(server.ControlKey(dir)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v %v", fi.Mode(), err)
	}
	c := &http.Client{Transport: controlClient(t, path).Transport.(keyed).Transport, Timeout: 10 * time.Second}
	for shown, want := range map[string]int{"": 403, "of a server before": 403, string(key): 200} {
		req, err := http.NewRequest("GET", "http://sigra.control/who", nil)
		if err != nil {
			t.Fatal(err)
		}
		if shown != "" {
			req.Header.Set(server.ControlKeyHeader, shown)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("with %q: %d, want %d", shown, res.StatusCode, want)
		}
	}
}

// A plugin's child that connects, leaves the connection to a child of its own and ends can't be judged any more: before,
// it counted as no plugin.
func TestControl_whoCantBeIdentifiedIsRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the peer's process can't be known")
	}
	dir := t.TempDir()
	l, err := server.ListenControl(context.Background(), server.ControlSocket(dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	heard := filepath.Join(dir, "heard")
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestControl_bequeath$")
	cmd.Env = []string{"SIGRA_TEST_CONTROL=" + server.ControlSocket(dir), "SIGRA_TEST_HEARD=" + heard}
	if out, err := cmd.CombinedOutput(); err != nil { // it has ended when the server sees the connection
		t.Fatalf("%v\n%s", err, out)
	}
	serveControl(t, l)
	for range 1000 {
		if b, err := os.ReadFile(heard); err == nil {
			if string(b) != "nothing" {
				t.Errorf("it was answered: %s", b)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the heir of the connection said nothing")
}

// TestControl_bequeath is the process of the test above, and its heir.
func TestControl_bequeath(t *testing.T) {
	path, heard := os.Getenv("SIGRA_TEST_CONTROL"), os.Getenv("SIGRA_TEST_HEARD")
	switch {
	case heard == "":
		t.Skip("run by TestControl_whoCantBeIdentifiedIsRefused")
	case path != "":
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := c.(*net.UnixConn).File()
		if err != nil {
			t.Fatal(err)
		}
		heir := exec.Command("/proc/self/exe", "-test.run", "^TestControl_bequeath$")
		heir.Env, heir.ExtraFiles = []string{"SIGRA_TEST_HEARD=" + heard}, []*os.File{f}
		if err := heir.Start(); err != nil {
			t.Fatal(err)
		}
	default:
		c, err := net.FileConn(os.NewFile(3, "connection"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(c)
		if len(b) == 0 {
			b = []byte("nothing")
		}
		if err := os.WriteFile(heard+".new", b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Rename(heard+".new", heard)
	}
}

// What a plugin of a server that was killed left behind is nobody's child any more, and no operator.
func TestControl_anOrphanOfAKilledServerIsRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the peer's process can't be known")
	}
	path := controlServer(t, t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	orphan := exec.Command("/bin/sh", "-c", "( /bin/sleep 0.2; /proc/"+strconv.Itoa(os.Getpid())+"/exe -test.run '^TestControl_stranger$' -test.v >"+out+".new 2>&1; mv "+out+".new "+out+" ) >/dev/null 2>&1 &")
	orphan.Env = []string{"SIGRA_TEST_CONTROL=" + path, "SIGRA_PLUGIN_COOKIE=x", "PATH=/bin:/usr/bin"}
	if err := orphan.Run(); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if b, err := os.ReadFile(out); err == nil {
			if !strings.Contains(string(b), "refused as it should be") {
				t.Errorf("%s", b)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the orphan said nothing")
}

// TestControl_onlyRootAndOwner holds the rule itself: in the tests around it the peer is refused for its parent, too.
func TestControl_onlyRootAndOwner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		peer, own uint32
		want      bool
	}{{0, 1000, true}, {1000, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {^uint32(0), 1000, false}} {
		if got := server.MayControl(c.peer, c.own); got != c.want {
			t.Errorf("%d to %d's: %v", c.peer, c.own, got)
		}
	}
}

// TestControl_stranger is the other process of the tests above.
func TestControl_stranger(t *testing.T) {
	path := os.Getenv("SIGRA_TEST_CONTROL")
	if path == "" {
		t.Skip("run by TestControl_strangerIsRefused")
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("could not even connect: %v", err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, _ := io.ReadAll(c); len(b) != 0 {
		t.Fatalf("a stranger was answered: %s", b)
	}
	t.Log("refused as it should be")
}

func TestControl_staleSocketIsReplacedALiveOneIsNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := server.ControlSocket(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as kill -9 leaves it
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	controlServer(t, dir)
	if _, err := server.ListenControl(context.Background(), path, nil); err == nil || !strings.Contains(err.Error(), "another Sigra answers") {
		t.Errorf("took the socket of a living server: %v", err)
	}
}

func TestControl_aFileInTheWayStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.ListenControl(context.Background(), path, nil); err == nil {
		t.Error("replaced a file that is no socket")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%s %v", b, err)
	}
}

func TestControl_longPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	path := controlServer(t, dir)
	res, err := controlClient(t, path).Get("http://sigra.control/who")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestControl_closingRemovesOwnSocketOnly(t *testing.T) {
	t.Parallel()
	path := server.ControlSocket(t.TempDir())
	first, err := server.ListenControl(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := server.ListenControl(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left behind")
	}
}
