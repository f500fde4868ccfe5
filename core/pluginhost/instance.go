package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	"github.com/sigra-auth/sigra/pluginsdk"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

const (
	startTimeout    = 10 * time.Second // fork, handshake and Describe
	settingsTimeout = 10 * time.Second // Configure, with the plugin's migrations
	healthTimeout   = 2 * time.Second

	// Stopping, 5 s in all.
	drainTimeout = 3 * time.Second
	stopTimeout  = 1200 * time.Millisecond
	killTimeout  = 400 * time.Millisecond

	maxMessage = 4 << 20 // of a plugin's answer, and of a plugin's question to the host
)

// instance is one running process of a plugin. Nothing of it is used twice: client, command, checksum and certificate
// of go-plugin all serve once.
type instance struct {
	name      string // of the block
	proc      *process.Process
	logs      *process.Log
	client    *goplugin.Client
	conn      *grpc.ClientConn
	plugin    pluginv1.PluginClient
	manifest  *manifest              // with the paths that its settings make
	described *manifest              // as the plugin answered
	granted   atomic.Pointer[grants] // nil: nothing yet; set after manifest, which host services may read then
	settings  []byte                 // what it was configured with
	hostSrv   *grpc.Server
	program   *process.Program // what was started; its file is closed
	brokerID  uint32           // under which the host's services are offered
	contract  string           // the version of the contract that it speaks with us
	started   time.Time

	mu       sync.Mutex
	calls    int
	draining bool
	drained  chan struct{} // closed when draining and no call is left
	ended    sync.Once
}

// errGone is what callers meet while there is no process to call.
var errGone = errors.New("it is not running right now")

// begin counts a call in, unless the instance no longer takes any.
func (in *instance) begin() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.draining {
		return false
	}
	in.calls++
	return true
}

func (in *instance) release() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.calls--
	if in.draining && in.calls == 0 {
		close(in.drained)
	}
}

// refuse ends the taking of calls and returns a channel that closes after the last.
func (in *instance) refuse() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.draining {
		in.draining, in.drained = true, make(chan struct{})
		if in.calls == 0 {
			close(in.drained)
		}
	}
	return in.drained
}

// grants are what the process may ask of the host.
func (in *instance) grants() grants {
	if g := in.granted.Load(); g != nil {
		return *g
	}
	return grants{}
}

func (in *instance) gone() <-chan struct{} { return in.proc.Exited() }

// startError is a start that failed because of what the plugin did; its text is for operators.
type startError struct {
	op  string
	err error
}

func (e *startError) Error() string { return e.op + ": " + e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// launch starts a process for the block and takes it as far as its manifest. On error nothing is left behind.
func (h *Host) launch(ctx context.Context, b config.Plugin, log hclog.Logger, logs *process.Log, verified func()) (_ *instance, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	in := &instance{name: b.Name, logs: logs, started: h.now(), brokerID: 1}
	if in.program, err = h.processes.Open(b); err != nil {
		return nil, &startError{"verify", err}
	}
	defer in.program.Close() // the child has its own by then
	if err := process.CheckUser(b); err != nil {
		return nil, &startError{"verify", err}
	}
	verified()
	if b.Reattach != "" {
		if in.proc, err = h.processes.Attach(b, logs); err != nil {
			return nil, &startError{"attach", err}
		}
		in.brokerID = h.attachedBrokerID()
	} else if in.proc, err = h.processes.New(b, in.program, logs); err != nil {
		return nil, err
	}
	cfg := &goplugin.ClientConfig{
		HandshakeConfig:  pluginsdk.Handshake(),
		Plugins:          goplugin.PluginSet{pluginsdk.PluginKey: &dispenser{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		StartTimeout:     startTimeout,
		Logger:           quiet(log),
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
			grpc.WithStreamInterceptor(deafBroker),
		},
	}
	in.proc.Configure(cfg)
	in.client = goplugin.NewClient(cfg)
	defer func() {
		if err != nil {
			in.destroy()
		}
	}()
	// go-plugin's Start and Kill share a lock, so nothing but the death of the process can end a Start before its time.
	connected := make(chan error, 1)
	go func() { connected <- in.connect(h, cfg) }()
	select {
	case err = <-connected:
	case <-ctx.Done():
		for waiting := true; waiting; {
			in.kill() // again and again: it may not even have been forked yet
			select {
			case <-connected:
				waiting = false
			case <-time.After(20 * time.Millisecond):
			}
		}
		err = errors.New("it did not introduce itself in time")
	}
	if err != nil {
		return nil, &startError{"start", in.orKillReason(plainer(err))}
	}
	resp, spoken, err := h.contracts.describe(ctx, in.conn, &pluginv1.DescribeRequest{HostVersion: h.cfg.Version, HostBrokerId: in.brokerID, Instance: b.Name})
	if strange := (*strangeError)(nil); errors.As(err, &strange) {
		return nil, &startError{"describe", strange}
	}
	if err != nil {
		_, ce := (&plugin{name: b.Name, host: h}).judge(ctx, &seam{name: "Describe"}, err)
		return nil, &startError{"describe", in.orKillReason(errors.New(ce.Text))}
	}
	in.contract = spoken
	m, unknown, err := checkManifest(resp)
	if err != nil {
		return nil, &startError{"describe", err}
	}
	if len(unknown) > 0 {
		log.Warn("plugin offers what this version does not know", "seams", strings.Join(unknown, ", "))
	}
	in.manifest = m
	return in, nil
}

// connect does everything of go-plugin's that may block.
func (in *instance) connect(h *Host, cfg *goplugin.ClientConfig) error {
	proto, err := in.client.Client()
	if err != nil {
		return err
	}
	raw, err := proto.Dispense(pluginsdk.PluginKey)
	if err != nil {
		return err
	}
	d := raw.(*dispensed)
	in.conn, in.plugin = d.conn, pluginv1.NewPluginClient(d.conn)
	// Not AcceptAndServe, which logs to the standard logger and leaves the server to itself.
	ln, err := d.broker.Accept(in.brokerID)
	if err != nil {
		return fmt.Errorf("offer host services: %w", err)
	}
	srv := h.guard.server(in, transport(cfg))
	in.hostSrv = srv
	h.wg.Add(1)
	go func(ln net.Listener) {
		defer h.wg.Done()
		_ = srv.Serve(ln)
	}(ln)
	return nil
}

// configure gives the plugin its settings and its storage. Error diagnostics come back as they are.
func (in *instance) configure(ctx context.Context, h *Host, b config.Plugin, settings []byte, st *pluginv1.Storage) ([]*pluginv1.Diagnostic, error) {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	var networks []string
	for _, n := range b.AllowedNetworks {
		networks = append(networks, n.String())
	}
	resp, err := in.plugin.Configure(ctx, &pluginv1.ConfigureRequest{
		DefaultLanguage: h.cfg.Language, AllowedNetworks: networks,
		SettingsJson: settings, Storage: st, BaseUrl: h.cfg.BaseURL, LogLevel: h.log.GetLevel().String(),
		Grants: in.grants().list(), HostVersion: h.cfg.Version,
	})
	if err != nil {
		_, ce := (&plugin{name: in.name, host: h}).judge(ctx, &seam{name: "Configure"}, err)
		return nil, &startError{"configure", in.orKillReason(errors.New(ce.Text))}
	}
	return resp.GetDiagnostics(), nil
}

// stop ends the process in order: no new calls, the calls in flight, the plugin's own Stop with the host services
// still there, then go-plugin's shutdown, and at last force. Five seconds in all, whatever the plugin does.
func (in *instance) stop(wedged bool) {
	drained := in.refuse()
	if !wedged && !in.proc.Attached() {
		timer := time.NewTimer(drainTimeout)
		select {
		case <-drained:
		case <-in.gone():
		case <-timer.C:
		}
		timer.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		_, _ = in.plugin.Stop(ctx, &pluginv1.StopRequest{Grace: durationpb.New(stopTimeout)})
		cancel()
	}
	in.destroy()
}

// destroy ends the process and everything that belongs to it. go-plugin's Kill waits for ever for a stopped process:
// it gets a moment, then the process group is killed under its hands.
func (in *instance) destroy() {
	in.ended.Do(func() {
		in.refuse()
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			in.client.Kill()
		}()
		timer := time.NewTimer(killTimeout)
		select {
		case <-killed:
		case <-timer.C:
		}
		timer.Stop()
		in.kill()
		<-killed
		if in.hostSrv != nil {
			in.hostSrv.Stop()
		}
		if in.conn != nil {
			_ = in.conn.Close()
		}
		in.proc.Close()
	})
}

// kill ends the process and its group at once.
func (in *instance) kill() { _ = in.proc.Kill(context.Background()) }

// orKillReason is err, unless the host killed the process: then that is why.
func (in *instance) orKillReason(err error) error {
	if r := in.proc.KillReason(); r != nil {
		return r
	}
	return err
}

// plainer says in one line what go-plugin says in several.
func plainer(err error) error {
	s := err.Error()
	switch {
	case strings.Contains(s, "Unrecognized remote plugin message"):
		_, after, _ := strings.Cut(s, "message: ")
		line, rest, _ := strings.Cut(after, "\n")
		rest = strings.TrimSpace(strings.TrimPrefix(rest, "Failed to read any lines from plugin's stdout"))
		if strings.TrimSpace(line) == "" {
			return fmt.Errorf("it ended or closed its output without introducing itself; %s", orElse(rest, "it wrote nothing"))
		}
		return fmt.Errorf("it wrote %q to standard output before introducing itself: it is no Sigra plugin, or prints where it must not", clip(printable(line), 120))
	case strings.Contains(s, "incompatible API version"):
		return errors.New("it speaks another version of the plugin protocol; build it with a pluginsdk that fits this Sigra")
	}
	return errors.New(printable(clip(s, 512)))
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
