package pluginsdk

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/sigra-auth/sigra/pluginsdk/contract"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Metrics are a plugin's own figures. They appear in Sigra's /metrics as sigra_plugin_<plugin>_<name>. Asking for a figure
// that is there gives that one, so that instances share it. No figure may hold personal data. Safe for concurrent use.
type Metrics struct {
	mu  sync.Mutex
	all map[string]*family
}

// maxSeries bounds the combinations of label values of one figure; more are counted together under "other".
const maxSeries = 200

type family struct {
	name, help string
	kind       pluginv1.MetricFamily_Type
	labels     []string
	bounds     []float64

	mu     sync.Mutex
	series map[string]*series
	read   func() float64 // of a GaugeFunc
}

type series struct {
	values  []string
	value   float64
	count   uint64
	sum     float64
	buckets []uint64
}

func (m *Metrics) family(kind pluginv1.MetricFamily_Type, name, help string, bounds []float64, labels []string) *family {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.all[name]; f != nil {
		if f.kind != kind || !slices.Equal(f.labels, labels) {
			panic(fmt.Sprintf("metrics: %s is there already, as another kind or with other labels", name))
		}
		return f
	}
	if !contract.IsName(name) {
		panic(fmt.Sprintf("metrics: the name %q is not lower-case letters, digits and underscores", name))
	}
	f := &family{name: name, help: help, kind: kind, labels: labels, bounds: bounds, series: map[string]*series{}}
	if m.all == nil {
		m.all = map[string]*family{}
	}
	m.all[name] = f
	return f
}

func (f *family) with(values []string, change func(*series)) {
	if len(values) != len(f.labels) {
		panic(fmt.Sprintf("metrics: %s has %d labels, not %d", f.name, len(f.labels), len(values)))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.Join(values, "\x00")
	s := f.series[key]
	if s == nil {
		if len(f.series) >= maxSeries {
			values = slices.Repeat([]string{"other"}, len(values))
			key = strings.Join(values, "\x00")
			s = f.series[key]
		}
		if s == nil {
			s = &series{values: slices.Clone(values), buckets: make([]uint64, len(f.bounds))}
			f.series[key] = s
		}
	}
	change(s)
}

// Counter only rises. Its name ends with _total.
type Counter struct{ f *family }

// Counter gives a counter; labels are the names of its labels.
func (m *Metrics) Counter(name, help string, labels ...string) Counter {
	return Counter{m.family(pluginv1.MetricFamily_TYPE_COUNTER, name, help, nil, labels)}
}

// Add adds what is not negative, under the values of the labels.
func (c Counter) Add(n float64, values ...string) {
	if n >= 0 {
		c.f.with(values, func(s *series) { s.value += n })
	}
}

// Inc adds one.
func (c Counter) Inc(values ...string) { c.Add(1, values...) }

// Gauge goes up and down.
type Gauge struct{ f *family }

// Gauge gives a gauge; labels are the names of its labels.
func (m *Metrics) Gauge(name, help string, labels ...string) Gauge {
	return Gauge{m.family(pluginv1.MetricFamily_TYPE_GAUGE, name, help, nil, labels)}
}

// Set sets it, under the values of the labels.
func (g Gauge) Set(v float64, values ...string) {
	g.f.with(values, func(s *series) { s.value = v })
}

// GaugeFunc is a gauge that is read when it is looked at; the last one registered under a name counts.
func (m *Metrics) GaugeFunc(name, help string, read func() float64) {
	f := m.family(pluginv1.MetricFamily_TYPE_GAUGE, name, help, nil, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = read
}

// Histogram counts observations in buckets.
type Histogram struct{ f *family }

// Seconds are bounds that suit most durations.
var seconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Histogram gives a histogram with rising bounds; nil suits durations in seconds. labels are the names of its labels.
func (m *Metrics) Histogram(name, help string, bounds []float64, labels ...string) Histogram {
	if bounds == nil {
		bounds = seconds
	}
	return Histogram{m.family(pluginv1.MetricFamily_TYPE_HISTOGRAM, name, help, slices.Clone(bounds), labels)}
}

// Observe adds one observation, under the values of the labels.
func (h Histogram) Observe(v float64, values ...string) {
	if math.IsNaN(v) {
		return
	}
	h.f.with(values, func(s *series) {
		s.count++
		s.sum += v
		for i, le := range h.f.bounds {
			if v <= le {
				s.buckets[i]++
			}
		}
	})
}

// families is all of it as it stands.
func (m *Metrics) families() []*pluginv1.MetricFamily {
	m.mu.Lock()
	all := maps.Clone(m.all)
	m.mu.Unlock()
	var out []*pluginv1.MetricFamily
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name].snapshot())
	}
	return out
}

func (f *family) snapshot() *pluginv1.MetricFamily {
	f.mu.Lock()
	read := f.read
	f.mu.Unlock()
	out := &pluginv1.MetricFamily{Name: f.name, Help: f.help, Type: f.kind}
	if read != nil {
		out.Metrics = append(out.Metrics, &pluginv1.Metric{Value: read()})
		return out
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(f.series)) {
		s := f.series[key]
		x := &pluginv1.Metric{Value: s.value, Count: s.count, Sum: s.sum}
		if len(f.labels) > 0 {
			x.Labels = map[string]string{}
			for i, l := range f.labels {
				x.Labels[l] = s.values[i]
			}
		}
		for i, le := range f.bounds {
			x.Buckets = append(x.Buckets, &pluginv1.Bucket{Le: le, Count: s.buckets[i]})
		}
		out.Metrics = append(out.Metrics, x)
	}
	return out
}
