package pluginhost

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	"github.com/sigra-auth/sigra/core/store"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// storage makes room for a plugin's data and says where it is: the database its block names, else a schema of its own
// in the core's Postgres, else a SQLite file of its own.
func (h *Host) storage(ctx context.Context, b config.Plugin) (*pluginv1.Storage, error) {
	if u := b.DatabaseURL.Reveal(); u != "" {
		switch {
		case strings.HasPrefix(u, "postgres://"), strings.HasPrefix(u, "postgresql://"):
			return h.postgresStorage(ctx, b.Name, u, false)
		case strings.HasPrefix(u, "sqlite://"):
			p, err := url.Parse(u)
			if err != nil || p.Path == "" || p.Host != "" {
				return nil, errors.New("the block's database url has no absolute path")
			}
			return sqliteStorage(p.Path, b)
		}
		return nil, errors.New("the block's database url must begin with postgres:// or sqlite:///")
	}
	if h.cfg.DB.Dialect() == store.Postgres {
		if h.cfg.DatabaseURL == "" {
			return nil, errors.New("the core's database address is not known")
		}
		return h.postgresStorage(ctx, b.Name, h.cfg.DatabaseURL, true)
	}
	if b.User != "" {
		return nil, fmt.Errorf("user %q can't enter data_dir: give the plugin a database of its own, database { url = \"sqlite:///…\" }, in a folder of that user's", b.User)
	}
	return sqliteStorage(h.sqlitePath(b.Name), b)
}

func (h *Host) sqlitePath(name string) string {
	dir, err := filepath.Abs(h.cfg.DataDir)
	if err != nil {
		dir = h.cfg.DataDir
	}
	return filepath.Join(dir, "plugins", name+".db")
}

func sqliteStorage(path string, b config.Plugin) (*pluginv1.Storage, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(process.Own(b, path), f.Close()); err != nil {
		return nil, err
	}
	return &pluginv1.Storage{Dialect: "sqlite", Dsn: path}, nil
}

func schemaName(plugin string) string { return clip63("plugin_" + plugin) }

// clip63 keeps a name within Postgres's limit; what Postgres would cut off silently could make two names one.
func clip63(s string) string {
	if len(s) > 63 {
		return s[:63]
	}
	return s
}

// postgresStorage makes the schema, and where the connection may, a role that can use nothing else. The role's password
// is derived from the keyring, so that every node arrives at the same one.
func (h *Host) postgresStorage(ctx context.Context, name, dsn string, own bool) (*pluginv1.Storage, error) {
	pc, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the database url can't be read as a Postgres connection string") // pgx would print the password
	}
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("connect for schema %s: %w", schemaName(name), redactDSN(err, pc))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	schema := pgx.Identifier{schemaName(name)}.Sanitize()
	if err := h.serially(ctx, conn, name, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		return nil, fmt.Errorf("make schema %s: %w", schemaName(name), err)
	}
	out := &pluginv1.Storage{Dialect: "postgres", Schema: schemaName(name)}
	if own {
		limited, ok, err := h.limitedRole(ctx, conn, pc, name, dsn)
		if err != nil {
			return nil, fmt.Errorf("a database role of the plugin's own: %w", redactDSN(err, pc))
		}
		if ok {
			out.Dsn = limited
			return out, nil
		}
	}
	out.Dsn, err = withSearchPath(dsn, pc, schemaName(name), "", "")
	return out, err
}

// serially runs DDL under an advisory lock: several nodes start at once, and IF NOT EXISTS alone races.
func (h *Host) serially(ctx context.Context, conn *pgx.Conn, name string, statements ...string) error {
	return h.locked(ctx, conn, name, func(tx pgx.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *Host) locked(ctx context.Context, conn *pgx.Conn, name string, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", "sigra.plugin."+name); err != nil {
			return err
		}
		return f(tx)
	})
}

func roleName(ctx context.Context, conn *pgx.Conn, name string) (string, error) {
	// Roles belong to the whole cluster: two databases of it must not share one.
	var oid uint32
	if err := conn.QueryRow(ctx, "SELECT oid FROM pg_database WHERE datname = current_database()").Scan(&oid); err != nil {
		return "", err
	}
	return clip63(fmt.Sprintf("sigra_%d_%s", oid, name)), nil
}

// limitedRole gives the address for a role that can use the plugin's schema and nothing else; false where the server's own
// rules allow none. A failure on the way is an error and never a reason to use Sigra's role instead: what one node's plugin
// makes under another owner, the other nodes' plugins could not use.
func (h *Host) limitedRole(ctx context.Context, conn *pgx.Conn, pc *pgx.ConnConfig, name, dsn string) (string, bool, error) {
	if h.cfg.Keyring == nil {
		return "", false, nil
	}
	var may bool
	if err := conn.QueryRow(ctx, "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&may); err != nil || !may {
		return "", false, err
	}
	role, err := roleName(ctx, conn, name)
	if err != nil {
		return "", false, err
	}
	password := hex.EncodeToString(h.cfg.Keyring.MAC("plugin.database", []byte(role)))
	limited, err := withSearchPath(dsn, pc, schemaName(name), role, password)
	if err != nil {
		return "", false, err
	}
	verifier, err := scramVerifier(password)
	if err != nil {
		return "", false, err
	}
	r, s := pgx.Identifier{role}.Sanitize(), pgx.Identifier{schemaName(name)}.Sanitize()
	err = h.locked(ctx, conn, name, func(tx pgx.Tx) error {
		var exists bool // asked under the lock: another node may just have made it
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil {
			return err
		}
		var statements []string
		if !exists {
			statements = append(statements, "CREATE ROLE "+r+" NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT")
		}
		// The password itself never travels, so that no statement log of the server has it (RFC 5803).
		statements = append(statements, "ALTER ROLE "+r+" LOGIN PASSWORD '"+verifier+"'",
			"GRANT USAGE, CREATE ON SCHEMA "+s+" TO "+r,
			"GRANT CONNECT ON DATABASE "+pgx.Identifier{pc.Database}.Sanitize()+" TO "+r)
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", false, err
	}
	// Whether the server lets the role in is a matter of its own rules: try.
	probe, err := pgx.Connect(ctx, limited)
	if err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "28") { // invalid authorization
			h.log.Warn("the database does not let a plugin's own role in; the plugin uses Sigra's", "plugin", name)
			return "", false, nil
		}
		return "", false, errors.New("the role can't connect just now")
	}
	_ = probe.Close(ctx)
	return limited, true, nil
}

// scramVerifier is what Postgres stores of a password (RFC 5803). The password is plain ASCII, which needs no SASLprep.
func scramVerifier(password string) (string, error) {
	const rounds = 4096 // Postgres's own; the password has 256 random bits
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}

// withSearchPath is dsn with the schema as search path, and with another user if one is given.
func withSearchPath(dsn string, pc *pgx.ConnConfig, schema, user, password string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the database url can't be read")
	}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	q := u.Query()
	if user != "" {
		q.Del("user")
		q.Del("password")
	}
	q.Set("search_path", schema)
	if q.Get("application_name") == "" {
		q.Set("application_name", "sigra_"+schema)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func redactDSN(err error, pc *pgx.ConnConfig) error {
	s := err.Error()
	if pc.Password != "" {
		s = strings.ReplaceAll(s, pc.Password, "[redacted]")
	}
	return errors.New(s)
}

// Purge takes away everything a plugin left: its schema or file, its KV entries and its place in the logs. The
// plugin must be gone from the configuration, or disabled.
func (h *Host) Purge(ctx context.Context, name string) error {
	h.applying.Lock()
	defer h.applying.Unlock()
	if !namePattern.MatchString(name) {
		return errNoPlugin(name)
	}
	if p := h.lookup(name); p != nil && p.status().State != Disabled {
		return fault.Newf(fault.Conflict, "plugin_in_use", "Plugin %q is in the configuration. Remove its block or disable it, and reload, first.", name)
	}
	if h.cfg.DB.Dialect() == store.Postgres && h.cfg.DatabaseURL != "" {
		if err := h.purgePostgres(ctx, name); err != nil {
			return fmt.Errorf("purge plugin %s: %w", name, err)
		}
	}
	path := h.sqlitePath(name)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("purge plugin %s: %w", name, err)
		}
	}
	if err := h.kv.purge(ctx, name); err != nil {
		return fmt.Errorf("purge plugin %s: %w", name, err)
	}
	if h.cfg.Erasures != nil {
		if err := h.cfg.Erasures.Forget(ctx, name); err != nil {
			return fmt.Errorf("purge plugin %s: %w", name, err)
		}
	}
	if h.cfg.Relay != nil {
		for _, cursor := range []string{cursorName(name), eventCursorName(name)} {
			if err := h.cfg.Relay.Forget(ctx, cursor); err != nil {
				return fmt.Errorf("purge plugin %s: forget its place in the logs: %w", name, err)
			}
		}
	}
	h.metrics.forget(name)
	return nil
}

func (h *Host) purgePostgres(ctx context.Context, name string) error {
	pc, err := pgx.ParseConfig(h.cfg.DatabaseURL)
	if err != nil {
		return errors.New("the database url can't be read as a Postgres connection string")
	}
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return redactDSN(err, pc)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schemaName(name)}.Sanitize()+" CASCADE"); err != nil {
		return err
	}
	role, err := roleName(ctx, conn, name)
	if err != nil {
		return err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil || !exists {
		return err
	}
	r := pgx.Identifier{role}.Sanitize()
	for _, s := range []string{"DROP OWNED BY " + r, "DROP ROLE " + r} {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
