package pluginhost

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the host's figures. Labels come from the configuration and from fixed sets, never from a plugin.
type metrics struct {
	state    *prometheus.GaugeVec
	restarts *prometheus.CounterVec
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	breaker  *prometheus.GaugeVec
	refused  *prometheus.CounterVec
	lines    *prometheus.CounterVec
	answers  *prometheus.CounterVec
	killed   *prometheus.CounterVec
	memory   *prometheus.GaugeVec
	cpu      *prometheus.GaugeVec

	transactions *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		state:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sigra_plugin_state", Help: "1 for the state a plugin is in."}, []string{"plugin", "state"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sigra_plugin_restarts_total", Help: "Starts of a plugin after its first."}, []string{"plugin"}),
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sigra_plugin_calls_total", Help: "Calls through a seam, by result."}, []string{"plugin", "seam", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sigra_plugin_call_seconds", Help: "How long calls through a seam took.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"plugin", "seam"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sigra_plugin_calls_in_flight", Help: "Calls through a seam now."}, []string{"plugin", "seam"}),
		breaker:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sigra_plugin_breaker_open", Help: "1 while a seam is not called because it failed."}, []string{"plugin", "seam"}),
		refused:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sigra_plugin_refused_total", Help: "Host service calls refused for want of a grant."}, []string{"plugin", "grant"}),
		lines:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sigra_plugin_log_lines_dropped_total", Help: "Log lines over the rate limit."}, []string{"plugin"}),
		answers:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sigra_plugin_bad_answers_total", Help: "Parts of HTTP answers that were taken out or refused."}, []string{"plugin", "what"}),
		killed:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sigra_plugin_killed_total", Help: "Processes that were killed: for missed health checks, or over a limit of their block."}, []string{"plugin", "why"}),
		memory:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sigra_plugin_resident_memory_bytes", Help: "Memory of a plugin's process and its children, at the last health check."}, []string{"plugin"}),
		cpu:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sigra_plugin_cpu_seconds", Help: "CPU time that a plugin's present process and its children have used, at the last health check."}, []string{"plugin"}),

		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sigra_plugin_transactions_ended_total", Help: "Connections of a plugin to Sigra's database that were ended for a transaction held open."}, []string{"plugin"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.state, m.restarts, m.calls, m.seconds, m.inFlight, m.breaker, m.refused, m.lines, m.answers, m.killed, m.memory, m.cpu, m.transactions} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) setState(name string, s State) {
	for _, other := range states {
		v := 0.0
		if other == s {
			v = 1
		}
		m.state.WithLabelValues(name, string(other)).Set(v)
	}
}

func (m *metrics) forget(name string) {
	l := prometheus.Labels{"plugin": name}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.state, m.restarts, m.calls, m.seconds, m.inFlight, m.breaker, m.refused, m.lines, m.answers, m.killed, m.memory, m.cpu, m.transactions} {
		v.DeletePartialMatch(l)
	}
}

// latency is a histogram in powers of two of a microsecond, for `sigra plugin info`: no lock, no allocation.
type latency struct{ buckets [32]atomic.Uint64 }

func (l *latency) add(d time.Duration) {
	us := max(d.Microseconds(), 1)
	l.buckets[min(int(math.Log2(float64(us))), len(l.buckets)-1)].Add(1)
}

// Latency says how long calls took. The percentiles are upper bounds of buckets that double.
type Latency struct {
	Calls uint64        `json:"calls"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
}

func (l *latency) read() Latency {
	var counts [len(l.buckets)]uint64
	var out Latency
	for i := range l.buckets {
		counts[i] = l.buckets[i].Load()
		out.Calls += counts[i]
	}
	at := func(q float64) time.Duration {
		var sum uint64
		for i, n := range counts {
			if sum += n; n > 0 && float64(sum) >= q*float64(out.Calls) {
				return time.Duration(1<<(i+1)) * time.Microsecond
			}
		}
		return 0
	}
	out.P50, out.P99 = at(0.5), at(0.99)
	return out
}
