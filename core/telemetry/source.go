package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
)

// Record is what telemetry may know of an audit row.
type Record struct {
	ID             string
	OccurredAt     time.Time
	Action         string
	Category       string
	Outcome        string // success, failure, error
	Reason         string
	ActorType      string
	ActorID        string
	Targets        []string // "user:0190…"
	OrganizationID string
	SessionID      string
	RequestID      string
	AuthMethod     string
}

// Config says where the audit log's telemetry goes.
type Config struct {
	OTLP       OTLP
	Version    string
	Node       string                // names this process among several
	Registerer prometheus.Registerer // nil: no Prometheus metrics
	Logger     hclog.Logger          // nil: silent
}

// Source takes audit rows and makes log records and counters of them. Safe for concurrent use.
type Source struct {
	rows   *prometheus.CounterVec
	failed *prometheus.CounterVec
	otlp   *exporter // nil: not configured

	mu      sync.Mutex
	actions map[string]bool
}

// maxActions bounds how many time series plugins can cause with actions of their own invention.
const maxActions = 400

// New makes the source. It contacts nobody: a collector that is down is not a reason not to start.
func New(ctx context.Context, cfg Config) (*Source, error) {
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	s := &Source{
		actions: map[string]bool{},
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sigra_audit_rows_total", Help: "Audit rows committed by this node.",
		}, []string{"action", "outcome"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sigra_telemetry_export_failures_total", Help: "OTLP exports given up after retries.",
		}, []string{"signal"}),
	}
	if cfg.Registerer != nil {
		if err := errors.Join(cfg.Registerer.Register(s.rows), cfg.Registerer.Register(s.failed)); err != nil {
			return nil, fmt.Errorf("register telemetry metrics: %w", err)
		}
	}
	if cfg.OTLP.Endpoint == "" {
		return s, nil
	}
	e, err := newExporter(ctx, cfg, func(signal string, err error) {
		s.failed.WithLabelValues(signal).Inc()
		cfg.Logger.Warn("telemetry not delivered", "signal", signal, "error", err)
	})
	if err != nil {
		return nil, err
	}
	s.otlp = e
	return s, nil
}

// Audit takes one committed row. It never blocks.
func (s *Source) Audit(r Record) {
	action := s.bounded(r.Action)
	s.rows.WithLabelValues(action, r.Outcome).Inc()
	if s.otlp != nil {
		s.otlp.audit(action, r)
	}
}

// bounded is the action, or "other" once there are too many to be names.
func (s *Source) bounded(action string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.actions[action] {
		return action
	}
	if len(s.actions) >= maxActions {
		return "other"
	}
	s.actions[action] = true
	return action
}

// Flush sends what is queued and waits for the collector's answer.
func (s *Source) Flush(ctx context.Context) error {
	if s.otlp == nil {
		return nil
	}
	return s.otlp.flush(ctx)
}

// Close sends what is queued, at most until ctx ends, and stops. Rows given afterwards reach no collector.
func (s *Source) Close(ctx context.Context) error {
	if s.otlp == nil {
		return nil
	}
	return s.otlp.close(ctx)
}
