package pluginhost

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// ---- Gate ----------------------------------------------------------------------------------------------------

// maxObligations is how many of them one answer may have.
const maxObligations = 20

// gateFacade asks one plugin one question. What a failure means is its block's decision, made here.
type gateFacade struct {
	p       *plugin
	onError string
	timeout time.Duration
}

var _ gate.Settler = (*gateFacade)(nil)

// Ask implements gate.Gate.
func (g *gateFacade) Ask(ctx context.Context, a gate.Ask) (gate.Answer, error) {
	req := &pluginv1.AskRequest{
		Question: string(a.Question), Principal: g.p.host.principalTo(a.Principal), Subject: refTo(a.Subject), Request: requestTo(request.From(ctx)),
		AttemptId: a.AttemptID, DryRun: a.DryRun,
	}
	if d := a.Device; d != nil {
		req.Device = &pluginv1.Device{Id: d.ID, Known: d.Known, Trusted: d.Trusted}
	}
	var err error
	if req.Attributes, err = structTo(a.Attributes); err != nil {
		return gate.Answer{}, err
	}
	contextTo(req, a)
	out := gate.Answer{By: g.p.name}
	err = g.p.call(ctx, pluginv1.Gate_ServiceDesc.ServiceName, g.timeout, func(ctx context.Context, in *instance) error {
		resp, err := pluginv1.NewGateClient(in.conn).Ask(ctx, req)
		if err != nil {
			return err
		}
		out.Reason, out.Message = codeOf(resp.GetReason()), printable(clip(resp.GetMessage(), 300))
		out.CacheFor, out.Revision, out.Explain = max(resp.GetCacheFor().AsDuration(), 0), printable(clip(resp.GetRevision(), 64)), printable(clip(resp.GetExplain(), 200))
		if len(resp.GetObligations()) > maxObligations {
			return g.p.fail(g.p.seams[pluginv1.Gate_ServiceDesc.ServiceName], codes.Internal, "it wants too much to be done about "+string(a.Question))
		}
		out.Obligations = nil
		for _, o := range resp.GetObligations() {
			out.Obligations = append(out.Obligations, gate.Obligation{Name: printable(clip(o.GetName(), 64)), Parameters: o.GetParameters().AsMap()})
		}
		switch resp.GetAnswer() {
		case pluginv1.AskResponse_ANSWER_ALLOW:
			out.Decision = gate.Allow
			if id := resp.GetReservationId(); id != "" && len(id) <= 200 {
				out.Reservations = []gate.Reservation{{Gate: g.p.name, ID: id, ExpiresAt: resp.GetReservationExpiresAt().AsTime()}}
			}
		case pluginv1.AskResponse_ANSWER_DENY:
			out.Decision = gate.Deny
		case pluginv1.AskResponse_ANSWER_STEP_UP:
			out.Decision = gate.StepUp
			out.RequiredAAL = resp.GetRequiredAal()
			if out.RequiredAAL != principal.AAL1 {
				out.RequiredAAL = principal.AAL2
			}
		default:
			return g.p.fail(g.p.seams[pluginv1.Gate_ServiceDesc.ServiceName], codes.Internal, "it gave no answer to "+string(a.Question))
		}
		return nil
	})
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return gate.Answer{}, err // the one who asked is gone
	}
	var denied *fault.Error
	if ce, ok := err.(*CallError); ok && ce.Code == codes.PermissionDenied && ce.As(&denied) { //nolint:errorlint // call gives nothing else
		return gate.Answer{Decision: gate.Deny, Reason: denied.Code, Message: denied.Message, By: g.p.name}, nil
	}
	if g.onError == config.OnErrorAllow {
		g.p.log.Warn("gate failed, allowed as its block says", "question", a.Question, "error", err)
		return gate.Answer{By: g.p.name}, nil
	}
	g.p.log.Warn("gate failed, denied", "question", a.Question, "error", err)
	return gate.Answer{}, err
}

// Name implements gate.Settler.
func (g *gateFacade) Name() string { return g.p.name }

// Settle implements gate.Settler.
func (g *gateFacade) Settle(ctx context.Context, s gate.Settlement) error {
	req := &pluginv1.SettleRequest{
		Question: string(s.Question), AttemptId: s.AttemptID, ReservationId: s.ReservationID, Result: pluginv1.SettleRequest_RESULT_ABANDONED,
	}
	if s.Committed {
		req.Result = pluginv1.SettleRequest_RESULT_COMMITTED
	}
	return g.p.call(ctx, pluginv1.Gate_ServiceDesc.ServiceName, g.timeout, func(ctx context.Context, in *instance) error {
		_, err := pluginv1.NewGateClient(in.conn).Settle(ctx, req)
		return err
	})
}

// contextTo adds what the question is about.
func contextTo(req *pluginv1.AskRequest, a gate.Ask) {
	text := func(name string) string { s, _ := a.Context[name].(string); return s }
	switch a.Question {
	case gate.Registration:
		req.Context = &pluginv1.AskRequest_Registration{Registration: &pluginv1.RegistrationContext{
			Email: text("email"), EmailDomain: text("email_domain"), Via: text("via"), Provider: text("provider"),
		}}
	case gate.Login:
		req.Context = &pluginv1.AskRequest_Login{Login: &pluginv1.LoginContext{EmailDomain: text("email_domain"), Method: text("method"), Provider: text("provider")}}
		req.GetLogin().NewNetwork, _ = a.Context["new_network"].(bool)
		if a.Principal != nil {
			req.GetLogin().Amr = a.Principal.AMR
		}
	case gate.MemberAdd, gate.MemberRemove:
		if m := a.Member; m != nil {
			req.Context = &pluginv1.AskRequest_Member{Member: &pluginv1.MemberContext{
				OrganizationId: idText(m.OrganizationID), UserId: idText(m.UserID), Email: m.Email, Role: m.Role, Kind: m.Kind, Via: m.Via,
				InvitationId: idText(m.InvitationID), Members: m.Members, Invitations: m.Invitations, Protected: m.Protected,
			}}
		}
	case gate.TokenIssue:
		if t := a.Token; t != nil {
			req.Context = &pluginv1.AskRequest_Token{Token: &pluginv1.TokenContext{
				Kind: t.Kind, ClientId: t.ClientID, ClientName: t.ClientName, Scopes: t.Scopes, Audience: t.Audience, ExpiresAt: timeTo(t.ExpiresAt),
			}}
		}
	case gate.Route:
		req.Context = &pluginv1.AskRequest_Route{Route: &pluginv1.RouteContext{Host: text("host"), Method: text("method"), Path: text("path"), Scheme: text("scheme"), Rule: text("rule")}}
	case gate.UserDelete:
		req.Context = &pluginv1.AskRequest_UserDelete{UserDelete: &pluginv1.UserDeleteContext{EmailDomain: text("email_domain")}}
	case gate.SessionStepUp:
		req.Context = &pluginv1.AskRequest_StepUp{StepUp: &pluginv1.StepUpContext{Method: text("method"), Aal: text("aal")}}
	}
}

// gates is the table as the plugins' blocks have it, in the order of the blocks.
func (h *Host) gateTable(plugins []*plugin) map[gate.Question][]gate.Gate {
	out := map[gate.Question][]gate.Gate{}
	for _, p := range plugins {
		for _, g := range p.gates() {
			timeout := g.Timeout
			if timeout <= 0 {
				p.mu.Lock()
				timeout = p.manifest.question(g.Question).GetTimeout().AsDuration()
				p.mu.Unlock()
			}
			if timeout <= 0 || timeout > maxGateTimeout {
				timeout = gateTimeout
			}
			q := gate.Question(g.Question)
			out[q] = append(out[q], &gateFacade{p: p, onError: g.OnError, timeout: timeout})
		}
	}
	return out
}

// gates are the questions that a plugin is asked: those of its block, and of a bundled one those of its manifest too. That is
// part of this binary, so they stand before its process does, and until then on_error answers.
func (p *plugin) gates() []config.PluginGate {
	b := p.getBlock()
	out := slices.Clone(b.Gates)
	if b.External() {
		return out
	}
	for _, g := range p.host.cfg.BundledGates[b.Name] {
		if !slices.ContainsFunc(out, func(have config.PluginGate) bool { return have.Question == g.Question }) {
			out = append(out, g)
		}
	}
	return out
}

// ---- Mailer --------------------------------------------------------------------------------------------------

// mailFacade sends through one plugin.
type mailFacade struct{ p *plugin }

var (
	_ mail.Owner   = (*mailFacade)(nil)
	_ mail.Checker = (*mailFacade)(nil)
)

// Owns implements mail.Owner: a plugin that may report owns what it accepts.
func (f *mailFacade) Owns() string {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if f.p.grants.allows(methodGrants[hostv1.Mail_Report_FullMethodName]) {
		return f.p.name
	}
	return ""
}

// String is the plugin's name, for people.
func (f *mailFacade) String() string { return f.p.name }

// categoryTo is a message's category on the wire.
func categoryTo(c mail.Category) pluginv1.MailCategory {
	switch c {
	case mail.Auth:
		return pluginv1.MailCategory_MAIL_CATEGORY_AUTH
	case mail.Notice:
		return pluginv1.MailCategory_MAIL_CATEGORY_NOTICE
	}
	return pluginv1.MailCategory_MAIL_CATEGORY_OTHER
}

// messageTo is a message on the wire.
func messageTo(m mail.Message) *pluginv1.SendRequest {
	out := &pluginv1.SendRequest{
		IdempotencyKey: m.ID.String(), Purpose: m.Purpose, From: addressTo(m.From), To: addressTo(m.To), Subject: m.Subject, Text: m.Text, Html: m.HTML,
		Variables: m.Variables, Language: m.Language, Deadline: timeTo(m.Deadline), OrganizationId: idText(m.OrganizationID), PossibleDuplicate: m.PossibleDuplicate,
		Category: categoryTo(m.Category), Stream: string(m.Stream), Link: m.Variables["link"], Code: m.Variables["code"], UserId: idText(m.UserID),
		TemplateVersion: m.TemplateVersion,
	}
	if out.Stream == "" {
		out.Stream = string(mail.Transactional)
	}
	if m.ValidFor > 0 {
		out.ValidFor = durationpb.New(m.ValidFor)
	}
	return out
}

// Send implements mail.Mailer: its error contract is what the queue decides by.
func (f *mailFacade) Send(ctx context.Context, m mail.Message) error {
	s := f.p.seams[pluginv1.Mailer_ServiceDesc.ServiceName]
	req := messageTo(m)
	var refusal *pluginv1.SendResponse
	err := f.p.call(ctx, pluginv1.Mailer_ServiceDesc.ServiceName, mailTimeout, func(ctx context.Context, in *instance) error {
		resp, err := pluginv1.NewMailerClient(in.conn).Send(ctx, req)
		if err != nil {
			return err
		}
		why := printable(clip(resp.GetReason(), 300))
		switch resp.GetOutcome() {
		case pluginv1.SendResponse_OUTCOME_ACCEPTED:
			f.p.log.Debug("mail accepted", "id", m.ID, "purpose", m.Purpose, "message_id", printable(clip(resp.GetMessageId(), 255)))
			return nil
		case pluginv1.SendResponse_OUTCOME_REJECTED:
			refusal = resp
			return f.p.answered(s, codes.InvalidArgument, orElse(why, "the message was rejected"))
		case pluginv1.SendResponse_OUTCOME_RETRY:
			ce := f.p.answered(s, codes.ResourceExhausted, orElse(why, "not sent yet"))
			ce.Retry = min(max(resp.GetRetryAfter().AsDuration(), 0), time.Hour)
			return ce
		case pluginv1.SendResponse_OUTCOME_UNCERTAIN:
			return f.p.answered(s, codes.Unknown, orElse(why, "perhaps sent"))
		}
		return f.p.fail(s, codes.Unknown, "it gave no outcome")
	})
	ce, ok := err.(*CallError) //nolint:errorlint // call gives nothing else
	if !ok {
		return err
	}
	// Whether a message may have left decides whether it may be sent again.
	switch ce.Code {
	case codes.InvalidArgument, codes.FailedPrecondition:
		return fault.New(fault.Invalid, f.refused(m, refusal), ce.Text).Because(plainError(ce.Error()))
	case codes.PermissionDenied:
		return fault.New(fault.Denied, "mail_rejected", ce.Text).Because(plainError(ce.Error()))
	case codes.ResourceExhausted:
		return fault.New(fault.RateLimited, "mail_retry", ce.Text).After(ce.Retry).Because(plainError(ce.Error()))
	case codes.Unimplemented:
		return fault.New(fault.Unavailable, "mailer_unavailable", ce.Text).Because(plainError(ce.Error()))
	case codes.Unavailable:
		if ce.notCalled {
			return fault.New(fault.Unavailable, "mailer_unavailable", ce.Text).Because(plainError(ce.Error()))
		}
		if ce.Text != "" && !ce.transport {
			return fault.New(fault.Unavailable, "mail_retry", ce.Text).After(ce.Retry).Because(plainError(ce.Error()))
		}
	}
	return plainError(ce.Error()) // died or timed out in the middle: uncertain
}

// checkTimeout bounds a look at an address, for which somebody waits.
const checkTimeout = 500 * time.Millisecond

// Check implements mail.Checker. A plugin that can't say is no reason not to try.
func (f *mailFacade) Check(ctx context.Context, purpose, address string, organization uuid.UUID) error {
	var resp *pluginv1.CheckResponse
	err := f.p.call(ctx, pluginv1.Mailer_ServiceDesc.ServiceName, checkTimeout, func(ctx context.Context, in *instance) (err error) {
		resp, err = pluginv1.NewMailerClient(in.conn).Check(ctx, &pluginv1.CheckRequest{Purpose: purpose, Address: address, OrganizationId: idText(organization)})
		if status.Code(err) == codes.Unimplemented { // it may be no checker
			resp, err = &pluginv1.CheckResponse{Deliverable: true}, nil
		}
		return err
	})
	if err != nil || resp.GetDeliverable() {
		return nil //nolint:nilerr // see above
	}
	code := "mail_rejected"
	if mailCode.MatchString(resp.GetCode()) {
		code = resp.GetCode()
	}
	f.p.log.Info("mail not promised", "purpose", purpose, "code", code, "reason", printable(clip(resp.GetReason(), 300)))
	return fault.New(fault.Invalid, "mail_undeliverable", "Mail to this address does not arrive. Use another one.").At("email").Because(plainError(code))
}

var mailCode = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// refused logs what a plugin found wrong with a message, and gives the code of the refusal. Findings name places in the
// message and never what stands there.
func (f *mailFacade) refused(m mail.Message, r *pluginv1.SendResponse) string {
	for _, x := range r.GetFindings()[:min(len(r.GetFindings()), 20)] {
		f.p.log.Warn("mail refused", "id", m.ID, "purpose", m.Purpose, "rule", printable(clip(x.GetRule(), 64)), "where", printable(clip(x.GetWhere(), 120)), "detail", printable(clip(x.GetDetail(), 300)))
	}
	if mailCode.MatchString(r.GetCode()) {
		return r.GetCode()
	}
	return "mail_rejected"
}

// plainError is an error that is no fault: its text alone.
type plainError string

func (e plainError) Error() string { return string(e) }

func addressTo(a mail.Address) *pluginv1.Address {
	if a == (mail.Address{}) {
		return nil
	}
	return &pluginv1.Address{Address: a.Address, Name: a.Name}
}

// ---- LoginMethods --------------------------------------------------------------------------------------------

// LoginMethod is a way to sign in that a plugin offers.
type LoginMethod struct {
	Plugin    string `json:"plugin"`
	ID        string `json:"id"`
	Label     string `json:"label"`
	URL       string `json:"url"` // a path of this Sigra
	Exclusive bool   `json:"exclusive,omitempty"`
}

// OffersLogin reports whether any plugin offers ways to sign in.
func (h *Host) OffersLogin() bool {
	return slices.ContainsFunc(h.all(), func(p *plugin) bool { return p.offers(pluginv1.LoginMethods_ServiceDesc.ServiceName) })
}

// LoginMethods asks every plugin that offers ways to sign in, all at once. One that fails is left out: the others, and
// the core's own, are still offered; stale names those that failed. emailDomain is all a plugin learns of an address.
func (h *Host) LoginMethods(ctx context.Context, emailDomain string, organization uuid.UUID, returnTo string) (found []LoginMethod, stale []string) {
	var asked []*plugin
	for _, p := range h.all() {
		if p.offers(pluginv1.LoginMethods_ServiceDesc.ServiceName) {
			asked = append(asked, p)
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	within := offerTimeout
	if emailDomain != "" {
		within = findTimeout
	}
	answers := make([][]LoginMethod, len(asked))
	failed := make([]string, len(asked))
	var wg sync.WaitGroup
	for i, p := range asked {
		wg.Go(func() {
			err := p.call(ctx, pluginv1.LoginMethods_ServiceDesc.ServiceName, within, func(ctx context.Context, in *instance) error {
				resp, err := pluginv1.NewLoginMethodsClient(in.conn).Offer(ctx, &pluginv1.OfferRequest{EmailDomain: emailDomain, OrganizationId: idText(organization), ReturnTo: returnTo, Request: requestTo(request.From(ctx))})
				if err != nil {
					return err
				}
				answers[i] = methodsOf(p, resp.GetMethods(), request.From(ctx).Language)
				return nil
			})
			if err != nil {
				failed[i] = p.name
				p.log.Warn("ways to sign in not offered", "error", err)
			}
		})
	}
	wg.Wait()
	return slices.Concat(answers...), slices.DeleteFunc(failed, func(name string) bool { return name == "" })
}

// methodsOf keeps what leads below one of the plugin's own routes.
func methodsOf(p *plugin, in []*pluginv1.LoginMethod, language string) []LoginMethod {
	p.mu.Lock()
	m := p.manifest
	p.mu.Unlock()
	var out []LoginMethod
	for _, lm := range in[:min(len(in), 20)] {
		u, err := url.Parse(lm.GetUrl())
		ok := err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && m.serves(u.Path)
		if !ok || lm.GetLabel() == "" {
			p.host.metrics.answers.WithLabelValues(p.name, "login_method").Inc()
			p.log.Warn("way to sign in left out: it does not lead below a route of the plugin", "id", printable(clip(lm.GetId(), 64)))
			continue
		}
		out = append(out, LoginMethod{Plugin: p.name, ID: printable(clip(lm.GetId(), 64)), Label: p.text(lm.GetLabel(), language), URL: lm.GetUrl(), Exclusive: lm.GetExclusive()})
	}
	return out
}

// offers reports whether the plugin, as last seen, serves a seam.
func (p *plugin) offers(service string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.manifest.offers(service)
}

// serves reports whether a path is one of the plugin's routes, or below one.
func (m *manifest) serves(path string) bool {
	return cleanPath(path) && slices.ContainsFunc(m.GetRoutes(), func(r *pluginv1.Route) bool { return under(path, r.GetPath()) })
}

// under reports whether a path is a route's or below it.
func under(path, route string) bool {
	rest, ok := strings.CutPrefix(path, route)
	return ok && (rest == "" || rest[0] == '/')
}
