package store_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Each benchmark alternates between the store and the bare library, a round of each at a time, so that whatever else
// the machine does falls on both, and reports the ratio.

const round = 50

func compare(b *testing.B, ours, bare func() error) {
	b.Helper()
	for range round { // prepare statements, open connections
		if err := ours(); err != nil {
			b.Fatal(err)
		}
		if err := bare(); err != nil {
			b.Fatal(err)
		}
	}
	run := func(f func() error) time.Duration {
		start := time.Now()
		for range round {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
	var a, z time.Duration
	n := 0
	b.ResetTimer()
	for b.Loop() {
		a += run(ours)
		z += run(bare)
		n += round
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(a.Nanoseconds())/float64(n), "store-ns")
	b.ReportMetric(float64(z.Nanoseconds())/float64(n), "bare-ns")
	b.ReportMetric(float64(a)/float64(z), "ratio")
}

func fill(b *testing.B, db *store.DB) uuid.UUID {
	b.Helper()
	var id uuid.UUID
	for range 1000 {
		id = uuid.Must(uuid.NewV7())
		if err := exec(db, "INSERT INTO kind (id, s, i, t) VALUES ($1, $2, 1, $3)", id, id.String(), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	return id
}

const (
	pick = "SELECT id, s, i, t FROM kind WHERE id = $1"
	bump = "UPDATE kind SET i = i + 1 WHERE id = $1"
)

func readOurs(db *store.DB, id uuid.UUID) func() error {
	return func() error {
		var (
			got uuid.UUID
			s   string
			i   int64
			t   time.Time
		)
		return db.QueryRow(context.Background(), pick, id).Scan(&got, &s, &i, &t)
	}
}

func writeOurs(db *store.DB, id uuid.UUID) func() error {
	return func() error { return exec(db, bump, id) }
}

// bareSQLite is what one would write with database/sql: one writer, prepared statements.
func bareSQLite(b *testing.B, path string) (read, write *sql.DB) {
	b.Helper()
	const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate"
	for _, db := range []**sql.DB{&read, &write} {
		d, err := sql.Open("sqlite", "file:"+path+pragmas)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = d.Close() })
		*db = d
	}
	write.SetMaxOpenConns(1)
	return read, write
}

func BenchmarkSQLite_QueryRow(b *testing.B) {
	db := storetest.Open(b, store.SQLite, sources...)
	id := fill(b, db)
	read, _ := bareSQLite(b, db.Name())
	stmt, err := read.Prepare(pick)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = stmt.Close() }()
	compare(b, readOurs(db, id), func() error {
		var (
			got  uuid.UUID
			s    string
			i, t int64
		)
		return stmt.QueryRowContext(context.Background(), id).Scan(&got, &s, &i, &t)
	})
}

func BenchmarkSQLite_Tx(b *testing.B) {
	db := storetest.Open(b, store.SQLite, sources...)
	id := fill(b, db)
	_, write := bareSQLite(b, db.Name())
	compare(b, writeOurs(db, id), func() error {
		tx, err := write.Begin()
		if err != nil {
			return err
		}
		if _, err := tx.Exec(bump, id); err != nil {
			return err
		}
		return tx.Commit()
	})
}

func barePostgres(b *testing.B, url string) *pgxpool.Pool {
	b.Helper()
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

func postgres(b *testing.B) (*store.DB, *pgxpool.Pool) {
	b.Helper()
	url := storetest.Migrated(b, sources...)[1].URL
	return storetest.Dial(b, url), barePostgres(b, url)
}

func BenchmarkPostgres_QueryRow(b *testing.B) {
	db, pool := postgres(b)
	id := fill(b, db)
	compare(b, readOurs(db, id), func() error {
		var (
			got [16]byte
			s   string
			i   int64
			t   time.Time
		)
		return pool.QueryRow(context.Background(), pick, [16]byte(id)).Scan(&got, &s, &i, &t)
	})
}

func BenchmarkPostgres_Tx(b *testing.B) {
	db, pool := postgres(b)
	id := fill(b, db)
	compare(b, writeOurs(db, id), func() error {
		ctx := context.Background()
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, bump, [16]byte(id)); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}
