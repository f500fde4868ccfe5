package accrue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// The states of a webhook.
const (
	webhookPending = "pending"
	webhookDone    = "done"
	webhookDead    = "dead" // given up, until somebody has it tried again
)

// How long a webhook is kept.
const (
	keepDone = 14 * 24 * time.Hour
	keepDead = 90 * 24 * time.Hour
)

// webhookRow is a webhook that was verified.
type webhookRow struct {
	Provider   string    `json:"provider"`
	ID         string    `json:"event"`
	Type       string    `json:"type"`
	Body       []byte    `json:"-"`
	ReceivedAt time.Time `json:"received_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	State      string    `json:"state"`
	Attempts   int64     `json:"attempts"`
	DueAt      time.Time `json:"-"`
	Effect     string    `json:"effect,omitempty"`
	Alerts     []string  `json:"alerts,omitempty"`
	Error      string    `json:"error,omitempty"`

	accounts []string // whose entitlements may be others now
}

// Name is how people name it: "stripe/evt_1".
func (w webhookRow) Name() string { return w.Provider + "/" + w.ID }

const webhookColumns = `provider, event_id, type, body, received_at, updated_at, state, attempts, due_at, effect, alerts, error`

func scanWebhook(row interface{ Scan(...any) error }) (w webhookRow, err error) {
	var alerts string
	err = row.Scan(&w.Provider, &w.ID, &w.Type, &w.Body, storage.Time(&w.ReceivedAt), storage.Time(&w.UpdatedAt), &w.State, &w.Attempts, storage.Time(&w.DueAt),
		&w.Effect, &alerts, &w.Error)
	if alerts != "" {
		w.Alerts = strings.Split(alerts, ",")
	}
	return w, err
}

// putWebhook stores a webhook, once, to be applied. fresh is false when it was there.
func (s *store) putWebhook(ctx context.Context, w webhookRow) (fresh bool, err error) {
	err = storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO accrue_webhook (`+webhookColumns+`)
			VALUES ($1, $2, $3, $4, $5, $5, $6, 0, $5, '', '', '') ON CONFLICT (provider, event_id) DO NOTHING`,
			w.Provider, w.ID, w.Type, w.Body, w.ReceivedAt, webhookPending)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		fresh = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store a webhook: %w", err)
	}
	return fresh, nil
}

// claimWebhook takes one that is due, for as long as an attempt may take.
func (s *store) claimWebhook(ctx context.Context, patience time.Duration) (w webhookRow, found bool, err error) {
	skip := ""
	if s.dialect == pluginsdk.Postgres {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	now := s.time()
	// Reading first keeps SQLite's one writer free while there is nothing to do.
	var one int
	err = s.db.QueryRowContext(ctx, `SELECT 1 FROM accrue_webhook WHERE state = 'pending' AND due_at <= $1 LIMIT 1`, now).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return w, false, nil
	}
	if err != nil {
		return w, false, fmt.Errorf("claim a webhook: %w", err)
	}
	err = storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		found = false
		var err error
		w, err = scanWebhook(tx.QueryRowContext(ctx, `SELECT `+webhookColumns+` FROM accrue_webhook WHERE state = 'pending' AND due_at <= $1
			ORDER BY due_at LIMIT 1`+skip, now))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		found = true
		w.Attempts, w.DueAt = w.Attempts+1, now.Add(patience)
		return s.saveWebhook(ctx, tx, w)
	})
	if err != nil {
		return w, false, fmt.Errorf("claim a webhook: %w", err)
	}
	return w, found, nil
}

func (s *store) saveWebhook(ctx context.Context, tx *sql.Tx, w webhookRow) error {
	_, err := tx.ExecContext(ctx, `UPDATE accrue_webhook SET state = $3, attempts = $4, due_at = $5, effect = $6, alerts = $7, error = $8, updated_at = $9
		WHERE provider = $1 AND event_id = $2`,
		w.Provider, w.ID, w.State, w.Attempts, w.DueAt, w.Effect, strings.Join(w.Alerts, ","), w.Error, s.time())
	if err != nil {
		return fmt.Errorf("note what came of a webhook: %w", err)
	}
	return nil
}

// sweepWebhooks deletes what was kept long enough. What they said of subscriptions stays.
func (s *store) sweepWebhooks(ctx context.Context) error {
	now := s.time()
	return storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM accrue_webhook WHERE state = 'done' AND updated_at < $1 OR state = 'dead' AND updated_at < $2`, now.Add(-keepDone), now.Add(-keepDead))
		return err
	})
}

// webhooks lists them, the newest first. state is one of them, or empty; alerts wants those with something to look at.
func (s *store) webhooks(ctx context.Context, state string, alerts bool, limit int) (out []webhookRow, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+webhookColumns+` FROM accrue_webhook WHERE ($1 = '' OR state = $1) AND (NOT $2 OR alerts <> '')
		ORDER BY received_at DESC, event_id LIMIT $3`, state, alerts, limit)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		w, err := scanWebhook(rows)
		if err != nil {
			return nil, fmt.Errorf("list webhooks: %w", err)
		}
		out = append(out, w)
	}
	return out, rows.Err()
}

// replayLimit is how many webhooks are put back at once.
const replayLimit = 10_000

// again has a webhook applied once more, from what was stored of it. It reports false when there is none of that name.
func (s *store) again(ctx context.Context, name, id string) (found bool, err error) {
	err = storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE accrue_webhook SET state = 'pending', attempts = 0, due_at = $3, updated_at = $3 WHERE provider = $1 AND event_id = $2`, name, id, s.time())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		found = n > 0
		return err
	})
	return found, err
}
