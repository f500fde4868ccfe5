package pluginsdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// seam is one gRPC service that a plugin may serve, if its instance implements the interface for it.
type seam struct {
	desc       *grpc.ServiceDesc
	implements func(instance any) bool
	register   func(grpc.ServiceRegistrar, *Server)
}

// allSeams are those of the contract.
func allSeams() []seam {
	return []seam{
		{&pluginv1.AuditSink_ServiceDesc, is[AuditSink], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterAuditSinkServer(g, auditSink{}) }},
		{&pluginv1.EventSink_ServiceDesc, is[EventSink], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterEventSinkServer(g, eventSink{}) }},
		{&pluginv1.Mailer_ServiceDesc, is[Mailer], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterMailerServer(g, mailer{}) }},
		{&pluginv1.Gate_ServiceDesc, is[Gate], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterGateServer(g, gate{}) }},
		{&pluginv1.Routes_ServiceDesc, is[Routes], func(g grpc.ServiceRegistrar, s *Server) { pluginv1.RegisterRoutesServer(g, routes{log: s.log}) }},
		{&pluginv1.LoginMethods_ServiceDesc, is[LoginMethods], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterLoginMethodsServer(g, loginMethods{}) }},
		{&pluginv1.Claims_ServiceDesc, is[Claims], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterClaimsServer(g, claims{}) }},
		{&pluginv1.Subject_ServiceDesc, is[Subject], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterSubjectServer(g, subject{}) }},
		{&pluginv1.Logout_ServiceDesc, is[Logout], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterLogoutServer(g, logout{}) }},
		{&pluginv1.Commands_ServiceDesc, is[Commands], func(g grpc.ServiceRegistrar, _ *Server) { pluginv1.RegisterCommandsServer(g, commands{}) }},
	}
}

// seams finds which of them a plugin's instances implement.
func seams(p Plugin) []seam {
	var out []seam
	for _, s := range allSeams() {
		if s.implements(p.instance) {
			out = append(out, s)
		}
	}
	return out
}

func is[T any](instance any) bool {
	return instance != nil && reflect.TypeOf(instance).Implements(reflect.TypeFor[T]())
}

type instanceKey struct{}

// instanceFor is the instance that answers a call: the one that was in force when the call came.
func instanceFor[T any](ctx context.Context) T {
	x, _ := ctx.Value(instanceKey{}).(T)
	return x
}

type auditSink struct {
	pluginv1.UnimplementedAuditSinkServer
}

func (auditSink) Record(ctx context.Context, req *pluginv1.RecordRequest) (*pluginv1.RecordResponse, error) {
	r, err := instanceFor[AuditSink](ctx).Record(ctx, RecordRequest{Rows: rowsFrom(req.GetRows())})
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
}

func (eventSink) Receive(ctx context.Context, req *pluginv1.ReceiveRequest) (*pluginv1.ReceiveResponse, error) {
	events := make([]Event, len(req.GetEvents()))
	for i, ev := range req.GetEvents() {
		events[i] = eventFrom(ev)
	}
	r, err := instanceFor[EventSink](ctx).Receive(ctx, ReceiveRequest{Events: events})
	if err != nil {
		return nil, toStatus(err)
	}
	return &pluginv1.ReceiveResponse{Refused: refusalsTo(r.Refused)}, nil
}

type mailer struct {
	pluginv1.UnimplementedMailerServer
}

func (mailer) Send(ctx context.Context, req *pluginv1.SendRequest) (*pluginv1.SendResponse, error) {
	r, err := instanceFor[Mailer](ctx).Send(ctx, messageFrom(req))
	if err == nil {
		return &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_ACCEPTED, MessageId: r.MessageID}, nil
	}
	resp := &pluginv1.SendResponse{Outcome: pluginv1.SendResponse_OUTCOME_UNCERTAIN, Reason: err.Error()}
	var c *classified
	switch {
	case ctx.Err() != nil:
		// Whatever the mailer says: it was interrupted, and nobody knows how far it got.
	case IsRetryable(err):
		resp.Outcome = pluginv1.SendResponse_OUTCOME_RETRY
		if errors.As(err, &c) && c.retryAfter > 0 {
			resp.RetryAfter = durationpb.New(c.retryAfter)
		}
	case IsPermanent(err):
		resp.Outcome = pluginv1.SendResponse_OUTCOME_REJECTED
		var rejected *RejectedError
		if errors.As(err, &rejected) {
			resp.Code = rejected.Code
			for _, f := range rejected.Findings {
				resp.Findings = append(resp.Findings, &pluginv1.Finding{Rule: f.Rule, Detail: f.Detail, Where: f.Where})
			}
		}
	}
	return resp, nil
}

func (mailer) Check(ctx context.Context, req *pluginv1.CheckRequest) (*pluginv1.CheckResponse, error) {
	x := instanceFor[MailChecker](ctx)
	if x == nil {
		return &pluginv1.CheckResponse{Deliverable: true}, nil // it knows nothing against it
	}
	r, err := x.Check(ctx, CheckRequest{Purpose: req.GetPurpose(), Address: req.GetAddress(), OrganizationID: req.GetOrganizationId()})
	if err != nil {
		return nil, toStatus(err)
	}
	return &pluginv1.CheckResponse{Deliverable: r.Deliverable, Code: r.Code, Reason: r.Reason}, nil
}

type gate struct {
	pluginv1.UnimplementedGateServer
}

func (gate) Ask(ctx context.Context, req *pluginv1.AskRequest) (*pluginv1.AskResponse, error) {
	a, err := instanceFor[Gate](ctx).Ask(ctx, askFrom(req))
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginv1.AskResponse{
		Reason: a.reason, Message: a.message, RequiredAal: a.aal, ReservationId: a.reservation, ReservationExpiresAt: timeTo(a.reservedUntil),
		Revision: a.revision, Explain: a.explain,
	}
	if a.cacheFor > 0 {
		resp.CacheFor = durationpb.New(a.cacheFor)
	}
	for _, o := range a.obligations {
		s, err := wire.Struct(o.Parameters)
		if err != nil {
			return nil, toStatus(Permanent(fmt.Errorf("obligation %s: %w", o.Name, err)))
		}
		resp.Obligations = append(resp.Obligations, &pluginv1.Obligation{Name: o.Name, Parameters: s})
	}
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

func (gate) Settle(ctx context.Context, req *pluginv1.SettleRequest) (*pluginv1.SettleResponse, error) {
	x := instanceFor[Settler](ctx)
	if x == nil {
		return nil, status.Error(codes.Unimplemented, "the gate makes reservations and is no Settler")
	}
	err := x.Settle(ctx, Settlement{
		Question: Question(req.GetQuestion()), AttemptID: req.GetAttemptId(), ReservationID: req.GetReservationId(),
		Committed: req.GetResult() == pluginv1.SettleRequest_RESULT_COMMITTED,
	})
	return &pluginv1.SettleResponse{}, toStatus(err)
}

type loginMethods struct {
	pluginv1.UnimplementedLoginMethodsServer
}

func (loginMethods) Offer(ctx context.Context, req *pluginv1.OfferRequest) (*pluginv1.OfferResponse, error) {
	var r OfferRequest
	wire.From(&r, req)
	o, err := instanceFor[LoginMethods](ctx).Offer(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginv1.OfferResponse{}
	return resp, toStatus(wire.To(resp, o))
}

type claims struct {
	pluginv1.UnimplementedClaimsServer
}

func (claims) Claims(ctx context.Context, req *pluginv1.ClaimsRequest) (*pluginv1.ClaimsResponse, error) {
	var r ClaimsRequest
	wire.From(&r, req)
	c, err := instanceFor[Claims](ctx).Claims(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginv1.ClaimsResponse{}
	if err := wire.To(resp, c); err != nil {
		return nil, toStatus(Permanent(err))
	}
	return resp, nil
}

type subject struct {
	pluginv1.UnimplementedSubjectServer
}

// exportChunk is how much of an export one message carries.
const exportChunk = 256 << 10

func (subject) Export(req *pluginv1.ExportRequest, stream grpc.ServerStreamingServer[pluginv1.ExportResponse]) error {
	ctx := stream.Context()
	r, err := instanceFor[Subject](ctx).Export(ctx, ExportRequest{UserID: req.GetUserId(), Email: req.GetEmail()})
	if err != nil {
		return toStatus(err)
	}
	b, err := json.Marshal(r.Data)
	if err != nil {
		return toStatus(Permanent(fmt.Errorf("export: %w", err)))
	}
	for len(b) > 0 {
		n := min(len(b), exportChunk)
		if err := stream.Send(&pluginv1.ExportResponse{Json: b[:n]}); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (subject) Erase(ctx context.Context, req *pluginv1.EraseRequest) (*pluginv1.EraseResponse, error) {
	_, err := instanceFor[Subject](ctx).Erase(ctx, EraseRequest{UserID: req.GetUserId(), Email: req.GetEmail()})
	if err != nil {
		return nil, toStatus(err)
	}
	return &pluginv1.EraseResponse{}, nil
}

type logout struct {
	pluginv1.UnimplementedLogoutServer
}

func (logout) SignedOut(ctx context.Context, req *pluginv1.SignedOutRequest) (*pluginv1.SignedOutResponse, error) {
	var r SignedOutRequest
	wire.From(&r, req)
	out, err := instanceFor[Logout](ctx).SignedOut(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &pluginv1.SignedOutResponse{}
	return resp, toStatus(wire.To(resp, out))
}
