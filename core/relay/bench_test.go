package relay_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// BenchmarkRelay carries 20 000 rows to a sink in this process and reads the same rows with a bare SELECT of the same
// columns: the ratio of the two times is what cursors, leases and decoding cost.
func BenchmarkRelay(b *testing.B) {
	const n = 20_000
	for _, dialect := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			g := newRig(b, storetest.Open(b, dialect, sources...))
			err := g.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				for range n {
					_, err := g.audit.Record(ctx, tx, audit.Entry{
						Action: "auth.login.success", Actor: audit.Ref{Type: "user", ID: "0193-user"}, Targets: []audit.Ref{{Type: "user", ID: "0193-user"}},
						Metadata: map[string]any{"method": "password", "remember": true},
					})
					if err != nil {
						return err
					}
				}
				_, err := tx.Exec(ctx, `ANALYZE`) // as autovacuum does; without it Postgres sorts what its index has in order
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			var relayed, selected time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				rows, err := g.db.Query(context.Background(), bareSQL)
				if err != nil {
					b.Fatal(err)
				}
				count := 0
				var text [18]*string
				for rows.Next() {
					dest := make([]any, len(text))
					for j := range text {
						dest[j] = &text[j]
					}
					if err := rows.Scan(dest...); err != nil {
						b.Fatal(err)
					}
					count++
				}
				rows.Close()
				if err := rows.Err(); err != nil || count < n {
					b.Fatal(count, err)
				}
				selected += time.Since(start)

				var got atomic.Int64
				done := make(chan struct{})
				r := g.relay(b, "bench")
				err = r.AttachAudit("plugin.bench", all, func(_ context.Context, rows []audit.Row) (relay.Result, error) {
					if got.Add(int64(len(rows))) == n {
						close(done)
					}
					return relay.Result{}, nil
				})
				if err != nil {
					b.Fatal(err)
				}
				start = time.Now()
				stop := run(b, r)
				<-done
				relayed += time.Since(start)
				stop()
				if err := g.relay(b, "bench").Forget(context.Background(), "plugin.bench"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/relayed.Seconds(), "rows/s")
			b.ReportMetric(float64(relayed)/float64(selected), "ratio")
		})
	}
}

const bareSQL = `SELECT CAST(id AS TEXT), action, category, crud, outcome, reason, actor_type, actor_id, actor_display, CAST(impersonator AS TEXT), CAST(targets AS TEXT),
CAST(organization_id AS TEXT), CAST(session_id AS TEXT), request_id, correlation_id, ip, user_agent, CAST(metadata AS TEXT) FROM audit_log ORDER BY era, tx, seq`
