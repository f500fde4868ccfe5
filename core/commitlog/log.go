package commitlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sigra-auth/sigra/core/store"
)

// Config says which table is the log.
type Config struct {
	DB *store.DB
	// Table has the columns era, tx and seq, made as in core/audit/migrations, and a row of its name in log_era.
	Table string
	// Columns is what Read selects after the position.
	Columns string
	// Time is the column that retention and lag go by.
	Time string
	// Minor is a condition on the columns: rows that may be removed earlier than the others. Empty: none are.
	Minor string
}

// Log is one table read in commit order. Safe for concurrent use.
type Log struct {
	db  *store.DB
	cfg Config
	sql statements

	mu   sync.Mutex
	subs map[*func(Position)]struct{}
}

// statements are the log's SQL. They are put together once, from constants of the code: $1, $2, $3 are a position.
type statements struct{ read, head, lag, oldest, prune, pruneMinor, pruned, raise, check string }

const pruneSQL = `DELETE FROM {table} WHERE {key} IN (SELECT {order} FROM {table} WHERE {upto} AND {time} < $4 {only} AND (era, tx) < {horizon} ORDER BY {time} LIMIT $5)
RETURNING era, tx, seq, {columns}`

var identifier = regexp.MustCompile(`^[a-z_]+$`)

// Open prepares a log whose table has been migrated. It begins a new era when the database has been moved to another
// cluster; until it returns nothing may be written.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	if cfg.DB == nil || !identifier.MatchString(cfg.Table) || !identifier.MatchString(cfg.Time) || cfg.Columns == "" {
		return nil, errors.New("a commit log needs a database, a table, its columns and its time column")
	}
	l := &Log{db: cfg.DB, cfg: cfg, subs: map[*func(Position)]struct{}{}}
	// The horizon: only rows before it are read. SQLite shows rows in commit order, so there it is past all of them.
	horizon, key := `((SELECT era FROM log_era WHERE log = '{table}'), pg_snapshot_xmin(pg_current_snapshot())::text::bigint)`, `(era, tx, seq)`
	after, upto := `(era, tx, seq) > ($1::integer, $2::bigint, $3::bigint)`, `(era, tx, seq) <= ($1::integer, $2::bigint, $3::bigint)`
	if cfg.DB.Dialect() == store.SQLite {
		// The primary key is seq alone; naming era and tx (both 0) would keep SQLite from using it.
		horizon, key = `(0, 1)`, `seq`
		after, upto = `seq > $3 AND $1 = 0 AND $2 = 0`, `seq <= $3 AND $1 >= 0 AND $2 >= 0`
	}
	order := `era, tx, seq`
	desc := `era DESC, tx DESC, seq DESC`
	if cfg.DB.Dialect() == store.SQLite {
		order, desc = `seq`, `seq DESC`
	}
	r := strings.NewReplacer("{horizon}", horizon, "{after}", after, "{upto}", upto, "{key}", key, "{order}", order, "{desc}", desc, "{columns}", cfg.Columns, "{time}", cfg.Time)
	t := func(s string) string { return strings.ReplaceAll(r.Replace(s), "{table}", cfg.Table) }
	l.sql = statements{
		read:       t(`SELECT era, tx, seq, {columns} FROM {table} WHERE {after} AND (era, tx) < {horizon} ORDER BY {order} LIMIT $4`),
		head:       t(`SELECT era, tx, seq FROM {table} WHERE (era, tx) < {horizon} ORDER BY {desc} LIMIT 1`),
		lag:        t(`SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {after} LIMIT $4) AS behind`),
		oldest:     t(`SELECT {time} FROM {table} WHERE {after} ORDER BY {order} LIMIT 1`),
		prune:      t(strings.ReplaceAll(pruneSQL, "{only}", "")),
		pruneMinor: t(strings.ReplaceAll(pruneSQL, "{only}", "AND "+cmp.Or(cfg.Minor, "FALSE"))),
		pruned:     t(`UPDATE log_era SET pruned_tx = $1 WHERE log = '{table}' AND era = $2 AND pruned_tx < $1`),
		check: t(`SELECT greatest(e.pruned_tx, coalesce((SELECT max(tx) FROM {table} WHERE era = e.era), 0)) >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
FROM log_era AS e WHERE e.log = '{table}'`),
		raise: t(`UPDATE log_era SET era = era + 1, pruned_tx = 0 WHERE log = '{table}'`),
	}
	if err := l.checkEra(ctx); err != nil {
		return nil, fmt.Errorf("open the log %s: %w", cfg.Table, err)
	}
	return l, nil
}

// EraSQL is what an INSERT puts into the column era.
func EraSQL(table string) string { return `(SELECT era FROM log_era WHERE log = '` + table + `')` }

// eraLock is the key of the advisory lock under which an era begins: "sigraera" in ASCII.
const eraLock = 0x7369677261657261

func (l *Log) checkEra(ctx context.Context) error {
	if l.db.Dialect() == store.SQLite {
		return nil
	}
	var moved bool
	if err := l.db.QueryRow(ctx, l.sql.check).Scan(&moved); err != nil || !moved {
		return err
	}
	return l.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// Nodes that start together each find the log moved; the first to get the lock begins the era, the others look
		// again and find nothing to do. The table lock waits for writers that should not be there.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(eraLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `LOCK TABLE `+l.cfg.Table+` IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, l.sql.check).Scan(&moved); err != nil || !moved {
			return err
		}
		_, err := tx.Exec(ctx, l.sql.raise)
		return err
	})
}

// Scan copies a row's position and then its columns out.
type Scan func(p *Position, dest ...any) error

// Read calls row for up to limit committed rows after a position, in order. No row will ever appear at or before the
// last one it gave.
func (l *Log) Read(ctx context.Context, after Position, limit int, row func(Scan) error) error {
	rows, err := l.db.Query(ctx, l.sql.read, after.Era, after.Tx, after.Seq, limit)
	if err != nil {
		return fmt.Errorf("read %s: %w", l.cfg.Table, err)
	}
	defer rows.Close()
	dests := make([]any, 3, 32)
	scan := func(p *Position, dest ...any) error {
		dests = append(dests[:0], &p.Era, &p.Tx, &p.Seq)
		return rows.Scan(append(dests, dest...)...)
	}
	for rows.Next() {
		if err := row(scan); err != nil {
			return fmt.Errorf("read %s: %w", l.cfg.Table, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", l.cfg.Table, err)
	}
	return nil
}

// Head is the position of the last row that Read would give now; zero when there is none.
func (l *Log) Head(ctx context.Context) (Position, error) {
	var p Position
	err := l.db.QueryRow(ctx, l.sql.head).Scan(&p.Era, &p.Tx, &p.Seq)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return Position{}, fmt.Errorf("head of %s: %w", l.cfg.Table, err)
	}
	return p, nil
}

// Lag counts the rows after a position, at most limit of them, and tells the time of the first; rows that the
// horizon still hides are counted too.
func (l *Log) Lag(ctx context.Context, after Position, limit int) (rows int, oldest time.Time, err error) {
	err = l.db.QueryRow(ctx, l.sql.oldest, after.Era, after.Tx, after.Seq).Scan(&oldest)
	if errors.Is(err, store.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	if err == nil {
		err = l.db.QueryRow(ctx, l.sql.lag, after.Era, after.Tx, after.Seq, limit).Scan(&rows)
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("lag of %s: %w", l.cfg.Table, err)
	}
	return rows, oldest, nil
}

// Prune removes up to limit rows at or before floor whose time is before a moment, calls gone for each, and returns
// how many there were. minor leaves all but those of Config.Minor.
func (l *Log) Prune(ctx context.Context, tx *store.Tx, floor Position, before time.Time, minor bool, limit int, gone func(Scan) error) (int, error) {
	query := l.sql.prune
	if minor {
		query = l.sql.pruneMinor
	}
	rows, err := tx.Query(ctx, query, floor.Era, floor.Tx, floor.Seq, before, limit)
	if err != nil {
		return 0, fmt.Errorf("prune %s: %w", l.cfg.Table, err)
	}
	defer rows.Close()
	n := 0
	var high Position
	for ; rows.Next(); n++ {
		var at Position
		err := gone(func(p *Position, dest ...any) error {
			err := rows.Scan(append([]any{&at.Era, &at.Tx, &at.Seq}, dest...)...)
			*p = at
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("prune %s: %w", l.cfg.Table, err)
		}
		if at.Compare(high) > 0 {
			high = at
		}
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("prune %s: %w", l.cfg.Table, err)
	}
	rows.Close()
	// The era check must know of the largest tx even when its row is gone, as cursors still point there.
	if _, err := tx.Exec(ctx, l.sql.pruned, high.Tx, high.Era); err != nil {
		return 0, fmt.Errorf("prune %s: %w", l.cfg.Table, err)
	}
	return n, nil
}

// OnCommit has f called with a position each time this process has committed to the log, until stop is called. f must
// be quick. Rows of other processes are not announced.
func (l *Log) OnCommit(f func(Position)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[&f] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs, &f)
	}
}

// Committed tells those who asked by OnCommit.
func (l *Log) Committed(p Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.subs {
		(*f)(p)
	}
}

// Table names the log's table.
func (l *Log) Table() string { return l.cfg.Table }

// ReadText is the SQL that Read runs, for looking at its plan: era, tx, seq and a limit are its arguments.
func (l *Log) ReadText() string { return l.sql.read }
