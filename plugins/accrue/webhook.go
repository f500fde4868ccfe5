package accrue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// maxBody bounds a webhook.
const maxBody = 1 << 20

// receiveWebhook takes a provider's webhook: verified on the bytes that came, stored with the work that it is, answered. It is applied
// after that, so that a provider never waits and a failure of ours is not its to try again.
func (in *instance) receiveWebhook(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("provider")
	v, ok := in.verifiers[name]
	if !ok {
		problem(w, http.StatusNotFound, "not_found", "No webhook of this provider is set.")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		problem(w, http.StatusBadRequest, "invalid_body", "The body could not be read.")
		return
	}
	if len(body) > maxBody {
		problem(w, http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("A webhook may have %d bytes.", maxBody))
		return
	}
	_, fresh, err := in.accept(r.Context(), name, v, webhook.Request{Header: r.Header, Body: body}, in.store.time())
	var rejected *webhook.Rejection
	switch {
	case errors.As(err, &rejected):
		in.rejected.Inc(name, string(rejected.Reason))
		in.log.Debug("a webhook was refused", "provider", name, "reason", rejected.Reason, "detail", rejected.Detail)
		problem(w, rejected.Status(), string(rejected.Reason), rejected.Detail)
		return
	case err != nil:
		in.fail(w, r, err)
		return
	}
	if fresh {
		in.nudge()
	}
	answer(w, map[string]bool{"received": true, "duplicate": !fresh})
}

// accept verifies a webhook and stores it. fresh is false for one that was stored before: nothing happens twice. What is refused leaves nothing.
func (in *instance) accept(ctx context.Context, name string, v provider.Verifier, r webhook.Request, now time.Time) (w webhookRow, fresh bool, err error) {
	id, err := v.Verify(r, now)
	if err != nil {
		return webhookRow{Provider: name}, false, err
	}
	typ, err := typeOf(r.Body)
	if err != nil {
		return webhookRow{Provider: name, ID: id}, false, webhook.Reject(webhook.MalformedBody, "%s", err)
	}
	w = webhookRow{Provider: name, ID: id, Type: typ, Body: r.Body, State: webhookPending, ReceivedAt: now}
	fresh, err = in.store.putWebhook(ctx, w)
	return w, fresh, err
}

// unreadable is a webhook that no further attempt can read.
type unreadable struct{ error }

// Unwrap gives the cause.
func (u unreadable) Unwrap() error { return u.error }

// process applies a webhook once and notes what came of it, in one transaction. Its error is one of the database's; a webhook that can't be
// applied is noted as that.
func (in *instance) process(ctx context.Context, w webhookRow) (webhookRow, error) {
	var out outcome
	err := func() error {
		r, err := in.settings.readings(w.Provider)
		if err != nil {
			return unreadable{err}
		}
		return storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
			var err error
			if out, err = in.applier.apply(ctx, tx, w.Provider, w.ID, w.Body, r); err != nil {
				return err
			}
			done := w
			done.State, done.Effect, done.Alerts, done.Error = webhookDone, out.Effect, out.Alerts, ""
			return in.store.saveWebhook(ctx, tx, done)
		})
	}()
	if err == nil {
		w.State, w.Effect, w.Alerts, w.Error, w.accounts = webhookDone, out.Effect, out.Alerts, "", out.Accounts
		return w, nil
	}
	if ctx.Err() != nil {
		return w, ctx.Err()
	}
	w.Error = err.Error()
	var no unreadable
	switch {
	case errors.As(err, &no), w.Attempts >= maxAttempts:
		w.State = webhookDead
	default:
		w.DueAt = in.store.time().Add(backOff(w.Attempts))
	}
	return w, storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error { return in.store.saveWebhook(ctx, tx, w) })
}

// The attempts at one webhook before it is given up, over about a day.
const (
	maxAttempts  = 25
	firstBackOff = 5 * time.Second
	lastBackOff  = time.Hour
)

func backOff(attempts int64) time.Duration {
	return min(firstBackOff<<min(max(attempts-1, 0), 20), lastBackOff)
}

// patience is how long an attempt may take before another node takes it over.
const patience = time.Minute

// Run implements pluginsdk.Runner: every node applies webhooks, and none what another has taken.
func (in *instance) Run(ctx context.Context) error {
	swept := time.Time{}
	for ctx.Err() == nil {
		w, found, err := in.store.claimWebhook(ctx, patience)
		if err == nil && found {
			w, err = in.process(ctx, w)
			in.tell(ctx, w)
		}
		if err != nil && ctx.Err() == nil {
			in.log.Error("a webhook could not be applied; it will be tried again", "provider", w.Provider, "event", w.ID, "error", err)
		}
		if err == nil && found {
			continue
		}
		if now := in.store.time(); now.Sub(swept) > time.Hour {
			if err := in.store.sweepWebhooks(ctx); err != nil && ctx.Err() == nil {
				in.log.Warn("old webhooks could not be deleted", "error", err)
			}
			swept = now
		}
		t := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-in.wake:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// tell says what came of a webhook, once it is stored: to the log where somebody should look, and to Sigra whose claims may be others.
func (in *instance) tell(ctx context.Context, w webhookRow) {
	if w.State == webhookDead {
		in.log.Error("a webhook was given up", "provider", w.Provider, "event", w.ID, "type", w.Type, "error", w.Error)
	}
	if len(w.Alerts) > 0 {
		in.log.Warn("a webhook needs a look", "provider", w.Provider, "event", w.ID, "type", w.Type, "alerts", strings.Join(w.Alerts, ","))
	}
	var events []event
	for _, a := range w.accounts {
		events = append(events, event{Holder: a})
	}
	if err := in.invalidate(ctx, events); err != nil && ctx.Err() == nil {
		in.log.Warn("claims are what they were for up to a minute more", "error", err)
	}
}

func (in *instance) nudge() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

var _ pluginsdk.Runner = (*instance)(nil)
