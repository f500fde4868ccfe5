package pluginsdk_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wire is the client half that go-plugin asks for: the bare connection.
type wire struct {
	goplugin.NetRPCUnsupportedPlugin
}

type dispensed struct {
	broker *goplugin.GRPCBroker
	conn   *grpc.ClientConn
}

func (wire) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return errors.New("client only") }
func (wire) GRPCClient(_ context.Context, b *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return dispensed{b, c}, nil
}

// kvServer is a host with one service.
type kvServer struct{ hostv1.UnimplementedKVServer }

func (kvServer) Put(context.Context, *hostv1.PutRequest) (*hostv1.PutResponse, error) {
	return &hostv1.PutResponse{Stored: true, Version: 7}, nil
}

// lines keeps what a process writes.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// await polls until the text is there: it comes from another process.
func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in the log", text), 5*time.Second, func() bool { return strings.Contains(l.String(), text) })
}

func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, within)
		}
	}
}

// process is a child as a plain go-plugin client runs it.
type process struct {
	client   *goplugin.Client
	conn     *grpc.ClientConn
	plugin   pluginv1.PluginClient
	stderr   *lines
	synced   *lines
	lifeline *os.File
	cmd      *exec.Cmd
}

func startChild(t *testing.T, env ...string) *process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{stderr: &lines{}, synced: &lines{}, lifeline: w, cmd: exec.Command(childBinary(t))}
	p.cmd.Env = append([]string{pluginsdk.LifelineEnv + "=3"}, env...)
	p.cmd.ExtraFiles = []*os.File{r}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: pluginsdk.Handshake(), Plugins: goplugin.PluginSet{pluginsdk.PluginKey: wire{}}, Cmd: p.cmd,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC}, AutoMTLS: true, SkipHostEnv: true, StartTimeout: 20 * time.Second,
		Stderr: p.stderr, SyncStdout: p.synced, SyncStderr: p.synced, Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	})
	t.Cleanup(func() {
		p.client.Kill()
		_ = w.Close()
		if t.Failed() {
			t.Logf("the child wrote:\n%s", p.stderr)
		}
	})
	proto, err := p.client.Client()
	_ = r.Close()
	if err != nil {
		t.Fatalf("handshake: %v\n%s", err, p.stderr)
	}
	raw, err := proto.Dispense(pluginsdk.PluginKey)
	if err != nil {
		t.Fatal(err)
	}
	d := raw.(dispensed)
	p.conn, p.plugin = d.conn, pluginv1.NewPluginClient(d.conn)
	go d.broker.AcceptAndServe(1, func(opts []grpc.ServerOption) *grpc.Server {
		g := grpc.NewServer(opts...)
		hostv1.RegisterKVServer(g, kvServer{})
		return g
	})
	return p
}

// ready describes and configures the child.
func (p *process) ready(t *testing.T) *pluginv1.DescribeResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d, err := p.plugin.Describe(ctx, &pluginv1.DescribeRequest{
		HostVersion: "0.0.0", Contracts: []string{pluginsdk.Contract}, HostBrokerId: 1, Instance: "mine"})
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	resp, err := p.plugin.Configure(ctx, &pluginv1.ConfigureRequest{
		SettingsJson: []byte(`{"greeting":"good day"}`), BaseUrl: "https://sigra.example", LogLevel: "info",
		Grants: []string{"kv.use"},
	})
	if err != nil || len(resp.GetDiagnostics()) > 0 {
		t.Fatalf("configure: %v %v", resp.GetDiagnostics(), err)
	}
	return d
}

func TestServe_describesWhatItImplements(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	d := p.ready(t)
	if d.GetName() != "child" || d.GetVersion() != "1.2.3" || d.GetStorage() {
		t.Errorf("described as %v", d)
	}
	if got, want := strings.Join(d.GetSeams(), " "), "sigra.plugin.v1.Gate sigra.plugin.v1.Routes"; got != want {
		t.Errorf("seams are %q, want %q", got, want)
	}
	if d.GetSettings().GetAttributes()[0].GetDefaultJson() != `"hello"` {
		t.Errorf("settings are %v", d.GetSettings())
	}
	if d.GetRequiredGrants()[0] != "kv.use" || d.GetWantedGrants()[0] != "identity.read" {
		t.Errorf("grants are %v, %v", d.GetRequiredGrants(), d.GetWantedGrants())
	}
}

// What the plugin prints after the handshake, itself or by a child, appears in its log and breaks nothing.
func TestServe_printsToStandardOutput(t *testing.T) {
	t.Parallel()
	p := startChild(t, "PATH="+os.Getenv("PATH"))
	p.ready(t)
	for _, want := range []string{
		"noise on standard output after", "noise on standard error after", "noise from a child",
		`"@level":"info"`, `"@message":"configured"`, `"@module":"child"`,
	} {
		p.stderr.await(t, want)
	}
	if s := p.synced.String(); s != "" {
		t.Errorf("went into go-plugin's stream: %q", s)
	}
}

func TestServe_hostServicesOverTheBroker(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	p.ready(t)
	if got := get(t, plugintest.ClientOver(p.conn, nil), "/child/kv"); got != "7 <nil>\n" {
		t.Errorf("got %q", got)
	}
}

func TestServe_badSettings(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	p.ready(t)
	resp, err := p.plugin.Configure(t.Context(), &pluginv1.ConfigureRequest{SettingsJson: []byte(`{"greeting":""}`)})
	if err != nil || len(resp.GetDiagnostics()) != 1 || resp.GetDiagnostics()[0].GetPath()[0] != "greeting" {
		t.Errorf("got %v, %v", resp, err)
	}
	if got := get(t, plugintest.ClientOver(p.conn, plugintest.Ada), "/child"); got != "good day "+plugintest.Ada.UserID+"\n" {
		t.Errorf("got %q", got)
	}
	// The grants are as they were, too.
	if got := get(t, plugintest.ClientOver(p.conn, nil), "/child/kv"); got != "7 <nil>\n" {
		t.Errorf("got %q", got)
	}
}

func TestServe_panics(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	p.ready(t)
	g := pluginv1.NewGateClient(p.conn)
	_, err := g.Ask(t.Context(), &pluginv1.AskRequest{Subject: &pluginv1.Ref{Id: "panic"}})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "asked to") {
		t.Errorf("a panic came out as %v", err)
	}
	p.stderr.await(t, "main.(*child).Ask")
	if _, err := plugintest.ClientOver(p.conn, nil).Get("http://sigra/child/panic"); status.Code(errors.Unwrap(errors.Unwrap(err))) != codes.Internal {
		t.Errorf("a panicking handler came out as %v", err)
	}
	p.stderr.await(t, "main.(*child).ServeHTTP")
	resp, err := g.Ask(t.Context(), &pluginv1.AskRequest{Subject: &pluginv1.Ref{Id: "deny"}})
	if err != nil || resp.GetAnswer() != pluginv1.AskResponse_ANSWER_DENY || resp.GetReason() != "no_seat" {
		t.Errorf("after the panics: %v, %v", resp, err)
	}
	// A goroutine of the plugin's own takes the process with it, and leaves its stack.
	if _, err = g.Ask(t.Context(), &pluginv1.AskRequest{Subject: &pluginv1.Ref{Id: "crash"}}); status.Code(err) != codes.Unavailable {
		t.Errorf("a crash came out as %v", err)
	}
	p.stderr.await(t, "panic: a goroutine of the plugin's own")
}

func TestServe_bigBodiesBothWays(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	p.ready(t)
	const size = 64 << 20
	sent, got := sha256.New(), sha256.New()
	resp, err := plugintest.ClientOver(p.conn, nil).Post("http://sigra/child/echo", "application/octet-stream",
		io.TeeReader(io.LimitReader(rand.Reader, size), sent))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(got, resp.Body)
	if err != nil || n != size || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("sent %d bytes, got %d back: %v", size, n, err)
	}
	if c := resp.Trailer.Get("X-Count"); c != fmt.Sprint(size) {
		t.Errorf("the trailer says %q", c)
	}
}

// A line is answered before the next one is sent, over one request.
func TestServe_streamsBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	p.ready(t)
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sigra/child/lines", r)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(w, "one\n") }()
	resp, err := plugintest.ClientOver(p.conn, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	in := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		if word != "one" {
			if _, err := io.WriteString(w, word+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := in.ReadString('\n'); err != nil || line != "good day, "+word+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	_ = w.Close()
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("then %q, %v", rest, err)
	}
}

// The child ends within a second of its host, whether its own Stop is well-behaved or not.
func TestServe_endsWithItsHost(t *testing.T) {
	t.Parallel()
	for _, stop := range []string{"", "CHILD_STOP=hang"} {
		t.Run(stop, func(t *testing.T) {
			t.Parallel()
			p := startChild(t, stop)
			p.ready(t)
			began := time.Now()
			_ = p.lifeline.Close()
			eventually(t, "end of the child", time.Second, func() bool { return p.client.Exited() || p.gone() })
			t.Logf("gone after %v", time.Since(began))
			if stop == "" {
				p.stderr.await(t, "stopped in order")
			}
		})
	}
}

func (p *process) gone() bool { return p.cmd.Process.Signal(syscall.Signal(0)) != nil }

func TestServe_leavesSignalsToTheHost(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	p.ready(t)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := p.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if _, err := p.plugin.Health(t.Context(), &pluginv1.HealthRequest{}); err != nil {
			t.Fatalf("after the signals: %v", err)
		}
	}
}

func TestServe_stopThenCalls(t *testing.T) {
	t.Parallel()
	p := startChild(t)
	p.ready(t)
	if _, err := p.plugin.Stop(t.Context(), &pluginv1.StopRequest{}); err != nil {
		t.Fatal(err)
	}
	p.stderr.await(t, "stopped in order")
	_, err := pluginv1.NewGateClient(p.conn).Ask(t.Context(), &pluginv1.AskRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call after Stop: %v", err)
	}
	if _, err := p.plugin.Configure(t.Context(), &pluginv1.ConfigureRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("Configure after Stop: %v", err)
	}
}

func TestServe_runByHand(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(childBinary(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "plugin") {
		t.Errorf("got %v: %s", err, out)
	}
}

func get(t *testing.T, c *http.Client, path string) string {
	t.Helper()
	resp, err := c.Get("http://sigra" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
