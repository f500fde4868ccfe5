package plugintest

import (
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The host's side of the conversions in pluginsdk.

func timeTo(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func structTo(m map[string]any) *structpb.Struct {
	if m == nil {
		return nil
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		panic(fmt.Sprintf("plugintest: metadata must be what JSON gives: %v", err))
	}
	return s
}

func refTo(r pluginsdk.Ref) *pluginv1.Ref {
	return &pluginv1.Ref{Type: r.Type, Id: r.ID, Role: r.Role, Display: r.Display}
}

func refFrom(r *pluginv1.Ref) pluginsdk.Ref {
	return pluginsdk.Ref{Type: r.GetType(), ID: r.GetId(), Role: r.GetRole(), Display: r.GetDisplay()}
}

func requestFrom(r *pluginv1.RequestInfo) pluginsdk.RequestInfo {
	return pluginsdk.RequestInfo{RequestID: r.GetRequestId(), IP: r.GetIp(), UserAgent: r.GetUserAgent()}
}

func principalTo(p *pluginsdk.Principal) *pluginv1.Principal {
	if p == nil {
		return nil
	}
	return &pluginv1.Principal{
		Kind: p.Kind, UserId: p.UserID, OrganizationId: p.OrganizationID, SessionId: p.SessionID, ImpersonatorId: p.ImpersonatorID,
		Email: p.Email, Display: p.Display, Administrator: p.Administrator, Aal: p.AAL, Amr: p.AMR, AuthTime: timeTo(p.AuthTime),
	}
}

func rowTo(r pluginsdk.AuditRow) *pluginv1.AuditRow {
	out := &pluginv1.AuditRow{
		Id: r.ID, OccurredAt: timeTo(r.OccurredAt), Action: r.Action, Category: r.Category, Crud: r.CRUD, Outcome: r.Outcome,
		Reason: r.Reason, Actor: refTo(r.Actor), OrganizationId: r.OrganizationID, SessionId: r.SessionID, RequestId: r.RequestID,
		Ip: r.IP, UserAgent: r.UserAgent, AuthMethod: r.AuthMethod, Metadata: structTo(r.Metadata), CorrelationId: r.CorrelationID,
		Position: r.Position,
	}
	if r.Impersonator != nil {
		out.Impersonator = refTo(*r.Impersonator)
	}
	for _, t := range r.Targets {
		out.Targets = append(out.Targets, refTo(t))
	}
	return out
}

func rowsTo(rows []pluginsdk.AuditRow) []*pluginv1.AuditRow {
	out := make([]*pluginv1.AuditRow, len(rows))
	for i, r := range rows {
		out[i] = rowTo(r)
	}
	return out
}

func eventTo(e pluginsdk.Event) *pluginv1.Event {
	return &pluginv1.Event{
		Id: e.ID, Type: e.Type, OccurredAt: timeTo(e.OccurredAt), ReceivedAt: timeTo(e.ReceivedAt), Subject: e.Subject,
		Source: e.Source, DataJson: e.Data, Position: e.Position,
	}
}

func eventFrom(e *pluginv1.Event) pluginsdk.Event {
	return pluginsdk.Event{
		ID: e.GetId(), Type: e.GetType(), OccurredAt: timeFrom(e.GetOccurredAt()), ReceivedAt: timeFrom(e.GetReceivedAt()),
		Subject: e.GetSubject(), Source: e.GetSource(), Data: e.GetDataJson(), Position: e.GetPosition(),
	}
}

func timeFrom(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func messageTo(m pluginsdk.Message) *pluginv1.SendRequest {
	return &pluginv1.SendRequest{
		IdempotencyKey: m.IdempotencyKey, Purpose: m.Purpose, From: &pluginv1.Address{Address: m.From.Address, Name: m.From.Name},
		To: &pluginv1.Address{Address: m.To.Address, Name: m.To.Name}, Subject: m.Subject, Text: m.Text, Html: m.HTML,
		Variables: m.Variables, Language: m.Language, Deadline: timeTo(m.Deadline), OrganizationId: m.OrganizationID,
		PossibleDuplicate: m.PossibleDuplicate,
	}
}

func messageFrom(m *pluginv1.SendRequest) pluginsdk.Message {
	return pluginsdk.Message{
		IdempotencyKey: m.GetIdempotencyKey(), Purpose: m.GetPurpose(),
		From:    pluginsdk.Address{Address: m.GetFrom().GetAddress(), Name: m.GetFrom().GetName()},
		To:      pluginsdk.Address{Address: m.GetTo().GetAddress(), Name: m.GetTo().GetName()},
		Subject: m.GetSubject(), Text: m.GetText(), HTML: m.GetHtml(), Variables: m.GetVariables(), Language: m.GetLanguage(),
		Deadline: timeFrom(m.GetDeadline()), OrganizationID: m.GetOrganizationId(), PossibleDuplicate: m.GetPossibleDuplicate(),
	}
}

// fromStatus classifies what a plugin answered as Sigra does.
func fromStatus(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	switch st.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted:
		return pluginsdk.Retryable(err)
	case codes.FailedPrecondition, codes.InvalidArgument, codes.OutOfRange, codes.Unimplemented:
		return pluginsdk.Permanent(err)
	case codes.PermissionDenied:
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok {
				return pluginsdk.Denied(info.GetReason(), st.Message())
			}
		}
		return pluginsdk.Denied("", st.Message())
	}
	return err
}

// diagnosticsErr joins the diagnostics of a Configure answer into an error, nil when there are none.
func diagnosticsErr(ds []*pluginv1.Diagnostic) error {
	var errs []error
	for _, d := range ds {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_WARNING {
			errs = append(errs, pluginsdk.DiagnosticAt(d.GetPath(), d.GetSummary(), d.GetDetail()))
		}
	}
	return errors.Join(errs...)
}
