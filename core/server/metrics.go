package server

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
	limited  *prometheus.CounterVec

	series sync.Map // labels -> *series
}

// labels name a series. There are few: methods and routes are known ones.
type labels struct {
	method, route string
	status        int
}

// series is where requests of one kind are counted. Looking a label set up costs as much as all else that a request's
// observation does, so it is done once.
type series struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sigra_http_requests_total", Help: "Requests answered, by method, route template and status.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sigra_http_request_duration_seconds", Help: "Time to answer, by method and route template.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sigra_http_requests_in_flight", Help: "Requests being answered now.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sigra_http_panics_total", Help: "Handlers that panicked; each is a defect.",
		}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sigra_http_rate_limited_total", Help: "Requests refused by a per-address limit.",
		}, []string{"limit"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inFlight, m.panics, m.limited} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(method, route string, status int, took time.Duration) {
	l := labels{knownMethod(method), route, status}
	kept, ok := m.series.Load(l)
	if !ok {
		kept, _ = m.series.LoadOrStore(l, &series{
			m.requests.WithLabelValues(l.method, l.route, strconv.Itoa(l.status)), m.duration.WithLabelValues(l.method, l.route),
		})
	}
	counted := kept.(*series)
	counted.requests.Inc()
	counted.duration.Observe(took.Seconds())
}

// knownMethod keeps the label's values few: a client may send any word as a method.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

var errMetrics = fault.New(fault.Denied, "metrics_local_only",
	"Metrics are for this machine only. To let another one read them, set telemetry { metrics_listen } to an address of their own.")

// localMetrics serves the figures where everybody asks: to this machine and nobody else. They tell how many people sign
// in, and what fails (ASVS 5.0 13.4.5).
func (s *Server) localMetrics() http.Handler {
	h := s.metricsHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !request.From(r.Context()).Local {
			s.Fail(w, r, errMetrics)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// metricsAlone is everything there is at Listeners.Metrics.
func (s *Server) metricsAlone() http.Handler {
	h := s.metricsHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.Fail(w, r, errNotFound)
			return
		}
		label(w, "/metrics")
		h.ServeHTTP(w, r)
	})
}

func (s *Server) metricsHandler() http.Handler {
	if s.cfg.Metrics == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
