package pluginsdk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"

	"github.com/hashicorp/go-hclog"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// envelope serves sigra.plugin.v1.Plugin: what every plugin answers.
type envelope struct {
	pluginv1.UnimplementedPluginServer
	s *Server
}

// Describe dials the host's services before it answers: go-plugin's broker forgets an address after five seconds.
func (e *envelope) Describe(_ context.Context, req *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	s := e.s
	if c := req.GetContracts(); len(c) > 0 && !slices.Contains(c, Contract) {
		return nil, status.Errorf(codes.FailedPrecondition, "the host speaks %q, this plugin was built for %q", c, Contract)
	}
	if id := req.GetHostBrokerId(); id != 0 {
		if err := s.dialHost(id); err != nil {
			return nil, status.Errorf(codes.Unavailable, "dial the host's services: %v", err)
		}
	}
	if name := req.GetInstance(); name != "" {
		s.host.instance.Store(&name)
	}
	return s.describe, nil
}

func (s *Server) dialHost(id uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.brokerID == id || s.dial == nil {
		return nil
	}
	conn, err := s.dial(id)
	if err != nil {
		return err
	}
	conn.Connect()
	s.brokerID = id
	if old := s.host.conn.Swap(conn); old != nil {
		_ = old.Close()
	}
	return nil
}

// Configure implements pluginv1.PluginServer.
func (e *envelope) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	s := e.s
	s.configure.Lock()
	defer s.configure.Unlock()
	s.mu.Lock()
	stopped := s.phase == stopping
	s.mu.Unlock()
	if stopped {
		return nil, status.Error(codes.Unavailable, "the plugin is stopping")
	}
	if level := hclog.LevelFromString(req.GetLogLevel()); level != hclog.NoLevel {
		s.log.SetLevel(level)
	}
	before := s.host.state.Load()
	networks, err := prefixes(req.GetAllowedNetworks())
	if err != nil {
		return nil, toStatus(Permanent(err))
	}
	s.host.state.Store(&hostState{
		baseURL: req.GetBaseUrl(), version: req.GetHostVersion(), grants: req.GetGrants(), language: req.GetDefaultLanguage(), networks: networks,
	})
	if err := s.openStorage(ctx, req.GetStorage()); err != nil {
		s.host.state.Store(before)
		return nil, toStatus(err)
	}
	host := s.host.forInstance()
	instance, err := s.make(ctx, host, Settings{req.GetSettingsJson()})
	if err != nil {
		s.host.state.Store(before)
		if IsRetryable(err) {
			return nil, toStatus(err)
		}
		return &pluginv1.ConfigureResponse{Diagnostics: diagnosticsTo(err)}, nil
	}
	s.swap(s.newRunning(instance, host))
	return &pluginv1.ConfigureResponse{}, nil
}

// make has the plugin make an instance; one that panics has refused its settings.
func (s *Server) make(ctx context.Context, host *Host, in Settings) (instance any, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("plugin panicked", "method", "configure", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			instance, err = nil, errors.New("the plugin panicked while it was configured")
		}
	}()
	return s.plugin.configure(ctx, host, in)
}

func prefixes(in []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range in {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("allowed networks: %w", err)
		}
		out = append(out, p)
	}
	return out, nil
}

// openStorage opens the plugin's database once; it stays the same for the life of the process.
func (s *Server) openStorage(ctx context.Context, at *pluginv1.Storage) error {
	if s.manifest.Storage == nil || s.host.Database() != nil {
		return nil
	}
	if at == nil {
		return Permanent(fmt.Errorf("plugin %q needs storage and the host gave none", s.manifest.Name))
	}
	d := Dialect(at.GetDialect())
	if d != SQLite && d != Postgres {
		return Permanent(fmt.Errorf("the host offers storage of kind %q, which this plugin does not know", d))
	}
	db, err := s.manifest.Storage.Open(ctx, Location{Dialect: d, DSN: NewSecret(at.GetDsn()), Schema: at.GetSchema()})
	if err != nil {
		return fmt.Errorf("open storage: %w", err)
	}
	s.host.mu.Lock()
	s.host.db, s.host.dialect = db, d
	s.host.mu.Unlock()
	return nil
}

func diagnosticsTo(err error) []*pluginv1.Diagnostic {
	found, whole := diagnostics(err)
	var out []*pluginv1.Diagnostic
	for _, d := range found {
		out = append(out, &pluginv1.Diagnostic{
			Severity: pluginv1.Diagnostic_SEVERITY_ERROR, Summary: d.Summary, Detail: d.Detail, Path: d.Path,
		})
	}
	if !whole {
		out = append(out, &pluginv1.Diagnostic{
			Severity: pluginv1.Diagnostic_SEVERITY_ERROR, Summary: "The plugin refused its settings.", Detail: err.Error(),
		})
	}
	return out
}

// Health implements pluginv1.PluginServer.
func (e *envelope) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	e.s.mu.Lock()
	r := e.s.current
	e.s.mu.Unlock()
	if r == nil {
		return &pluginv1.HealthResponse{Ok: true}, nil
	}
	var facts map[string]string
	err := r.why()
	if h, ok := r.instance.(HealthReporter); ok {
		var unwell error
		facts, unwell = h.Health(ctx)
		err = errors.Join(unwell, err)
	}
	if err != nil {
		return &pluginv1.HealthResponse{Detail: err.Error(), Facts: facts}, nil
	}
	return &pluginv1.HealthResponse{Ok: true, Facts: facts}, nil
}

// Metrics implements pluginv1.PluginServer.
func (e *envelope) Metrics(context.Context, *pluginv1.MetricsRequest) (*pluginv1.MetricsResponse, error) {
	return &pluginv1.MetricsResponse{Families: e.s.host.metrics.families()}, nil
}

// Stop implements pluginv1.PluginServer.
func (e *envelope) Stop(ctx context.Context, req *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	grace := req.GetGrace().AsDuration()
	if grace <= 0 {
		grace = defaultStopGrace
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := e.s.Stop(ctx); err != nil {
		return nil, toStatus(fmt.Errorf("stop: %w", err))
	}
	return &pluginv1.StopResponse{}, nil
}
