package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// signIn compares the CPU time of a sign-in with that of the hash inside of it, computed as many at a time by a program
// that does nothing else.
func (b *bench) signIn(t *testing.T) {
	onEach(t, func(t *testing.T, database string) {
		in := b.sigra(t, setup{database: database})
		people := in.members(t, database, 60)
		workers := runtime.GOMAXPROCS(0)
		m := newMeter(t, database, "sigra", in.process().Pid)
		addr := in.addr
		const n = 12
		bareHash := b.hashes(t, workers)
		bareHash.compute(t, n)
		round := func(seed int) (server, backend float64) {
			s, d := m.during(func() {
				if err := drive(addr, workers, n, func(i int) []byte { return loginRequest(addr, people[(seed*n+i)%len(people)]) }); err != nil {
					t.Fatal(err)
				}
			})
			return s.Seconds() * 1e3 / n, d.Seconds() * 1e3 / n
		}
		round(0)
		var with, bare, backend, ratios, extra []float64
		hash := bareHash.compute(t, n)
		for r := range rounds(30) {
			s, d := round(r)
			again := bareHash.compute(t, n)
			around := (hash + again) / 2 // before and after, in case the machine drifts
			hash = again
			with, bare, backend = append(with, s), append(bare, around), append(backend, d)
			ratios, extra = append(ratios, (s+d)/around), append(extra, s+d-around)
		}
		f := finding{
			what: "sign-in, CPU", database: nameOf(database), sigra: fmt.Sprintf("%.1f ms", median(with)), baseline: fmt.Sprintf("bare argon2id %.1f ms", median(bare)),
			ratio: median(ratios),
		}
		if m.pg != nil {
			f.sigra += fmt.Sprintf(" + %.1f ms in Postgres", median(backend))
		}
		b.found(f)
		more := median(extra)
		b.found(finding{
			what: "  beside the hash", database: nameOf(database), sigra: fmt.Sprintf("%.1f ms", more), baseline: "middle half " + spread(extra), target: "at most 2 ms", met: more <= 2,
		})
		if m.pg != nil {
			b.commits(t, in, m.pg, people)
		}
	})
}

// hashes is a program that computes argon2id hashes on demand.
type hashes struct {
	in  io.Writer
	out *bufio.Reader
}

func (b *bench) hashes(t testing.TB, workers int) *hashes {
	t.Helper()
	cmd := exec.Command(b.bare, "hash", strconv.Itoa(workers))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return &hashes{in, bufio.NewReader(out)}
}

// compute gives the CPU time, in ms, of one of n hashes.
func (h *hashes) compute(t testing.TB, n int) float64 {
	t.Helper()
	if _, err := fmt.Fprintln(h.in, n); err != nil {
		t.Fatal(err)
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	if err != nil {
		t.Fatal(err)
	}
	return ns / 1e6
}

// members signs one person up, gives others the same password, and has the server running at the end and knowing the client of each.
func (in *instance) members(t testing.TB, database string, n int) []member {
	t.Helper()
	in.start()
	in.signUp("first@example.com")
	in.stop()
	db := openStore(t, database)
	now := time.Now().UTC().Truncate(time.Microsecond)
	people := make([]member, n)
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		for i := range people {
			id := uuid.Must(uuid.NewV7())
			people[i].email = fmt.Sprintf("member%d@example.com", i)
			if _, err := tx.Exec(ctx, `INSERT INTO account (id, email, status, confirmed_at, created_at, updated_at) VALUES ($1, $2, 'active', $3, $3, $3)`, id, people[i].email, now); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO credential_password (account_id, hash, created_at, changed_at)
				SELECT $1, hash, created_at, changed_at FROM credential_password LIMIT 1`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	in.start()
	for i, m := range people {
		people[i] = in.known(t, m.email)
	}
	return people
}

// commits counts what a sign-in commits on Postgres, less what the server commits meanwhile anyway. A transaction that
// writes has a number of its own; a read outside of any is counted by Postgres as a commit too, but costs none.
func (b *bench) commits(t *testing.T, in *instance, pg *pgx.Conn, people []member) {
	const n = 100
	addr := in.addr
	count := func() (writes, all int64) {
		time.Sleep(11 * time.Second) // an idle backend reports what it has counted within ten
		err := pg.QueryRow(context.Background(), `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, xact_commit FROM pg_stat_database WHERE datname = current_database()`).Scan(&writes, &all)
		if err != nil {
			t.Fatal(err)
		}
		return writes, all
	}
	w0, a0 := count()
	idle := time.Now()
	w1, a1 := count()
	perSecondW, perSecondA := float64(w1-w0)/time.Since(idle).Seconds(), float64(a1-a0)/time.Since(idle).Seconds()
	start := time.Now()
	if err := drive(addr, 2, n, func(i int) []byte { return loginRequest(addr, people[i%len(people)]) }); err != nil {
		t.Fatal(err)
	}
	w2, a2 := count()
	took := time.Since(start).Seconds()
	writes := (float64(w2-w1) - perSecondW*took) / n
	all := (float64(a2-a1) - perSecondA*took) / n
	b.found(finding{
		what: "  commits that write", database: "postgres", sigra: fmt.Sprintf("%.2f", writes),
		baseline: fmt.Sprintf("and %.1f reads; idle %.1f and %.1f /s", all-writes, perSecondW, perSecondA-perSecondW), target: "1", met: writes > 0.5 && writes < 1.3,
	})
}
