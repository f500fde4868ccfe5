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
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// maxIdentifier is how many bytes of a name Postgres keeps; it cuts the rest off without a word.
const maxIdentifier = 63

// identifier is a name within Postgres's limit, and another one for every other input: what is too long ends in its hash, and is
// longer than any that is not.
func identifier(name string) string {
	if len(name) < maxIdentifier {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := "_" + hex.EncodeToString(sum[:16])
	return name[:maxIdentifier-len(end)] + end
}

func schemaName(plugin string) string { return identifier("plugin_" + plugin) }

// roleName is of the cluster, to which roles belong: two databases of it must not share one.
func roleName(database uint32, plugin string) string {
	return identifier(fmt.Sprintf("sigra_%d_%s", database, plugin))
}

const databaseOID = "SELECT oid FROM pg_database WHERE datname = current_database()"

// connect opens a connection by an address that may bear a password, which no error shows.
func connect(ctx context.Context, dsn string) (*pgx.Conn, *pgx.ConnConfig, error) {
	pc, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, nil, errors.New("the database url can't be read as a Postgres connection string") // pgx would print the password
	}
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return nil, nil, redactDSN(err, pc)
	}
	return conn, pc, nil
}

// ownDatabase makes a schema in the database that the plugin's block names; its user is the operator's choice.
func (s storages) ownDatabase(ctx context.Context, name, dsn string) (*pluginv1.Storage, error) {
	conn, pc, err := connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect for schema %s: %w", schemaName(name), err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := makeSchema(ctx, conn, name); err != nil {
		return nil, err
	}
	out := &pluginv1.Storage{Dialect: "postgres", Schema: schemaName(name)}
	out.Dsn, err = withSearchPath(dsn, pc, schemaName(name), "", "")
	return out, err
}

// ownSchema makes a schema in Sigra's database, and a role that can use nothing else. There is no plugin without: by Sigra's own
// it would read and write everything. The role's password is derived from the keyring, so that every node arrives at the same one.
func (s storages) ownSchema(ctx context.Context, name string) (*pluginv1.Storage, error) {
	if s.cfg.Keyring == nil {
		return nil, errors.New("there is no keyring to make its database password from")
	}
	conn, pc, err := connect(ctx, s.cfg.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("connect for schema %s: %w", schemaName(name), err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	r := role{schema: schemaName(name), database: pc.Database}
	var user string
	var may bool
	var oid uint32
	var connections int
	if err := conn.QueryRow(ctx, `SELECT current_user, rolsuper, rolcreaterole OR rolsuper, (`+databaseOID+`), current_setting('max_connections')::int
FROM pg_roles WHERE rolname = current_user`).Scan(&user, &r.bySuper, &may, &oid, &connections); err != nil {
		return nil, redactDSN(err, pc)
	}
	r.name, r.connections = roleName(oid, name), max(connections/roleShare, minConnections)
	const otherwise = "or give the plugin a database of its own in its block: database { url = \"…\" }"
	if !may {
		return nil, fmt.Errorf("Sigra's database user %[1]s may make no roles, and a plugin gets none of Sigra's rights: allow it with ALTER ROLE %[1]s CREATEROLE, %[2]s", pgx.Identifier{user}.Sanitize(), otherwise) //nolint:staticcheck // a name
	}
	password := hex.EncodeToString(s.cfg.Keyring.MAC("plugin.database", []byte(r.name)))
	if err := makeSchema(ctx, conn, name); err != nil {
		return nil, redactDSN(err, pc)
	}
	if err := r.make(ctx, conn, name, password); err != nil {
		return nil, fmt.Errorf("a database role of the plugin's own: %w", redactDSN(err, pc))
	}
	out := &pluginv1.Storage{Dialect: "postgres", Schema: r.schema}
	if out.Dsn, err = withSearchPath(s.cfg.DatabaseURL, pc, r.schema, r.name, password); err != nil {
		return nil, err
	}
	// Whether the server lets the role in is a matter of its own rules: try.
	probe, err := pgx.Connect(ctx, out.GetDsn())
	if err == nil {
		_ = probe.Close(ctx)
		return out, nil
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "28") { // invalid authorization
		return nil, fmt.Errorf("the database does not let the plugin's own role in: allow %s in pg_hba.conf, %s", r.name, otherwise)
	}
	if errors.As(err, &refused) && refused.Code == "53300" { // too many connections
		return nil, fmt.Errorf("the plugin's role has its %d connections already", r.connections)
	}
	return nil, errors.New("the plugin's role can't connect just now")
}

func makeSchema(ctx context.Context, conn *pgx.Conn, name string) error {
	err := locked(ctx, conn, name, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schemaName(name)}.Sanitize())
		return err
	})
	if err != nil {
		return fmt.Errorf("make schema %s: %w", schemaName(name), err)
	}
	return nil
}

// locked runs DDL under an advisory lock: several nodes start at once, and IF NOT EXISTS alone races.
func locked(ctx context.Context, conn *pgx.Conn, name string, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", "sigra.plugin."+name); err != nil {
			return err
		}
		return f(tx)
	})
}

// What a plugin's role may take of the server, on all nodes together.
const (
	roleShare      = 4  // one in so many of the server's connections
	minConnections = 16 // two processes of the SDK's eight: a new one starts before the old one ends
)

// role is a plugin's own in the database.
type role struct {
	name, schema, database string
	connections            int
	bySuper                bool // Sigra's user may do anything, and needs no part in the role
}

// make makes the role, or brings it up to date.
func (r role) make(ctx context.Context, conn *pgx.Conn, plugin, password string) error {
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	name, schema := pgx.Identifier{r.name}.Sanitize(), pgx.Identifier{r.schema}.Sanitize()
	return locked(ctx, conn, plugin, func(tx pgx.Tx) error {
		var exists, part bool // asked under the lock: another node may just have made it
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", r.name).Scan(&exists); err != nil {
			return err
		}
		var statements []string
		if !exists {
			statements = append(statements, "CREATE ROLE "+name+" NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT")
		}
		// The password itself never travels, so that no statement log of the server has it (RFC 5803).
		statements = append(statements, "ALTER ROLE "+name+" LOGIN PASSWORD '"+verifier+"'"+fmt.Sprintf(" CONNECTION LIMIT %d", r.connections),
			fmt.Sprintf("ALTER ROLE %s SET idle_in_transaction_session_timeout = %d", name, maxIdle.Milliseconds()),
			"GRANT USAGE, CREATE ON SCHEMA "+schema+" TO "+name,
			"GRANT CONNECT ON DATABASE "+pgx.Identifier{r.database}.Sanitize()+" TO "+name)
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		if r.bySuper {
			return nil
		}
		// Who is part of the role sees its sessions and may end them.
		if err := tx.QueryRow(ctx, "SELECT pg_has_role(current_user, $1, 'USAGE')", r.name).Scan(&part); err != nil || part {
			return err
		}
		_, err := tx.Exec(ctx, "GRANT "+name+" TO CURRENT_USER")
		return err
	})
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
