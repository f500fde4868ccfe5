package pluginsdk

import (
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// This file turns protobuf messages into the author's types and back where internal/wire can't by itself: enums, oneofs, and
// audit rows, which come by the hundred thousand.

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

// list turns a list of messages.
func list[T any, M proto.Message](in []M) []T {
	if len(in) == 0 {
		return nil
	}
	out := make([]T, len(in))
	for i, m := range in {
		wire.From(&out[i], m)
	}
	return out
}

func refFrom(r *pluginv1.Ref) Ref {
	return Ref{Type: r.GetType(), ID: r.GetId(), Role: r.GetRole(), Display: r.GetDisplay()}
}

func principalFrom(p *pluginv1.Principal) *Principal {
	if p == nil {
		return nil
	}
	out := &Principal{}
	wire.From(out, p)
	return out
}

func requestInfoFrom(r *pluginv1.RequestInfo) (out RequestInfo) {
	wire.From(&out, r)
	return out
}

func rowsFrom(rows []*pluginv1.AuditRow) []AuditRow {
	out := make([]AuditRow, len(rows))
	for i, r := range rows {
		out[i] = AuditRow{
			ID: r.GetId(), OccurredAt: timeFrom(r.GetOccurredAt()), Action: r.GetAction(), Category: r.GetCategory(),
			CRUD: r.GetCrud(), Outcome: r.GetOutcome(), Reason: r.GetReason(), Actor: refFrom(r.GetActor()),
			OrganizationID: r.GetOrganizationId(), SessionID: r.GetSessionId(), RequestID: r.GetRequestId(),
			CorrelationID: r.GetCorrelationId(), IP: r.GetIp(), UserAgent: r.GetUserAgent(), AuthMethod: r.GetAuthMethod(),
			Position: r.GetPosition(),
		}
		if m := r.GetMetadata(); m != nil {
			out[i].Metadata = m.AsMap()
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
		OrganizationID: e.GetOrganizationId(), Schema: e.GetSchema(), Version: e.GetVersion(),
	}
}

func eventTo(e Event) *pluginv1.Event {
	return &pluginv1.Event{
		Id: e.ID, Type: e.Type, OccurredAt: timeTo(e.OccurredAt), ReceivedAt: timeTo(e.ReceivedAt), Subject: e.Subject,
		Source: e.Source, DataJson: e.Data, Position: e.Position, OrganizationId: e.OrganizationID, Schema: e.Schema, Version: e.Version,
	}
}

func messageFrom(m *pluginv1.SendRequest) (out Message) {
	wire.From(&out, m)
	out.Category = categoryFrom(m.GetCategory())
	return out
}

func messageTo(m Message) (*pluginv1.SendRequest, error) {
	out := &pluginv1.SendRequest{Category: categoryTo(m.Category)}
	return out, wire.To(out, m)
}

func categoryFrom(c pluginv1.MailCategory) MailCategory {
	switch c {
	case pluginv1.MailCategory_MAIL_CATEGORY_NOTICE:
		return NoticeMail
	case pluginv1.MailCategory_MAIL_CATEGORY_OTHER:
		return OtherMail
	}
	return AuthMail
}

func categoryTo(c MailCategory) pluginv1.MailCategory {
	switch c {
	case NoticeMail:
		return pluginv1.MailCategory_MAIL_CATEGORY_NOTICE
	case OtherMail:
		return pluginv1.MailCategory_MAIL_CATEGORY_OTHER
	}
	return pluginv1.MailCategory_MAIL_CATEGORY_AUTH
}

func askFrom(r *pluginv1.AskRequest) (out Ask) {
	wire.From(&out, r)
	switch c := r.GetContext().(type) {
	case *pluginv1.AskRequest_Registration:
		out.Registration = plain[RegistrationContext](c.Registration)
	case *pluginv1.AskRequest_Login:
		out.Login = plain[LoginContext](c.Login)
	case *pluginv1.AskRequest_StepUp:
		out.StepUp = plain[StepUpContext](c.StepUp)
	case *pluginv1.AskRequest_Member:
		out.Member = plain[MemberContext](c.Member)
	case *pluginv1.AskRequest_UserDelete:
		out.UserDelete = plain[UserDeleteContext](c.UserDelete)
	case *pluginv1.AskRequest_Token:
		out.Token = plain[TokenContext](c.Token)
	case *pluginv1.AskRequest_Route:
		out.Route = plain[RouteContext](c.Route)
	}
	return out
}

func plain[T any](m proto.Message) *T {
	out := new(T)
	wire.From(out, m)
	return out
}

func askTo(a Ask) (*pluginv1.AskRequest, error) {
	out := &pluginv1.AskRequest{}
	if err := wire.To(out, a); err != nil {
		return nil, err
	}
	var err error
	switch {
	case a.Registration != nil:
		m := &pluginv1.RegistrationContext{}
		err, out.Context = wire.To(m, a.Registration), &pluginv1.AskRequest_Registration{Registration: m}
	case a.Login != nil:
		m := &pluginv1.LoginContext{}
		err, out.Context = wire.To(m, a.Login), &pluginv1.AskRequest_Login{Login: m}
	case a.StepUp != nil:
		m := &pluginv1.StepUpContext{}
		err, out.Context = wire.To(m, a.StepUp), &pluginv1.AskRequest_StepUp{StepUp: m}
	case a.Member != nil:
		m := &pluginv1.MemberContext{}
		err, out.Context = wire.To(m, a.Member), &pluginv1.AskRequest_Member{Member: m}
	case a.UserDelete != nil:
		m := &pluginv1.UserDeleteContext{}
		err, out.Context = wire.To(m, a.UserDelete), &pluginv1.AskRequest_UserDelete{UserDelete: m}
	case a.Token != nil:
		m := &pluginv1.TokenContext{}
		err, out.Context = wire.To(m, a.Token), &pluginv1.AskRequest_Token{Token: m}
	case a.Route != nil:
		m := &pluginv1.RouteContext{}
		err, out.Context = wire.To(m, a.Route), &pluginv1.AskRequest_Route{Route: m}
	}
	return out, err
}

// Verdict is what the gates answered.
type Verdict struct {
	Decision             string `wire:"-"` // "allow", "deny", "step_up"
	By                   string `wire:"-"` // the plugin that decided; empty: nobody objected
	AttemptID            string `wire:"-"` // with a reservation, to be settled: Gates.Settle
	Reason               string
	Message              string
	RequiredAAL          string
	ReservationID        string
	ReservationExpiresAt time.Time
	CacheFor             time.Duration
	Revision             string
	Explain              string
	Obligations          []Obligation
}

// decisions are the words for the answers on the wire.
var decisions = map[pluginv1.AskResponse_Answer]string{
	pluginv1.AskResponse_ANSWER_ALLOW: "allow", pluginv1.AskResponse_ANSWER_DENY: "deny", pluginv1.AskResponse_ANSWER_STEP_UP: "step_up",
}

func verdictFrom(r *hostv1.AskGatesResponse) Verdict {
	a := r.GetAnswer()
	v := Verdict{
		Decision: decisions[a.GetAnswer()], By: r.GetBy(), AttemptID: r.GetAttemptId(), Reason: a.GetReason(), Message: a.GetMessage(), RequiredAAL: a.GetRequiredAal(),
		ReservationID: a.GetReservationId(), ReservationExpiresAt: timeFrom(a.GetReservationExpiresAt()), CacheFor: a.GetCacheFor().AsDuration(),
		Revision: a.GetRevision(), Explain: a.GetExplain(), Obligations: list[Obligation](a.GetObligations()),
	}
	return v
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
