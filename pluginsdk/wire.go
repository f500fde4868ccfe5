package pluginsdk

import (
	"encoding/json"
	"fmt"
	"time"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// This file turns protobuf messages into the author's types and back. Nothing else in the package's face knows them.

func timeFrom(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func timeTo(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func mapFrom(s *structpb.Struct) map[string]any {
	if s == nil {
		return nil
	}
	return s.AsMap()
}

func structTo(m map[string]any) (*structpb.Struct, error) {
	if m == nil {
		return nil, nil
	}
	if s, err := structpb.NewStruct(m); err == nil {
		return s, nil
	}
	// Something that protobuf does not know by itself, such as a []string or a time: what JSON makes of it.
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	s := &structpb.Struct{}
	if err := s.UnmarshalJSON(b); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return s, nil
}

func refFrom(r *pluginv1.Ref) Ref {
	return Ref{Type: r.GetType(), ID: r.GetId(), Role: r.GetRole(), Display: r.GetDisplay()}
}

func refTo(r Ref) *pluginv1.Ref {
	if r == (Ref{}) {
		return nil
	}
	return &pluginv1.Ref{Type: r.Type, Id: r.ID, Role: r.Role, Display: r.Display}
}

func refsTo(rs []Ref) []*pluginv1.Ref {
	var out []*pluginv1.Ref
	for _, r := range rs {
		out = append(out, refTo(r))
	}
	return out
}

func principalFrom(p *pluginv1.Principal) *Principal {
	if p == nil {
		return nil
	}
	return &Principal{
		Kind: p.GetKind(), UserID: p.GetUserId(), OrganizationID: p.GetOrganizationId(), SessionID: p.GetSessionId(),
		ImpersonatorID: p.GetImpersonatorId(), Email: p.GetEmail(), Display: p.GetDisplay(), Administrator: p.GetAdministrator(),
		AAL: p.GetAal(), AMR: p.GetAmr(), AuthTime: timeFrom(p.GetAuthTime()),
	}
}

func principalTo(p *Principal) *pluginv1.Principal {
	if p == nil {
		return nil
	}
	return &pluginv1.Principal{
		Kind: p.Kind, UserId: p.UserID, OrganizationId: p.OrganizationID, SessionId: p.SessionID, ImpersonatorId: p.ImpersonatorID,
		Email: p.Email, Display: p.Display, Administrator: p.Administrator, Aal: p.AAL, Amr: p.AMR, AuthTime: timeTo(p.AuthTime),
	}
}

func requestInfoFrom(r *pluginv1.RequestInfo) RequestInfo {
	return RequestInfo{RequestID: r.GetRequestId(), IP: r.GetIp(), UserAgent: r.GetUserAgent()}
}

func requestInfoTo(r RequestInfo) *pluginv1.RequestInfo {
	if r == (RequestInfo{}) {
		return nil
	}
	return &pluginv1.RequestInfo{RequestId: r.RequestID, Ip: r.IP, UserAgent: r.UserAgent}
}

func rowsFrom(rows []*pluginv1.AuditRow) []AuditRow {
	out := make([]AuditRow, len(rows))
	for i, r := range rows {
		out[i] = AuditRow{
			ID: r.GetId(), OccurredAt: timeFrom(r.GetOccurredAt()), Action: r.GetAction(), Category: r.GetCategory(),
			CRUD: r.GetCrud(), Outcome: r.GetOutcome(), Reason: r.GetReason(), Actor: refFrom(r.GetActor()),
			OrganizationID: r.GetOrganizationId(), SessionID: r.GetSessionId(), RequestID: r.GetRequestId(),
			CorrelationID: r.GetCorrelationId(), IP: r.GetIp(), UserAgent: r.GetUserAgent(), AuthMethod: r.GetAuthMethod(),
			Metadata: mapFrom(r.GetMetadata()), Position: r.GetPosition(),
		}
		if imp := r.GetImpersonator(); imp != nil {
			ref := refFrom(imp)
			out[i].Impersonator = &ref
		}
		for _, t := range r.GetTargets() {
			out[i].Targets = append(out[i].Targets, refFrom(t))
		}
	}
	return out
}

func eventFrom(e *pluginv1.Event) Event {
	return Event{
		ID: e.GetId(), Type: e.GetType(), OccurredAt: timeFrom(e.GetOccurredAt()), ReceivedAt: timeFrom(e.GetReceivedAt()),
		Subject: e.GetSubject(), Source: e.GetSource(), Data: e.GetDataJson(), Position: e.GetPosition(),
	}
}

func eventTo(e Event) *pluginv1.Event {
	return &pluginv1.Event{
		Id: e.ID, Type: e.Type, OccurredAt: timeTo(e.OccurredAt), ReceivedAt: timeTo(e.ReceivedAt), Subject: e.Subject,
		Source: e.Source, DataJson: e.Data, Position: e.Position,
	}
}

func messageFrom(m *pluginv1.SendRequest) Message {
	return Message{
		IdempotencyKey: m.GetIdempotencyKey(), Purpose: m.GetPurpose(), From: addressFrom(m.GetFrom()), To: addressFrom(m.GetTo()),
		Subject: m.GetSubject(), Text: m.GetText(), HTML: m.GetHtml(), Variables: m.GetVariables(), Language: m.GetLanguage(),
		Deadline: timeFrom(m.GetDeadline()), OrganizationID: m.GetOrganizationId(), PossibleDuplicate: m.GetPossibleDuplicate(),
	}
}

func messageTo(m Message) *pluginv1.SendRequest {
	return &pluginv1.SendRequest{
		IdempotencyKey: m.IdempotencyKey, Purpose: m.Purpose, From: addressTo(m.From), To: addressTo(m.To), Subject: m.Subject,
		Text: m.Text, Html: m.HTML, Variables: m.Variables, Language: m.Language, Deadline: timeTo(m.Deadline),
		OrganizationId: m.OrganizationID, PossibleDuplicate: m.PossibleDuplicate,
	}
}

func addressFrom(a *pluginv1.Address) Address {
	return Address{Address: a.GetAddress(), Name: a.GetName()}
}

func addressTo(a Address) *pluginv1.Address {
	if a == (Address{}) {
		return nil
	}
	return &pluginv1.Address{Address: a.Address, Name: a.Name}
}

func refusalsTo(rs []Refusal) []*pluginv1.RowFailure {
	var out []*pluginv1.RowFailure
	for _, r := range rs {
		out = append(out, &pluginv1.RowFailure{Id: r.ID, Reason: r.Reason})
	}
	return out
}

func schemaTo(s Schema) *pluginv1.Schema {
	out := &pluginv1.Schema{}
	for _, a := range s.Attributes {
		out.Attributes = append(out.Attributes, &pluginv1.Attribute{
			Name: a.Name, Type: a.Type, Required: a.Required, DefaultJson: a.Default, Description: a.Description, Secret: a.Secret,
		})
	}
	for _, b := range s.Blocks {
		out.Blocks = append(out.Blocks, &pluginv1.Block{
			Name: b.Name, Repeated: b.Repeated, Labelled: b.Labelled, Required: b.Required, Description: b.Description,
			Schema: schemaTo(b.Schema),
		})
	}
	return out
}
