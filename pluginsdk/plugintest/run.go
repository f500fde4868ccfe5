package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
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
	Grants []pluginsdk.Service
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
		req.GrantedServices = append(req.GrantedServices, g.GRPC())
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
func (r *Running) Record(ctx context.Context, rows ...pluginsdk.AuditRow) (pluginsdk.Recorded, error) {
	resp, err := pluginv1.NewAuditSinkClient(r.conn).Record(ctx, &pluginv1.RecordRequest{Rows: rowsTo(rows)})
	if err != nil {
		return pluginsdk.Recorded{}, fromStatus(err)
	}
	return pluginsdk.Recorded{
		Inserted: int(resp.GetInserted()), Duplicate: int(resp.GetDuplicate()), Conflict: int(resp.GetConflict()),
		Refused: refusals(resp.GetRefused()),
	}, nil
}

// Receive delivers host-emitted events.
func (r *Running) Receive(ctx context.Context, events ...pluginsdk.Event) ([]pluginsdk.Refusal, error) {
	req := &pluginv1.ReceiveRequest{}
	for _, e := range events {
		req.Events = append(req.Events, eventTo(e))
	}
	resp, err := pluginv1.NewEventSinkClient(r.conn).Receive(ctx, req)
	return refusals(resp.GetRefused()), fromStatus(err)
}

func refusals(fs []*pluginv1.RowFailure) []pluginsdk.Refusal {
	var out []pluginsdk.Refusal
	for _, f := range fs {
		out = append(out, pluginsdk.Refusal{ID: f.GetId(), Reason: f.GetReason()})
	}
	return out
}

// ErrUncertain is what Send gives when the mailer can't say whether the message went out.
var ErrUncertain = errors.New("it is uncertain whether the message was sent")

// Send gives the plugin a message to send. The error is retryable, permanent or ErrUncertain as the mailer says.
func (r *Running) Send(ctx context.Context, m pluginsdk.Message) error {
	resp, err := pluginv1.NewMailerClient(r.conn).Send(ctx, messageTo(m))
	if err != nil {
		return fromStatus(err)
	}
	switch reason := errors.New(resp.GetReason()); resp.GetOutcome() {
	case pluginv1.SendResponse_OUTCOME_ACCEPTED:
		return nil
	case pluginv1.SendResponse_OUTCOME_RETRY:
		return pluginsdk.Retryable(reason)
	case pluginv1.SendResponse_OUTCOME_REJECTED:
		return pluginsdk.Permanent(reason)
	}
	return fmt.Errorf("%w: %s", ErrUncertain, resp.GetReason())
}

// Decision is a gate's answer as Sigra sees it.
type Decision struct {
	Answer      string // "allow", "deny" or "step_up"
	Reason      string
	Message     string
	RequiredAAL string
}

// Ask puts a question to the gate.
func (r *Running) Ask(ctx context.Context, a pluginsdk.Ask) (Decision, error) {
	resp, err := pluginv1.NewGateClient(r.conn).Ask(ctx, &pluginv1.AskRequest{
		Question: string(a.Question), Principal: principalTo(a.Principal), Subject: refTo(a.Subject),
		Request: &pluginv1.RequestInfo{RequestId: a.Request.RequestID, Ip: a.Request.IP, UserAgent: a.Request.UserAgent},
		Context: structTo(a.Context), AttemptId: a.AttemptID,
	})
	if err != nil {
		return Decision{}, fromStatus(err)
	}
	d := Decision{Reason: resp.GetReason(), Message: resp.GetMessage(), RequiredAAL: resp.GetRequiredAal()}
	switch resp.GetAnswer() {
	case pluginv1.AskResponse_ANSWER_ALLOW:
		d.Answer = "allow"
	case pluginv1.AskResponse_ANSWER_DENY:
		d.Answer = "deny"
	case pluginv1.AskResponse_ANSWER_STEP_UP:
		d.Answer = "step_up"
	default:
		return Decision{}, errors.New("the gate gave no answer")
	}
	return d, nil
}

// Offer asks for the ways to sign in.
func (r *Running) Offer(ctx context.Context, emailDomain, organizationID, returnTo string) ([]pluginsdk.LoginMethod, error) {
	resp, err := pluginv1.NewLoginMethodsClient(r.conn).Offer(ctx, &pluginv1.OfferRequest{
		EmailDomain: emailDomain, OrganizationId: organizationID, ReturnTo: returnTo})
	if err != nil {
		return nil, fromStatus(err)
	}
	var out []pluginsdk.LoginMethod
	for _, m := range resp.GetMethods() {
		out = append(out, pluginsdk.LoginMethod{ID: m.GetId(), Label: m.GetLabel(), URL: m.GetUrl(), Exclusive: m.GetExclusive()})
	}
	return out, nil
}

// Claims asks for the claims to add.
func (r *Running) Claims(ctx context.Context, p *pluginsdk.Principal, audience string) (map[string]any, time.Duration, error) {
	resp, err := pluginv1.NewClaimsClient(r.conn).Claims(ctx, &pluginv1.ClaimsRequest{Principal: principalTo(p), Audience: audience})
	if err != nil {
		return nil, 0, fromStatus(err)
	}
	return resp.GetClaims().AsMap(), resp.GetMaxAge().AsDuration(), nil
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
