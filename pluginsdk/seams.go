package pluginsdk

import (
	"context"
	"errors"
	"fmt"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// seam is one gRPC service that a plugin may serve, if it implements the interface for it.
type seam struct {
	desc     *grpc.ServiceDesc
	register func(grpc.ServiceRegistrar, *Server)
}

// seams finds which of them p implements.
func seams(p Plugin) []seam {
	var out []seam
	add := func(desc *grpc.ServiceDesc, register func(grpc.ServiceRegistrar, *Server)) {
		out = append(out, seam{desc, register})
	}
	if x, ok := p.(AuditSink); ok {
		add(&pluginv1.AuditSink_ServiceDesc, func(g grpc.ServiceRegistrar, _ *Server) {
			pluginv1.RegisterAuditSinkServer(g, auditSink{x: x})
		})
	}
	if x, ok := p.(EventSink); ok {
		add(&pluginv1.EventSink_ServiceDesc, func(g grpc.ServiceRegistrar, _ *Server) {
			pluginv1.RegisterEventSinkServer(g, eventSink{x: x})
		})
	}
	if x, ok := p.(Mailer); ok {
		add(&pluginv1.Mailer_ServiceDesc, func(g grpc.ServiceRegistrar, _ *Server) {
			pluginv1.RegisterMailerServer(g, mailer{x: x})
		})
	}
	if x, ok := p.(Gate); ok {
		add(&pluginv1.Gate_ServiceDesc, func(g grpc.ServiceRegistrar, _ *Server) {
			pluginv1.RegisterGateServer(g, gate{x: x})
		})
	}
	if x, ok := p.(Routes); ok {
		add(&pluginv1.Routes_ServiceDesc, func(g grpc.ServiceRegistrar, s *Server) {
			pluginv1.RegisterRoutesServer(g, routes{x: x, log: s.log})
		})
	}
	if x, ok := p.(LoginMethods); ok {
		add(&pluginv1.LoginMethods_ServiceDesc, func(g grpc.ServiceRegistrar, _ *Server) {
			pluginv1.RegisterLoginMethodsServer(g, loginMethods{x: x})
		})
	}
	if x, ok := p.(Claims); ok {
		add(&pluginv1.Claims_ServiceDesc, func(g grpc.ServiceRegistrar, _ *Server) {
			pluginv1.RegisterClaimsServer(g, claims{x: x})
		})
	}
	return out
}

type auditSink struct {
	pluginv1.UnimplementedAuditSinkServer
	x AuditSink
}

func (a auditSink) Record(ctx context.Context, req *pluginv1.RecordRequest) (*pluginv1.RecordResponse, error) {
	r, err := a.x.Record(ctx, rowsFrom(req.GetRows()))
	if err != nil {
		return nil, toStatus(err)
	}
	return &pluginv1.RecordResponse{
		Refused: refusalsTo(r.Refused), Inserted: count(r.Inserted), Duplicate: count(r.Duplicate), Conflict: count(r.Conflict),
	}, nil
}

func count(n int) uint32 { return uint32(max(n, 0)) } //nolint:gosec // bounded by the batch

type eventSink struct {
	pluginv1.UnimplementedEventSinkServer
	x EventSink
}

func (e eventSink) Receive(ctx context.Context, req *pluginv1.ReceiveRequest) (*pluginv1.ReceiveResponse, error) {
	events := make([]Event, len(req.GetEvents()))
	for i, ev := range req.GetEvents() {
		events[i] = eventFrom(ev)
	}
	refused, err := e.x.Receive(ctx, events)
	if err != nil {
		return nil, toStatus(err)
	}
	return &pluginv1.ReceiveResponse{Refused: refusalsTo(refused)}, nil
}

type mailer struct {
	pluginv1.UnimplementedMailerServer
	x Mailer
}

func (m mailer) Send(ctx context.Context, req *pluginv1.SendRequest) (*pluginv1.SendResponse, error) {
	err := m.x.Send(ctx, messageFrom(req))
	switch {
	case err == nil:
		return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_ACCEPTED}, nil
	case ctx.Err() != nil:
		// Whatever the mailer says: it was interrupted, and nobody knows how far it got.
		return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_UNCERTAIN, Reason: err.Error()}, nil
	case IsRetryable(err):
		return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_RETRY, Reason: err.Error()}, nil
	case IsPermanent(err):
		return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_REJECTED, Reason: err.Error()}, nil
	}
	return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_UNCERTAIN, Reason: err.Error()}, nil
}

type gate struct {
	pluginv1.UnimplementedGateServer
	x Gate
}

func (g gate) Ask(ctx context.Context, req *pluginv1.AskRequest) (*pluginv1.AskResponse, error) {
	a, err := g.x.Ask(ctx, Ask{
		Question: Question(req.GetQuestion()), Principal: principalFrom(req.GetPrincipal()), Subject: refFrom(req.GetSubject()),
		Request: requestInfoFrom(req.GetRequest()), Context: mapFrom(req.GetContext()), AttemptID: req.GetAttemptId(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginv1.AskResponse{Reason: a.reason, Message: a.message, RequiredAal: a.aal}
	switch a.decision {
	case allow:
		resp.Answer = pluginv1.AskResponse_ANSWER_ALLOW
	case deny:
		resp.Answer = pluginv1.AskResponse_ANSWER_DENY
	case stepUp:
		resp.Answer = pluginv1.AskResponse_ANSWER_STEP_UP
	default:
		return nil, toStatus(errors.New("the gate gave no answer: use Allow, Deny or StepUp"))
	}
	return resp, nil
}

type loginMethods struct {
	pluginv1.UnimplementedLoginMethodsServer
	x LoginMethods
}

func (l loginMethods) Offer(ctx context.Context, req *pluginv1.OfferRequest) (*pluginv1.OfferResponse, error) {
	ms, err := l.x.Offer(ctx, req.GetEmailDomain(), req.GetOrganizationId(), req.GetReturnTo())
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginv1.OfferResponse{}
	for _, m := range ms {
		resp.Methods = append(resp.Methods, &pluginv1.LoginMethod{Id: m.ID, Label: m.Label, Url: m.URL, Exclusive: m.Exclusive})
	}
	return resp, nil
}

type claims struct {
	pluginv1.UnimplementedClaimsServer
	x Claims
}

func (c claims) Claims(ctx context.Context, req *pluginv1.ClaimsRequest) (*pluginv1.ClaimsResponse, error) {
	var p Principal
	if from := principalFrom(req.GetPrincipal()); from != nil {
		p = *from
	}
	m, maxAge, err := c.x.Claims(ctx, p, req.GetAudience())
	if err != nil {
		return nil, toStatus(err)
	}
	s, err := structTo(m)
	if err != nil {
		return nil, toStatus(Permanent(fmt.Errorf("claims: %w", err)))
	}
	return &pluginv1.ClaimsResponse{Claims: s, MaxAge: durationpb.New(maxAge)}, nil
}
