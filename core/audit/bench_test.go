package audit_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// BenchmarkRecord measures what an audit row adds to a transaction that writes one other row: the ratio of a
// transaction with both to one with two such plain rows.
func BenchmarkRecord(b *testing.B) {
	for _, dialect := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			db := storetest.Open(b, dialect, sources...)
			l, err := audit.New(audit.Config{DB: db})
			if err != nil {
				b.Fatal(err)
			}
			plain := func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO audit_target (target_id, target_type, occurred_at, id) VALUES ($1, $2, $3, $4)`, "u", "bench", time.Now(), uuid.New())
				return err
			}
			ctx := request.With(context.Background(), request.Info{ID: "0123456789abcdef", IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"})
			e := login(uuid.NewString())
			e.SessionID = uuid.New()
			e.Metadata = map[string]any{"method": "password", "remember": true}
			both := func(ctx context.Context, tx *store.Tx) error {
				if err := plain(ctx, tx); err != nil {
					return err
				}
				_, err := l.Record(ctx, tx, e)
				return err
			}
			two := func(ctx context.Context, tx *store.Tx) error {
				if err := plain(ctx, tx); err != nil {
					return err
				}
				return plain(ctx, tx)
			}
			var with, bare time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				if err := db.Tx(ctx, both); err != nil {
					b.Fatal(err)
				}
				mid := time.Now()
				if err := db.Tx(ctx, two); err != nil {
					b.Fatal(err)
				}
				with, bare = with+mid.Sub(start), bare+time.Since(mid)
			}
			b.ReportMetric(float64(with)/float64(bare), "ratio")
			b.ReportMetric(float64((with-bare).Microseconds())/float64(b.N), "extra-us/row")
		})
	}
}
