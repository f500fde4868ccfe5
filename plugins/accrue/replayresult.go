package accrue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// replayed is what a sequence came to.
type replayed struct {
	ID            string                        `json:"id"`
	Title         string                        `json:"title,omitempty"`
	Deliveries    []judged                      `json:"deliveries"`
	Subscriptions map[string]subscriptionResult `json:"subscriptions"`
	Accounts      map[string]string             `json:"accounts"` // customers and the accounts that they are
	Orphans       int                           `json:"orphans"`  // customers with a subscription and without an account
	StoredEvents  int                           `json:"stored_events"`
	LedgerRows    int                           `json:"ledger_rows"`
	Alerts        []string                      `json:"alerts"`
	Upcoming      []upcoming                    `json:"upcoming,omitempty"`
	Seats         *seatResult                   `json:"seats,omitempty"`
	Decisions     []decisionResult              `json:"decisions"`
}

// judged is what became of one delivery.
type judged struct {
	Event  string         `json:"event,omitempty"`
	Type   string         `json:"type,omitempty"`
	At     time.Time      `json:"at"`
	Result string         `json:"result"` // accept, reject
	Reason webhook.Reason `json:"reason,omitempty"`
	Effect string         `json:"effect,omitempty"`
	Alerts []string       `json:"alerts,omitempty"`
	Error  string         `json:"error,omitempty"`
}

type subscriptionResult struct {
	Status   string    `json:"status"`
	Seats    int64     `json:"seats"`
	Plan     string    `json:"plan,omitempty"`
	CancelAt time.Time `json:"cancel_at,omitzero"`
	PauseAt  time.Time `json:"pause_at,omitzero"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
	Revision int64     `json:"revision"`
}

type upcoming struct {
	At           time.Time `json:"at"`
	Subscription string    `json:"subscription"`
	Plan         string    `json:"plan"`
	Seats        int64     `json:"seats"`
}

type seatResult struct {
	Limit     *int64              `json:"limit"`
	Used      int64               `json:"used"`
	Over      int64               `json:"over"`
	NewMember string              `json:"new_member"`         // "allowed", "denied: …"
	Affected  map[string][]string `json:"affected,omitempty"` // who would go first, of those that are over, by two orders; never an owner
}

type decisionResult struct {
	At       time.Time `json:"at"`
	Account  string    `json:"account"`
	Entitled bool      `json:"entitled"`
	Reason   string    `json:"reason"`
	Source   string    `json:"source"`
	Plan     string    `json:"plan"`
	Seats    *int64    `json:"seats"`
	Features []string  `json:"features"`
	Until    time.Time `json:"until,omitzero"`
	Revision int64     `json:"revision"`
}

// shown is an account's name as the history has it.
func shown(a account) string {
	if a.Kind == organizationAccount {
		return a.ID
	}
	return a.String()
}

func accountOf(s string) account {
	kind, id, _ := strings.Cut(s, ":")
	return account{kind, id}
}

// finish reads what the ledger has come to.
func (in *instance) finish(ctx context.Context, seq sequence, at time.Time, out *replayed) error {
	links, err := in.store.links(ctx, in.store.db, "")
	if err != nil {
		return err
	}
	accounts := map[account]bool{}
	for _, l := range links {
		out.Accounts[l.Customer] = shown(accountOf(l.Account))
		accounts[accountOf(l.Account)] = true
	}
	reported, err := in.store.accounts(ctx, "", 1000)
	if err != nil {
		return err
	}
	for _, a := range reported {
		accounts[a] = true
	}
	orphans, err := in.store.orphans(ctx, 1000)
	if err != nil {
		return err
	}
	out.Orphans = len(orphans)
	for count, query := range map[*int]string{&out.StoredEvents: `SELECT count(*) FROM accrue_webhook`, &out.LedgerRows: `SELECT count(*) FROM accrue_event`} {
		if err := in.store.db.QueryRowContext(ctx, query).Scan(count); err != nil {
			return err
		}
	}
	times := map[account][]time.Time{}
	for _, d := range seq.Expect.Decisions {
		a, err := anyAccount(d.Account)
		if err != nil {
			return err
		}
		accounts[a] = true
		times[a] = append(times[a], d.At.UTC())
	}
	list := make([]account, 0, len(accounts))
	for a := range accounts {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b account) int { return strings.Compare(a.String(), b.String()) })
	for _, a := range list {
		if err := in.finishAccount(ctx, a, append(times[a], at), seq.Start.Members, out); err != nil {
			return err
		}
	}
	for _, holder := range orphans {
		subs, err := in.store.subscriptions(ctx, in.store.db, accountOf(holder))
		if err != nil {
			return err
		}
		in.settings.describe(subs, out)
	}
	slices.SortFunc(out.Upcoming, func(a, b upcoming) int { return a.At.Compare(b.At) })
	return nil
}

func (s settings) describe(subs []subscription, out *replayed) {
	for _, sub := range subs {
		name, _, seats, _ := s.plan(sub)
		out.Subscriptions[sub.ID] = subscriptionResult{sub.Status, seats, name, sub.CancelAt, sub.PauseAt, sub.EndedAt, sub.Revision}
		for _, p := range sub.Upcoming {
			name, _, seats, _ := s.priced(p.Items)
			out.Upcoming = append(out.Upcoming, upcoming{p.At, sub.ID, name, seats})
		}
	}
}

// finishAccount decides for an account at the times that are asked about and at every moment at which something occurred.
func (in *instance) finishAccount(ctx context.Context, a account, times []time.Time, members []startMember, out *replayed) error {
	subs, err := in.store.subscriptions(ctx, in.store.db, a)
	if err != nil {
		return err
	}
	in.settings.describe(subs, out)
	events, err := in.store.events(ctx, in.store.db, held, a.String())
	if err != nil {
		return err
	}
	for _, e := range events {
		times = append(times, e.OccurredAt)
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, at := range slices.CompactFunc(times, time.Time.Equal) {
		e, err := in.entitlementsAt(ctx, in.store.db, a, at)
		if err != nil {
			return err
		}
		out.Decisions = append(out.Decisions, decisionResult{at, shown(a), e.Entitled, e.Reason, e.Source, e.Plan, e.Seats, e.Features, e.Until, e.Revision})
	}
	if a.Kind != organizationAccount || len(subs) == 0 && len(members) == 0 {
		return nil
	}
	return in.finishSeats(ctx, a, members, out)
}

// finishSeats asks, without taking it, for one seat more.
func (in *instance) finishSeats(ctx context.Context, a account, members []startMember, out *replayed) error {
	e, err := in.entitlements(ctx, in.store.db, a)
	if err != nil {
		return err
	}
	u, err := in.store.usage(ctx, in.store.db, a.ID, in.settings.CountServices)
	if err != nil {
		return err
	}
	res, err := in.reserve(ctx, request{organization: a.ID, holder: userHolder("somebody new"), kind: "member", attempt: "replay", dryRun: true})
	if err != nil {
		return err
	}
	s := &seatResult{Limit: e.Seats, Used: in.settings.used(u, true), NewMember: "allowed"}
	if res.Refused != "" {
		s.NewMember = "denied: " + res.Refused
	}
	if s.Limit != nil && s.Used > *s.Limit {
		s.Over = s.Used - *s.Limit
		s.Affected = affected(members, int(s.Over))
	}
	out.Seats = s
	return nil
}

// affected names the members that are too many, by who joined last and by who was active least recently. Owners are never among them.
func affected(members []startMember, over int) map[string][]string {
	var list []startMember
	for _, m := range members {
		if m.Role != "owner" {
			list = append(list, m)
		}
	}
	out := map[string][]string{}
	for name, order := range map[string]func(a, b startMember) int{
		"last_joined":           func(a, b startMember) int { return b.JoinedAt.Compare(a.JoinedAt) },
		"least_recently_active": func(a, b startMember) int { return a.LastActive.Compare(b.LastActive) },
	} {
		slices.SortStableFunc(list, order)
		for _, m := range list[:min(over, len(list))] {
			out[name] = append(out[name], m.User)
		}
	}
	return out
}

// summary is one line for people.
func (r replayed) summary() string {
	return fmt.Sprintf("%d deliveries, %d events stored, %d subscriptions", len(r.Deliveries), r.StoredEvents, len(r.Subscriptions))
}
