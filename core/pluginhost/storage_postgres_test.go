package pluginhost_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// postgres is a database with a user that may do what attributes say, who owns it.
type postgres struct {
	t          *testing.T
	admin      string // address of the superuser
	user, dsn  string
	db         *store.DB
	ring       *keyring.Ring
	attributes string
}

func newPostgres(t *testing.T, attributes string) *postgres {
	t.Helper()
	ctx := context.Background()
	for _, d := range storetest.Migrated(t, append(sources, keyring.Migrations)...) {
		if d.Name != "postgres" {
			continue
		}
		p := &postgres{t: t, admin: d.URL, attributes: attributes, db: storetest.Dial(t, d.URL)}
		var err error
		if p.ring, err = keyring.Open(ctx, keyring.Config{DB: p.db, DataDir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		p.user = "app_" + strings.TrimPrefix(u.Path, "/")
		p.exec(p.admin, fmt.Sprintf("CREATE ROLE %q LOGIN PASSWORD 'secret' %s", p.user, attributes), fmt.Sprintf("ALTER DATABASE %q OWNER TO %q", strings.TrimPrefix(u.Path, "/"), p.user),
			fmt.Sprintf("GRANT ALL ON ALL TABLES IN SCHEMA public TO %q", p.user))
		t.Cleanup(func() {
			p.exec(p.admin, fmt.Sprintf("REASSIGN OWNED BY %q TO CURRENT_USER", p.user), fmt.Sprintf("DROP OWNED BY %q CASCADE", p.user), fmt.Sprintf("DROP ROLE %q", p.user))
		})
		u.User = url.UserPassword(p.user, "secret")
		p.dsn = u.String()
		return p
	}
	t.Skip("no Postgres")
	return nil
}

func (p *postgres) exec(dsn string, statements ...string) {
	p.t.Helper()
	conn := p.connect(dsn)
	for _, s := range statements {
		if _, err := conn.Exec(context.Background(), s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
	_ = conn.Close(context.Background())
}

func (p *postgres) connect(dsn string) *pgx.Conn {
	p.t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// host is one node.
func (p *postgres) host(reg prometheus.Registerer) *pluginhost.Host {
	p.t.Helper()
	db := storetest.Dial(p.t, p.dsn)
	h, err := pluginhost.New(pluginhost.Config{DB: db, DataDir: p.t.TempDir(), Keyring: p.ring, DatabaseURL: p.dsn, Registerer: reg})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = h.Close(context.Background()) })
	return h
}

func (p *postgres) storage(h *pluginhost.Host, name string) string {
	p.t.Helper()
	st, err := h.Storage(context.Background(), config.Plugin{Name: name, Enabled: true})
	if err != nil {
		p.t.Fatal(err)
	}
	return st.GetDsn()
}

// Before, the plugin was given Sigra's own address.
func TestStorage_withoutARoleOfItsOwnThereIsNone(t *testing.T) {
	t.Parallel()
	p := newPostgres(t, "NOCREATEROLE")
	_, err := p.host(nil).Storage(context.Background(), config.Plugin{Name: "greeter", Enabled: true})
	if err == nil || !strings.Contains(err.Error(), "ALTER ROLE") || !strings.Contains(err.Error(), "CREATEROLE") || !strings.Contains(err.Error(), "database { url") {
		t.Errorf("error %v", err)
	}
	// A database that its block names is as good as its user.
	own := config.Plugin{Name: "greeter", Enabled: true, DatabaseURL: secret.New(p.dsn)}
	if _, err := p.host(nil).Storage(context.Background(), own); err != nil {
		t.Error(err)
	}
}

// Before, both had the schema and the role of the 56 letters, and purging one took the other's tables.
func TestStorage_namesThatBeginAlike(t *testing.T) {
	t.Parallel()
	p := newPostgres(t, "CREATEROLE")
	h := p.host(nil)
	long := strings.Repeat("a", 56)
	one, two := p.storage(h, long+"_one"), p.storage(h, long+"_two")
	for _, dsn := range []string{one, two} {
		p.exec(dsn, "CREATE TABLE note (id INT)")
	}
	if err := h.Purge(context.Background(), long+"_one"); err != nil {
		t.Fatal(err)
	}
	p.exec(two, "INSERT INTO note (id) VALUES (1)")
	if _, err := pgx.Connect(context.Background(), one); err == nil {
		t.Error("purged, but the role still gets in")
	}
	seen := map[string]string{}
	for n := 1; n <= 63; n++ {
		for _, last := range []string{"x", "y"} {
			plugin := strings.Repeat("b", n-1) + last
			for _, name := range []string{pluginhost.SchemaName(plugin), pluginhost.RoleName(4_294_967_295, plugin)} {
				if other := seen[name]; other != "" || len(name) > 63 {
					t.Errorf("%s and %s have %q", plugin, other, name)
				}
				seen[name] = plugin
			}
		}
	}
}

// Before, a transaction that a plugin left open kept every sink of the relay where it was, for as long as the plugin liked.
func TestStorage_whatAPluginMayTakeOfTheServer(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := newPostgres(t, "CREATEROLE")
	reg := prometheus.NewRegistry()
	h := p.host(reg)
	dsn := p.storage(h, "greedy")
	if err := h.Use(ctx, "greedy"); err != nil {
		t.Fatal(err)
	}
	conn := p.connect(dsn)
	for _, s := range []string{"SET idle_in_transaction_session_timeout = 0", "CREATE TABLE note (id INT)", "BEGIN", "INSERT INTO note (id) VALUES (1)"} {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	var limit int
	if err := conn.QueryRow(ctx, "SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user").Scan(&limit); err != nil || limit < 16 || limit > 200 {
		t.Errorf("at most %d connections: %v", limit, err)
	}
	bystander := p.connect(p.dsn) // Sigra's own transactions are nobody's business
	if _, err := bystander.Exec(ctx, "BEGIN"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if n, err := h.EndTransactions(ctx, time.Hour, time.Hour); n != 0 || err != nil {
		t.Errorf("%d ended before their time: %v", n, err)
	}
	if n, err := h.EndTransactions(ctx, time.Hour, time.Millisecond); n != 1 || err != nil {
		t.Errorf("%d ended: %v", n, err)
	}
	poll(t, "the plugin's connection to end", func() (string, bool) {
		_, err := conn.Exec(ctx, "SELECT 1")
		return fmt.Sprint(err), err != nil
	})
	if _, err := bystander.Exec(ctx, "COMMIT"); err != nil {
		t.Errorf("Sigra's own transaction was ended: %v", err)
	}
}

// Before, one node dropped the tables under another.
func TestPurge_heldByAnotherNode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := newPostgres(t, "CREATEROLE")
	a, b := p.host(nil), p.host(nil)
	dsn := p.storage(b, "shared")
	p.exec(dsn, "CREATE TABLE note (id INT)")
	if err := b.Use(ctx, "shared"); err != nil {
		t.Fatal(err)
	}
	err := a.Purge(ctx, "shared")
	if f := fault.From(err); err == nil || f.Kind != fault.Conflict || !strings.Contains(f.Message, "1 other node") {
		t.Errorf("purged under another node: %v", err)
	}
	p.exec(dsn, "INSERT INTO note (id) VALUES (1)")
	if err := b.Unuse(ctx, "shared"); err != nil {
		t.Fatal(err)
	}
	// While one purges, the other starts nothing.
	err = a.Excluding(ctx, "shared", func() {
		if err := b.Use(ctx, "shared"); err == nil {
			t.Error("started in the middle of a purge")
		}
		if err := b.Purge(ctx, "shared"); fault.From(err).Kind != fault.Conflict {
			t.Errorf("purged twice at once: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Purge(ctx, "shared"); err != nil {
		t.Error(err)
	}
	if err := b.Use(ctx, "shared"); err != nil {
		t.Errorf("not again after the purge: %v", err)
	}
}
