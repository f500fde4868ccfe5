// v1plugin is a plugin as the first release of the contract had it. See README.md: it is frozen.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sigra-auth/sigra/pluginsdk/testdata/v1plugin/hostv1"
	"github.com/sigra-auth/sigra/pluginsdk/testdata/v1plugin/pluginv1"
)

func main() {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "SIGRA_PLUGIN_COOKIE", MagicCookieValue: "f2b7c0de-sigra-plugin"},
		Plugins:         goplugin.PluginSet{"sigra": &first{}},
		GRPCServer:      goplugin.DefaultGRPCServer,
	})
}

// first serves every seam of the contract.
type first struct {
	goplugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedAuditSinkServer
	pluginv1.UnimplementedEventSinkServer
	pluginv1.UnimplementedMailerServer
	pluginv1.UnimplementedGateServer
	pluginv1.UnimplementedRoutesServer
	pluginv1.UnimplementedLoginMethodsServer
	broker *goplugin.GRPCBroker
	kv     hostv1.KVClient
	seal   hostv1.SealClient
	rows   int
	events int
	mails  int
	level  string
}

func (p *first) GRPCServer(b *goplugin.GRPCBroker, s *grpc.Server) error {
	p.broker = b
	pluginv1.RegisterPluginServer(s, p)
	pluginv1.RegisterAuditSinkServer(s, p)
	pluginv1.RegisterEventSinkServer(s, p)
	pluginv1.RegisterMailerServer(s, p)
	pluginv1.RegisterGateServer(s, p)
	pluginv1.RegisterRoutesServer(s, p)
	pluginv1.RegisterLoginMethodsServer(s, p)
	pluginv1.RegisterClaimsServer(s, claims{p: p})
	return nil
}

func (p *first) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("not a host")
}

func (p *first) Describe(_ context.Context, r *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	conn, err := p.broker.Dial(r.GetHostBrokerId())
	if err != nil {
		return nil, err
	}
	p.kv, p.seal = hostv1.NewKVClient(conn), hostv1.NewSealClient(conn)
	return &pluginv1.DescribeResponse{
		Name: "v1plugin", Version: "1.0.0", SdkVersion: "none", Description: "a plugin of the first contract",
		Seams: []string{"sigra.plugin.v1.AuditSink", "sigra.plugin.v1.EventSink", "sigra.plugin.v1.Mailer", "sigra.plugin.v1.Gate",
			"sigra.plugin.v1.Routes", "sigra.plugin.v1.LoginMethods", "sigra.plugin.v1.Claims"},
		RequiredServices: []string{"sigra.host.v1.KV"}, WantedServices: []string{"sigra.host.v1.Seal"},
		Routes:        []*pluginv1.Route{{Path: "/v1plugin", Title: "First", Access: pluginv1.Access_ACCESS_PUBLIC}},
		EventPatterns: []string{"billing.*"}, GateQuestions: []string{"login"}, AuditActions: []string{"auth.*"}, Claims: []string{"plan"},
		Settings: &pluginv1.Schema{
			Attributes: []*pluginv1.Attribute{{Name: "level", Type: "string", DefaultJson: `"low"`, Description: "how much"}},
			Blocks:     []*pluginv1.Block{{Name: "rule", Repeated: true, Schema: &pluginv1.Schema{Attributes: []*pluginv1.Attribute{{Name: "port", Type: "number", Required: true}}}}},
		},
	}, nil
}

func (p *first) Configure(_ context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	var s structpb.Struct
	if err := s.UnmarshalJSON(r.GetSettingsJson()); err != nil {
		return nil, err
	}
	level := s.GetFields()["level"].GetStringValue()
	if level == "impossible" {
		return &pluginv1.ConfigureResponse{Diagnostics: []*pluginv1.Diagnostic{{
			Severity: pluginv1.Diagnostic_SEVERITY_ERROR, Summary: "no such level", Detail: "low or high", Path: []string{"level"},
		}}}, nil
	}
	p.level = level
	return &pluginv1.ConfigureResponse{}, nil
}

func (p *first) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return &pluginv1.HealthResponse{Ok: true, Facts: map[string]string{"rows": fmt.Sprint(p.rows)}}, nil
}

func (p *first) Stop(context.Context, *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	return &pluginv1.StopResponse{}, nil
}

func (p *first) Record(_ context.Context, r *pluginv1.RecordRequest) (*pluginv1.RecordResponse, error) {
	out := &pluginv1.RecordResponse{}
	for _, row := range r.GetRows() {
		if row.GetReason() == "poison" {
			out.Refused = append(out.Refused, &pluginv1.RowFailure{Id: row.GetId(), Reason: "poison"})
			continue
		}
		p.rows++
		out.Inserted++
	}
	return out, nil
}

func (p *first) Receive(_ context.Context, r *pluginv1.ReceiveRequest) (*pluginv1.ReceiveResponse, error) {
	p.events += len(r.GetEvents())
	return &pluginv1.ReceiveResponse{}, nil
}

func (p *first) Send(_ context.Context, r *pluginv1.SendRequest) (*pluginv1.SendResponse, error) {
	if r.GetTo().GetAddress() == "" {
		return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_REJECTED, Reason: "nobody to send it to"}, nil
	}
	p.mails++
	return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_ACCEPTED, MessageId: "1"}, nil
}

func (p *first) Ask(_ context.Context, r *pluginv1.AskRequest) (*pluginv1.AskResponse, error) {
	if r.GetContext().GetFields()["email_domain"].GetStringValue() == "example.net" {
		return &pluginv1.AskResponse{Answer: pluginv1.AskResponse_ANSWER_DENY, Reason: "domain_blocked", Message: "Not from there."}, nil
	}
	return &pluginv1.AskResponse{Answer: pluginv1.AskResponse_ANSWER_ALLOW}, nil
}

func (p *first) Offer(_ context.Context, r *pluginv1.OfferRequest) (*pluginv1.OfferResponse, error) {
	return &pluginv1.OfferResponse{Methods: []*pluginv1.LoginMethod{{Id: "first", Label: "Sign in with " + r.GetEmailDomain(), Url: "/v1plugin/start"}}}, nil
}

// claims has a method of the service's own name, which would clash with the others.
type claims struct {
	pluginv1.UnimplementedClaimsServer
	p *first
}

func (claims) Claims(context.Context, *pluginv1.ClaimsRequest) (*pluginv1.ClaimsResponse, error) {
	s, err := structpb.NewStruct(map[string]any{"plan": "gold"})
	return &pluginv1.ClaimsResponse{Claims: s, MaxAge: durationpb.New(time.Minute)}, err
}

// Serve answers with what it was asked, and with what the host's services said.
func (p *first) Serve(s pluginv1.Routes_ServeServer) error {
	var head *pluginv1.RequestHead
	var body []byte
	for {
		in, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if in.GetHead() != nil {
			head = in.GetHead()
		}
		body = append(body, in.GetBody()...)
		if in.GetEnd() != nil {
			break
		}
	}
	put, err := p.kv.Put(s.Context(), &hostv1.PutRequest{Key: "last", Value: body, IfVersion: -1})
	if err != nil {
		return err
	}
	sealed, err := p.seal.Seal(s.Context(), &hostv1.SealRequest{Plaintext: body, Purpose: "test"})
	text := fmt.Sprintf("%s %s %s level=%s body=%s stored=%v sealed=%v rows=%d events=%d mails=%d", head.GetMethod(), head.GetTarget(),
		head.GetPrincipal().GetEmail(), p.level, body, put.GetStored(), err == nil && len(sealed.GetSealed()) > 0, p.rows, p.events, p.mails)
	for _, frame := range []*pluginv1.ServeResponse{
		{Frame: &pluginv1.ServeResponse_Head{Head: &pluginv1.ResponseHead{Status: 200, Headers: []*pluginv1.Header{{Name: "Content-Type", Values: []string{"text/plain"}}}}}},
		{Frame: &pluginv1.ServeResponse_Body{Body: []byte(text)}},
		{Frame: &pluginv1.ServeResponse_End{End: &pluginv1.BodyEnd{}}},
	} {
		if err := s.Send(frame); err != nil {
			return err
		}
	}
	return nil
}
