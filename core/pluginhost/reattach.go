package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// attachedTimeout is the deadline of every call to a plugin under a debugger: somebody is reading at a breakpoint.
const attachedTimeout = 15 * time.Minute

// attachEvery is how often the host looks whether a plugin that runs by itself has come or gone.
const attachEvery = 250 * time.Millisecond

// errNotAttached says that nobody runs the plugin yet: no failure, it is waited for.
var errNotAttached = errors.New("waiting for somebody to run it with --sigra-debug")

// debuggee is a plugin that runs by itself, as it says in the file that the block's reattach names. The host attaches to
// it and never ends it; no TLS stands between them, only the sockets' permissions. For development alone: the
// configuration takes reattach only along with insecure_unpinned.
type debuggee struct {
	pid  int
	addr *net.UnixAddr
	left chan struct{} // closed when the host lets go
	once sync.Once
}

var _ runner.AttachedRunner = (*debuggee)(nil)

// readDebuggee reads where the plugin runs. The file and the socket must belong to whoever Sigra runs as.
func readDebuggee(path string) (*debuggee, error) {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotAttached
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, errors.Unwrap(err))
	}
	if err := ours(path, fi); err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > 4<<10 {
		return nil, fmt.Errorf("%s is not what a plugin writes with --sigra-debug", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, errors.Unwrap(err))
	}
	var at pluginsdk.Reattach
	if err := json.Unmarshal(text, &at); err != nil || at.Protocol != "grpc" || at.Network != "unix" || at.PID <= 0 || !filepath.IsAbs(at.Address) {
		return nil, fmt.Errorf("%s is not what a plugin writes with --sigra-debug", path)
	}
	if v := int(pluginsdk.Handshake().ProtocolVersion); at.ProtocolVersion != v {
		return nil, fmt.Errorf("it speaks version %d of the plugin protocol, this Sigra %d", at.ProtocolVersion, v)
	}
	socket, err := os.Lstat(at.Address)
	if errors.Is(err, fs.ErrNotExist) || !alive(at.PID) {
		return nil, errNotAttached // what the last one left behind
	}
	if err != nil {
		return nil, err
	}
	if err := ours(at.Address, socket); err != nil {
		return nil, err
	}
	return &debuggee{pid: at.PID, addr: &net.UnixAddr{Net: at.Network, Name: at.Address}, left: make(chan struct{})}, nil
}

func ours(path string, fi os.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Type() == 0 && fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s must belong to the user Sigra runs as and be writable by nobody else", path)
	}
	return nil
}

// config is go-plugin's way to it. In test mode go-plugin ends nothing by itself.
func (d *debuggee) config() *goplugin.ReattachConfig {
	return &goplugin.ReattachConfig{
		Protocol: goplugin.ProtocolGRPC, ProtocolVersion: int(pluginsdk.Handshake().ProtocolVersion), Addr: d.addr, Pid: d.pid, Test: true,
		ReattachFunc: func() (runner.AttachedRunner, error) { return d, nil },
	}
}

// process makes of it what the supervisor watches: it ends when the plugin does, or when the host lets go.
func (d *debuggee) process(logs *stderrLog) *process {
	p := &process{pid: d.pid, logs: logs, attached: d, started: make(chan struct{}), exited: make(chan struct{})}
	p.once.Do(func() { close(p.started) })
	go func() {
		defer close(p.exited)
		if d.Wait(context.Background()) == nil {
			p.err = errors.New("it ended under its debugger")
		}
	}()
	return p
}

// transport is how the host's services are secured: as the plugin's are.
func transport(cfg *goplugin.ClientConfig) credentials.TransportCredentials {
	if cfg.TLSConfig == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(cfg.TLSConfig)
}

// attachBy makes a configuration for starting a process one for attaching to one. The n-th attachment offers the host's
// services under a number of its own, so that a plugin that was attached to before dials anew.
func (in *instance) attachBy(cfg *goplugin.ClientConfig, n uint32) {
	cfg.Reattach = in.attached.config()
	cfg.RunnerFunc, cfg.UnixSocketConfig, cfg.AutoMTLS = nil, nil, false
	in.proc = in.attached.process(in.logs)
	in.brokerID = uint32(time.Now().Unix())<<8 | n&0xff // another host, or this one before, may have been there
}

// awaitDebuggee waits until somebody runs the plugin.
func (p *plugin) awaitDebuggee(ctx context.Context, b config.Plugin) error {
	t := time.NewTicker(attachEvery)
	defer t.Stop()
	for {
		d, err := readDebuggee(b.Reattach)
		if !errors.Is(err, errNotAttached) {
			if d != nil {
				d.leave()
			}
			return nil // launch says what is wrong with it
		}
		p.setState(Starting, err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// patience is how long a call may take: there is none too long for somebody who looks at it in a debugger.
func (p *plugin) patience(usual time.Duration) time.Duration {
	if in := p.current.Load(); in != nil && in.attached != nil {
		return attachedTimeout
	}
	return usual
}

// leave lets go of it.
func (d *debuggee) leave() { d.once.Do(func() { close(d.left) }) }

// Wait returns nil when the plugin has ended. It is nobody's child here, so it is looked for.
func (d *debuggee) Wait(context.Context) error {
	t := time.NewTicker(attachEvery)
	defer t.Stop()
	for {
		select {
		case <-d.left:
			return errors.New("let go")
		case <-t.C:
			if !alive(d.pid) {
				return nil
			}
		}
	}
}

// Kill does nothing: whoever started it ends it.
func (d *debuggee) Kill(context.Context) error { return nil }

// ID implements runner.AttachedRunner.
func (d *debuggee) ID() string { return strconv.Itoa(d.pid) }

// PluginToHost implements runner.AttachedRunner.
func (d *debuggee) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin implements runner.AttachedRunner.
func (d *debuggee) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
