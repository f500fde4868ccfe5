package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP receiver.
type collector struct {
	t       *testing.T
	url     string
	status  func() int // nil: 200
	mu      sync.Mutex
	raw     []byte // all bodies, for searching
	headers []http.Header
	logs    []*collogs.ExportLogsServiceRequest
	metrics []*colmetrics.ExportMetricsServiceRequest
}

func newCollector(t *testing.T) *collector {
	c := &collector{t: t}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != nil {
		if s := c.status(); s != http.StatusOK {
			w.WriteHeader(s)
			return
		}
	}
	c.raw = append(c.raw, body...)
	c.headers = append(c.headers, r.Header)
	if ct := r.Header.Get("Content-Type"); ct != "application/x-protobuf" {
		c.t.Errorf("content type %q", ct)
	}
	switch r.URL.Path {
	case "/base/v1/logs":
		var m collogs.ExportLogsServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil {
			c.t.Error(err)
		}
		c.logs = append(c.logs, &m)
	case "/base/v1/metrics":
		var m colmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil {
			c.t.Error(err)
		}
		c.metrics = append(c.metrics, &m)
	default:
		c.t.Errorf("posted to %s", r.URL.Path)
	}
}

func (c *collector) records() (out []*logs.LogRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.logs {
		for _, rl := range m.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				if sl.Scope.Name != "sigra.audit.log" {
					c.t.Errorf("scope %q", sl.Scope.Name)
				}
				out = append(out, sl.LogRecords...)
			}
		}
	}
	return out
}

// counts are the last values sent, by action and outcome.
func (c *collector) counts() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int64{}
	for _, m := range c.metrics {
		for _, rm := range m.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, metric := range sm.Metrics {
					if metric.Name != "sigra.audit.rows" {
						continue
					}
					for _, p := range metric.GetSum().DataPoints {
						attrs := map[string]string{}
						for _, kv := range p.Attributes {
							attrs[kv.Key] = kv.Value.GetStringValue()
						}
						out[attrs["action"]+" "+attrs["outcome"]] = p.GetAsInt()
					}
				}
			}
		}
	}
	return out
}

func attrs(r *logs.LogRecord) map[string]string {
	out := map[string]string{}
	for _, kv := range r.Attributes {
		out[kv.Key] = kv.Value.GetStringValue()
	}
	return out
}

func record(action, outcome string) telemetry.Record {
	return telemetry.Record{
		ID: "0193-audit", OccurredAt: time.UnixMicro(1_800_000_000_123_456), Action: action, Category: "authentication", Outcome: outcome,
		Reason: "wrong_password", ActorType: "user", ActorID: "0193-user", Targets: []string{"session:0193-s", "user:someone@example.org"},
		OrganizationID: "0193-org", SessionID: "0193-session", RequestID: "req-1", AuthMethod: "pwd",
	}
}

// series are the values of a counter by its labels' values.
func series(t *testing.T, reg prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			out[strings.Join(labels, " ")] = m.GetCounter().GetValue()
		}
	}
	return out
}

func TestSource_exportsRowsAndFlushesAtClose(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	reg := telemetry.NewRegistry("1.2.3")
	s, err := telemetry.New(t.Context(), telemetry.Config{
		OTLP:       telemetry.OTLP{Endpoint: c.url + "/base", Headers: map[string]secret.Text{"authorization": secret.New("Bearer hunter2")}, Interval: time.Hour},
		Version:    "1.2.3",
		Node:       "node-a",
		Registerer: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 700 { // more than one batch
		s.Audit(record("auth.login.success", "success"))
	}
	leaky := record("auth.login.failure", "failure")
	leaky.ActorID = "someone@example.org"
	s.Audit(leaky)
	s.Audit(record("admin.settings.update", "error"))
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := c.records()
	if len(got) != 702 {
		t.Fatalf("%d records arrived of 702", len(got))
	}
	first := got[0]
	if first.TimeUnixNano != 1_800_000_000_123_456_000 || first.Body.GetStringValue() != "auth.login.success" || first.EventName != "auth.login.success" ||
		first.SeverityNumber != logs.SeverityNumber_SEVERITY_NUMBER_INFO {
		t.Errorf("%v", first)
	}
	a := attrs(first)
	for key, want := range map[string]string{
		"log.record.uid": "0193-audit", "sigra.actor.id": "0193-user", "sigra.actor.type": "user", "sigra.outcome": "success", "session.id": "0193-session",
		"sigra.request.id": "req-1", "sigra.organization.id": "0193-org", "sigra.category": "authentication", "sigra.reason": "wrong_password", "sigra.auth_method": "pwd",
	} {
		if a[key] != want {
			t.Errorf("%s is %q, want %q", key, a[key], want)
		}
	}
	if sev := got[700].SeverityNumber; sev != logs.SeverityNumber_SEVERITY_NUMBER_WARN {
		t.Error(sev)
	}
	if sev := got[701].SeverityNumber; sev != logs.SeverityNumber_SEVERITY_NUMBER_ERROR {
		t.Error(sev)
	}
	if n := c.counts(); n["auth.login.success success"] != 700 || n["auth.login.failure failure"] != 1 || n["admin.settings.update error"] != 1 {
		t.Errorf("%v", n)
	}
	for _, h := range c.headers {
		if h.Get("Authorization") != "Bearer hunter2" {
			t.Error("a post without the configured header")
		}
	}
	for _, leak := range []string{"someone@", "hunter2"} {
		if bytes.Contains(c.raw, []byte(leak)) {
			t.Errorf("%q left the process", leak)
		}
	}
	if !bytes.Contains(c.raw, []byte("node-a")) || !bytes.Contains(c.raw, []byte("service.name")) {
		t.Error("the records don't say which process they are from")
	}
	s.Audit(record("auth.login.success", "success")) // after Close: no panic, no block
	if err := s.Close(context.Background()); err != nil {
		t.Log("second close:", err)
	}
	if got := series(t, reg, "sigra_audit_rows_total"); len(got) != 3 || got["admin.settings.update error"] != 1 ||
		got["auth.login.failure failure"] != 1 || got["auth.login.success success"] != 701 {
		t.Error(got)
	}
}

func TestSource_flush(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s, err := telemetry.New(t.Context(), telemetry.Config{OTLP: telemetry.OTLP{Endpoint: c.url + "/base/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	s.Audit(record("auth.logout", "success"))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.records()) != 1 || c.counts()["auth.logout success"] != 1 {
		t.Error("not there after Flush")
	}
}

// A collector that hangs delays neither the rows nor, for longer than allowed, the end.
func TestSource_hangingCollector(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	s, err := telemetry.New(t.Context(), telemetry.Config{OTLP: telemetry.OTLP{Endpoint: srv.URL}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for range 20_000 { // more than fit into the queue
		s.Audit(record("auth.login.success", "success"))
	}
	if d := time.Since(start); d > time.Minute { // waiting for the collector would take for ever
		t.Errorf("20000 rows took %s", d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start = time.Now()
	_ = s.Close(ctx)
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("Close took %s", d)
	}
}

func TestSource_refusalsAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.status = func() int { return http.StatusUnauthorized } // not retried
	var out bytes.Buffer
	log, err := telemetry.NewLogger(telemetry.LogConfig{Format: "json", Output: &out})
	if err != nil {
		t.Fatal(err)
	}
	reg := telemetry.NewRegistry("dev")
	s, err := telemetry.New(t.Context(), telemetry.Config{
		OTLP:   telemetry.OTLP{Endpoint: c.url + "/base", Headers: map[string]secret.Text{"x-token": secret.New("hunter2")}},
		Logger: log, Registerer: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Audit(record("auth.logout", "success"))
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := series(t, reg, "sigra_telemetry_export_failures_total"); len(got) != 2 || got["logs"] != 1 || got["metrics"] != 1 {
		t.Error(got)
	}
	if !strings.Contains(out.String(), "telemetry not delivered") || strings.Contains(out.String(), "hunter2") {
		t.Error(out.String())
	}
}

// running gives the goroutines that the source or OpenTelemetry began, by "goroutine N".
func running() map[string]string {
	buf := make([]byte, 1<<20)
	out := map[string]string{}
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		_, by, _ := strings.Cut(stack, "created by ")
		if strings.HasPrefix(by, "github.com/sigra-auth/sigra/core/telemetry.") || strings.HasPrefix(by, "go.opentelemetry.io/") {
			id, _, _ := strings.Cut(stack, " [")
			out[id] = stack
		}
	}
	return out
}

func TestSource_nothingRunsWhenNotConfigured(t *testing.T) { //nolint:paralleltest // looks at all goroutines
	before := running() // of tests whose source was given no time to end
	s, err := telemetry.New(t.Context(), telemetry.Config{Registerer: telemetry.NewRegistry("dev")})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		s.Audit(record("auth.logout", "success"))
	}
	for id, stack := range running() {
		if _, known := before[id]; !known {
			t.Errorf("a goroutine runs:\n%s", stack)
		}
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSource_inventedActionsAreBounded(t *testing.T) {
	t.Parallel()
	reg := telemetry.NewRegistry("dev")
	s, err := telemetry.New(t.Context(), telemetry.Config{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		s.Audit(record(strings.Repeat("x", i%3000), "success"))
	}
	if n := len(series(t, reg, "sigra_audit_rows_total")); n > 401 {
		t.Error(n)
	}
}

func TestNew_endpoints(t *testing.T) {
	t.Parallel()
	for endpoint, ok := range map[string]bool{
		"https://collector.example:4318": true, "http://127.0.0.1:4318": true, "http://localhost:4318/x": true, "http://[::1]:4318": true,
		"http://collector.example:4318": false, "collector.example:4318": false, "grpc://x": false, "https://": false, "://": false,
		"https://u:p@collector.example": false, "https://collector.example?x=1": false,
	} {
		s, err := telemetry.New(t.Context(), telemetry.Config{OTLP: telemetry.OTLP{Endpoint: endpoint, Interval: time.Hour}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", endpoint, err)
		}
		if s != nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			_ = s.Close(ctx)
			cancel()
		}
	}
	s, err := telemetry.New(t.Context(), telemetry.Config{OTLP: telemetry.OTLP{Endpoint: "http://collector.example:4318", Insecure: true, Interval: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = s.Close(ctx)
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := telemetry.NewLogger(telemetry.LogConfig{Level: "warn", Format: "json", Output: &out})
	if err != nil {
		t.Fatal(err)
	}
	l.Info("not shown")
	l.Named("relay").Warn("shown", "token", secret.New("hunter2"), "n", 3)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err, out.String())
	}
	if line["@message"] != "shown" || line["@module"] != "sigra.relay" || line["token"] != "[redacted]" || !strings.HasSuffix(line["@timestamp"].(string), "Z") {
		t.Error(out.String())
	}
	out.Reset()
	l, err = telemetry.NewLogger(telemetry.LogConfig{Output: &out})
	if err != nil {
		t.Fatal(err)
	}
	l.Debug("not shown")
	l.Info("shown", "evil", "a\nsigra: [ERROR] forged\x1b[31m")
	if strings.Contains(out.String(), "not shown") || strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), "\nsigra: [ERROR]") {
		t.Errorf("%q", out.String())
	}
	for _, cfg := range []telemetry.LogConfig{{Level: "loud"}, {Format: "xml"}, {Level: "off"}} {
		if _, err := telemetry.NewLogger(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// Whatever is in a record, it is one line, and nothing in it means something to a terminal.
func TestNewLogger_oneLine(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		log, err := telemetry.NewLogger(telemetry.LogConfig{Format: format, Output: &b})
		if err != nil {
			t.Fatal(err)
		}
		forged := "x\n2026-01-01T00:00:00.000000Z [INFO]  sigra: all is well\r\x1b[2K\u2028\u0085y"
		log.Warn(forged, "plain", forged, "error", errors.New(forged), "list", []string{forged}, forged, "value")
		log.Named(forged).Info("named", "bytes", []byte(forged))
		log.With("given", forged).Info("with")
		if n := strings.Count(b.String(), "\n"); n != 3 || strings.ContainsAny(b.String(), "\r\x1b\u2028\u0085") || !strings.HasSuffix(b.String(), "\n") {
			t.Errorf("%s: %d lines: %q", format, n, b.String())
		}
	}
}

func TestNewRegistry(t *testing.T) {
	t.Parallel()
	families, err := telemetry.NewRegistry("1.2.3").Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{"sigra_build_info", "go_goroutines", "process_cpu_seconds_total"} {
		if !names[want] {
			t.Errorf("%s is missing", want)
		}
	}
}
