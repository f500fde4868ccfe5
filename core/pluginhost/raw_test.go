package pluginhost_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// raw is a plugin without the SDK: it asks what it was not granted and answers what nobody should.
type raw struct {
	goplugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedRoutesServer
	pluginv1.UnimplementedAuditSinkServer
	broker *goplugin.GRPCBroker
	host   *grpc.ClientConn
	name   string
}

func serveRaw() {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: pluginsdk.Handshake(), Plugins: goplugin.PluginSet{pluginsdk.PluginKey: &raw{}}, GRPCServer: goplugin.DefaultGRPCServer,
	})
}

func (p *raw) GRPCServer(b *goplugin.GRPCBroker, s *grpc.Server) error {
	p.broker = b
	pluginv1.RegisterPluginServer(s, p)
	pluginv1.RegisterRoutesServer(s, p)
	pluginv1.RegisterAuditSinkServer(s, p)
	return nil
}

func (p *raw) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func (p *raw) Describe(ctx context.Context, r *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	var err error
	if p.host, err = p.broker.Dial(r.GetHostBrokerId()); err != nil {
		return nil, err
	}
	p.name = r.GetInstance()
	// Before anything is granted.
	if _, err := hostv1.NewKVClient(p.host).Get(ctx, &hostv1.GetRequest{Key: "x"}); err == nil {
		return nil, fmt.Errorf("served before Configure")
	}
	text, _ := os.ReadFile(os.Getenv("RAW_MANIFEST")) // another one at each start, if it is told so
	return rawDescribe(r.GetInstance(), string(text)), nil
}

// rawDescribe is a manifest of some words.
func rawDescribe(name, words string) *pluginv1.DescribeResponse {
	out := &pluginv1.DescribeResponse{
		Name: name, Version: "1.0.0", Seams: []string{"sigra.plugin.v1.Routes", "sigra.plugin.v9.Telepathy"},
		Routes: []*pluginv1.Route{{Path: "/raw"}}, WantedGrants: []string{"kv.use"},
	}
	if strings.HasPrefix(name, "raw_") {
		out.Routes[0].Path, out.RequiredGrants = "/"+name, []string{"audit.record"}
		out.Seams = append(out.Seams, "sigra.plugin.v1.AuditSink")
	}
	for word := range strings.FieldsSeq(words) {
		kind, value, _ := strings.Cut(word, "=")
		switch kind {
		case "name":
			out.Name = value
		case "version":
			out.Version = value
		case "access":
			access, _ := strconv.Atoi(value)
			out.Routes[0].Access = pluginv1.Access(access)
		case "seam":
			out.Seams = append(out.Seams, "sigra.plugin.v1."+value)
		case "event":
			out.EventPatterns = append(out.EventPatterns, value)
		case "rows":
			out.AuditActions = append(out.AuditActions, value)
		case "claim":
			out.Claims = append(out.Claims, value)
		case "wants":
			out.WantedGrants = append(out.WantedGrants, value)
		case "machine":
			out.Routes[0].CrossSite = pluginv1.CrossSite_CROSS_SITE_MACHINE
		case "programs":
			out.Routes[0].Applications = true
		case "question":
			out.GateQuestions = append(out.GateQuestions, &pluginv1.GateQuestion{Name: value})
		case "command":
			out.Commands = append(out.Commands, &pluginv1.Command{Name: value})
		}
	}
	return out
}

func (p *raw) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{}, nil
}

func (p *raw) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return &pluginv1.HealthResponse{Ok: true}, nil
}

// Record records a row of its own for each that it gets.
func (p *raw) Record(ctx context.Context, r *pluginv1.RecordRequest) (*pluginv1.RecordResponse, error) {
	for range r.GetRows() {
		if _, err := hostv1.NewAuditClient(p.host).Record(ctx, &hostv1.RecordAuditRequest{Action: p.name + ".echo"}); err != nil {
			return nil, err
		}
	}
	return &pluginv1.RecordResponse{Inserted: uint32(len(r.GetRows()))}, nil
}

func (p *raw) Serve(s pluginv1.Routes_ServeServer) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	_, what, _ := strings.Cut(strings.TrimPrefix(first.GetHead().GetTarget(), "/raw"), "/")
	head := func(code int32, headers ...*pluginv1.Header) {
		_ = s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Head{Head: &pluginv1.ResponseHead{Status: code, Headers: headers}}})
	}
	body := func(b []byte) { _ = s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Body{Body: b}}) }
	end := func() {
		_ = s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_End{End: &pluginv1.BodyEnd{}}})
	}
	switch what {
	case "identity":
		_, err := hostv1.NewIdentityClient(p.host).FindUser(s.Context(), &hostv1.FindUserRequest{By: &hostv1.FindUserRequest_Email{Email: "a@example.com"}})
		head(200)
		body([]byte(status.Code(err).String() + " " + status.Convert(err).Message()))
		end()
	case "zero", "99", "101", "600", "-1":
		code := map[string]int32{"zero": 0, "99": 99, "101": 101, "600": 600, "-1": -1}[what]
		head(code)
		end()
	case "nohead":
		body([]byte("x"))
	case "nothing":
	case "empty":
		_ = s.Send(&pluginv1.ServeResponse{})
	case "huge":
		head(200)
		body(make([]byte, 5<<20))
	case "split":
		head(200, &pluginv1.Header{Name: "X-A", Values: []string{"a\r\nSet-Cookie: sigra=1"}}, &pluginv1.Header{Name: "X B", Values: []string{"c"}})
		end()
	case "headers":
		head(200, &pluginv1.Header{Name: "X-A", Values: []string{strings.Repeat("a", 100<<10)}})
		end()
	case "twice":
		head(200)
		head(200)
	case "early":
		head(103, &pluginv1.Header{Name: "Link", Values: []string{"</x>"}}, &pluginv1.Header{Name: "Set-Cookie", Values: []string{"a=b"}})
		head(200)
		end()
	case "proxy": // what would have a proxy in front serve its own files, or browsers refuse to come back
		head(200, &pluginv1.Header{Name: "X-Accel-Redirect", Values: []string{"/internal/root.key"}}, &pluginv1.Header{Name: "X-Sendfile", Values: []string{"/etc/shadow"}},
			&pluginv1.Header{Name: "Surrogate-Control", Values: []string{"max-age=999999"}}, &pluginv1.Header{Name: "X-Plugin-Count", Values: []string{"3"}},
			&pluginv1.Header{Name: "Location", Values: []string{"javascript:alert(1)"}})
		end()
	case "cookies":
		var lines []string
		for i := range 40 {
			lines = append(lines, fmt.Sprintf("__Host-raw-%d=%s; Secure; Path=/", i, strings.Repeat("x", 200)))
		}
		head(200, &pluginv1.Header{Name: "Set-Cookie", Values: lines})
		end()
	case "informs":
		for range 100_000 {
			head(103, &pluginv1.Header{Name: "Link", Values: []string{"</x>"}})
		}
		head(200)
		end()
	case "flushes":
		head(200)
		for range 100_000 {
			_ = s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Flush{Flush: true}})
		}
		end()
	case "silent":
		<-s.Context().Done()
	case "half":
		head(200, &pluginv1.Header{Name: "Content-Length", Values: []string{"100"}})
		body([]byte("half"))
	}
	return nil
}

func TestRaw_whatHasNoGrantIsRefusedByTheHostAndAudited(t *testing.T) {
	t.Parallel()
	f := newHost(t, "raw")
	f.apply(`plugin "raw" {}`)
	f.wait("raw", pluginhost.Ready)
	for range 10 {
		if code, body := f.get("/raw/identity"); code != 200 || !strings.HasPrefix(body, "PermissionDenied") || !strings.Contains(body, `"identity.read"`) {
			t.Fatalf("%d %s", code, body)
		}
	}
	// One for kv before it was granted, one for identity.read however often it was asked.
	if n := f.audit.count("admin.plugin.grant_refused"); n != 2 {
		t.Errorf("%d refusals audited", n)
	}
}

func TestRaw_answersNobodyShouldGive(t *testing.T) {
	t.Parallel()
	f := newHost(t, "raw")
	f.Hasten(200e6, 20e6, 500e6)
	f.apply(`plugin "raw" {}`)
	f.wait("raw", pluginhost.Ready)
	for _, what := range []string{"zero", "99", "101", "600", "-1", "nohead", "nothing", "empty", "headers", "informs", "silent"} {
		poll(t, what+" to be judged with the breaker closed", func() (string, bool) {
			code, body, _ := f.do("GET", "/raw/"+what, nil)
			if code != http.StatusServiceUnavailable {
				t.Errorf("%s: %d %s", what, code, body)
			}
			return body, true
		})
	}
	// A well-behaved exchange is possible again once the plugin proves well.
	poll(t, "the breaker to close", func() (string, bool) {
		code, body, h := f.do("GET", "/raw/split", nil)
		if h.Get("Set-Cookie") != "" || h.Get("X-A") != "" {
			t.Fatalf("a header was split: %v", h)
		}
		return body, code == 200
	})
	if code, _, h := f.do("GET", "/raw/early", nil); code != 200 || h.Get("Set-Cookie") != "" {
		t.Errorf("early hints: %d %v", code, h)
	}
	if code, _, h := f.do("GET", "/raw/proxy", nil); code != 200 || h.Get("X-Accel-Redirect")+h.Get("X-Sendfile")+h.Get("Surrogate-Control")+h.Get("Location") != "" || h.Get("X-Plugin-Count") != "3" {
		t.Errorf("%d %v", code, h)
	}
	if code, _, h := f.do("GET", "/raw/cookies", nil); code != 200 || len(h["Set-Cookie"]) != 8 || len(strings.Join(h["Set-Cookie"], "")) > 2200 {
		t.Errorf("%d, %d cookies of %d bytes", code, len(h["Set-Cookie"]), len(strings.Join(h["Set-Cookie"], "")))
	}
	for _, what := range []string{"huge", "half", "twice", "flushes"} {
		if _, body, _ := f.do("GET", "/raw/"+what, nil); !strings.Contains(body, "EOF") && !strings.Contains(body, "reset") {
			t.Errorf("%s was passed on as if it were whole: %.80q", what, body)
		}
	}
}
