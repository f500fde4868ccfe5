package accrue

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// Version is Accrue's own.
const Version = "0.1.0"

//go:embed migrations
var migrations embed.FS

// instance is Accrue with one set of settings.
type instance struct {
	settings settings
	host     *pluginsdk.Host
	store    *store
	log      hclog.Logger
	mux      *http.ServeMux

	applier   applier
	verifiers map[string]provider.Verifier // of the webhooks that are set
	wake      chan struct{}
	rejected  pluginsdk.Counter
}

var (
	_ pluginsdk.EventSink      = (*instance)(nil)
	_ pluginsdk.AuditSink      = (*instance)(nil)
	_ pluginsdk.Gate           = (*instance)(nil)
	_ pluginsdk.Settler        = (*instance)(nil)
	_ pluginsdk.Claims         = (*instance)(nil)
	_ pluginsdk.Routes         = (*instance)(nil)
	_ pluginsdk.Commands       = (*instance)(nil)
	_ pluginsdk.HealthReporter = (*instance)(nil)
)

// New makes Accrue.
func New() pluginsdk.Plugin { return newAt(time.Now) }

// newAt is New by another clock, for tests.
func newAt(now func() time.Time) pluginsdk.Plugin {
	m := pluginsdk.Manifest{
		Name:        "accrue",
		Version:     Version,
		Description: "Seats and entitlements from billing events",
		Requires:    []pluginsdk.Grant{pluginsdk.IdentityRead, pluginsdk.PagesRender, pluginsdk.ClaimsWrite, pluginsdk.AuditRecord},
		Routes: []pluginsdk.Route{
			{Path: "/accrue", Title: "Billing", Section: pluginsdk.AdministrationSection, Access: pluginsdk.Administrators},
			{Path: "/accrue/webhooks", Access: pluginsdk.Public, CrossSite: pluginsdk.CrossSiteMachine, MaxBody: maxBody},
			{Path: "/accrue/v1", Access: pluginsdk.Administrators, Applications: true, CrossSite: pluginsdk.CrossSiteRefused, MaxBody: 64 << 10},
		},
		Actions:      actions(),
		Events:       []string{"billing.*"},
		Questions:    []pluginsdk.GateQuestion{{Question: pluginsdk.MemberAdd}},
		AuditActions: []string{"membership.create", "membership.update", "membership.delete", "invitation.create", "invitation.accept", "invitation.revoke", "organization.delete"},
		Claims:       []string{"plan", "features", "seats"},
		Commands: []pluginsdk.Command{
			{Name: "webhook verify", Arguments: "--provider NAME [--settings FILE] [--at TIME] CASE…", Summary: "Judge recorded webhooks, without a running server", Offline: verifyCommand},
			{Name: "replay", Arguments: "[--plans FILE] [--at TIME] SEQUENCE…", Summary: "Take recorded histories on an empty ledger, without a running server", Offline: replayCommand},
			{Name: "accounts", Summary: "List the accounts that have a subscription"},
			{Name: "explain", Arguments: "ACCOUNT", Summary: "Show what an account is entitled to, and why"},
			{Name: "seats", Arguments: "ORGANIZATION", Summary: "Show who holds which seat of an organization"},
			{Name: "events", Arguments: "[--state STATE] [--alerts]", Summary: "List webhooks and what came of them"},
			{Name: "events replay", Arguments: "[--dry-run] (--dead | PROVIDER/EVENT…)", Summary: "Have webhooks applied again, from what was stored of them"},
			{Name: "customers", Summary: "List providers' customers and the accounts that they are"},
			{Name: "link", Arguments: "PROVIDER CUSTOMER ACCOUNT", Summary: "Make a provider's customer an account"},
		},
		Storage: storage.New(migrations),
	}
	return pluginsdk.Define(m, func(_ context.Context, host *pluginsdk.Host, s settings) (*instance, error) {
		if err := s.check(); err != nil {
			return nil, err
		}
		in := &instance{settings: s, host: host, log: host.Logger(), store: &store{db: host.Database(), dialect: host.Dialect(), now: now}}
		verifiers, err := s.verifiers()
		if err != nil {
			return nil, err
		}
		in.verifiers, in.wake = verifiers, make(chan struct{}, 1)
		in.applier = applier{settings: s, store: in.store, resolve: parseAccount}
		in.rejected = host.Metrics().Counter("webhooks_rejected_total", "Webhooks that were refused, by provider and reason.", "provider", "reason")
		in.mux = in.routes()
		return in, nil
	})
}

// Receive implements pluginsdk.EventSink.
func (in *instance) Receive(ctx context.Context, r pluginsdk.ReceiveRequest) (out pluginsdk.ReceiveResponse, err error) {
	var events []event
	for _, e := range r.Events {
		read, known, err := readEvent(e)
		if err != nil {
			in.log.Warn("a billing event can't be taken", "event", e.ID, "type", e.Type, "error", err)
			out.Refused = append(out.Refused, pluginsdk.Refusal{ID: e.ID, Reason: err.Error()})
			continue
		}
		if !known {
			in.log.Warn("a billing event of a type without meaning is kept", "event", e.ID, "type", e.Type)
		}
		events = append(events, read)
	}
	if len(events) == 0 {
		return out, nil
	}
	if err := in.store.receive(ctx, events); err != nil {
		return pluginsdk.ReceiveResponse{}, pluginsdk.Retryable(err)
	}
	if err := in.invalidate(ctx, events); err != nil {
		return pluginsdk.ReceiveResponse{}, err // the events are taken again, which changes nothing more
	}
	return out, nil
}

// invalidate has claims asked anew that what was received may have changed: of a person, or, of an organization, of everybody, for Sigra doesn't
// ask by organization.
func (in *instance) invalidate(ctx context.Context, events []event) error {
	users := map[string]bool{}
	for _, e := range events {
		kind, id, _ := strings.Cut(e.Holder, ":")
		switch kind {
		case userAccount:
			users[id] = true
		case organizationAccount:
			return in.host.Claims().Invalidate(ctx, "")
		}
	}
	for id := range users {
		if err := in.host.Claims().Invalidate(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// Record implements pluginsdk.AuditSink: memberships and invitations as they really are.
func (in *instance) Record(ctx context.Context, r pluginsdk.RecordRequest) (pluginsdk.RecordResponse, error) {
	if err := in.record(ctx, r.Rows); err != nil {
		return pluginsdk.RecordResponse{}, pluginsdk.Retryable(err)
	}
	return pluginsdk.RecordResponse{}, nil
}

// Ask implements pluginsdk.Gate.
func (in *instance) Ask(ctx context.Context, a pluginsdk.Ask) (pluginsdk.Answer, error) {
	m := a.Member
	if a.Question != pluginsdk.MemberAdd || m == nil {
		return pluginsdk.Answer{}, pluginsdk.Permanent(fmt.Errorf("accrue is not asked %q", a.Question))
	}
	if err := in.learn(ctx, m.OrganizationID); err != nil {
		return pluginsdk.Answer{}, pluginsdk.Retryable(err)
	}
	req := request{organization: m.OrganizationID, holder: userHolder(m.UserID), kind: m.Kind, attempt: a.AttemptID, protected: m.Protected, dryRun: a.DryRun}
	if req.kind == "" {
		req.kind = "member"
	}
	if m.UserID == "" {
		req.holder = "email:" + m.Email
	}
	if m.InvitationID != "" && m.UserID != "" {
		req.invitation = invitationHolder(m.InvitationID)
	}
	res, err := in.reserve(ctx, req)
	if err != nil {
		return pluginsdk.Answer{}, pluginsdk.Retryable(err)
	}
	revision := strconv.FormatInt(res.Explain.Revision, 10)
	if res.Refused != "" {
		return pluginsdk.Deny(res.Refused, res.message()).Explained(revision, organizationAccount+":"+m.OrganizationID), nil
	}
	ans := pluginsdk.Allow().Explained(revision, organizationAccount+":"+m.OrganizationID)
	if res.ID != "" {
		ans = ans.Reserve(res.ID, res.Until)
	}
	return ans, nil
}

// message says for people why there is no seat.
func (r reservation) message() string {
	switch {
	case r.Refused != "seat_limit_reached":
		return "This organization's subscription is not active, so nobody can join at present."
	case r.Limit == 0:
		return "This organization has no seats."
	case r.Limit == 1:
		return "This organization's only seat is taken."
	}
	return fmt.Sprintf("All %d seats of this organization are taken.", r.Limit)
}

// Settle implements pluginsdk.Settler.
func (in *instance) Settle(ctx context.Context, s pluginsdk.Settlement) error {
	if err := in.store.settle(ctx, s.AttemptID, s.ReservationID, s.Committed); err != nil {
		return pluginsdk.Retryable(err)
	}
	return nil
}

// Claims implements pluginsdk.Claims.
func (in *instance) Claims(ctx context.Context, r pluginsdk.ClaimsRequest) (pluginsdk.ClaimsResponse, error) {
	acc := account{userAccount, r.Principal.UserID}
	if r.Principal.OrganizationID != "" {
		acc = account{organizationAccount, r.Principal.OrganizationID}
	}
	if acc.ID == "" {
		return pluginsdk.ClaimsResponse{}, nil
	}
	e, err := in.entitlements(ctx, in.store.db, acc)
	if err != nil {
		return pluginsdk.ClaimsResponse{}, pluginsdk.Retryable(err)
	}
	claims := map[string]any{"features": e.Features}
	if e.Entitled {
		claims["plan"] = e.Plan
	}
	if e.Seats != nil {
		claims["seats"] = *e.Seats
	}
	return pluginsdk.ClaimsResponse{Claims: claims, MaxAge: time.Minute, Revision: strconv.FormatInt(e.Revision, 10)}, nil
}

// ServeHTTP implements pluginsdk.Routes.
func (in *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) { in.mux.ServeHTTP(w, r) }

// Health implements pluginsdk.HealthReporter.
func (in *instance) Health(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	facts := map[string]string{}
	for name, query := range map[string]string{
		"events": `SELECT count(*) FROM accrue_event`, "subscriptions": `SELECT count(*) FROM accrue_subscription`, "seats": `SELECT count(*) FROM accrue_seat`,
		"webhooks_pending": `SELECT count(*) FROM accrue_webhook WHERE state = 'pending'`, "webhooks_dead": `SELECT count(*) FROM accrue_webhook WHERE state = 'dead'`,
	} {
		var n int64
		err := in.store.db.QueryRowContext(ctx, query).Scan(&n)
		if errors.Is(err, context.DeadlineExceeded) {
			facts["database"] = "busy"
			return facts, nil
		}
		if err != nil {
			return facts, fmt.Errorf("its database: %w", err)
		}
		facts[name] = strconv.FormatInt(n, 10)
	}
	return facts, nil
}
