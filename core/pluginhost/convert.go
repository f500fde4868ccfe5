package pluginhost

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// This file is the only one that turns the core's types into the wire's and back.

func timeTo(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// idFrom reads an id that may be empty.
func idFrom(s, field string) (uuid.UUID, error) {
	if s == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return uuid.Nil, fault.New(fault.Invalid, "invalid_id", "This is not an id.").At(field)
	}
	return id, nil
}

// structTo makes a protobuf struct of a map from the core. What structpb does not take (integers of any size, nested
// typed slices) goes through JSON.
func structTo(m map[string]any) (*structpb.Struct, error) {
	if len(m) == 0 {
		return nil, nil
	}
	if s, err := structpb.NewStruct(m); err == nil {
		return s, nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, s.UnmarshalJSON(b)
}

func refTo(r audit.Ref) *pluginv1.Ref {
	if r == (audit.Ref{}) {
		return nil
	}
	return &pluginv1.Ref{Type: r.Type, Id: r.ID, Role: r.Role, Display: r.Display}
}

func refFrom(r *pluginv1.Ref) audit.Ref {
	return audit.Ref{Type: r.GetType(), ID: r.GetId(), Role: r.GetRole(), Display: r.GetDisplay()}
}

// principalTo is a principal as plugins see it.
func (h *Host) principalTo(p *principal.Principal) *pluginv1.Principal {
	if p == nil || p.Kind == "" {
		return nil
	}
	return &pluginv1.Principal{
		Kind: string(p.Kind), UserId: idText(p.UserID), OrganizationId: idText(p.OrganizationID), SessionId: idText(p.SessionID),
		ImpersonatorId: idText(p.ImpersonatorID), Email: p.Email, Display: p.Display, Administrator: p.Administrator,
		Aal: p.AAL, Amr: p.AMR, AuthTime: timeTo(p.AuthTime), Role: p.Role, OrganizationAdministrator: h.administers(*p), Scopes: p.Scopes,
		SessionCreatedAt: timeTo(p.CreatedAt), SessionExpiresAt: timeTo(p.ExpiresAt),
	}
}

func requestTo(i request.Info) *pluginv1.RequestInfo {
	return &pluginv1.RequestInfo{RequestId: i.ID, Ip: i.IPString(), UserAgent: i.UserAgent, Language: i.Language, Traceparent: i.Traceparent}
}

func rowTo(r *audit.Row) (*pluginv1.AuditRow, error) {
	meta, err := structTo(r.Metadata)
	if err != nil {
		return nil, fmt.Errorf("metadata of audit row %s: %w", r.ID, err)
	}
	out := &pluginv1.AuditRow{
		Id: r.ID.String(), OccurredAt: timeTo(r.OccurredAt), Action: r.Action, Category: r.Category, Crud: r.CRUD, Outcome: string(r.Outcome),
		Reason: r.Reason, Actor: refTo(r.Actor), OrganizationId: idText(r.OrganizationID), SessionId: idText(r.SessionID), RequestId: r.RequestID,
		Ip: r.IP, UserAgent: r.UserAgent, AuthMethod: r.AuthMethod, Metadata: meta, CorrelationId: r.CorrelationID, Position: r.Position.String(),
	}
	if r.Impersonator != nil {
		out.Impersonator = refTo(*r.Impersonator)
	}
	for _, t := range r.Targets {
		out.Targets = append(out.Targets, refTo(t))
	}
	return out, nil
}

func eventTo(e *event.Event) *pluginv1.Event {
	return &pluginv1.Event{
		Id: e.ID, Type: e.Type, OccurredAt: timeTo(e.OccurredAt), ReceivedAt: timeTo(e.ReceivedAt), Subject: e.Subject, Source: e.Source,
		DataJson: e.Data, Position: e.Position.String(), OrganizationId: e.OrganizationID, Schema: e.Schema, Version: e.Version,
	}
}

func eventFrom(e *pluginv1.Event) event.Event {
	out := event.Event{ID: e.GetId(), Type: e.GetType(), Subject: e.GetSubject(), Source: e.GetSource(), Data: e.GetDataJson(),
		OrganizationID: e.GetOrganizationId(), Schema: e.GetSchema(), Version: e.GetVersion(),
	}
	if t := e.GetOccurredAt(); t.IsValid() {
		out.OccurredAt = t.AsTime()
	}
	return out
}
