package pluginhost

import (
	"context"
	"time"

	"github.com/sigra-auth/sigra/core/store"
)

// A transaction that is held open in Sigra's database keeps the relay from reading on and the server from cleaning up. Of a plugin's role
// it is ended after this long; the role's own settings say the same, but a plugin can change those.
const (
	maxTransaction = 30 * time.Second
	maxIdle        = 10 * time.Second // doing nothing in one
	lookEvery      = 5 * time.Second
)

const (
	heldSQL = `SELECT pid, usename, coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8 FROM pg_stat_activity
WHERE usename = ANY($1) AND (xact_start < clock_timestamp() - $2 * interval '1 millisecond'
   OR state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - $3 * interval '1 millisecond')`
	endSQL = `SELECT pg_terminate_backend($1)`
)

// heldOpen is a session of a plugin that has been in a transaction for too long.
type heldOpen struct {
	pid     int32
	plugin  string
	seconds float64
}

// watch ends what plugins hold open, until the host ends.
func (s storages) watch(h *Host) {
	if h.cfg.DB.Dialect() != store.Postgres || h.cfg.DatabaseURL == "" {
		return
	}
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(h.timing.transactions):
		}
		ended, err := s.endTransactions(h.ctx, h.uses.held(), h.timing.transaction, h.timing.idleTransaction)
		for _, x := range ended {
			h.metrics.transactions.WithLabelValues(x.plugin).Inc()
			h.log.Warn("plugin held a transaction open in Sigra's database, its connection was ended", "plugin", x.plugin, "held_for", time.Duration(x.seconds*float64(time.Second)).Round(time.Second))
		}
		if err != nil && h.ctx.Err() == nil {
			h.log.Warn("transactions of plugins not looked at", "error", err)
		}
	}
}

// endTransactions ends the sessions of plugins that were in a transaction for longer than most, or idle in one for longer than idle.
func (s storages) endTransactions(ctx context.Context, plugins []string, most, idle time.Duration) (ended []heldOpen, err error) {
	if len(plugins) == 0 {
		return nil, nil
	}
	var oid uint32
	if err := s.cfg.DB.QueryRow(ctx, databaseOID).Scan(&oid); err != nil {
		return nil, err
	}
	var roles []string
	byRole := map[string]string{}
	for _, p := range plugins {
		role := roleName(oid, p)
		roles, byRole[role] = append(roles, role), p
	}
	rows, err := s.cfg.DB.Query(ctx, heldSQL, roles, most.Milliseconds(), idle.Milliseconds())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []heldOpen
	for rows.Next() {
		var x heldOpen
		var role string
		if err := rows.Scan(&x.pid, &role, &x.seconds); err != nil {
			return nil, err
		}
		x.plugin = byRole[role]
		found = append(found, x)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	for _, x := range found {
		var was bool
		if err := s.cfg.DB.QueryRow(ctx, endSQL, x.pid).Scan(&was); err != nil {
			return ended, err
		}
		if was {
			ended = append(ended, x)
		}
	}
	return ended, nil
}
