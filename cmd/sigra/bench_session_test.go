package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

const (
	benchAccounts = 2_000
	benchSessions = 20_000
)

// sessionCheck compares GET /v1/session with a bare net/http server that makes the same lookup in the same tables.
func (b *bench) sessionCheck(t *testing.T) {
	onEach(t, func(t *testing.T, database string) {
		in := b.sigra(t, setup{database: database})
		in.start() // migrates
		in.stop()
		tokens := fillSessions(t, database)
		in.start()
		bare := serve(t, b.bare, func(addr string) []string { return []string{"serve", addr, database} })

		addr := in.addr
		ours := newMeter(t, database, "sigra", in.process().Pid)
		theirs := newMeter(t, database, "bare", bare.pid)
		round := func(m *meter, addr string, n, seed int) (server, backend float64) {
			s, d := m.during(func() {
				if err := drive(addr, 8, n, func(i int) []byte { return get("/v1/session", addr, tokens[(i*7919+seed)%len(tokens)]) }); err != nil {
					t.Fatal(err)
				}
			})
			return float64(s.Nanoseconds()) / float64(n) / 1e3, float64(d.Nanoseconds()) / float64(n) / 1e3
		}
		round(ours, addr, 2000, 1)
		round(theirs, bare.addr, 2000, 1)
		var a, base, dbA, dbBase, ratios []float64
		for r := range rounds(16) {
			s, d := round(ours, addr, 3000, r)
			s0, d0 := round(theirs, bare.addr, 3000, r)
			a, base, dbA, dbBase, ratios = append(a, s), append(base, s0), append(dbA, d), append(dbBase, d0), append(ratios, (s+d)/(s0+d0))
		}
		f := finding{
			what: "session check, CPU a request", database: nameOf(database), sigra: fmt.Sprintf("%.0f µs", median(a)), baseline: fmt.Sprintf("bare server %.0f µs", median(base)),
			ratio: median(ratios), target: "at most 1.50 (" + spread(ratios) + ")",
		}
		if ours.pg != nil {
			f.sigra += fmt.Sprintf(" + %.0f µs in Postgres", median(dbA))
			f.baseline += fmt.Sprintf(" + %.0f µs", median(dbBase))
		}
		f.met = f.ratio <= 1.5
		b.found(f)
		if ours.pg != nil {
			without := median(a) / median(base)
			b.found(finding{what: "  the server's process alone", database: nameOf(database), ratio: without})
		}
		t.Logf("%+v", f)
	})
}

// fillSessions makes accounts and sessions while nobody serves, and gives the sessions' tokens.
func fillSessions(t testing.TB, database string) []string {
	t.Helper()
	db := openStore(t, database)
	now := time.Now().UTC().Truncate(time.Microsecond)
	tokens := make([]string, benchSessions)
	accounts := make([]uuid.UUID, benchAccounts)
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		for i := range accounts {
			accounts[i] = uuid.Must(uuid.NewV7())
			if _, err := tx.Exec(ctx, `INSERT INTO account (id, email, status, confirmed_at, created_at, updated_at) VALUES ($1, $2, 'active', $3, $3, $3)`,
				accounts[i], fmt.Sprintf("member%d@example.com", i), now); err != nil {
				return err
			}
		}
		for i := range tokens {
			var raw [32]byte
			_, _ = rand.Read(raw[:])
			tokens[i] = base64.RawURLEncoding.EncodeToString(raw[:])
			sum := sha256.Sum256(raw[:])
			if _, err := tx.Exec(ctx, `INSERT INTO session (id, token_hash, account_id, aal, amr, persistent, auth_time, created_at, last_seen_at, expires_at)
				VALUES ($1, $2, $3, 'aal1', 'pwd', $4, $5, $5, $5, $6)`, uuid.Must(uuid.NewV7()), sum[:], accounts[i%len(accounts)], false, now, now.Add(time.Hour)); err != nil {
				return err
			}
		}
		if tx.Dialect() == store.Postgres {
			_, err := tx.Exec(ctx, `ANALYZE`) // as autovacuum does; nothing runs it on SQLite
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return tokens
}

func openStore(t testing.TB, database string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	return db
}
