package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/pluginsdk/contract"
)

// Purge takes away everything a plugin left: its schema or file, its KV entries and its place in the logs. The
// plugin must be gone from the configuration of every node, or disabled there: else it is a Conflict. No node starts it meanwhile.
func (h *Host) Purge(ctx context.Context, name string) error {
	h.applying.Lock()
	defer h.applying.Unlock()
	if !contract.IsName(name) {
		return errNoPlugin(name)
	}
	if p := h.lookup(name); p != nil && p.status().State != Disabled {
		return fault.Newf(fault.Conflict, "plugin_in_use", "Plugin %q is in the configuration. Remove its block or disable it, and reload, first.", name)
	}
	done, err := h.uses.exclude(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	if err := purge(ctx, h, name); err != nil {
		return fmt.Errorf("purge plugin %s: %w", name, err)
	}
	h.metrics.forget(name)
	return nil
}

// purge takes away what the host has of a plugin.
func purge(ctx context.Context, h *Host, name string) error {
	if err := h.storages.purge(ctx, name); err != nil {
		return err
	}
	if err := h.kv.purge(ctx, name); err != nil {
		return err
	}
	if h.cfg.Erasures != nil {
		if err := h.cfg.Erasures.Forget(ctx, name); err != nil {
			return err
		}
	}
	if h.cfg.Relay != nil {
		for _, cursor := range []string{cursorName(name), eventCursorName(name)} {
			if err := h.cfg.Relay.Forget(ctx, cursor); err != nil {
				return fmt.Errorf("forget its place in the logs: %w", err)
			}
		}
	}
	return nil
}

// purge takes away a plugin's schema, role and file.
func (s storages) purge(ctx context.Context, name string) error {
	if s.cfg.DB.Dialect() == store.Postgres && s.cfg.DatabaseURL != "" {
		if err := s.purgePostgres(ctx, name); err != nil {
			return err
		}
	}
	path := s.sqlitePath(name)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s storages) purgePostgres(ctx context.Context, name string) error {
	conn, pc, err := connect(ctx, s.cfg.DatabaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var oid uint32
	if err := conn.QueryRow(ctx, databaseOID).Scan(&oid); err != nil {
		return redactDSN(err, pc)
	}
	role := roleName(oid, name)
	err = locked(ctx, conn, name, func(tx pgx.Tx) error {
		var exists bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil {
			return err
		}
		var statements []string
		if exists { // a session that is left over may hold locks
			statements = append(statements, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+role+"'")
		}
		statements = append(statements, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schemaName(name)}.Sanitize()+" CASCADE")
		if exists {
			r := pgx.Identifier{role}.Sanitize()
			statements = append(statements, "DROP OWNED BY "+r, "DROP ROLE "+r)
		}
		for _, s := range statements {
			if _, err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return redactDSN(err, pc)
	}
	return nil
}
