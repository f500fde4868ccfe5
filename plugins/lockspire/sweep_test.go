package lockspire

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// TestSweep: what has expired goes, what may still be shown a second time stays.
func TestSweep(t *testing.T) {
	t.Parallel()
	locations := map[string]pluginsdk.Location{"sqlite": plugintest.SQLiteAt(t)}
	if at, ok := plugintest.PostgresAt(t); ok {
		locations["postgres"] = at
	} else {
		t.Errorf("%s is not set", plugintest.PostgresEnv)
	}
	for name, at := range locations {
		t.Run(name, func(t *testing.T) {
			var now atomic.Pointer[time.Time]
			start := time.Date(2027, 1, 15, 10, 0, 0, 0, time.UTC)
			now.Store(&start)
			r := plugintest.Start(t, At(func() time.Time { return *now.Load() }), plugintest.Config{Storage: &at})
			in, ok := r.Instance().(*instance)
			if !ok {
				t.Fatalf("%T", r.Instance())
			}
			ctx := t.Context()
			c := testClient()
			if _, err := in.registrar.register(ctx, pluginsdk.AuditEntry{}, c); err != nil {
				t.Fatal(err)
			}
			put := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			g := &grant{ID: uuid.NewString(), ClientID: c.ID, UserID: "ada", CreatedAt: start, UsedAt: start, ExpiresAt: start.Add(48 * time.Hour)}
			ended := &grant{ID: uuid.NewString(), ClientID: c.ID, UserID: "ada", CreatedAt: start, UsedAt: start, ExpiresAt: start.Add(9000 * time.Hour)}
			put(insertGrant(ctx, in.store.db, g))
			put(insertGrant(ctx, in.store.db, ended))
			if _, err := end(ctx, in.store.db, ended.ID, endRevoked, start); err != nil {
				t.Fatal(err)
			}
			put(insertCode(ctx, in.store.db, "code", code{GrantID: g.ID, ClientID: c.ID, ExpiresAt: start.Add(time.Minute)}))
			put(insertRefresh(ctx, in.store.db, "first", refreshToken{GrantID: g.ID, ClientID: c.ID, ExpiresAt: start.Add(time.Hour)}))
			if _, err := spendRefresh(ctx, in.store.db, "first", "second", []byte("answer"), start); err != nil {
				t.Fatal(err)
			}
			put(in.store.insertInteraction(ctx, "id", &interaction{ClientID: c.ID, CreatedAt: start, ExpiresAt: start.Add(time.Minute)}))
			put(in.grants.revoke(ctx, "jti", start.Add(time.Minute)))
			count := func(query string) (n int) {
				t.Helper()
				put(in.store.db.QueryRowContext(ctx, query).Scan(&n))
				return n
			}
			for _, step := range []struct {
				after                                      time.Duration
				interactions, revoked, answers, codes, all int
			}{
				{0, 1, 1, 1, 1, 2}, {2 * time.Minute, 0, 0, 0, 1, 2}, {49 * time.Hour, 0, 0, 0, 0, 1}, {8 * 24 * time.Hour, 0, 0, 0, 0, 0},
			} {
				at := start.Add(step.after)
				now.Store(&at)
				put(in.store.sweep(ctx, in.now()))
				got := []int{
					count(`SELECT count(*) FROM lockspire_interaction`), count(`SELECT count(*) FROM lockspire_revoked`),
					count(`SELECT count(*) FROM lockspire_refresh WHERE answer IS NOT NULL`), count(`SELECT count(*) FROM lockspire_code`), count(`SELECT count(*) FROM lockspire_grant`),
				}
				want := []int{step.interactions, step.revoked, step.answers, step.codes, step.all}
				for i := range got {
					if got[i] != want[i] {
						t.Errorf("after %s: %v, want %v", step.after, got, want)
						break
					}
				}
			}
		})
	}
}
