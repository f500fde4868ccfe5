package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// The table plugin_use says which nodes have which plugins, so that no node takes away what another one works with. The row without
// a node is locked by everybody who changes anything for the plugin, and holds until when it is being purged. Time is the
// database's alone. An embedded database has one node only, and needs none of this.
const (
	usedFor   = time.Minute
	usedEvery = 20 * time.Second
	purgeFor  = 10 * time.Minute // then a purge that was broken off keeps nobody out any more

	useLockSQL = `INSERT INTO plugin_use (plugin, node, until) VALUES ($1, '', clock_timestamp())
ON CONFLICT (plugin, node) DO UPDATE SET plugin = excluded.plugin RETURNING until > clock_timestamp()`
	usePutSQL = `INSERT INTO plugin_use (plugin, node, until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')
ON CONFLICT (plugin, node) DO UPDATE SET until = excluded.until`
	useOthersSQL = `SELECT count(*) FROM plugin_use WHERE plugin = $1 AND node <> '' AND node <> $2 AND until > clock_timestamp()`
	useEndSQL    = `DELETE FROM plugin_use WHERE plugin = $1 AND node = $2`
	useForgetSQL = `DELETE FROM plugin_use WHERE plugin = $1`
)

// uses is what this node has of that table.
type uses struct {
	db   *store.DB // nil: there is one node only
	node string

	mu      sync.Mutex
	plugins map[string]bool
}

func newUses(db *store.DB) *uses {
	u := &uses{node: uuid.NewString(), plugins: map[string]bool{}}
	if db.Dialect() == store.Postgres {
		u.db = db
	}
	return u
}

var errPurging = errors.New("its data are being purged")

// begin says that this node works with the plugin; an error says that it must not, for now.
func (u *uses) begin(ctx context.Context, plugin string) error {
	if u.db == nil {
		return nil
	}
	err := u.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var purging bool
		if err := tx.QueryRow(ctx, useLockSQL, plugin).Scan(&purging); err != nil {
			return err
		}
		if purging {
			return errPurging
		}
		_, err := tx.Exec(ctx, usePutSQL, plugin, u.node, int(usedFor/time.Second))
		return err
	})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.plugins[plugin] = true
	return nil
}

// end says that this node no longer works with a plugin.
func (u *uses) end(ctx context.Context, plugin string) error {
	u.mu.Lock()
	had := u.plugins[plugin]
	delete(u.plugins, plugin)
	u.mu.Unlock()
	if u.db == nil || !had {
		return nil
	}
	return u.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, useEndSQL, plugin, u.node)
		return err
	})
}

// held are the plugins that this node works with.
func (u *uses) held() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for name := range u.plugins {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// exclude keeps every node from starting a plugin until done is called. It is a Conflict when one works with it, or purges it.
func (u *uses) exclude(ctx context.Context, plugin string) (done func(), err error) {
	if u.db == nil {
		return func() {}, nil
	}
	err = u.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var purging bool
		if err := tx.QueryRow(ctx, useLockSQL, plugin).Scan(&purging); err != nil {
			return err
		}
		if purging {
			return fault.Newf(fault.Conflict, "plugin_in_use", "Another node is purging plugin %q already.", plugin)
		}
		var others int
		if err := tx.QueryRow(ctx, useOthersSQL, plugin, u.node).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return fault.Newf(fault.Conflict, "plugin_in_use", "Plugin %q runs on %d other node(s). Remove its block or disable it there too, and reload; a node that broke down counts for another minute.", plugin, others)
		}
		_, err := tx.Exec(ctx, usePutSQL, plugin, "", int(purgeFor/time.Second))
		return err
	})
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return nil, err
		}
		return nil, fmt.Errorf("purge plugin %s: %w", plugin, err)
	}
	return func() {
		_ = u.db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error { // else it runs out by itself
			_, err := tx.Exec(ctx, useForgetSQL, plugin)
			return err
		})
	}, nil
}

// keep says again and again what this node works with, until the host ends.
func (u *uses) keep(h *Host) {
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(usedEvery):
		}
		for _, name := range u.held() {
			var err error
			if p := h.lookup(name); p == nil || !p.getBlock().Enabled {
				err = u.end(h.ctx, name) // a reload that was given up
			} else {
				err = u.begin(h.ctx, name)
			}
			if err != nil && h.ctx.Err() == nil {
				h.log.Warn("not noted that this node runs the plugin", "plugin", name, "error", err)
			}
		}
	}
}
