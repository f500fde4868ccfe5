package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the relay's figures. Counters are kept as things happen; what lies in the database is asked for when
// somebody scrapes.
type metrics struct {
	relay   *Relay
	batches *prometheus.CounterVec
	moved   *prometheus.CounterVec
	lies    *prometheus.CounterVec
	seconds *prometheus.HistogramVec

	lagRows, lagSeconds, dead, failures, runner, held *prometheus.Desc
}

func newMetrics(r *Relay, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		relay: r,
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sigra_relay_batches_total", Help: "Deliveries to a sink, by how they ended: ok, timeout, permanent, error.",
		}, []string{"sink", "result"}),
		moved: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sigra_relay_rows_total", Help: "Rows delivered to a sink, by what it said of them: inserted, duplicate, conflict, refused.",
		}, []string{"sink", "result"}),
		lies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sigra_relay_impossible_answers_total", Help: "Parts of a sink's answers that could not be true and were ignored.",
		}, []string{"sink"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sigra_relay_delivery_seconds", Help: "Time that one delivery took.", Buckets: []float64{.001, .005, .02, .1, .5, 1, 5},
		}, []string{"sink"}),
		lagRows:    prometheus.NewDesc("sigra_relay_lag_rows", "Rows after the sink's cursor, wanted or not, counted up to 100000.", []string{"sink"}, nil),
		lagSeconds: prometheus.NewDesc("sigra_relay_lag_seconds", "Age of the first row after the sink's cursor.", []string{"sink"}, nil),
		dead:       prometheus.NewDesc("sigra_relay_dead_letters", "Rows that the sink refused for good.", []string{"sink"}, nil),
		failures:   prometheus.NewDesc("sigra_relay_failures", "Deliveries that failed in a row, up to now.", []string{"sink"}, nil),
		runner:     prometheus.NewDesc("sigra_relay_runner", "1 on the node that runs the sink.", []string{"sink"}, nil),
		held:       prometheus.NewDesc("sigra_relay_held_back_seconds", "Age of the open database transaction that keeps committed rows from being read.", []string{"log", "application"}, nil),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.batches, m.moved, m.lies, m.seconds, m} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the relay's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) delivered(sink string, took time.Duration, err error) {
	result := "ok"
	switch {
	case err == nil:
	case isPermanent(err):
		result = "permanent"
	case errors.Is(err, context.DeadlineExceeded):
		result = "timeout"
	default:
		result = "error"
	}
	m.batches.WithLabelValues(sink, result).Inc()
	m.seconds.WithLabelValues(sink).Observe(took.Seconds())
}

func (m *metrics) rows(sink string, counts Result, refused int) {
	for result, n := range map[string]int{"inserted": counts.Inserted, "duplicate": counts.Duplicate, "conflict": counts.Conflict, "refused": refused} {
		if n > 0 {
			m.moved.WithLabelValues(sink, result).Add(float64(n))
		}
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.lagRows, m.lagSeconds, m.dead, m.failures, m.runner, m.held} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, err := m.relay.Status(ctx)
	if err != nil {
		m.relay.cfg.Logger.Warn("relay metrics not collected", "error", err)
		return
	}
	seen := map[string]bool{}
	for _, s := range all {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
		}
		gauge(m.lagRows, float64(s.LagRows), s.Sink)
		gauge(m.lagSeconds, s.LagSeconds, s.Sink)
		gauge(m.dead, float64(s.DeadLetters), s.Sink)
		gauge(m.failures, float64(s.Failures), s.Sink)
		here := 0.0
		if s.RunsHere {
			here = 1
		}
		gauge(m.runner, here, s.Sink)
		if s.HeldBack != nil && !seen[s.Log] {
			seen[s.Log] = true
			gauge(m.held, s.HeldBack.Age.Seconds(), s.Log, s.HeldBack.Application)
		}
	}
}
