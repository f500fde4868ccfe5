package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/sigra-auth/sigra/pluginsdk"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// Config says how a plugin is started.
type Config struct {
	// Settings is the config block as a JSON object; empty: {}. Defaults are filled in from the schema, as Sigra does.
	Settings string
	// Grants are the host services it may call; nil: what its manifest requires and wants.
	Grants []pluginsdk.Grant
	// Instance is the label of its block; empty: the manifest's name.
	Instance string
	// BaseURL is where Sigra is reached; empty: https://sigra.example
	BaseURL string
	// Host is what it calls; nil: a fresh one.
	Host *Fake
	// Storage is its database; nil: a SQLite file in a folder of the test. Only used when the manifest asks for storage.
	Storage *pluginsdk.Location
	// Logger takes its log; nil: the test's.
	Logger hclog.Logger
}

// Running is a plugin as Sigra sees it. Safe for concurrent use.
type Running struct {
	Host *Fake

	t      testing.TB
	cfg    Config
	plugin pluginsdk.Plugin
	srv    *pluginsdk.Server
	conn   *grpc.ClientConn
	server *grpc.Server
	desc   *pluginv1.DescribeResponse
	close  func()
	once   sync.Once
}

// hostID is the broker id under which the fake serves.
const hostID = 1

// Start describes and configures a plugin, and fails the test if that fails. It is stopped at the test's end, if it
// was not before.
func Start(t testing.TB, p pluginsdk.Plugin, cfg Config) *Running {
	t.Helper()
	r := Launch(t, p, cfg)
	if err := r.Configure(cfg.Settings); err != nil {
		t.Fatalf("plugintest: configure: %v", err)
	}
	return r
}

// Launch is Start without Configure, for tests of it.
func Launch(t testing.TB, p pluginsdk.Plugin, cfg Config) *Running {
	t.Helper()
	m := p.Manifest()
	if cfg.Host == nil {
		cfg.Host = &Fake{}
	}
	if cfg.Instance == "" {
		cfg.Instance = m.Name
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://sigra.example"
	}
	if cfg.Grants == nil {
		cfg.Grants = append(slices.Clone(m.Requires), m.Wants...)
	}
	if cfg.Storage == nil && m.Storage != nil {
		at := SQLiteAt(t)
		cfg.Storage = &at
	}
	if cfg.Logger == nil {
		cfg.Logger = testLogger(t, m.Name)
	}
	cfg.Host.grant(cfg.Grants)

	fake := cfg.Host.server()
	fakeLis := bufconn.Listen(1 << 20)
	go func() { _ = fake.Serve(fakeLis) }()

	srv, err := pluginsdk.NewServer(pluginsdk.ServerConfig{
		Plugin: p, Logger: cfg.Logger,
		Dial: func(id uint32) (*grpc.ClientConn, error) {
			if id != hostID {
				return nil, fmt.Errorf("nothing is served under id %d", id)
			}
			return dial(fakeLis)
		},
	})
	if err != nil {
		fake.Stop()
		t.Fatalf("plugintest: %v", err)
	}
	g := grpc.NewServer(srv.Options()...)
	srv.Register(g)
	lis := bufconn.Listen(1 << 20)
	go func() { _ = g.Serve(lis) }()
	conn, err := dial(lis)
	if err != nil {
		t.Fatalf("plugintest: %v", err)
	}
	r := &Running{Host: cfg.Host, t: t, cfg: cfg, plugin: p, srv: srv, conn: conn, server: g, close: func() {
		_ = conn.Close()
		g.Stop()
		fake.Stop()
	}}
	t.Cleanup(func() { r.end(2 * time.Second) })
	if r.desc, err = r.describe(); err != nil {
		t.Fatalf("plugintest: describe: %v", err)
	}
	return r
}

func dial(lis *bufconn.Listener) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(pluginsdk.MaxMessage), grpc.MaxCallSendMsgSize(pluginsdk.MaxMessage)))
}

func (r *Running) describe() (*pluginv1.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return pluginv1.NewPluginClient(r.conn).Describe(ctx, &pluginv1.DescribeRequest{
		HostVersion: "0.0.0-plugintest", Contracts: []string{pluginsdk.Contract}, HostBrokerId: hostID, Instance: r.cfg.Instance,
	})
}

// Plugin is what runs.
func (r *Running) Plugin() pluginsdk.Plugin { return r.plugin }

// Instance is what its configure function made last.
func (r *Running) Instance() any { return r.srv.Instance() }

// SDK is the host as the plugin got it: the plugin's own database, for looking into it.
func (r *Running) SDK() *pluginsdk.Host { return r.srv.Host() }

// Configure gives the plugin settings, a JSON object. Defaults are filled in. What the plugin finds wrong comes back as
// joined *pluginsdk.DiagnosticError.
func (r *Running) Configure(settings string) error {
	full, err := withDefaults(r.desc.GetSettings(), settings)
	if err != nil {
		return err
	}
	return r.configure(full)
}

func (r *Running) configure(settings []byte) error {
	req := &pluginv1.ConfigureRequest{
		SettingsJson: settings, BaseUrl: r.cfg.BaseURL, LogLevel: "debug", HostVersion: "0.0.0-plugintest",
	}
	for _, g := range r.cfg.Grants {
		req.Grants = append(req.Grants, string(g))
	}
	if at := r.cfg.Storage; at != nil && r.desc.GetStorage() {
		req.Storage = &pluginv1.Storage{Dialect: string(at.Dialect), Dsn: at.DSN.Reveal(), Schema: at.Schema}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	resp, err := pluginv1.NewPluginClient(r.conn).Configure(ctx, req)
	if err != nil {
		return fromStatus(err)
	}
	return diagnosticsErr(resp.GetDiagnostics())
}

// withDefaults fills in what the user did not write, as the host does.
func withDefaults(s *pluginv1.Schema, settings string) ([]byte, error) {
	obj := map[string]json.RawMessage{}
	if settings != "" {
		if err := json.Unmarshal([]byte(settings), &obj); err != nil {
			return nil, fmt.Errorf("plugintest: the settings are not a JSON object: %w", err)
		}
	}
	for _, a := range s.GetAttributes() {
		if _, set := obj[a.GetName()]; !set && a.GetDefaultJson() != "" {
			obj[a.GetName()] = json.RawMessage(a.GetDefaultJson())
		}
	}
	return json.Marshal(obj)
}

// Record delivers audit rows.
func (r *Running) Record(ctx context.Context, rows ...pluginsdk.AuditRow) (pluginsdk.RecordResponse, error) {
	resp, err := pluginv1.NewAuditSinkClient(r.conn).Record(ctx, &pluginv1.RecordRequest{Rows: rowsTo(rows)})
	return from[pluginsdk.RecordResponse](resp), fromStatus(err)
}

// Receive delivers host-emitted events.
func (r *Running) Receive(ctx context.Context, events ...pluginsdk.Event) (pluginsdk.ReceiveResponse, error) {
	req := &pluginv1.ReceiveRequest{}
	for _, e := range events {
		req.Events = append(req.Events, eventTo(e))
	}
	resp, err := pluginv1.NewEventSinkClient(r.conn).Receive(ctx, req)
	return from[pluginsdk.ReceiveResponse](resp), fromStatus(err)
}

// ErrUncertain is what Send gives when the mailer can't say whether the message went out.
var ErrUncertain = errors.New("it is uncertain whether the message was sent")

// Send gives the plugin a message to send. The error is retryable, permanent (a *pluginsdk.RejectedError) or ErrUncertain as
// the mailer says.
func (r *Running) Send(ctx context.Context, m pluginsdk.Message) (pluginsdk.SendResponse, error) {
	resp, err := pluginv1.NewMailerClient(r.conn).Send(ctx, messageTo(m))
	if err != nil {
		return pluginsdk.SendResponse{}, fromStatus(err)
	}
	switch reason := errors.New(resp.GetReason()); resp.GetOutcome() {
	case pluginv1.SendResponse_OUTCOME_ACCEPTED:
		return pluginsdk.SendResponse{MessageID: resp.GetMessageId()}, nil
	case pluginv1.SendResponse_OUTCOME_RETRY:
		if after := resp.GetRetryAfter().AsDuration(); after > 0 {
			return pluginsdk.SendResponse{}, pluginsdk.RetryAfter(reason, after)
		}
		return pluginsdk.SendResponse{}, pluginsdk.Retryable(reason)
	case pluginv1.SendResponse_OUTCOME_REJECTED:
		var findings []pluginsdk.Finding
		for _, f := range resp.GetFindings() {
			findings = append(findings, from[pluginsdk.Finding](f))
		}
		return pluginsdk.SendResponse{}, pluginsdk.Rejected(resp.GetCode(), resp.GetReason(), findings...)
	}
	return pluginsdk.SendResponse{}, fmt.Errorf("%w: %s", ErrUncertain, resp.GetReason())
}

// Check asks the mailer about an address.
func (r *Running) Check(ctx context.Context, c pluginsdk.CheckRequest) (pluginsdk.CheckResponse, error) {
	resp, err := pluginv1.NewMailerClient(r.conn).Check(ctx, to(&pluginv1.CheckRequest{}, c))
	return from[pluginsdk.CheckResponse](resp), fromStatus(err)
}

// Ask puts a question to the gate.
func (r *Running) Ask(ctx context.Context, a pluginsdk.Ask) (pluginsdk.Verdict, error) {
	resp, err := pluginv1.NewGateClient(r.conn).Ask(ctx, askTo(a))
	if err != nil {
		return pluginsdk.Verdict{}, fromStatus(err)
	}
	v := from[pluginsdk.Verdict](resp)
	switch resp.GetAnswer() {
	case pluginv1.AskResponse_ANSWER_ALLOW:
		v.Decision = "allow"
	case pluginv1.AskResponse_ANSWER_DENY:
		v.Decision = "deny"
	case pluginv1.AskResponse_ANSWER_STEP_UP:
		v.Decision = "step_up"
	default:
		return pluginsdk.Verdict{}, errors.New("the gate gave no answer")
	}
	return v, nil
}

// Settle tells the gate what became of an attempt.
func (r *Running) Settle(ctx context.Context, s pluginsdk.Settlement) error {
	req := &pluginv1.SettleRequest{Question: string(s.Question), AttemptId: s.AttemptID, ReservationId: s.ReservationID, Result: pluginv1.SettleRequest_RESULT_ABANDONED}
	if s.Committed {
		req.Result = pluginv1.SettleRequest_RESULT_COMMITTED
	}
	_, err := pluginv1.NewGateClient(r.conn).Settle(ctx, req)
	return fromStatus(err)
}

// Offer asks for the ways to sign in.
func (r *Running) Offer(ctx context.Context, o pluginsdk.OfferRequest) ([]pluginsdk.LoginMethod, error) {
	resp, err := pluginv1.NewLoginMethodsClient(r.conn).Offer(ctx, to(&pluginv1.OfferRequest{}, o))
	return from[pluginsdk.OfferResponse](resp).Methods, fromStatus(err)
}

// Claims asks for the claims to add.
func (r *Running) Claims(ctx context.Context, c pluginsdk.ClaimsRequest) (pluginsdk.ClaimsResponse, error) {
	resp, err := pluginv1.NewClaimsClient(r.conn).Claims(ctx, to(&pluginv1.ClaimsRequest{}, c))
	return from[pluginsdk.ClaimsResponse](resp), fromStatus(err)
}

// Export asks for a person's data, as JSON.
func (r *Running) Export(ctx context.Context, e pluginsdk.ExportRequest) ([]byte, error) {
	stream, err := pluginv1.NewSubjectClient(r.conn).Export(ctx, to(&pluginv1.ExportRequest{}, e))
	if err != nil {
		return nil, fromStatus(err)
	}
	var out []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fromStatus(err)
		}
		out = append(out, piece.GetJson()...)
	}
}

// Erase has a person's data removed.
func (r *Running) Erase(ctx context.Context, e pluginsdk.EraseRequest) error {
	_, err := pluginv1.NewSubjectClient(r.conn).Erase(ctx, to(&pluginv1.EraseRequest{}, e))
	return fromStatus(err)
}

// SignedOut tells of a sign-out.
func (r *Running) SignedOut(ctx context.Context, s pluginsdk.SignedOutRequest) (pluginsdk.SignedOutResponse, error) {
	resp, err := pluginv1.NewLogoutClient(r.conn).SignedOut(ctx, to(&pluginv1.SignedOutRequest{}, s))
	return from[pluginsdk.SignedOutResponse](resp), fromStatus(err)
}

// Command runs one of the plugin's commands, an offline one too. Its error is a *pluginsdk.ExitError.
func (r *Running) Command(ctx context.Context, c pluginsdk.CommandCall) (err error) {
	for p, none := range map[*io.Writer]io.Writer{&c.Stdout: io.Discard, &c.Stderr: io.Discard} {
		if *p == nil {
			*p = none
		}
	}
	if c.Stdin == nil {
		c.Stdin = strings.NewReader("")
	}
	for _, known := range r.plugin.Manifest().Commands {
		if known.Name == c.Name && known.Offline != nil {
			return known.Offline(ctx, &c)
		}
	}
	stream, err := pluginv1.NewCommandsClient(r.conn).Run(ctx)
	if err != nil {
		return fromStatus(err)
	}
	start := &pluginv1.CommandStart{Name: c.Name, Arguments: c.Arguments, Json: c.JSON, Operator: c.Operator}
	_ = stream.Send(&pluginv1.RunRequest{Frame: &pluginv1.RunRequest_Start{Start: start}})
	in, err := io.ReadAll(c.Stdin)
	if err != nil {
		return err
	}
	_ = stream.Send(&pluginv1.RunRequest{Frame: &pluginv1.RunRequest_Stdin{Stdin: in}})
	_ = stream.Send(&pluginv1.RunRequest{Frame: &pluginv1.RunRequest_StdinEnd{StdinEnd: true}})
	for {
		f, err := stream.Recv()
		if err != nil {
			return fromStatus(err)
		}
		_, _ = c.Stdout.Write(f.GetStdout())
		_, _ = c.Stderr.Write(f.GetStderr())
		if end := f.GetEnd(); end != nil {
			if end.GetExitCode() == 0 {
				return nil
			}
			return &pluginsdk.ExitError{Status: int(end.GetExitCode()), Err: errors.New(end.GetError())}
		}
	}
}

// Metric is the value of one of the plugin's own figures (of a histogram its count), under the values of its labels as
// "name=value" in the order of their names.
func (r *Running) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	resp, err := pluginv1.NewPluginClient(r.conn).Metrics(ctx, &pluginv1.MetricsRequest{})
	if err != nil {
		return 0, fromStatus(err)
	}
	for _, f := range resp.GetFamilies() {
		for _, m := range f.GetMetrics() {
			var have []string
			for _, k := range slices.Sorted(maps.Keys(m.GetLabels())) {
				have = append(have, k+"="+m.GetLabels()[k])
			}
			if f.GetName() == name && slices.Equal(have, labels) {
				return m.GetValue() + float64(m.GetCount()), nil
			}
		}
	}
	return 0, fmt.Errorf("plugintest: there is no figure %s %v", name, labels)
}

// Health asks how the plugin is; the error is why it is not well.
func (r *Running) Health(ctx context.Context) (facts map[string]string, err error) {
	resp, err := pluginv1.NewPluginClient(r.conn).Health(ctx, &pluginv1.HealthRequest{})
	if err != nil {
		return nil, fromStatus(err)
	}
	if !resp.GetOk() {
		return resp.GetFacts(), errors.New(resp.GetDetail())
	}
	return resp.GetFacts(), nil
}

// Stop stops the plugin in order, as Sigra does: within grace, host services still up. It does nothing the second time.
func (r *Running) Stop(grace time.Duration) error { return r.end(grace) }

func (r *Running) end(grace time.Duration) (err error) {
	r.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		err = r.srv.Stop(ctx)
		// The answers of calls that have just ended are still on their way.
		sent := make(chan struct{})
		go func() { defer close(sent); r.server.GracefulStop() }()
		select {
		case <-sent:
		case <-ctx.Done():
		}
		r.close() // a handler that hangs keeps GracefulStop, not us
	})
	return err
}

// Crash cuts the plugin off in the middle of whatever it does: calls fail, their contexts end. Then its database is closed.
func (r *Running) Crash() {
	r.once.Do(func() {
		r.close()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = r.srv.Stop(ctx)
	})
}

// Restart starts another instance on the same host, grants and database; the earlier one must have been stopped or
// crashed.
func (r *Running) Restart(p pluginsdk.Plugin) *Running {
	r.t.Helper()
	return Start(r.t, p, r.cfg)
}

// testLogger sends the plugin's log to the test's, as long as the test runs.
func testLogger(t testing.TB, name string) hclog.Logger {
	out := &testOutput{t: t}
	t.Cleanup(out.end)
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: hclog.Debug, Output: out, DisableTime: true})
}

type testOutput struct {
	mu    sync.Mutex
	t     testing.TB
	ended bool
}

// Write implements io.Writer.
func (o *testOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.t.Log(string(p[:max(len(p)-1, 0)]))
	}
	return len(p), nil
}

func (o *testOutput) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}
