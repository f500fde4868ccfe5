package accrue

import (
	"context"
	"slices"
	"time"
)

// entitlements are what an account may use at a time, and why. They are made from what is stored, without anybody's help.
type entitlements struct {
	Account       string           `json:"account"`
	Entitled      bool             `json:"entitled"`
	Reason        string           `json:"reason"`
	Source        string           `json:"source"` // the subscription that decided; empty: none
	Plan          string           `json:"plan,omitempty"`
	Seats         *int64           `json:"seats"` // null: no limit
	Features      []string         `json:"features"`
	Limits        map[string]int64 `json:"limits,omitempty"`
	Grants        []grant          `json:"grants,omitempty"`
	Revision      int64            `json:"revision"` // grows with every event that counted
	At            time.Time        `json:"at"`
	Subscriptions []subscription   `json:"subscriptions,omitempty"`
	Until         time.Time        `json:"until,omitzero"` // when what entitles stops to, as far as is known

	unmapped []string // subscriptions to plans that the settings don't have
}

// Reasons that no subscription gives.
const (
	reasonNoSubscription = "no_subscription"
	reasonUnmappedPlan   = "unmapped_plan"
)

// entitlements decides for an account as it is now.
func (in *instance) entitlements(ctx context.Context, q querier, acc account) (entitlements, error) {
	subs, err := in.store.subscriptions(ctx, q, acc)
	if err != nil {
		return entitlements{}, err
	}
	grants, err := in.store.grants(ctx, q, acc)
	if err != nil {
		return entitlements{}, err
	}
	out := in.settings.decide(acc, subs, grants, in.store.time())
	for _, s := range out.unmapped {
		in.log.Warn("a subscription's plan is not in the settings, so it entitles to nothing", "account", acc.String(), "subscription", s)
	}
	return out, nil
}

// entitlementsAt decides as it would have at a time, by what had occurred until then. It is made from the events, not from what they add up to.
func (in *instance) entitlementsAt(ctx context.Context, q querier, acc account, at time.Time) (entitlements, error) {
	subs, grants, err := in.store.ledger(ctx, q, acc, at)
	if err != nil {
		return entitlements{}, err
	}
	return in.settings.decide(acc, subs, grants, at), nil
}

// decide makes entitlements. Of several subscriptions that entitle, the one with most seats decides on plan and seats; features
// and limits are those of all, each limit the most generous.
func (s settings) decide(acc account, subs []subscription, grants []grant, now time.Time) entitlements {
	out := entitlements{Account: acc.String(), Reason: reasonNoSubscription, Features: []string{}, At: now, Grants: grants}
	if len(subs) == 0 && s.UnsubscribedSeats >= 0 {
		n := s.UnsubscribedSeats
		out.Seats = &n
	}
	if len(subs) > 0 {
		none := int64(0)
		out.Seats = &none
	}
	for _, sub := range subs {
		out.Revision += sub.Revision
		ok, reason := sub.entitles(now, s.grace())
		name, p, seats, mapped := s.plan(sub)
		if sub.Priced {
			sub.Plan, sub.Seats = name, &seats
		}
		out.Subscriptions = append(out.Subscriptions, sub)
		if ok && !mapped {
			out.unmapped = append(out.unmapped, sub.ID)
			ok, reason = false, reasonUnmappedPlan
		}
		if !ok {
			if !out.Entitled {
				out.Reason, out.Source, out.Plan = reason, sub.ID, name
			}
			continue
		}
		if !out.Entitled || seats > *out.Seats {
			out.Reason, out.Source, out.Plan, out.Seats, out.Until = reason, sub.ID, name, &seats, sub.until()
		}
		out.Entitled = true
		out.Features = append(out.Features, p.Features...)
		for name, n := range p.Limits {
			if out.Limits == nil {
				out.Limits = map[string]int64{}
			}
			out.Limits[name] = max(out.Limits[name], n)
		}
	}
	for _, g := range out.Grants {
		if g.ExpiresAt != nil && !now.Before(*g.ExpiresAt) {
			continue
		}
		if g.Quantity == nil {
			out.Features = append(out.Features, g.Feature)
			continue
		}
		if out.Limits == nil {
			out.Limits = map[string]int64{}
		}
		out.Limits[g.Feature] = max(out.Limits[g.Feature], *g.Quantity)
	}
	slices.Sort(out.Features)
	out.Features = slices.Compact(out.Features)
	return out
}

// decision answers one question about an account.
type decision struct {
	Allowed  bool   `json:"allowed"`
	Reason   string `json:"reason"`
	Source   string `json:"source,omitempty"`
	Plan     string `json:"plan,omitempty"`
	Limit    *int64 `json:"limit,omitempty"`
	Revision int64  `json:"revision"`
}

// feature decides whether the account has a feature. Whatever nobody granted is denied.
func (e entitlements) feature(name string) decision {
	d := decision{Reason: e.Reason, Source: e.Source, Plan: e.Plan, Revision: e.Revision}
	if slices.Contains(e.Features, name) {
		d.Allowed = true
		if !e.Entitled {
			d.Reason = "granted"
		}
		return d
	}
	if e.Entitled {
		d.Reason = "not_in_plan"
	}
	return d
}

// limit decides whether a quantity is within a named limit.
func (e entitlements) limit(name string, quantity int64) decision {
	d := decision{Reason: e.Reason, Source: e.Source, Plan: e.Plan, Revision: e.Revision}
	n, ok := e.Limits[name]
	switch {
	case !ok && e.Entitled:
		d.Reason = "not_in_plan"
	case !ok:
	case quantity > n:
		d.Reason, d.Limit = "limit_reached", &n
	default:
		d.Allowed, d.Limit = true, &n
		if !e.Entitled {
			d.Reason = "granted"
		}
	}
	return d
}
