package lease

import "github.com/sigra-auth/sigra/core/store"

// statements are the package's SQL. The databases tell the time in different words, hence two texts of each.
type statements struct{ heldByOther, acquire, release, holder, guard string }

var dialects = map[store.Dialect]statements{
	// clock_timestamp and not CURRENT_TIMESTAMP: the latter is when the transaction began, before any wait for the row.
	store.Postgres: {
		heldByOther: `SELECT holder <> '' AND holder <> $2 AND expires_at > clock_timestamp() FROM lease WHERE name = $1`,
		acquire: `INSERT INTO lease (name, holder, token, expires_at)
VALUES ($1, $2, 1, clock_timestamp() + $3::bigint * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE SET
	token = CASE WHEN lease.holder = excluded.holder THEN lease.token ELSE lease.token + 1 END,
	holder = excluded.holder,
	expires_at = clock_timestamp() + $3::bigint * interval '1 microsecond'
WHERE lease.holder IN ('', excluded.holder) OR lease.expires_at <= clock_timestamp()
RETURNING token`,
		release: `UPDATE lease SET holder = '', expires_at = clock_timestamp() WHERE name = $1 AND holder = $2`,
		holder:  `SELECT holder FROM lease WHERE name = $1 AND expires_at > clock_timestamp()`,
		guard:   `SELECT 1 FROM lease WHERE name = $1 AND holder = $2 AND token = $3 AND expires_at > clock_timestamp() FOR SHARE`,
	},
	store.SQLite: {
		heldByOther: `SELECT holder <> '' AND holder <> $2 AND expires_at > CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) FROM lease WHERE name = $1`,
		acquire: `INSERT INTO lease (name, holder, token, expires_at)
VALUES ($1, $2, 1, CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) + $3)
ON CONFLICT (name) DO UPDATE SET
	token = CASE WHEN lease.holder = excluded.holder THEN lease.token ELSE lease.token + 1 END,
	holder = excluded.holder,
	expires_at = excluded.expires_at
WHERE lease.holder IN ('', excluded.holder) OR lease.expires_at <= CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)
RETURNING token`,
		release: `UPDATE lease SET holder = '', expires_at = CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) WHERE name = $1 AND holder = $2`,
		holder:  `SELECT holder FROM lease WHERE name = $1 AND expires_at > CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)`,
		guard:   `SELECT 1 FROM lease WHERE name = $1 AND holder = $2 AND token = $3 AND expires_at > CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)`,
	},
}
