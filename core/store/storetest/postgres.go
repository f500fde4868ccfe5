package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sigra-auth/sigra/core/store"
)

// adminURL is found once per process.
var adminURL = sync.OnceValues(func() (string, error) {
	if u := os.Getenv("SIGRA_TEST_POSTGRES"); u != "" {
		return u, sweep(u)
	}
	u, err := sharedCluster()
	if err != nil {
		return "", err
	}
	return u, sweep(u)
})

// Databases are called sigra_test_<hour>_<random>, templates sigra_tmpl_<day>_<fingerprint>: their age is in the name.
const (
	testPrefix     = "sigra_test_"
	templatePrefix = "sigra_tmpl_"
	hourForm       = "2006010215"
	dayForm        = "20060102"
)

func postgresFrom(t testing.TB, sources []store.Source) string {
	t.Helper()
	admin, err := adminURL()
	if err != nil {
		t.Fatal(err)
	}
	template := "template0"
	if len(sources) > 0 {
		template = templateFor(t, admin, sources)
	}
	return createDatabase(t, admin, template)
}

func createDatabase(t testing.TB, admin, template string) string {
	t.Helper()
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	name := testPrefix + time.Now().UTC().Format(hourForm) + "_" + hex.EncodeToString(b)
	if err := run(admin, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("create test database: %v", err)
	}
	t.Cleanup(func() {
		if err := run(admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Logf("drop test database: %v", err)
		}
	})
	return withDatabase(admin, name)
}

// templateFor gives a migrated database to copy, making it when no test process has today.
func templateFor(t testing.TB, admin string, sources []store.Source) string {
	t.Helper()
	name := templatePrefix + time.Now().UTC().Format(dayForm) + "_" + fingerprint(t, sources)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := connect(ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	exists := func() (ok bool) {
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&ok); err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if exists() {
		return name
	}
	// One process makes it, under a name that nobody copies until it is complete.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		t.Fatal(err)
	}
	if exists() {
		return name
	}
	draft := name + "_draft"
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + draft + " WITH (FORCE)", "CREATE DATABASE " + draft + " TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	migrate(t, withDatabase(admin, draft), sources)
	if err := retryInUse(func() error {
		_, err := conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return name
}

// sweep drops what killed tests left behind: databases of more than two hours ago, templates of more than a day ago.
func sweep(admin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := connect(ctx, admin)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname LIKE 'sigra\\_t%'")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if old(name, time.Now().UTC()) {
			// Another process may be dropping the same one.
			_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		}
	}
	return nil
}

func old(name string, now time.Time) bool {
	form, rest, limit := hourForm, "", 3*time.Hour
	if after, ok := strings.CutPrefix(name, testPrefix); ok {
		rest = after
	} else if after, ok := strings.CutPrefix(name, templatePrefix); ok {
		form, rest, limit = dayForm, after, 48*time.Hour
	} else {
		return false
	}
	stamp, _, _ := strings.Cut(rest, "_")
	at, err := time.Parse(form, stamp)
	return err == nil && now.Sub(at) > limit
}

// run executes one statement on a connection of its own: a pool would keep goroutines that goleak finds.
func run(admin, sql string) error {
	return retryInUse(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := connect(ctx, admin)
		if err != nil {
			return err
		}
		defer closeConn(conn)
		_, err = conn.Exec(ctx, sql)
		return err
	})
}

// retryInUse waits out a database that somebody is still connected to, such as a template being copied from.
func retryInUse(f func() error) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := f()
		var pe *pgconn.PgError
		if err == nil || !errors.As(err, &pe) || pe.Code != "55006" || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// connect waits for a free connection when all tests together have taken every one.
func connect(ctx context.Context, u string) (*pgx.Conn, error) {
	for {
		conn, err := pgx.Connect(ctx, u)
		var pe *pgconn.PgError
		if err == nil || !errors.As(err, &pe) || (pe.Code != "53300" && pe.Code != "57P03") {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to test Postgres: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

func withDatabase(admin, name string) string {
	u, err := url.Parse(admin)
	if err != nil {
		panic("the url of the test Postgres can't be read")
	}
	u.Path = "/" + name
	// Sigra gives a connection 5 s. On a loaded machine, with the race detector, the hashing of SCRAM alone takes longer when a pool
	// opens all of its connections at once.
	q := u.Query()
	q.Set("connect_timeout", "60")
	u.RawQuery = q.Encode()
	return u.String()
}
