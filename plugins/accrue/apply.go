package accrue

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
)

// What comes of a webhook.
const (
	effectApplied  = "applied"
	effectNone     = "none"           // it has a meaning, and nothing follows from it
	effectDeferred = "deferred"       // stored; whose it is, is not known yet
	effectIgnored  = "ignored"        // it is not for this endpoint
	effectUnknown  = "stored_unknown" // of a type without meaning
)

// outcome is what came of a webhook.
type outcome struct {
	Effect   string
	Alerts   []string
	Accounts []string // whose entitlements may be others now
}

// applier applies webhooks. The account that an event names is read by resolve.
type applier struct {
	settings settings
	store    *store
	resolve  func(string) (account, error)
}

// apply does what a webhook says, in the transaction that notes that it is done. Applied again it changes nothing.
func (a *applier) apply(ctx context.Context, tx *sql.Tx, name, id string, body []byte, r reading) (outcome, error) {
	n, err := readNotice(name, id, body, r)
	out := outcome{Effect: effectNone, Alerts: n.Alerts}
	switch {
	case err != nil:
		return out, unreadable{err}
	case n.Ignored:
		out.Effect = effectIgnored
		return out, nil
	case !n.Known:
		out.Effect = effectUnknown
		return out, nil
	}
	acc := ""
	if n.Customer != "" {
		if acc, err = a.linked(ctx, tx, name, n, &out); err != nil {
			return out, err
		}
	}
	if n.Event == nil {
		return out, nil
	}
	if _, err := a.store.take(ctx, tx, *n.Event); err != nil {
		return out, err
	}
	switch {
	case n.Customer == "":
		acc = n.Event.Holder
	case acc == "":
		out.Effect = effectDeferred
		return out, nil
	}
	out.Effect = effectApplied
	out.Accounts = append(out.Accounts, acc)
	return out, a.look(ctx, tx, acc, n.Event.Change.Subscription, &out)
}

// linked gives the account of the customer that a notice is about, and links the one that it names where neither has another.
func (a *applier) linked(ctx context.Context, tx *sql.Tx, name string, n notice, out *outcome) (string, error) {
	acc, err := a.store.linkOf(ctx, tx, name, n.Customer)
	if err != nil || n.Account == "" {
		return acc, err
	}
	want, err := a.resolve(n.Account)
	if err != nil {
		out.alert(alertAccount)
		return acc, nil
	}
	switch acc {
	case want.String():
		return acc, nil
	case "":
		ok, err := a.store.link(ctx, tx, link{name, n.Customer, want.String()})
		if err != nil {
			return "", err
		}
		if ok {
			out.Accounts = append(out.Accounts, want.String())
			return want.String(), nil
		}
	}
	out.alert(alertLinked)
	return acc, nil
}

// look finds what an operator should know of a subscription after a change.
func (a *applier) look(ctx context.Context, tx *sql.Tx, acc, subscription string, out *outcome) error {
	kind, id, _ := strings.Cut(acc, ":")
	subs, err := a.store.subscriptions(ctx, tx, account{kind, id})
	if err != nil {
		return err
	}
	e := a.settings.decide(account{kind, id}, subs, nil, a.store.time())
	if slices.Contains(e.unmapped, subscription) {
		out.alert(alertUnmapped)
	}
	if kind != organizationAccount || e.Seats == nil || !e.Entitled {
		return nil
	}
	u, err := a.store.usage(ctx, tx, id, a.settings.CountServices)
	if err != nil {
		return err
	}
	if a.settings.used(u, true) > *e.Seats {
		out.alert(alertBelow)
	}
	return nil
}

func (o *outcome) alert(code string) {
	if !slices.Contains(o.Alerts, code) {
		o.Alerts = append(o.Alerts, code)
	}
}

// readings gives what is to be known to read a provider's events, by the settings.
func (s settings) readings(name string) (reading, error) {
	w, ok := s.Webhooks[name]
	if !ok {
		return reading{}, fmt.Errorf("there is no webhook %q in the settings", name)
	}
	return w.reading(), nil
}

// verifiers are those of the settings.
func (s settings) verifiers() (map[string]provider.Verifier, error) {
	out := map[string]provider.Verifier{}
	for name, w := range s.Webhooks {
		v, err := provider.New(name, w.provider())
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}
