package pluginsdk

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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

// Stopper is implemented by plugins that have something to end: goroutines, connections. Stop is called once, after the
// last call has returned or was given up; host services and the database still work. ctx bounds it, and what is not done by
// then is cut off.
type Stopper interface {
	Stop(ctx context.Context) error
}

// HealthReporter is implemented by plugins that know whether they are well. An error makes the plugin show as degraded,
// facts are small figures for `sigra plugin info`. It must answer within two seconds.
type HealthReporter interface {
	Health(ctx context.Context) (facts map[string]string, err error)
}

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
	calls    int
	idle     chan struct{} // closed when the last call of a stopping server ends
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
func NewServer(cfg ServerConfig) (srv *Server, err error) {
	defer func() {
		if v := recover(); v != nil {
			srv, err = nil, fmt.Errorf("Manifest panicked: %v\n%s", v, debug.Stack())
		}
	}()
	if cfg.Plugin == nil {
		return nil, errors.New("no plugin to serve")
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
		plugin: cfg.Plugin, manifest: m, describe: d, host: newHost(log), log: log, dial: cfg.Dial,
		idle: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

var (
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	semver     = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

// describe makes the answer to Describe out of the manifest and of what the plugin implements.
func describe(p Plugin, m Manifest) (*pluginv1.DescribeResponse, error) {
	if !pluginName.MatchString(m.Name) {
		return nil, fmt.Errorf("manifest: name %q must match %s", m.Name, pluginName)
	}
	if !semver.MatchString(m.Version) {
		return nil, fmt.Errorf("manifest: version %q is not a semantic version such as 1.2.3", m.Version)
	}
	schema, err := SettingsOf(m.Settings)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	d := &pluginv1.DescribeResponse{
		Name: m.Name, Version: m.Version, SdkVersion: SDKVersion, Description: m.Description,
		EventPatterns: m.Events, AuditActions: m.AuditActions, Claims: m.Claims, Settings: schemaTo(schema), Storage: m.Storage != nil,
	}
	for _, seam := range seams(p) {
		d.Seams = append(d.Seams, seam.desc.ServiceName)
	}
	for _, list := range []struct {
		from []Service
		to   *[]string
	}{{m.Requires, &d.RequiredServices}, {m.Wants, &d.WantedServices}} {
		for _, s := range list.from {
			name := s.GRPC()
			if name == "" {
				return nil, fmt.Errorf("manifest: there is no host service %q", s)
			}
			*list.to = append(*list.to, name)
		}
	}
	for _, r := range m.Routes {
		if !strings.HasPrefix(r.Path, "/") || r.Path == "/" || strings.HasSuffix(r.Path, "/") {
			return nil, fmt.Errorf("manifest: route %q must begin with a slash, not end with one, and not be all of them", r.Path)
		}
		access := pluginv1.Access_ACCESS_PUBLIC
		switch r.Access {
		case SignedIn:
			access = pluginv1.Access_ACCESS_SIGNED_IN
		case Administrators:
			access = pluginv1.Access_ACCESS_ADMIN
		}
		d.Routes = append(d.Routes, &pluginv1.Route{Path: r.Path, Machine: r.Machine, Title: r.Title, Access: access})
	}
	for _, q := range m.Questions {
		d.GateQuestions = append(d.GateQuestions, string(q))
	}
	return d, consistent(p, m)
}

// consistent finds manifests that promise what the plugin does not implement, and the other way round.
func consistent(p Plugin, m Manifest) error {
	for _, c := range []struct {
		promised bool
		has      bool
		what     string
	}{
		{len(m.Routes) > 0, is[Routes](p), "Routes (an http.Handler)"},
		{len(m.Questions) > 0, is[Gate](p), "Gate"},
		{len(m.Events) > 0, is[EventSink](p), "EventSink"},
		{len(m.AuditActions) > 0, is[AuditSink](p), "AuditSink"},
		{len(m.Claims) > 0, is[Claims](p), "Claims"},
	} {
		if c.promised && !c.has {
			return fmt.Errorf("manifest: it names what needs %s, which %T does not implement", c.what, p)
		}
	}
	return nil
}

func is[T any](p Plugin) bool { _, ok := p.(T); return ok }

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
	s.calls++
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(s.life, cancel)
	return ctx, func() {
		unhook()
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls--
		if s.calls == 0 && s.phase == stopping {
			close(s.idle)
		}
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
	was, busy := s.phase, s.calls > 0
	s.phase = stopping
	s.mu.Unlock()
	if busy {
		// Leave a share of the time for the plugin's own Stop.
		wait, cancel := context.WithTimeout(ctx, share(ctx))
		select {
		case <-s.idle:
		case <-wait.Done():
		}
		cancel()
	}
	s.end() // what is still in flight has its context ended
	if busy {
		wait, cancel := context.WithTimeout(ctx, share(ctx)/4)
		select {
		case <-s.idle:
		case <-wait.Done():
		}
		cancel()
	}
	if st, ok := s.plugin.(Stopper); ok && was == configured {
		done := make(chan error, 1)
		go func() {
			var err error
			defer func() { done <- err }()
			defer s.recover("Stop", &err)
			err = st.Stop(ctx)
		}()
		select {
		case err = <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return errors.Join(err, s.host.close())
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
	defer s.mu.Unlock()
	return s.calls
}
