package pluginsdk

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// LifelineEnv names the descriptor on which the child notices that its host is gone: the read end of a pipe of
// which the host alone holds the other end.
const LifelineEnv = "SIGRA_PLUGIN_LIFELINE_FD"

// PluginKey is the one name under which go-plugin knows what Serve serves.
const PluginKey = "sigra"

// lifelineGrace is how long a plugin may tidy up after its host is gone; it is ended in any case after twice that.
const lifelineGrace = 400 * time.Millisecond

// Handshake is what go-plugin compares before anything else. The version is that of the envelope and stays 1; each
// seam versions itself by its gRPC service name. The cookie is no security: it keeps people from running a plugin by hand.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  1,
		MagicCookieKey:   "SIGRA_PLUGIN_COOKIE",
		MagicCookieValue: "f2b7c0de-sigra-plugin",
	}
}

// CommandArgument is the argument with which a plugin's program runs one of its offline commands, as `sigra NAME COMMAND`
// has it do: "sigra-plugin-greeter command 'lint' FILE". CommandJSONEnv, set to 1, asks for JSON.
const (
	CommandArgument = "command"
	CommandJSONEnv  = "SIGRA_COMMAND_JSON"
)

// Serve runs p as a child process of Sigra and returns when Sigra has let it go. It is all that main has to do:
//
//	func main() { pluginsdk.Serve(greeter.New()) }
//
// What is printed to standard output or standard error appears in Sigra's log. SIGINT, SIGTERM and SIGHUP are left to
// Sigra, which ends its plugins in order; when Sigra itself is gone the process ends within a second.
//
// Started with --sigra-debug, it runs by itself, for a debugger, and writes a file by which Sigra attaches to it.
func Serve(p Plugin) {
	// The manifest is not asked before standard output is out of its reach, but for a debugger, where nobody listens there.
	if file, debug := debugFile(os.Args[1:], func() string { return nameOf(p) }); debug {
		runDebug(p, file)
		return
	}
	if len(os.Args) > 2 && os.Args[1] == CommandArgument {
		os.Exit(runOffline(p, os.Args[2], os.Args[3:]))
	}
	out := takeStdio()
	log := hclog.New(&hclog.LoggerOptions{
		Name: nameOf(p), Level: hclog.Info, Output: os.Stderr, JSONFormat: true, IncludeLocation: false,
	})
	srv, err := NewServer(ServerConfig{Plugin: p, Logger: log})
	if err != nil {
		log.Error("plugin can't be served", "error", err)
		os.Exit(1)
	}
	srv.onCall = out.settle
	ignoreSignals()
	watchLifeline(log, srv)
	out.handshake()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         goplugin.PluginSet{PluginKey: &servedPlugin{srv: srv}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, srv.Options()...)...)
		},
		Logger: log.Named("transport"),
	})
	// The host ended the connection, usually after Stop; if not, this is the last chance to tidy up.
	ctx, cancel := context.WithTimeout(context.Background(), lifelineGrace)
	defer cancel()
	_ = srv.Stop(ctx)
}

// nameOf asks for the manifest's name; a manifest that panics is reported by NewServer.
func nameOf(p Plugin) (name string) {
	defer func() { _ = recover() }()
	return p.Manifest().Name
}

// servedPlugin is the plugin as go-plugin sees it.
type servedPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	srv *Server
}

var _ goplugin.GRPCPlugin = (*servedPlugin)(nil)

// GRPCServer implements goplugin.GRPCPlugin.
func (s *servedPlugin) GRPCServer(broker *goplugin.GRPCBroker, g *grpc.Server) error {
	s.srv.dial = func(id uint32) (*grpc.ClientConn, error) {
		return broker.DialWithOptions(id, grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)), grpc.WithIdleTimeout(0))
	}
	s.srv.Register(g)
	return nil
}

// GRPCClient implements goplugin.GRPCPlugin; the host brings its own.
func (s *servedPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("the plugin's side has no client")
}

// ignoreSignals leaves the signals that a terminal or a service manager sends to the whole group to the host, which
// drains its plugins in order. They are caught and dropped, not ignored, so that children of the plugin get their defaults.
func ignoreSignals() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for range ch { //nolint:revive // dropped on purpose
		}
	}()
}

// watchLifeline ends the process when the host is gone, however it went.
func watchLifeline(log hclog.Logger, srv *Server) {
	text := os.Getenv(LifelineEnv)
	if text == "" {
		return // under a debugger, or a host without one
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		log.Error("the lifeline is not a file descriptor", "value", text)
		os.Exit(1)
	}
	f := openLifeline(uintptr(fd))
	go func() {
		var b [1]byte
		for {
			n, err := f.Read(b[:])
			if err == nil && n > 0 {
				continue // nothing is ever written; be lenient
			}
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			break
		}
		go func() { // even if stopping hangs
			time.Sleep(2 * lifelineGrace)
			os.Exit(3)
		}()
		ctx, cancel := context.WithTimeout(context.Background(), lifelineGrace)
		defer cancel()
		_ = srv.Stop(ctx)
		os.Exit(3)
	}()
}
