package pluginhost

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// The bounds of what one plugin adds to /metrics.
const (
	figuresTimeout = 500 * time.Millisecond
	maxFamilies    = 100
	maxSeries      = 250 // of one family
	maxLabels      = 8
	maxLabelValue  = 128 // bytes
	maxBuckets     = 64
)

var (
	familyName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	labelName  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
)

// figures collects the plugins' own metrics, all at once and anew for each scrape. What a plugin says can spoil nobody else's metrics:
// what is out of bounds, or would be inconsistent with another, is left out and counted.
type figures struct{ h *Host }

// Describe implements prometheus.Collector: what plugins have to say is not known before.
func (figures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f figures) Collect(out chan<- prometheus.Metric) {
	plugins := f.h.all()
	answers := make([][]*pluginv1.MetricFamily, len(plugins))
	var wg sync.WaitGroup
	for i, p := range plugins {
		in := p.current.Load()
		if in == nil || !in.begin() {
			continue
		}
		wg.Go(func() {
			defer in.release()
			ctx, cancel := context.WithTimeout(f.h.ctx, figuresTimeout)
			defer cancel()
			resp, err := in.plugin.Metrics(ctx, &pluginv1.MetricsRequest{})
			if err != nil {
				p.log.Debug("no metrics of a plugin", "error", err)
				return
			}
			answers[i] = resp.GetFamilies()
		})
	}
	wg.Wait()
	taken := newNames()
	for i, p := range plugins {
		s := familySet{plugin: p.name, taken: taken}
		for _, fam := range answers[i][:min(len(answers[i]), maxFamilies)] {
			for _, m := range s.family(fam) {
				out <- m
			}
		}
		if s.left += max(len(answers[i])-maxFamilies, 0); s.left > 0 {
			f.h.metrics.answers.WithLabelValues(p.name, "metric").Add(float64(s.left))
			p.log.Debug("metrics of a plugin left out", "count", s.left)
		}
	}
}

// names are the names of metrics that are there already: two of one name, or one that looks like a part of a histogram, would spoil them all.
type names map[string]bool

// ownNames are the host's metrics that could be mistaken for a plugin's.
var ownNames = []string{
	"state", "restarts_total", "calls_total", "call_seconds", "call_seconds_bucket", "call_seconds_sum", "call_seconds_count", "calls_in_flight", "breaker_open",
	"refused_total", "log_lines_dropped_total", "bad_answers_total", "killed_total", "resident_memory_bytes", "cpu_seconds",
	"transactions_ended_total",
}

const figurePrefix = "sigra_plugin_"

func newNames() names {
	n := names{}
	for _, own := range ownNames {
		n[figurePrefix+own] = true
	}
	return n
}

// take reserves a name, and reports whether it was free.
func (n names) take(name string, histogram bool) bool {
	all := []string{name}
	if histogram {
		all = append(all, name+"_bucket", name+"_sum", name+"_count")
	}
	if slices.ContainsFunc(all, func(s string) bool { return n[s] }) {
		return false
	}
	for _, s := range all {
		n[s] = true
	}
	return true
}

// familySet turns one plugin's families into metrics.
type familySet struct {
	plugin string
	taken  names
	left   int // out
}

// family gives the metrics of a family that can be shown.
func (s *familySet) family(fam *pluginv1.MetricFamily) (out []prometheus.Metric) {
	name := figurePrefix + s.plugin + "_" + fam.GetName()
	histogram := fam.GetType() == pluginv1.MetricFamily_TYPE_HISTOGRAM
	kind, known := map[pluginv1.MetricFamily_Type]prometheus.ValueType{
		pluginv1.MetricFamily_TYPE_COUNTER: prometheus.CounterValue, pluginv1.MetricFamily_TYPE_GAUGE: prometheus.GaugeValue, pluginv1.MetricFamily_TYPE_HISTOGRAM: prometheus.UntypedValue,
	}[fam.GetType()]
	if !known || !familyName.MatchString(fam.GetName()) || strings.HasSuffix(fam.GetName(), "_total") != (kind == prometheus.CounterValue) || len(fam.GetMetrics()) == 0 || !s.taken.take(name, histogram) {
		s.left++
		return nil
	}
	labels := slices.Sorted(maps.Keys(fam.GetMetrics()[0].GetLabels()))
	if len(labels) > maxLabels || slices.ContainsFunc(labels, func(l string) bool { return l == "plugin" || l == "le" || !labelName.MatchString(l) }) {
		s.left++
		return nil
	}
	desc := prometheus.NewDesc(name, printable(clip(fam.GetHelp(), 300)), labels, prometheus.Labels{"plugin": s.plugin})
	seen := map[string]bool{}
	for i, m := range fam.GetMetrics() {
		values, ok := labelValues(m, labels)
		key := strings.Join(values, "\x00")
		if !ok || seen[key] || i >= maxSeries {
			s.left++
			continue
		}
		seen[key] = true
		var x prometheus.Metric
		var err error
		if histogram {
			buckets, rising := bucketsOf(m)
			if !rising {
				s.left++
				continue
			}
			x, err = prometheus.NewConstHistogram(desc, m.GetCount(), m.GetSum(), buckets, values...)
		} else {
			x, err = prometheus.NewConstMetric(desc, kind, m.GetValue(), values...)
		}
		if err != nil {
			s.left++
			continue
		}
		out = append(out, x)
	}
	return out
}

// labelValues are the values of exactly these labels.
func labelValues(m *pluginv1.Metric, labels []string) (out []string, ok bool) {
	if len(m.GetLabels()) != len(labels) {
		return nil, false
	}
	for _, l := range labels {
		v, ok := m.GetLabels()[l]
		if !ok || len(v) > maxLabelValue || !utf8.ValidString(v) {
			return nil, false
		}
		out = append(out, v)
	}
	return out, true
}

// bucketsOf are a histogram's buckets, which must rise.
func bucketsOf(m *pluginv1.Metric) (out map[float64]uint64, ok bool) {
	if len(m.GetBuckets()) > maxBuckets {
		return nil, false
	}
	out = map[float64]uint64{}
	for i, b := range m.GetBuckets() {
		if b.GetCount() > m.GetCount() || i > 0 && (b.GetLe() <= m.GetBuckets()[i-1].GetLe() || b.GetCount() < m.GetBuckets()[i-1].GetCount()) {
			return nil, false
		}
		out[b.GetLe()] = b.GetCount()
	}
	return out, true
}
