package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
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

// Their age is in their names: sigra_test_<hour>_<random> is one test's alone, sigra_pool_<hour>_<fingerprint>_<number> is lent
// to one test after the other, sigra_base_<day>_<fingerprint> is a template.
const (
	testPrefix     = "sigra_test_"
	poolPrefix     = "sigra_pool_"
	templatePrefix = "sigra_base_"
	hourForm       = "2006010215"
	dayForm        = "20060102"
)

func postgresFrom(t testing.TB, sources []store.Source) string {
	t.Helper()
	admin, err := adminURL()
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		return createDatabase(t, admin)
	}
	return lease(t, admin, baseFor(t, admin, sources))
}

// createDatabase makes an empty one for a test alone.
func createDatabase(t testing.TB, admin string) string {
	t.Helper()
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	name := testPrefix + time.Now().UTC().Format(hourForm) + "_" + hex.EncodeToString(b)
	if err := copyDatabase(admin, name, "template0"); err != nil {
		t.Fatalf("create test database: %v", err)
	}
	t.Cleanup(func() {
		if err := dropDatabase(admin, name); err != nil {
			t.Logf("drop test database: %v", err)
		}
	})
	return withDatabase(admin, name)
}

// copyDatabase makes a database like another.
func copyDatabase(admin, name, template string) error {
	return run(admin, func(ctx context.Context, conn *pgx.Conn) error {
		sql := "CREATE DATABASE " + name + " TEMPLATE " + template
		// Copying files costs a quarter of writing them through the log, the other way of Postgres 15 and newer; older ones have no choice.
		major, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), ".")
		if n, err := strconv.Atoi(major); err == nil && n >= 15 {
			sql += " STRATEGY FILE_COPY"
		}
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

func dropDatabase(admin, name string) error {
	return run(admin, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return err
	})
}

// missing says that there is no such database.
func missing(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == "3D000"
}

// sweep drops what killed tests left behind: databases of more than three hours ago, templates of more than two days ago.
func sweep(admin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := connect(ctx, admin)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname LIKE 'sigra\\_%'")
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
	} else if after, ok := strings.CutPrefix(name, poolPrefix); ok {
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

// run does something on a connection of its own: a pool would keep goroutines that goleak finds.
func run(admin string, f func(context.Context, *pgx.Conn) error) error {
	return retryInUse(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := connect(ctx, admin)
		if err != nil {
			return err
		}
		defer closeConn(conn)
		return f(ctx, conn)
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
