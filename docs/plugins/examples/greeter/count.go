package main

import (
	"context"
	"database/sql"
	"slices"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

var _ pluginsdk.AuditSink = (*Greeter)(nil)

// Record counts sign-ins. The same row may come again: its id is kept in the same transaction, so it counts once.
func (g *Greeter) Record(ctx context.Context, r pluginsdk.RecordRequest) (pluginsdk.RecordResponse, error) {
	var done pluginsdk.RecordResponse
	err := storage.Tx(ctx, g.host.Database(), func(tx *sql.Tx) error {
		done = pluginsdk.RecordResponse{} // the transaction may run again
		for _, row := range r.Rows {
			if row.Action != "auth.login.success" || slices.Contains(g.Ignore, row.Actor.ID) {
				done.Duplicate++ // nothing to do
				continue
			}
			res, err := tx.ExecContext(ctx,
				`INSERT INTO sign_in (audit_id, occurred_at, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				row.ID, row.OccurredAt, row.Actor.ID)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n == 0 {
				done.Duplicate++
			} else {
				done.Inserted++
			}
		}
		return nil
	})
	return done, err
}

func (g *Greeter) count(ctx context.Context, userID string) (n int, err error) {
	err = g.host.Database().QueryRowContext(ctx, `SELECT count(*) FROM sign_in WHERE user_id = $1`, userID).Scan(&n)
	return n, err
}
