package plugintest

import (
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The host's side of the conversions in pluginsdk, which internal/wire does by the names of fields; audit rows come by the
// hundred thousand and are done by hand.

func timeTo(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// to fills a message; what is not JSON is the test's mistake.
func to[M proto.Message](m M, from any) M {
	if err := wire.To(m, from); err != nil {
		panic(fmt.Sprintf("plugintest: %v", err))
	}
	return m
}

func from[T any](m proto.Message) (out T) {
	wire.From(&out, m)
	return out
}

func refTo(r pluginsdk.Ref) *pluginv1.Ref {
	return &pluginv1.Ref{Type: r.Type, Id: r.ID, Role: r.Role, Display: r.Display}
}

func principalTo(p *pluginsdk.Principal) *pluginv1.Principal {
	if p == nil {
		return nil
	}
	return to(&pluginv1.Principal{}, p)
}

func rowTo(r pluginsdk.AuditRow) *pluginv1.AuditRow {
	meta, err := wire.Struct(r.Metadata)
	if err != nil {
		panic(fmt.Sprintf("plugintest: metadata must be what JSON gives: %v", err))
	}
	out := &pluginv1.AuditRow{
		Id: r.ID, OccurredAt: timeTo(r.OccurredAt), Action: r.Action, Category: r.Category, Crud: r.CRUD, Outcome: r.Outcome,
		Reason: r.Reason, Actor: refTo(r.Actor), OrganizationId: r.OrganizationID, SessionId: r.SessionID, RequestId: r.RequestID,
		Ip: r.IP, UserAgent: r.UserAgent, AuthMethod: r.AuthMethod, Metadata: meta, CorrelationId: r.CorrelationID,
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
	out := to(&pluginv1.Event{}, e)
	out.DataJson = e.Data
	return out
}

func eventFrom(e *pluginv1.Event) pluginsdk.Event {
	out := from[pluginsdk.Event](e)
	out.Data = e.GetDataJson()
	return out
}

var categories = map[pluginsdk.MailCategory]pluginv1.MailCategory{
	pluginsdk.AuthMail: pluginv1.MailCategory_MAIL_CATEGORY_AUTH, pluginsdk.NoticeMail: pluginv1.MailCategory_MAIL_CATEGORY_NOTICE,
	pluginsdk.OtherMail: pluginv1.MailCategory_MAIL_CATEGORY_OTHER,
}

func messageTo(m pluginsdk.Message) *pluginv1.SendRequest {
	out := to(&pluginv1.SendRequest{}, m)
	out.Category = categories[m.Category]
	return out
}

func messageFrom(m *pluginv1.SendRequest) pluginsdk.Message {
	out := from[pluginsdk.Message](m)
	for name, c := range categories {
		if c == m.GetCategory() {
			out.Category = name
		}
	}
	return out
}

// askTo is a question as Sigra puts it.
func askTo(a pluginsdk.Ask) *pluginv1.AskRequest {
	out := to(&pluginv1.AskRequest{}, a)
	switch {
	case a.Registration != nil:
		out.Context = &pluginv1.AskRequest_Registration{Registration: to(&pluginv1.RegistrationContext{}, a.Registration)}
	case a.Login != nil:
		out.Context = &pluginv1.AskRequest_Login{Login: to(&pluginv1.LoginContext{}, a.Login)}
	case a.StepUp != nil:
		out.Context = &pluginv1.AskRequest_StepUp{StepUp: to(&pluginv1.StepUpContext{}, a.StepUp)}
	case a.Member != nil:
		out.Context = &pluginv1.AskRequest_Member{Member: to(&pluginv1.MemberContext{}, a.Member)}
	case a.UserDelete != nil:
		out.Context = &pluginv1.AskRequest_UserDelete{UserDelete: to(&pluginv1.UserDeleteContext{}, a.UserDelete)}
	case a.Token != nil:
		out.Context = &pluginv1.AskRequest_Token{Token: to(&pluginv1.TokenContext{}, a.Token)}
	case a.Route != nil:
		out.Context = &pluginv1.AskRequest_Route{Route: to(&pluginv1.RouteContext{}, a.Route)}
	}
	return out
}

// askFrom is a question as a plugin puts it to Gates.
func askFrom(r *pluginv1.AskRequest) pluginsdk.Ask {
	out := from[pluginsdk.Ask](r)
	if t := r.GetToken(); t != nil {
		c := from[pluginsdk.TokenContext](t)
		out.Token = &c
	}
	if t := r.GetRoute(); t != nil {
		c := from[pluginsdk.RouteContext](t)
		out.Route = &c
	}
	return out
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
