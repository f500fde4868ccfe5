package pluginsdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// SDKVersion is what a plugin built with this package says of it, for people.
const SDKVersion = "go/1.0.0"

// MaxMessage is the most that one message of the contract may be. Batches are cut to stay below it.
const MaxMessage = 16 << 20

// Contract is the package of the contract that this SDK speaks.
const Contract = "sigra.plugin.v1"

// defaultStopGrace bounds Stop when the host names no bound.
const defaultStopGrace = 1500 * time.Millisecond

// ServerConfig configures a Server.
type ServerConfig struct {
	Plugin Plugin
	Logger hclog.Logger // nil: none
	// Dial reaches the host's services by the id given in Describe.
	Dial func(id uint32) (*grpc.ClientConn, error)
}

// Server serves a plugin on a gRPC server. Plugin authors call Serve instead; this is for test kits.
//
//	new ──Describe──▶ described ──Configure──▶ configured ──Stop──▶ stopping ──▶ stopped
//
// Seams answer FAILED_PRECONDITION before the first Configure and UNAVAILABLE after Stop.
type Server struct {
	plugin   Plugin
	manifest Manifest
	describe *pluginv1.DescribeResponse
	host     *Host
	log      hclog.Logger
	dial     func(id uint32) (*grpc.ClientConn, error)
	onCall   func() // before the first call is answered

	configure sync.Mutex // one Configure at a time

	mu       sync.Mutex // guards what follows
	phase    phase
	brokerID uint32
	current  *running // nil until configured
	retiring sync.WaitGroup
	life     context.Context
	end      context.CancelFunc
	stopOnce sync.Once
	stopErr  error
	stopped  chan struct{}
}

type phase int

const (
	fresh phase = iota
	configured
	stopping
)

// NewServer checks the manifest and prepares to serve.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Plugin.err != nil {
		return nil, cfg.Plugin.err
	}
	if cfg.Plugin.configure == nil {
		return nil, errors.New("no plugin to serve: make one with Define")
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	m := cfg.Plugin.Manifest()
	d, err := describe(cfg.Plugin, m)
	if err != nil {
		return nil, err
	}
	s := &Server{
		plugin: cfg.Plugin, manifest: m, describe: d, host: newHost(log, m), log: log, dial: cfg.Dial, stopped: make(chan struct{}),
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Options are the gRPC server options that the contract needs: message bounds and the guard around every call.
func (s *Server) Options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage),
		grpc.ChainUnaryInterceptor(s.guardUnary), grpc.ChainStreamInterceptor(s.guardStream),
	}
}

// Register puts the envelope and the implemented seams on a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	pluginv1.RegisterPluginServer(g, &envelope{s: s})
	for _, seam := range seams(s.plugin) {
		seam.register(g, s)
	}
}

// Host is what the plugin was or will be configured with.
func (s *Server) Host() *Host { return s.host }

// ours reports whether a gRPC method is of the contract; the others are go-plugin's own.
func ours(method string) bool { return strings.HasPrefix(method, "/"+Contract+".") }

func isEnvelope(method string) bool { return strings.HasPrefix(method, "/"+Contract+".Plugin/") }

func (s *Server) guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	if !ours(info.FullMethod) {
		return next(ctx, req)
	}
	ctx, done, err := s.enter(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	defer done()
	defer s.recover(info.FullMethod, &err)
	return next(ctx, req)
}

func (s *Server) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	if !ours(info.FullMethod) {
		return next(srv, stream)
	}
	ctx, done, err := s.enter(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	defer done()
	defer s.recover(info.FullMethod, &err)
	return next(srv, &contextStream{stream, ctx})
}

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream is made this way
}

func (c *contextStream) Context() context.Context { return c.ctx }

// enter admits a call and gives it a context that also ends when the plugin is cut off.
func (s *Server) enter(ctx context.Context, method string) (context.Context, func(), error) {
	if s.onCall != nil {
		s.onCall()
	}
	if isEnvelope(method) {
		return ctx, func() {}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.phase {
	case fresh:
		return nil, nil, status.Error(codes.FailedPrecondition, "the plugin has not been configured")
	case stopping:
		return nil, nil, status.Error(codes.Unavailable, "the plugin is stopping")
	}
	r := s.current
	r.enter()
	ctx, cancel := context.WithCancel(context.WithValue(ctx, instanceKey{}, r.instance))
	unhook := context.AfterFunc(s.life, cancel)
	return ctx, func() {
		unhook()
		cancel()
		r.leave()
	}, nil
}

// recover turns a panic into INTERNAL: one bad call must not take the others with it. The stack goes to the log.
func (s *Server) recover(method string, err *error) {
	if v := recover(); v != nil {
		s.log.Error("plugin panicked", "method", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the plugin panicked")
	}
}

// Stop refuses new calls, lets those in flight end, stops the plugin and closes its database, all within ctx. Calling
// it again waits for the first to be done.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stopErr = s.stop(ctx)
		close(s.stopped)
	})
	<-s.stopped
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) (err error) {
	s.mu.Lock()
	s.phase = stopping
	r := s.current
	s.mu.Unlock()
	if r != nil {
		// Leave a share of the time for the plugin's own Stop.
		idle := r.retire()
		await(ctx, share(ctx), idle)
		s.end() // what is still in flight has its context ended
		await(ctx, share(ctx)/4, idle)
		err = r.stop(ctx)
	}
	s.end()
	retired := make(chan struct{})
	go func() { defer close(retired); s.retiring.Wait() }()
	await(ctx, share(ctx), retired)
	return errors.Join(err, s.host.close())
}

// await waits for done, at most so long.
func await(ctx context.Context, most time.Duration, done <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// share is two thirds of the time left.
func share(ctx context.Context) time.Duration {
	by, ok := ctx.Deadline()
	if !ok {
		return defaultStopGrace * 2 / 3
	}
	return time.Until(by) * 2 / 3
}

// InFlight is how many calls of the seams are being answered.
func (s *Server) InFlight() int {
	s.mu.Lock()
	r := s.current
	s.mu.Unlock()
	if r == nil {
		return 0
	}
	return r.inFlight()
}

// Instance is the one in force; nil before the first Configure. For test kits.
func (s *Server) Instance() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil
	}
	return s.current.instance
}
