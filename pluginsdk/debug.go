package pluginsdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// DebugFlag makes a plugin run by itself instead of as Sigra's child: under a debugger, or by hand.
const DebugFlag = "--sigra-debug"

// Reattach is where a plugin that runs by itself is reached: what the file that a block's reattach names holds, as JSON.
type Reattach struct {
	Plugin          string `json:"plugin"`
	PID             int    `json:"pid"`
	Protocol        string `json:"protocol"`         // "grpc"
	ProtocolVersion int    `json:"protocol_version"` // of the envelope
	Network         string `json:"network"`          // "unix"
	Address         string `json:"address"`          // of the socket
}

// debugFile says whether the plugin was started with DebugFlag, and which file to write.
func debugFile(args []string, name func() string) (file string, debug bool) {
	for _, a := range args {
		switch value, ok := strings.CutPrefix(a, DebugFlag+"="); {
		case ok && value != "":
			return value, true
		case ok, a == DebugFlag:
			return name() + ".reattach.json", true
		}
	}
	return "", false
}

// runDebug is Serve for a plugin that runs by itself.
func runDebug(p Plugin, file string) {
	log := hclog.New(&hclog.LoggerOptions{Name: nameOf(p), Level: hclog.Debug, Output: os.Stderr})
	srv, err := NewServer(ServerConfig{Plugin: p, Logger: log})
	if err == nil {
		err = serveDebug(nameOf(p), file, log, srv)
	}
	if err != nil {
		log.Error("plugin can't be served", "error", err)
		os.Exit(1)
	}
}

// serveDebug serves until it is interrupted. Sigra attaches by what file says, and comes back after it was restarted
// itself. The socket lies in a folder of its own that only this user can enter: it has no other protection.
func serveDebug(name, file string, log hclog.Logger, srv *Server) (err error) {
	file, err = filepath.Abs(file)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sigra-debug") // mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Setenv("PLUGIN_UNIX_SOCKET_DIR", dir); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	defer func() { _ = os.Remove(file) }()
	for said := false; ; said = true {
		text, closed, err := serveOneHost(ctx, name, srv)
		if err != nil {
			return err
		}
		if err := writeWhole(file, text); err != nil {
			return err
		}
		if !said {
			fmt.Fprintf(os.Stderr, "%s runs by itself. In its block:\n\n  insecure_unpinned = true\n  reattach          = %q\n\n%s\n", name, file, text)
		}
		<-closed
		if ctx.Err() != nil {
			break
		}
		log.Info("Sigra let go; waiting for the next")
	}
	stopping, cancel := context.WithTimeout(context.Background(), defaultStopGrace)
	defer cancel()
	return srv.Stop(stopping)
}

// serveOneHost serves until the host that attached has gone: go-plugin's broker serves one host and no second.
func serveOneHost(ctx context.Context, name string, srv *Server) (text []byte, closed <-chan struct{}, err error) {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan *goplugin.ReattachConfig, 1), make(chan struct{})
	go func() {
		defer cancel()
		goplugin.Serve(&goplugin.ServeConfig{
			HandshakeConfig: Handshake(),
			Plugins:         goplugin.PluginSet{PluginKey: &servedPlugin{srv: srv}},
			GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
				return grpc.NewServer(append(append(opts, srv.Options()...), grpc.StatsHandler(&departure{left: cancel}))...)
			},
			Logger: hclog.NewNullLogger(),
			Test:   &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: ready, CloseCh: done},
		})
	}()
	select {
	case at := <-ready:
		text, err = json.Marshal(Reattach{
			Plugin: name, PID: at.Pid, Protocol: string(at.Protocol), ProtocolVersion: at.ProtocolVersion, Network: at.Addr.Network(), Address: at.Addr.String(),
		})
		return text, done, err
	case <-done:
		return nil, nil, errors.New("it can't listen")
	}
}

// departure notices that the last connection has ended.
type departure struct {
	conns atomic.Int64
	left  func()
}

var _ stats.Handler = (*departure)(nil)

// TagRPC implements stats.Handler.
func (d *departure) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (d *departure) HandleRPC(context.Context, stats.RPCStats) {}

// TagConn implements stats.Handler.
func (d *departure) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (d *departure) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnBegin:
		d.conns.Add(1)
	case *stats.ConnEnd:
		if d.conns.Add(-1) == 0 {
			d.left()
		}
	}
}

// writeWhole writes a file that is never seen half.
func writeWhole(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".reattach-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), file)
}
