package pluginhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// asker is a plugin without the SDK, so that nothing stands between a test and the host: its route passes any call on
// to the host's services, and on every other seam it answers as it is told and remembers what it was given.
type asker struct {
	goplugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedRoutesServer
	pluginv1.UnimplementedAuditSinkServer
	pluginv1.UnimplementedEventSinkServer
	pluginv1.UnimplementedMailerServer
	pluginv1.UnimplementedLoginMethodsServer
	pluginv1.UnimplementedClaimsServer
	pluginv1.UnimplementedSubjectServer
	pluginv1.UnimplementedLogoutServer
	name   string
	broker *goplugin.GRPCBroker
	host   *grpc.ClientConn
	mu     sync.Mutex
	seen   []string
}

var hostServiceNames = []string{"Identity", "Sessions", "Audit", "AuditLog", "Events", "Mail", "Seal", "Lease", "KV", "Pages", "RateLimit", "Claims", "Gates", "Topics", "Links", "Notices", "Directory"}

func serveAsker(name string) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: pluginsdk.Handshake(), Plugins: goplugin.PluginSet{pluginsdk.PluginKey: &asker{name: name}}, GRPCServer: goplugin.DefaultGRPCServer,
	})
}

func (p *asker) GRPCServer(b *goplugin.GRPCBroker, s *grpc.Server) error {
	p.broker = b
	pluginv1.RegisterPluginServer(s, p)
	pluginv1.RegisterRoutesServer(s, p)
	pluginv1.RegisterAuditSinkServer(s, p)
	pluginv1.RegisterEventSinkServer(s, p)
	pluginv1.RegisterMailerServer(s, p)
	pluginv1.RegisterLoginMethodsServer(s, p)
	pluginv1.RegisterClaimsServer(s, p)
	pluginv1.RegisterSubjectServer(s, p)
	pluginv1.RegisterLogoutServer(s, p)
	return nil
}

func (p *asker) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// Describe: "asker_all" wants every host service, "asker_none" none; both serve all seams but Gate.
func (p *asker) Describe(_ context.Context, r *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	var err error
	if p.host, err = p.broker.Dial(r.GetHostBrokerId()); err != nil {
		return nil, err
	}
	out := &pluginv1.DescribeResponse{
		Catalogues: []*pluginv1.Catalogue{
			{Language: "en", Messages: map[string]string{"cert.subject": "A certificate of {name} expires", "cert.text": "Renew it by {day}."}},
			{Language: "de", Messages: map[string]string{"cert.subject": "Ein Zertifikat von {name} läuft ab", "cert.text": "Erneuern Sie es bis {day}."}},
		},
		Name: r.GetInstance(), Version: "1.0.0", Routes: []*pluginv1.Route{{Path: "/" + r.GetInstance(), CrossSite: pluginv1.CrossSite_CROSS_SITE_MACHINE}},
		EventPatterns: []string{"billing.*"}, Claims: []string{"plan", "seats"},
	}
	for _, s := range []string{"Routes", "AuditSink", "EventSink", "Mailer", "LoginMethods", "Claims", "Subject", "Logout"} {
		out.Seams = append(out.Seams, "sigra.plugin.v1."+s)
	}
	if strings.HasSuffix(p.name, "_all") {
		for _, g := range pluginsdk.Grants() {
			out.WantedGrants = append(out.WantedGrants, string(g))
		}
		out.WantedGrants = append(out.WantedGrants, "events.publish:billing", "events.publish:auth")
	}
	return out, nil
}

func (p *asker) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{}, nil
}

func (p *asker) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return &pluginv1.HealthResponse{Ok: true}, nil
}

// Metrics are some good figures and many that would spoil Sigra's.
func (p *asker) Metrics(context.Context, *pluginv1.MetricsRequest) (*pluginv1.MetricsResponse, error) {
	return &pluginv1.MetricsResponse{Families: p.families()}, nil
}

func (p *asker) families() []*pluginv1.MetricFamily {
	const counter, gauge, histogram = pluginv1.MetricFamily_TYPE_COUNTER, pluginv1.MetricFamily_TYPE_GAUGE, pluginv1.MetricFamily_TYPE_HISTOGRAM
	one := func(name string, kind pluginv1.MetricFamily_Type, labels map[string]string) *pluginv1.MetricFamily {
		return &pluginv1.MetricFamily{Name: name, Help: "Help.", Type: kind, Metrics: []*pluginv1.Metric{{Labels: labels, Value: 7, Count: 3, Sum: 1.5, Buckets: []*pluginv1.Bucket{{Le: 1, Count: 2}, {Le: 2, Count: 3}}}}}
	}
	many := &pluginv1.MetricFamily{Name: "many", Type: gauge}
	for i := range 1000 {
		many.Metrics = append(many.Metrics, &pluginv1.Metric{Labels: map[string]string{"n": fmt.Sprint(i)}, Value: 1})
	}
	falling := one("falling_seconds", histogram, nil)
	falling.Metrics[0].Buckets[1].Count = 1
	twice := one("twice", gauge, map[string]string{"a": "x"})
	twice.Metrics = append(twice.Metrics, twice.Metrics[0], &pluginv1.Metric{Labels: map[string]string{"b": "x"}})
	return []*pluginv1.MetricFamily{
		one("done_total", counter, map[string]string{"kind": "good"}), one("waiting", gauge, nil), one("took_seconds", histogram, nil), many, twice, falling,
		one("waiting", gauge, nil), one("took_seconds_count", gauge, nil), one("Bad Name", gauge, nil), one("done", counter, nil), one("x", gauge, map[string]string{"plugin": "other"}),
		one("y", gauge, map[string]string{"le": "1"}), one("z", gauge, map[string]string{"v": strings.Repeat("x", 129)}),
	}
}

func (p *asker) Check(_ context.Context, r *pluginv1.CheckRequest) (*pluginv1.CheckResponse, error) {
	p.saw("check %s %s", r.GetPurpose(), r.GetAddress())
	if strings.HasPrefix(r.GetAddress(), "gone@") {
		return &pluginv1.CheckResponse{Code: "suppressed", Reason: "it bounced"}, nil
	}
	return &pluginv1.CheckResponse{Deliverable: true}, nil
}

// watch listens to a topic for a while and gives what it heard.
func (p *asker) watch(ctx context.Context, body []byte) ([]byte, error) {
	req := &hostv1.WatchRequest{}
	if err := proto.Unmarshal(body, req); err != nil {
		return nil, err
	}
	stream, err := hostv1.NewTopicsClient(p.host).Watch(context.WithoutCancel(ctx), req)
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		st, _ := protojson.Marshal(status.Convert(err).Proto())
		return append([]byte("E"), st...), nil
	}
	p.saw("topic %s reread=%v", first.GetPayload(), first.GetReread())
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			p.saw("topic %s reread=%v", m.GetPayload(), m.GetReread())
		}
	}()
	b, err := proto.Marshal(first)
	return append([]byte("A"), b...), err
}

func (p *asker) saw(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf(format, args...))
}

func (p *asker) Record(_ context.Context, r *pluginv1.RecordRequest) (*pluginv1.RecordResponse, error) {
	for _, row := range r.GetRows() {
		p.saw("row %s %s", row.GetAction(), row.GetReason())
	}
	return &pluginv1.RecordResponse{Inserted: uint32(len(r.GetRows()))}, nil
}

func (p *asker) Receive(_ context.Context, r *pluginv1.ReceiveRequest) (*pluginv1.ReceiveResponse, error) {
	out := &pluginv1.ReceiveResponse{}
	for _, e := range r.GetEvents() {
		p.saw("event %s %s %s", e.GetId(), e.GetType(), e.GetDataJson())
		if e.GetSchema() != "" {
			p.saw("about %s %s %s %d", e.GetId(), e.GetOrganizationId(), e.GetSchema(), e.GetVersion())
		}
		if e.GetSubject() == "poison" {
			out.Refused = append(out.Refused, &pluginv1.RowFailure{Id: e.GetId(), Reason: "poison"})
		}
	}
	return out, nil
}

func (p *asker) Send(ctx context.Context, r *pluginv1.SendRequest) (*pluginv1.SendResponse, error) {
	p.saw("mail %s %s %s", r.GetPurpose(), r.GetTo().GetAddress(), r.GetSubject())
	p.saw("as %s %s %s %s %s", r.GetSubject(), r.GetUserId(), r.GetStream(), r.GetTemplateVersion(), r.GetLanguage())
	switch r.GetSubject() {
	case "hang":
		<-ctx.Done()
	case "crash":
		os.Exit(5)
	case "nothing":
		return &pluginv1.SendResponse{}, nil
	}
	return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_Outcome(pluginv1.SendResponse_Outcome_value["OUTCOME_"+strings.ToUpper(r.GetSubject())]), Reason: "because"}, nil
}

func (p *asker) Offer(ctx context.Context, r *pluginv1.OfferRequest) (*pluginv1.OfferResponse, error) {
	p.saw("offer %s %s", r.GetEmailDomain(), r.GetReturnTo())
	if r.GetEmailDomain() == "slow.example" && p.name == "asker_none" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	own := "/" + p.name
	return &pluginv1.OfferResponse{Methods: []*pluginv1.LoginMethod{
		{Id: "good", Label: "Sign in with " + p.name, Url: own + "/start?to=x"},
		{Id: "elsewhere", Label: "Elsewhere", Url: "https://evil.example/"}, {Id: "slashes", Label: "Slashes", Url: "//evil.example" + own},
		{Id: "up", Label: "Up", Url: own + "/../login"}, {Id: "neighbour", Label: "Neighbour", Url: own + "x"}, {Id: "script", Label: "Script", Url: "javascript:alert(1)"},
		{Id: "nameless", Url: own},
	}}, nil
}

func (p *asker) Claims(ctx context.Context, r *pluginv1.ClaimsRequest) (*pluginv1.ClaimsResponse, error) {
	if r.GetAudience() == "slow" && p.name == "asker_none" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	p.saw("claims %s", r.GetPrincipal().GetUserId())
	c, err := structpb.NewStruct(map[string]any{"plan": "gold", "seats": 3, "administrator": true})
	age := time.Minute
	if p.name == "asker_none" {
		age = time.Hour
	}
	return &pluginv1.ClaimsResponse{Claims: c, MaxAge: durationpb.New(age)}, err
}

// Erase can't the first time, for an address that begins with "busy".
func (p *asker) Erase(_ context.Context, r *pluginv1.EraseRequest) (*pluginv1.EraseResponse, error) {
	what := fmt.Sprintf("erase %s %s", r.GetUserId(), r.GetEmail())
	p.mu.Lock()
	again := slices.Contains(p.seen, what)
	p.mu.Unlock()
	p.saw("%s", what)
	if strings.HasPrefix(r.GetEmail(), "busy") && !again {
		return nil, status.Error(codes.Unavailable, "busy")
	}
	return &pluginv1.EraseResponse{}, nil
}

// Export gives what it was asked for, in two pieces; of "broken@…" what is no JSON.
func (p *asker) Export(r *pluginv1.ExportRequest, stream pluginv1.Subject_ExportServer) error {
	pieces := []string{`{"email":`, strconv.Quote(r.GetEmail()) + "}"}
	if strings.HasPrefix(r.GetEmail(), "broken") && p.name == "asker_none" {
		pieces = pieces[:1]
	}
	for _, piece := range pieces {
		if err := stream.Send(&pluginv1.ExportResponse{Json: []byte(piece)}); err != nil {
			return err
		}
	}
	return nil
}

func (p *asker) SignedOut(ctx context.Context, r *pluginv1.SignedOutRequest) (*pluginv1.SignedOutResponse, error) {
	p.saw("signed out %s %s to %s", r.GetPrincipal().GetUserId(), strings.Join(r.GetSessionIds(), ","), r.GetReturnTo())
	if r.GetPrincipal().GetEmail() == "slow@example.com" && p.name == "asker_none" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pluginv1.SignedOutResponse{
		FrameUrls: []string{
			"https://rp.example/" + p.name + "?sid=1", "/" + p.name + "/frame", "javascript:alert(1)", "//evil.example/x", "https://u:p@evil.example/", "/login", "data:text/html,x", "https://a;script-src/x",
		},
		RedirectUrl: "https://idp.example/" + p.name + "?back=" + url.QueryEscape(r.GetReturnTo()),
	}, nil
}

// Serve answers "…/seen" with what it was given, and "…/sigra.host.v1.KV/Put" by calling that with the body.
func (p *asker) Serve(s pluginv1.Routes_ServeServer) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	_, method, _ := strings.Cut(strings.TrimPrefix(first.GetHead().GetTarget(), "/"), "/")
	var body []byte
	for {
		f, err := s.Recv()
		if err == io.EOF || err == nil && f.GetEnd() != nil {
			break
		}
		if err != nil {
			return err
		}
		body = append(body, f.GetBody()...)
	}
	var out []byte
	switch {
	case strings.HasSuffix(method, "Topics/Watch"):
		out, err = p.watch(s.Context(), body)
	case method == "seen":
		p.mu.Lock()
		out, err = json.Marshal(p.seen)
		p.mu.Unlock()
	default:
		out, err = p.pass(s.Context(), method, body)
	}
	if err != nil {
		return err
	}
	_ = s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Head{Head: &pluginv1.ResponseHead{Status: 200}}})
	for len(out) > 0 {
		n := min(len(out), 32<<10)
		_ = s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Body{Body: out[:n]}})
		out = out[n:]
	}
	return s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_End{End: &pluginv1.BodyEnd{}}})
}

// pass makes one call to the host; its answer begins with the status code.
func (p *asker) pass(ctx context.Context, method string, body []byte) ([]byte, error) {
	service, name, _ := strings.Cut(method, "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, err
	}
	m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	in, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		return nil, err
	}
	answer, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return nil, err
	}
	req, resp := in.New().Interface(), answer.New().Interface()
	if err := proto.Unmarshal(body, req); err != nil {
		return nil, err
	}
	if err := p.host.Invoke(ctx, "/"+method, req, resp); err != nil {
		st, err := protojson.Marshal(status.Convert(err).Proto())
		return append([]byte("E"), st...), err
	}
	b, err := proto.Marshal(resp)
	return append([]byte("A"), b...), err
}
