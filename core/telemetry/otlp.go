package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/sigra-auth/sigra/core/secret"
)

// OTLP is where OpenTelemetry data goes, by OTLP over HTTP with protobuf. The zero value means nowhere.
type OTLP struct {
	Endpoint string // http(s)://host:port, with a path where the collector has one; /v1/logs and /v1/metrics are added
	Headers  map[string]secret.Text
	Insecure bool // plain http to a collector that is not on this machine
	// Interval is how often counters are sent; zero means 30 s. Log records go after a second at most.
	Interval time.Duration
}

// scope is the tap's name, under which the records appear.
const scope = "sigra.audit.log"

const (
	logEach       = time.Second
	exportTimeout = 10 * time.Second
	queueSize     = 8192
)

type exporter struct {
	logs     *sdklog.LoggerProvider
	metrics  *sdkmetric.MeterProvider
	logger   log.Logger
	rows     metric.Int64Counter
	severity map[string]log.Severity
}

// endpoints checks the url and gives the two that data is posted to.
func (o OTLP) endpoints() (logs, metrics string, err error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", "", errors.New("the OTLP endpoint must look like https://collector.example:4318")
	}
	// ASVS 5.0 12.3.1: who signs in when, and the headers' token, do not travel in clear between machines.
	if u.Scheme == "http" && !o.Insecure && !loopback(u.Hostname()) {
		return "", "", errors.New("the OTLP endpoint is plain http to another machine: use https, or set insecure = true")
	}
	return u.JoinPath("v1", "logs").String(), u.JoinPath("v1", "metrics").String(), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func newExporter(ctx context.Context, cfg Config, failed func(signal string, err error)) (*exporter, error) {
	logsURL, metricsURL, err := cfg.OTLP.endpoints()
	if err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for name, value := range cfg.OTLP.Headers {
		headers[name] = value.Reveal()
	}
	logExp, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(logsURL), otlploghttp.WithHeaders(headers), otlploghttp.WithTimeout(exportTimeout),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 10 * time.Second, MaxElapsedTime: 30 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("OTLP logs: %w", err)
	}
	metricExp, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(metricsURL), otlpmetrichttp.WithHeaders(headers), otlpmetrichttp.WithTimeout(exportTimeout),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 10 * time.Second, MaxElapsedTime: 30 * time.Second}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("OTLP metrics: %w", err), logExp.Shutdown(ctx))
	}
	interval := cfg.OTLP.Interval
	if interval <= 0 {
		interval = 30 * time.Second
	}
	res := resource.NewSchemaless(
		attribute.String("service.name", "sigra"),
		attribute.String("service.version", cfg.Version),
		attribute.String("service.instance.id", cfg.Node),
	)
	e := &exporter{
		logs: sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(
			sdklog.NewBatchProcessor(reportingLogs{logExp, failed}, sdklog.WithExportInterval(logEach),
				sdklog.WithExportTimeout(40*time.Second), sdklog.WithMaxQueueSize(queueSize)))),
		metrics: sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(
			sdkmetric.NewPeriodicReader(reportingMetrics{metricExp, failed}, sdkmetric.WithInterval(interval), sdkmetric.WithTimeout(40*time.Second)))),
		severity: map[string]log.Severity{"success": log.SeverityInfo, "failure": log.SeverityWarn, "error": log.SeverityError},
	}
	e.logger = e.logs.Logger(scope, log.WithInstrumentationVersion(cfg.Version))
	e.rows, err = e.metrics.Meter(scope, metric.WithInstrumentationVersion(cfg.Version)).
		Int64Counter("sigra.audit.rows", metric.WithDescription("Audit rows committed by this node."), metric.WithUnit("{row}"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("OTLP metrics: %w", err), e.close(ctx))
	}
	return e, nil
}

func (e *exporter) audit(action string, r Record) {
	ctx := context.Background() // the SDK looks here for a trace, of which there is none
	e.rows.Add(ctx, 1, metric.WithAttributes(attribute.String("action", action), attribute.String("category", r.Category), attribute.String("outcome", r.Outcome)))

	var rec log.Record
	rec.SetTimestamp(r.OccurredAt)
	rec.SetObservedTimestamp(time.Now())
	rec.SetEventName(r.Action)
	rec.SetBody(attribute.StringValue(r.Action))
	rec.SetSeverity(e.severity[r.Outcome])
	rec.SetSeverityText(e.severity[r.Outcome].String())
	attrs := make([]attribute.KeyValue, 0, 12)
	for _, kv := range [...][2]string{
		{"log.record.uid", r.ID},
		{"sigra.action", r.Action},
		{"sigra.category", r.Category},
		{"sigra.outcome", r.Outcome},
		{"sigra.reason", r.Reason},
		{"sigra.actor.type", r.ActorType},
		{"sigra.actor.id", r.ActorID},
		{"sigra.organization.id", r.OrganizationID},
		{"session.id", r.SessionID},
		{"sigra.request.id", r.RequestID},
		{"sigra.auth_method", r.AuthMethod},
	} {
		if kv[1] != "" {
			attrs = append(attrs, attribute.String(kv[0], redactEmail(kv[1])))
		}
	}
	if len(r.Targets) > 0 {
		targets := make([]string, len(r.Targets))
		for i, t := range r.Targets {
			targets[i] = redactEmail(t)
		}
		attrs = append(attrs, attribute.StringSlice("sigra.targets", targets))
	}
	rec.AddAttributes(attrs...)
	e.logger.Emit(ctx, rec)
}

func (e *exporter) flush(ctx context.Context) error {
	return errors.Join(e.logs.ForceFlush(ctx), e.metrics.ForceFlush(ctx))
}

func (e *exporter) close(ctx context.Context) error {
	return errors.Join(e.logs.Shutdown(ctx), e.metrics.Shutdown(ctx))
}

// The SDK hands errors to a handler that is global to the process; these two catch them before.

type reportingLogs struct {
	sdklog.Exporter
	failed func(string, error)
}

func (r reportingLogs) Export(ctx context.Context, records []sdklog.Record) error {
	if err := r.Exporter.Export(ctx, records); err != nil {
		r.failed("logs", err)
	}
	return nil
}

type reportingMetrics struct {
	sdkmetric.Exporter
	failed func(string, error)
}

func (r reportingMetrics) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	if err := r.Exporter.Export(ctx, m); err != nil {
		r.failed("metrics", err)
	}
	return nil
}
