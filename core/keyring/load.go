package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// How often unknown key ids may make a node read the table: ids come from outside, so a flood of invented ones must
// not become a flood of queries.
const (
	reloadBurst = 10
	reloadRate  = 5 // per second
	reloadLimit = 3 * time.Second
	refreshEach = 30 * time.Second
)

type keyRow struct {
	id            uuid.UUID
	kind, state   string
	wrapped       []byte
	createdAt     time.Time
	wrappedByRoot string // fingerprint, from the wrapped form
}

func readRows(ctx context.Context, q store.Querier) ([]keyRow, error) {
	rows, err := q.Query(ctx, `SELECT id, kind, state, wrapped, created_at FROM keyring_key ORDER BY created_at DESC, id DESC`)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	var out []keyRow
	for rows.Next() {
		var k keyRow
		if err := rows.Scan(&k.id, &k.kind, &k.state, &k.wrapped, &k.createdAt); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		if len(k.wrapped) >= wrapHead {
			k.wrappedByRoot = fmt.Sprintf("%x", k.wrapped[1:wrapHead])
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return out, nil
}

// lockTable makes nodes that would change keys at the same time take turns. SQLite's writer does so already.
func lockTable(ctx context.Context, tx *store.Tx) error {
	if tx.Dialect() != store.Postgres {
		return nil
	}
	_, err := tx.Exec(ctx, `LOCK TABLE keyring_key IN SHARE ROW EXCLUSIVE MODE`)
	return err
}

// loadRoots reads the root keys. Without one it leaves roots empty, which only an empty database allows.
func (r *Ring) loadRoots(cfg Config, existing int) error {
	if !cfg.Root.IsZero() {
		current, err := parseRoot(cfg.Root)
		if err != nil {
			return fmt.Errorf("keyring root_key: %w", err)
		}
		r.roots = append(r.roots, current)
	} else if cfg.DataDir != "" {
		current, err := readRootFile(cfg.DataDir)
		switch {
		case err == nil:
			r.roots = append(r.roots, current)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		case existing > 0:
			return fmt.Errorf("the root key is missing: database %s holds %d keys sealed with one, and %s does not exist. "+
				"Restore that file from a backup, or give the key as keyring { root_key = env(…) }. "+
				"Without it nothing sealed in this database can be read; no new key was made", cfg.DB.Name(), existing, filepath.Join(cfg.DataDir, RootFile))
		}
	} else {
		return errors.New("there is no root key: set keyring { root_key = … } or data_dir")
	}
	for i, old := range cfg.OldRoots {
		o, err := parseRoot(old)
		if err != nil {
			return fmt.Errorf("keyring old_root_keys[%d]: %w", i, err)
		}
		r.roots = append(r.roots, o)
	}
	return nil
}

// begin makes the first keys. It returns what is in the table afterwards, which another node may have put there.
func (r *Ring) begin(ctx context.Context, dataDir string) ([]keyRow, error) {
	var rows []keyRow
	err := r.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := lockTable(ctx, tx); err != nil {
			return err
		}
		if rows, err = readRows(ctx, tx); err != nil {
			return err
		}
		if len(r.roots) == 0 {
			if len(rows) > 0 { // another node began between our two looks
				current, err := readRootFile(dataDir)
				if err != nil {
					return fmt.Errorf("another node made this database's keys with its own root key; every node needs the same one: %w", err)
				}
				r.roots = []*root{current}
				return nil
			}
			// Not undone by a rollback, and need not be: a root key without data keys is simply used next time.
			current, made, err := makeRootFile(dataDir)
			if err != nil {
				return err
			}
			if made {
				r.log.Info("root key made; keep a copy of it apart from the database", "file", filepath.Join(dataDir, RootFile), "fingerprint", current.fingerprint())
			}
			r.roots = []*root{current}
		}
		if len(rows) > 0 {
			return nil
		}
		for _, kind := range []string{kindSeal, kindMAC} {
			if _, err := r.insertKey(ctx, tx, kind); err != nil {
				return err
			}
		}
		rows, err = readRows(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the first keys: %w", err)
	}
	return rows, nil
}

func (r *Ring) insertKey(ctx context.Context, tx *store.Tx, kind string) (*dataKey, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	k := &dataKey{Key: Key{ID: id, State: stateActive, CreatedAt: r.now()}, kind: kind, key: new([keySize]byte)}
	_, _ = rand.Read(k.key[:])
	_, err = tx.Exec(ctx, `INSERT INTO keyring_key (id, kind, state, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)`,
		k.ID, kind, k.State, r.roots[0].wrap(id, kind, k.key), k.CreatedAt)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// unwrapAll makes a keyset of rows, or says which key can't be unwrapped.
func (r *Ring) unwrapAll(rows []keyRow) (*keyset, error) {
	ks := &keyset{byID: make(map[uuid.UUID]*dataKey, len(rows))}
	for _, row := range rows {
		key, _, err := r.unwrap(row)
		if err != nil {
			return nil, err
		}
		k := &dataKey{Key: Key{ID: row.id, State: row.state, CreatedAt: row.createdAt}, kind: row.kind, key: key}
		k.head = append([]byte{sealVersion}, k.ID[:]...)
		ks.byID[k.ID] = k
		switch {
		case k.kind == kindSeal:
			ks.list = append(ks.list, k.Key)
			if k.State == stateActive {
				ks.active = k
			}
		case k.kind == kindMAC && k.State == stateActive:
			ks.mac = k
		}
	}
	if ks.active == nil || ks.mac == nil {
		return nil, fmt.Errorf("the table keyring_key of database %s is incomplete: an active key is missing. Restore the table from a backup", r.db.Name())
	}
	return ks, nil
}

// unwrap tries the roots that made the row first; old says that it was not the current one.
func (r *Ring) unwrap(row keyRow) (key *[keySize]byte, old bool, err error) {
	for i, root := range r.roots {
		if root.fingerprint() != row.wrappedByRoot {
			continue
		}
		key, err := root.unwrap(row.id, row.kind, row.wrapped)
		if err != nil {
			return nil, false, fmt.Errorf("key %s in the table keyring_key of database %s is damaged: restore the table from a backup", row.id, r.db.Name())
		}
		return key, i > 0, nil
	}
	return nil, false, fmt.Errorf("the root key does not fit the database: key %s of %s was sealed with root key %s, and this node has %s. "+
		"Give it that key (data_dir/%s of the node that made it, or keyring { root_key = … }); after a change of root key, list the former one in old_root_keys",
		row.id, r.db.Name(), row.wrappedByRoot, r.fingerprints(), RootFile)
}

func (r *Ring) fingerprints() string {
	s := ""
	for i, root := range r.roots {
		if i > 0 {
			s += ", "
		}
		s += root.fingerprint()
	}
	return s
}

// rewrap seals with the current root key what an old one had sealed. All or nothing; the rows are replaced only as
// they were read, so that two nodes doing it at once do it once.
func (r *Ring) rewrap(ctx context.Context, rows []keyRow) error {
	var stale []keyRow
	for _, row := range rows {
		_, old, err := r.unwrap(row)
		if err != nil {
			return err
		}
		if old {
			stale = append(stale, row)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	err := r.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, row := range stale {
			key, _, err := r.unwrap(row)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `UPDATE keyring_key SET wrapped = $3 WHERE id = $1 AND wrapped = $2`, row.id, row.wrapped, r.roots[0].wrap(row.id, row.kind, key))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wrap keys with the new root key: %w", err)
	}
	r.log.Info("keys wrapped with the new root key", "keys", len(stale), "root", r.Root())
	return nil
}

// Refresh reads the keys again.
func (r *Ring) Refresh(ctx context.Context) error {
	r.reload.Lock()
	defer r.reload.Unlock()
	return r.refreshLocked(ctx)
}

func (r *Ring) refreshLocked(ctx context.Context) error {
	rows, err := readRows(ctx, r.db)
	if err != nil {
		return err
	}
	ks, err := r.unwrapAll(rows)
	if err != nil {
		return err
	}
	r.keys.Store(ks)
	return nil
}

// reloadFor reads the keys because id is unknown, unless somebody just did or too many unknown ids came.
func (r *Ring) reloadFor(id uuid.UUID) *keyset {
	r.reload.Lock()
	defer r.reload.Unlock()
	ks := r.keys.Load()
	if ks.byID[id] != nil {
		return ks
	}
	now := time.Now()
	r.budget = min(reloadBurst, r.budget+now.Sub(r.lastRead).Seconds()*reloadRate)
	r.lastRead = now
	if r.budget < 1 {
		return nil
	}
	r.budget--
	ctx, cancel := context.WithTimeout(context.Background(), reloadLimit)
	defer cancel()
	if err := r.refreshLocked(ctx); err != nil {
		r.log.Warn("keys not reloaded", "error", err)
		return nil
	}
	return r.keys.Load()
}

// Run reads the keys again every half minute, so that a node goes over to a key that another one made, until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("keys not reloaded", "error", err)
			}
		}
	}
}
