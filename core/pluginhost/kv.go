package pluginhost

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package.
//
//go:embed migrations
var Migrations embed.FS

// The limits of small state.
const (
	maxKey     = 512
	maxValue   = 64 << 10
	maxKeys    = 10_000 // of one plugin
	maxListed  = 500
	maxListing = 2 << 20 // bytes of one List answer
	maxTTL     = 10 * 365 * 24 * time.Hour
)

// kvStore is the table plugin_kv.
//
// A version is a number that no earlier state of the same key had, also across a deletion: the larger of the clock's
// microseconds and the last version plus one. A plugin that compares and swaps on it can't be fooled by a key that was
// removed and made again in between.
type kvStore struct {
	db  *store.DB
	now func() time.Time
}

type kvEntry struct {
	key     string
	value   []byte
	version int64
}

const (
	kvGetSQL = `SELECT value, version FROM plugin_kv WHERE plugin = $1 AND key = $2 AND (expires_at IS NULL OR expires_at > $3)`

	kvPutSQL = `INSERT INTO plugin_kv (plugin, key, value, version, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at,
    version = CASE WHEN plugin_kv.version >= excluded.version THEN plugin_kv.version + 1 ELSE excluded.version END
RETURNING version`

	kvPutAbsentSQL = `INSERT INTO plugin_kv (plugin, key, value, version, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at,
    version = CASE WHEN plugin_kv.version >= excluded.version THEN plugin_kv.version + 1 ELSE excluded.version END
WHERE plugin_kv.expires_at <= $6
RETURNING version`

	kvPutVersionSQL = `UPDATE plugin_kv SET value = $3, expires_at = $5,
    version = CASE WHEN version >= $4 THEN version + 1 ELSE $4 END
WHERE plugin = $1 AND key = $2 AND version = $6 AND (expires_at IS NULL OR expires_at > $7)
RETURNING version`

	kvDeleteSQL        = `DELETE FROM plugin_kv WHERE plugin = $1 AND key = $2 AND (expires_at IS NULL OR expires_at > $3)`
	kvDeleteVersionSQL = `DELETE FROM plugin_kv WHERE plugin = $1 AND key = $2 AND version = $4 AND (expires_at IS NULL OR expires_at > $3)`

	kvListSQL = `SELECT key, value, version FROM plugin_kv
WHERE plugin = $1 AND key >= $2 AND key < $3 AND key > $4 AND (expires_at IS NULL OR expires_at > $5)
ORDER BY key LIMIT $6`

	kvCountSQL   = `SELECT COUNT(*) FROM plugin_kv WHERE plugin = $1`
	kvExistsSQL  = `SELECT 1 FROM plugin_kv WHERE plugin = $1 AND key = $2`
	kvExpiredSQL = `DELETE FROM plugin_kv WHERE plugin = $1 AND expires_at <= $2`
	kvPurgeSQL   = `DELETE FROM plugin_kv WHERE plugin = $1 OR plugin = $2`
)

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fault.Newf(fault.Invalid, "invalid_key", "A key has 1 to %d bytes.", maxKey).At("key")
	}
	return nil
}

func (s *kvStore) get(ctx context.Context, plugin, key string) (*kvEntry, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	e := &kvEntry{key: key}
	err := s.db.QueryRow(ctx, kvGetSQL, plugin, []byte(key), s.now()).Scan(&e.value, &e.version)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get key: %w", err)
	}
	return e, nil
}

// put stores a value: ifVersion -1 whatever is there, 0 only if nothing is, otherwise only over that version.
func (s *kvStore) put(ctx context.Context, plugin, key string, value []byte, ifVersion int64, ttl time.Duration) (stored bool, version int64, err error) {
	if err := checkKey(key); err != nil {
		return false, 0, err
	}
	switch {
	case len(value) > maxValue:
		return false, 0, fault.Newf(fault.TooLarge, "value_too_large", "A value has at most %d bytes.", maxValue).At("value")
	case ttl < 0 || ttl > maxTTL:
		return false, 0, fault.New(fault.Invalid, "invalid_ttl", "A time to live is positive and at most ten years.").At("ttl")
	case ifVersion < -1:
		return false, 0, fault.New(fault.Invalid, "invalid_version", "if_version is -1, 0 or a version.").At("if_version")
	}
	if value == nil {
		value = []byte{}
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := s.now()
		var expires *time.Time
		if ttl > 0 {
			t := now.Add(ttl).Truncate(time.Microsecond)
			expires = &t
		}
		if ifVersion <= 0 {
			if err := s.room(ctx, tx, plugin, key, now); err != nil {
				return err
			}
		}
		var row store.Row
		switch next := now.UnixMicro(); ifVersion {
		case -1:
			row = tx.QueryRow(ctx, kvPutSQL, plugin, []byte(key), value, next, expires)
		case 0:
			row = tx.QueryRow(ctx, kvPutAbsentSQL, plugin, []byte(key), value, next, expires, now)
		default:
			row = tx.QueryRow(ctx, kvPutVersionSQL, plugin, []byte(key), value, next, expires, ifVersion, now)
		}
		err := row.Scan(&version)
		stored = err == nil
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return false, 0, fmt.Errorf("put key: %w", err)
	}
	if !stored {
		version = 0
	}
	return stored, version, nil
}

// room keeps one plugin from filling the database: a new key needs a place below the limit.
func (s *kvStore) room(ctx context.Context, tx *store.Tx, plugin, key string, now time.Time) error {
	var one, n int
	if err := tx.QueryRow(ctx, kvExistsSQL, plugin, []byte(key)).Scan(&one); err == nil {
		return nil
	} else if !errors.Is(err, store.ErrNoRows) {
		return err
	}
	if err := tx.QueryRow(ctx, kvCountSQL, plugin).Scan(&n); err != nil || n < maxKeys {
		return err
	}
	gone, err := tx.Exec(ctx, kvExpiredSQL, plugin, now)
	if err != nil || gone > 0 {
		return err
	}
	return fault.Newf(fault.Conflict, "too_many_keys", "A plugin has at most %d keys.", maxKeys)
}

func (s *kvStore) delete(ctx context.Context, plugin, key string, ifVersion int64) (deleted bool, err error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var n int64
		var err error
		if ifVersion <= 0 {
			n, err = tx.Exec(ctx, kvDeleteSQL, plugin, []byte(key), s.now())
		} else {
			n, err = tx.Exec(ctx, kvDeleteVersionSQL, plugin, []byte(key), s.now(), ifVersion)
		}
		deleted = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("delete key: %w", err)
	}
	return deleted, nil
}

// list gives the entries below a prefix in the order of their keys' bytes, from the first after a key.
func (s *kvStore) list(ctx context.Context, plugin, prefix, after string, limit int) ([]kvEntry, error) {
	if len(prefix) > maxKey || len(after) > maxKey {
		return nil, fault.Newf(fault.Invalid, "invalid_key", "A prefix has at most %d bytes.", maxKey).At("prefix")
	}
	if limit <= 0 || limit > maxListed {
		limit = maxListed
	}
	rows, err := s.db.Query(ctx, kvListSQL, plugin, []byte(prefix), prefixEnd(prefix), []byte(after), s.now(), limit)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	defer rows.Close()
	var out []kvEntry
	size := 0
	for rows.Next() {
		var e kvEntry
		var key []byte
		if err := rows.Scan(&key, &e.value, &e.version); err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		e.key = string(key)
		if size += len(key) + len(e.value); size > maxListing && len(out) > 0 {
			break // the caller goes on after the last key
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return out, nil
}

// prefixEnd is the first key behind all that begin with prefix.
func prefixEnd(prefix string) []byte {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			return append(b[:i:i], b[i]+1)
		}
	}
	return []byte(strings.Repeat("\xff", maxKey+1))
}

func (s *kvStore) purge(ctx context.Context, plugin string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, kvPurgeSQL, plugin, plugin+auditKeys); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, kvPurgeSQL, plugin, plugin+noticeKeys); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM plugin_link WHERE plugin = $1`, plugin)
		return err
	})
}
