package process

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

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// attachEvery is how often it is looked whether a plugin that runs by itself has come or gone.
const attachEvery = 250 * time.Millisecond

// errNotRunning says that nobody runs the plugin to attach to yet: no failure, it is waited for.
var errNotRunning = errors.New("waiting for somebody to run it with --sigra-debug")

// attached is a plugin that runs by itself, as it says in the file that the block's reattach names. The host attaches to
// it and never ends it; no TLS stands between them, only the sockets' permissions. For development alone: the
// configuration takes reattach only along with insecure_unpinned.
type attached struct {
	pid  int
	addr *net.UnixAddr
	left chan struct{} // closed when the host lets go
	once sync.Once
}

var _ runner.AttachedRunner = (*attached)(nil)

// readAttached reads where the plugin runs. The file and the socket must belong to whoever Sigra runs as.
func readAttached(path string) (*attached, error) {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotRunning
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
		return nil, errNotRunning // what the last one left behind
	}
	if err != nil {
		return nil, err
	}
	if err := ours(at.Address, socket); err != nil {
		return nil, err
	}
	return &attached{pid: at.PID, addr: &net.UnixAddr{Net: at.Network, Name: at.Address}, left: make(chan struct{})}, nil
}

func ours(path string, fi os.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Type() == 0 && fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s must belong to the user Sigra runs as and be writable by nobody else", path)
	}
	return nil
}

// config is go-plugin's way to it. In test mode go-plugin ends nothing by itself.
func (a *attached) config() *goplugin.ReattachConfig {
	return &goplugin.ReattachConfig{
		Protocol: goplugin.ProtocolGRPC, ProtocolVersion: int(pluginsdk.Handshake().ProtocolVersion), Addr: a.addr, Pid: a.pid, Test: true,
		ReattachFunc: func() (runner.AttachedRunner, error) { return a, nil },
	}
}

// Attach gives the process of a plugin that somebody runs under a debugger. It ends when the plugin does, or when it is
// killed or closed.
func (l *Launcher) Attach(b config.Plugin, log *Log) (*Process, error) {
	a, err := readAttached(b.Reattach)
	if err != nil {
		return nil, err
	}
	p := &Process{launcher: l, block: b, log: log, pid: a.pid, attached: a, started: make(chan struct{}), exited: make(chan struct{})}
	p.once.Do(func() { close(p.started) })
	go func() {
		defer close(p.exited)
		if a.Wait(context.Background()) == nil {
			p.err = errors.New("it ended under its debugger")
		}
	}()
	return p, nil
}

// AwaitAttach waits until somebody runs the plugin, or until Attach has something else to say about it.
func AwaitAttach(ctx context.Context, b config.Plugin, waiting func(why error)) error {
	t := time.NewTicker(attachEvery)
	defer t.Stop()
	for {
		_, err := readAttached(b.Reattach)
		if !errors.Is(err, errNotRunning) {
			return nil
		}
		waiting(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Attached reports whether the plugin runs by itself, under a debugger.
func (p *Process) Attached() bool { return p.attached != nil }

// release lets go of it.
func (a *attached) release() { a.once.Do(func() { close(a.left) }) }

// Wait returns nil when the plugin has ended. It is nobody's child here, so it is looked for.
func (a *attached) Wait(context.Context) error {
	t := time.NewTicker(attachEvery)
	defer t.Stop()
	for {
		select {
		case <-a.left:
			return errors.New("let go")
		case <-t.C:
			if !alive(a.pid) {
				return nil
			}
		}
	}
}

// Kill does nothing: whoever started it ends it.
func (a *attached) Kill(context.Context) error { return nil }

// ID implements runner.AttachedRunner.
func (a *attached) ID() string { return strconv.Itoa(a.pid) }

// PluginToHost implements runner.AttachedRunner.
func (a *attached) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin implements runner.AttachedRunner.
func (a *attached) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
