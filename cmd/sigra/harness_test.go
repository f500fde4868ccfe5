package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/pluginsdk"
)

var (
	soak         = flag.Bool("soak", false, "run the heavy proofs at full size")
	benchReport  = flag.Bool("bench-report", false, "run the whole-server benchmarks and print their ratios")
	benchProfile = flag.String("bench-profile", "", "with -bench-report: a folder for CPU profiles of the servers")
)

// asSigra makes the test binary be sigra: what the tests start is the real program, built with the same flags
// (the race detector among them), as a process of its own.
const asSigra = "SIGRA_TEST_AS_SIGRA"

// goPluginCookie is in the environment of every plugin's process, and of no other.
const goPluginCookie = "SIGRA_PLUGIN_COOKIE"

func TestMain(m *testing.M) {
	// A satellite's process gets a scrubbed environment, so it is known by its arguments, as in the real binary.
	if os.Getenv(asSigra) != "" || len(os.Args) == 3 && os.Args[1] == pluginServe {
		_ = os.Unsetenv(asSigra)
		if base := os.Getenv(profileEnv); base != "" && len(os.Args) > 1 && os.Args[1] == "serve" {
			os.Exit(profiled(base))
		}
		main()
		os.Exit(0)
	}
	if os.Getenv(goPluginCookie) != "" && os.Getenv(recorderEnv) != "" {
		pluginsdk.Serve(recorderPlugin())
		os.Exit(0)
	}
	// These tests mostly wait, for processes of their own and for browsers.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// bundled reports whether this build has satellites.
func bundled() bool { return len(bundle()) > 0 }

// instance is one Sigra: a configuration, and the process that runs it while it runs.
type instance struct {
	t      testing.TB
	dir    string
	config string       // path of sigra.hcl
	url    string       // base URL
	addr   string       // where it listens
	http   *http.Client // which finds url there
	cert   string       // what it shows, where it speaks TLS itself
	data   string
	exe    string    // empty: this test binary
	from   *instance // set: the same server, for another test
	env    []string
	appKey string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	logs bytes.Buffer
}

// setup is what an instance is made of; zero values are fine.
type setup struct {
	database string // url; empty: the embedded one
	plugins  string // HCL of the plugin blocks
	extra    string // more HCL
	server   string // more of the server block
	limits   string // in place of none
	share    *instance
	host     string // serve https://host instead of plain HTTP
}

const threadlineBlock = `plugin "threadline" {}` + "\n"

// patience lets sign-ins wait for their turn to be hashed: a busy machine is not what these tests are about.
const patience = `
password {
  queue_timeout = "30s"
` + unscreened + `}
`

// unscreened has new passwords looked up nowhere: no test asks the world outside.
const unscreened = `
  breach_check {
    mode = "off"
  }
`

// noLimits takes the rate limits away: the tests are one client, in a hurry.
const noLimits = `
rate_limit {
  general          = "0"
  guess            = "0"
  mail             = "0"
  hash             = "0"
  sign_in_account  = "0"
  mail_per_address = "0"
}
`

func newInstance(t testing.TB, s setup) *instance {
	t.Helper()
	dir, err := os.MkdirTemp("", "sigra-e2e") // short: a socket's path must fit into 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	in := &instance{t: t, dir: dir, config: filepath.Join(dir, "sigra.hcl"), data: filepath.Join(dir, "data")}
	in.addr, in.http = freeAddr(t), client
	in.url = "http://" + in.addr
	if s.host != "" {
		in.secure(s.host)
	}
	in.configure(s)
	t.Cleanup(func() {
		in.kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", in.url, tail(quiet(in.log()), 4000))
		}
	})
	return in
}

// configure writes sigra.hcl.
func (in *instance) configure(s setup) {
	in.t.Helper()
	text := fmt.Sprintf("data_dir = %q\nserver {\n  listen = %q\n  base_url = %q\n%s}\n", in.data, in.addr, in.url, in.cert+s.server)
	if s.database != "" {
		text += fmt.Sprintf("database {\n  url = %q\n}\n", s.database)
	}
	if s.share != nil { // nodes of one fleet share the root key
		text += fmt.Sprintf("keyring {\n  root_key = file(%q)\n}\n", filepath.Join(s.share.data, "root.key"))
	}
	if !strings.Contains(s.extra, "password {") {
		text += patience
	}
	text += cmp.Or(s.limits, noLimits) + s.extra + s.plugins
	if err := os.WriteFile(in.config, []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

// secure has it serve https://host, with a certificate that nobody vouches for.
func (in *instance) secure(host string) {
	in.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		in.t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		in.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		in.t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(in.dir, "cert.pem"), filepath.Join(in.dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			in.t.Fatal(err)
		}
	}
	in.url = "https://" + host
	in.cert = fmt.Sprintf("  tls {\n    cert_file = %q\n    key_file = %q\n  }\n", certFile, keyFile)
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, in.addr)
		},
	}
	in.t.Cleanup(transport.CloseIdleConnections)
	in.http = &http.Client{Timeout: client.Timeout, Transport: transport, CheckRedirect: client.CheckRedirect}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// command makes a sigra process that is not started yet.
func (in *instance) command(args ...string) *exec.Cmd {
	exe := in.exe
	if exe == "" {
		exe = "/proc/self/exe"
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(append(os.Environ(), asSigra+"=1"), in.env...)
	cmd.Dir = in.dir
	return cmd
}

// start runs `sigra serve` and waits until it is ready.
func (in *instance) start() {
	in.t.Helper()
	in.launch()
	in.waitReady()
}

// launch runs `sigra serve` and waits for nothing.
func (in *instance) launch() {
	in.t.Helper()
	cmd := in.command("serve", "--config", in.config)
	w := &lockedWriter{mu: &in.mu, w: &in.logs}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	in.mu.Lock()
	in.cmd, in.done = cmd, done
	in.mu.Unlock()
}

func (in *instance) waitReady() {
	in.t.Helper()
	var last string
	in.eventually(90*time.Second, "ready", func() error {
		in.mu.Lock()
		done := in.done
		in.mu.Unlock()
		select {
		case <-done:
			in.t.Fatalf("sigra ended instead of becoming ready:\n%s", tail(in.log(), 6000))
		default:
		}
		res, err := in.http.Get(in.url + "/readyz")
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		b, _ := io.ReadAll(res.Body)
		last = string(b)
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", res.Status, last)
		}
		return nil
	})
}

func (in *instance) process() *os.Process {
	if in.from != nil {
		return in.from.process()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.cmd == nil {
		return nil
	}
	return in.cmd.Process
}

// kill ends the process with SIGKILL, as a crash or the OOM killer would, and waits until it is gone.
func (in *instance) kill() { in.end(syscall.SIGKILL) }

// stop ends it as an operator would.
func (in *instance) stop() { in.end(syscall.SIGTERM) }

func (in *instance) end(sig syscall.Signal) {
	in.mu.Lock()
	cmd, done := in.cmd, in.done
	in.cmd = nil
	in.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	select {
	case <-done:
	case <-time.After(40 * time.Second):
		_ = cmd.Process.Kill()
		in.t.Errorf("sigra did not end within 40 s of %v", sig)
		<-done
	}
}

func (in *instance) log() string {
	if in.from != nil {
		return in.from.log()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.logs.String()
}

// cli runs a command line beside the server and gives its standard output; a failure ends the test.
func (in *instance) cli(args ...string) string {
	in.t.Helper()
	out, errOut, err := in.tryCLI(args...)
	if err != nil {
		in.t.Fatalf("sigra %s: %v\n%s%s", strings.Join(args, " "), err, out, errOut)
	}
	return out
}

func (in *instance) tryCLI(args ...string) (out, errOut string, err error) {
	cmd := in.command(append(args, "--config", in.config)...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// reply is an HTTP answer, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("answer %d is not the JSON expected: %v\n%s", r.status, err, r.body)
	}
}

var client = &http.Client{
	Timeout:       20 * time.Second,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// call makes one API request; token may be empty, body nil.
func (in *instance) call(method, path, token string, body any) (reply, error) {
	return callWith(in.http, method, in.url+path, token, body)
}

func callWith(c *http.Client, method, url, token string, body any) (reply, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		return reply{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	return reply{res.StatusCode, res.Header, b}, nil
}

// must makes a request that has to be answered with status.
func (in *instance) must(status int, method, path, token string, body any) reply {
	in.t.Helper()
	r, err := in.call(method, path, token, body)
	if err != nil {
		in.t.Fatalf("%s %s: %v", method, path, err)
	}
	if r.status != status {
		in.t.Fatalf("%s %s answered %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// operator is a client on the control socket.
func (in *instance) operator() *http.Client {
	socket := filepath.Join(in.data, "run", "control.sock")
	return &http.Client{Timeout: 20 * time.Second, Transport: keyed{socket, &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// keyed shows the control key.
type keyed struct {
	socket string
	*http.Transport
}

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := os.ReadFile(k.socket + ".key")
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Sigra-Control-Key", string(key))
	return k.Transport.RoundTrip(r)
}

// control makes one request on the control socket.
func (in *instance) control(method, path string, body any) (reply, error) {
	return callWith(in.operator(), method, "http://control"+path, "", body)
}

// eventually polls until f gives nil.
func (in *instance) eventually(within time.Duration, what string, f func() error) {
	in.t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			in.t.Fatalf("not %s within %v: %v", what, within, err)
		}
		time.Sleep(20 * time.Millisecond) // another process is waited for; nothing tells us
	}
}

var errNotYet = errors.New("not yet")

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// quiet leaves out what every request logs.
func quiet(log string) string {
	var out []string
	for l := range strings.SplitSeq(log, "\n") {
		if !strings.Contains(l, "sigra.http: request:") {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}

// onEither is onEach in the soak. Otherwise it runs the test on the embedded database alone: for whole journeys through browsers and foreign
// services, whose SQL is tested on both databases in the packages that own it.
func onEither(t *testing.T, f func(t *testing.T, database string)) {
	t.Helper()
	if *soak {
		onEach(t, f)
		return
	}
	t.Run("embedded", func(t *testing.T) { f(t, "") })
}

// onEach runs f on each database.
func onEach(t *testing.T, f func(t *testing.T, database string)) {
	t.Helper()
	for _, db := range storetest.Databases(t) {
		t.Run(db.Name, func(t *testing.T) { f(t, db.URL) })
	}
}

// pipe runs a command line with something on its standard input.
func (in *instance) pipe(stdin string, args ...string) (string, error) {
	cmd := in.command(append(args, "--config", in.config)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// pluginReady waits until a plugin is.
func (in *instance) pluginReady(name string) {
	in.t.Helper()
	in.eventually(60*time.Second, name+" is ready", func() error {
		if out := in.cli("plugin", "list"); !strings.Contains(out, name) || !strings.Contains(out, "ready") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}
