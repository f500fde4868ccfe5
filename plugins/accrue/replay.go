package accrue

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// replayer takes histories on an empty ledger of its own: the tables and the code are those of the server.
type replayer struct {
	store *store
	clock time.Time
}

// newReplayer makes a ledger in a file that close removes.
func newReplayer(ctx context.Context) (r *replayer, closing func(), err error) {
	dir, err := os.MkdirTemp("", "sigra-accrue-")
	if err != nil {
		return nil, nil, err
	}
	db, err := storage.New(migrations).Open(ctx, pluginsdk.Location{Dialect: pluginsdk.SQLite, DSN: pluginsdk.NewSecret(filepath.Join(dir, "ledger.db"))})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	r = &replayer{}
	r.store = &store{db: db, dialect: pluginsdk.SQLite, now: func() time.Time { return r.clock }}
	return r, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}, nil
}

// anyAccount takes the names of accounts as a history has them.
func anyAccount(s string) (account, error) {
	if kind, id, ok := strings.Cut(s, ":"); ok && (kind == organizationAccount || kind == userAccount) {
		return account{kind, id}, nil
	}
	if s == "" || len(s) > 255 {
		return account{}, errors.New("an account is 1 to 255 characters")
	}
	return account{organizationAccount, s}, nil
}

// run takes one history.
func (r *replayer) run(ctx context.Context, seq sequence, config *ledgerConfig) (replayed, error) {
	out := replayed{
		ID: seq.ID, Title: seq.Title, Deliveries: []judged{}, Subscriptions: map[string]subscriptionResult{}, Accounts: map[string]string{},
		Alerts: []string{}, Decisions: []decisionResult{},
	}
	name, err := seq.provider()
	if err != nil {
		return out, err
	}
	var names []string
	if name != "" {
		names = []string{name}
	}
	s, err := config.settings(seq.Start, names...)
	if err != nil {
		return out, err
	}
	in := &instance{settings: s, store: r.store, log: hclog.NewNullLogger()}
	in.applier = applier{settings: s, store: r.store, resolve: anyAccount}
	r.clock = config.Clock
	if err := r.start(ctx, seq, name); err != nil {
		return out, err
	}
	if err := in.replay(ctx, r, seq, name, &out); err != nil {
		return out, err
	}
	if r.clock = config.Clock; r.clock.IsZero() {
		r.clock = seq.end()
	}
	return out, in.finish(ctx, seq, r.clock, &out)
}

// provider says whose webhooks they are; empty: there are only billing events.
func (seq sequence) provider() (string, error) {
	if len(seq.Deliveries) == 0 {
		return "", nil
	}
	req, err := seq.Deliveries[0].Request()
	if err != nil {
		return "", err
	}
	for header, name := range map[string]string{
		"Stripe-Signature": provider.Stripe, "Paddle-Signature": provider.Paddle, "webhook-signature": provider.Standard, "Sigra-Webhook-Signature": provider.Sigra,
	} {
		if req.Header.Get(header) != "" {
			return name, nil
		}
	}
	return "", errors.New("the first delivery has no signature of a provider that is known here")
}

func (seq sequence) end() (out time.Time) {
	for _, d := range seq.Deliveries {
		if d.at().After(out) {
			out = d.at()
		}
	}
	for _, e := range seq.Events {
		if e.OccurredAt.After(out) {
			out = e.OccurredAt.UTC()
		}
	}
	return out
}

// start makes the ledger what it is before the first delivery.
func (r *replayer) start(ctx context.Context, seq sequence, name string) error {
	return storage.Tx(ctx, r.store.db, func(tx *sql.Tx) error {
		for customer, a := range seq.Start.Accounts {
			acc, err := anyAccount(a)
			if err != nil {
				return err
			}
			if _, err := r.store.link(ctx, tx, link{name, customer, acc.String()}); err != nil {
				return err
			}
			for _, m := range seq.Start.Members {
				if err := r.store.put(ctx, tx, acc.ID, userHolder(m.User), seatAssigned, "member"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// replay takes the deliveries as the server does: verified, stored once, applied.
func (in *instance) replay(ctx context.Context, r *replayer, seq sequence, name string, out *replayed) error {
	verifiers, err := in.settings.verifiers()
	if err != nil {
		return err
	}
	for _, d := range seq.Deliveries {
		req, err := d.Request()
		if err != nil {
			return err
		}
		r.clock = d.at()
		j := judged{At: r.clock, Result: "accept"}
		w, fresh, err := in.accept(ctx, name, verifiers[name], req, r.clock)
		j.Event, j.Type = w.ID, w.Type
		var rejected *webhook.Rejection
		switch {
		case errors.As(err, &rejected):
			j.Result, j.Reason, j.Error = "reject", rejected.Reason, rejected.Detail
		case err != nil:
			return err
		case !fresh:
			j.Effect = "duplicate"
		default:
			done, err := in.process(ctx, w)
			if err != nil {
				return err
			}
			j.Effect, j.Alerts, j.Error = done.Effect, done.Alerts, done.Error
		}
		out.Deliveries = append(out.Deliveries, j)
		for _, a := range j.Alerts {
			if !slices.Contains(out.Alerts, a) {
				out.Alerts = append(out.Alerts, a)
			}
		}
	}
	for _, b := range seq.Events {
		r.clock = b.OccurredAt
		j := judged{Event: b.ID, Type: b.Type, At: b.OccurredAt, Result: "accept", Effect: effectApplied}
		e, known, err := readEvent(b.event())
		switch {
		case err != nil:
			j.Result, j.Reason, j.Error, j.Effect = "reject", webhook.MalformedBody, err.Error(), ""
		case !known:
			j.Effect = effectUnknown
			fallthrough
		default:
			if err := in.store.receive(ctx, []event{e}); err != nil {
				return err
			}
		}
		out.Deliveries = append(out.Deliveries, j)
	}
	slices.Sort(out.Alerts)
	return nil
}
