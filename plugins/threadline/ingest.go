package threadline

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// store is the projection's tables.
type store struct {
	db      *sql.DB
	dialect pluginsdk.Dialect
	now     func() time.Time
}

// record stores a batch in one transaction. Rows that can never be stored come back as refused, all others are durable
// when it returns without an error.
func (s *store) record(ctx context.Context, rows []pluginsdk.AuditRow) (pluginsdk.Recorded, error) {
	var refused []pluginsdk.Refusal
	batch := make([]incoming, 0, len(rows))
	for _, row := range rows {
		in, err := prepare(row)
		if err != nil {
			refused = append(refused, pluginsdk.Refusal{ID: row.ID, Reason: err.Error()})
			continue
		}
		batch = append(batch, in)
	}
	var out pluginsdk.Recorded
	err := storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		out = pluginsdk.Recorded{Refused: refused}
		return s.recordTx(ctx, tx, batch, &out)
	})
	if err != nil {
		return pluginsdk.Recorded{}, fmt.Errorf("store %d rows: %w", len(batch), err)
	}
	return out, nil
}

func (s *store) recordTx(ctx context.Context, tx *sql.Tx, batch []incoming, out *pluginsdk.Recorded) error {
	known, err := s.known(ctx, tx, batch)
	if err != nil {
		return err
	}
	fresh := batch[:0:0]
	var conflicts []incoming
	for _, in := range batch {
		switch hash, seen := known[in.row.ID]; {
		case !seen:
			known[in.row.ID] = in.hash // the same row twice in one batch
			fresh = append(fresh, in)
		case hash == in.hash:
			out.Duplicate++
		default:
			out.Conflict++
			conflicts = append(conflicts, in)
		}
	}
	now := s.now().UnixMicro()
	if err := s.keepConflicts(ctx, tx, conflicts, now); err != nil {
		return err
	}
	if len(fresh) == 0 {
		return nil
	}
	out.Inserted = len(fresh)
	if s.dialect == pluginsdk.Postgres {
		return insertPostgres(ctx, tx, fresh, now)
	}
	return insertSQLite(ctx, tx, fresh, now)
}

// known finds which audit ids are stored already, with the hash of their content.
func (s *store) known(ctx context.Context, tx *sql.Tx, batch []incoming) (map[string]string, error) {
	ids := make([]string, len(batch))
	for i, in := range batch {
		ids[i] = in.row.ID
	}
	query, arg := `SELECT audit_id, content_hash FROM threadline_entry WHERE audit_id = ANY($1::uuid[])`, any(ids)
	if s.dialect == pluginsdk.SQLite {
		b, err := json.Marshal(ids)
		if err != nil {
			return nil, err
		}
		query, arg = `SELECT audit_id, content_hash FROM threadline_entry WHERE audit_id IN (SELECT value FROM json_each($1))`, string(b)
	}
	rows, err := tx.QueryContext(ctx, query, arg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	known := make(map[string]string, len(batch))
	for rows.Next() {
		var id, hash string
		if err := rows.Scan(&id, &hash); err != nil {
			return nil, err
		}
		known[id] = hash
	}
	return known, rows.Err()
}

func (s *store) keepConflicts(ctx context.Context, tx *sql.Tx, conflicts []incoming, now int64) error {
	for _, in := range conflicts {
		content, err := json.Marshal(in.row)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO threadline_conflict (audit_id, content_hash, seen_at, content)
			VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, in.row.ID, in.hash, now, string(content)); err != nil {
			return err
		}
	}
	return nil
}

const insertEntry = `INSERT INTO threadline_entry (audit_id, occurred_at, ingested_at, position, content_hash, organization_id,
	action, category, crud, outcome, reason, actor_type, actor_id, ip, ip_key, session_id, request_id, correlation_id, auth_method, detail) `

const insertLink = `INSERT INTO threadline_link (ref_type, ref_id, occurred_at, audit_id, did, done) `

// insertSQLite runs two prepared statements over the rows: inside one transaction that is SQLite's bulk insert.
func insertSQLite(ctx context.Context, tx *sql.Tx, rows []incoming, now int64) error {
	entry, err := tx.PrepareContext(ctx, insertEntry+`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`)
	if err != nil {
		return err
	}
	defer func() { _ = entry.Close() }()
	lnk, err := tx.PrepareContext(ctx, insertLink+`VALUES ($1, $2, $3, $4, $5, $6)`)
	if err != nil {
		return err
	}
	defer func() { _ = lnk.Close() }()
	for _, in := range rows {
		r := in.row
		if _, err := entry.ExecContext(ctx, r.ID, in.occurredAt, now, r.Position, in.hash, r.OrganizationID, r.Action, r.Category, r.CRUD,
			r.Outcome, r.Reason, r.Actor.Type, r.Actor.ID, r.IP, in.ipKey, r.SessionID, r.RequestID, r.CorrelationID, r.AuthMethod, in.detail); err != nil {
			return err
		}
		for _, l := range links(r) {
			if _, err := lnk.ExecContext(ctx, l.typ, l.id, in.occurredAt, r.ID, l.did, l.done); err != nil {
				return err
			}
		}
	}
	return nil
}

// insertPostgres sends each table's rows as arrays in one statement, one round trip however many rows. Two runners that
// ingest the same row at once meet at the unique key: one waits, fails, and its transaction is tried again.
func insertPostgres(ctx context.Context, tx *sql.Tx, rows []incoming, now int64) error {
	n := len(rows)
	text := make([][]string, 18)
	for i := range text {
		text[i] = make([]string, n)
	}
	at := make([]int64, n)
	var refType, refID, linkID []string
	var linkAt []int64
	var did, done []bool
	for i, in := range rows {
		r := in.row
		at[i] = in.occurredAt
		for c, v := range [...]string{r.ID, r.Position, in.hash, r.OrganizationID, r.Action, r.Category, r.CRUD, r.Outcome, r.Reason,
			r.Actor.Type, r.Actor.ID, r.IP, in.ipKey, r.SessionID, r.RequestID, r.CorrelationID, r.AuthMethod, in.detail} {
			text[c][i] = v
		}
		for _, l := range links(r) {
			refType, refID = append(refType, l.typ), append(refID, l.id)
			linkAt, linkID = append(linkAt, in.occurredAt), append(linkID, r.ID)
			did, done = append(did, l.did), append(done, l.done)
		}
	}
	args := []any{at, now}
	for _, col := range text {
		args = append(args, col)
	}
	if _, err := tx.ExecContext(ctx, insertEntry+`SELECT audit_id, occurred_at, $2, position, content_hash, organization_id,
			action, category, crud, outcome, reason, actor_type, actor_id, ip, ip_key, session_id, request_id, correlation_id, auth_method, detail
		FROM unnest($1::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
			$12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[])
		AS r(occurred_at, audit_id, position, content_hash, organization_id, action, category, crud, outcome, reason,
			actor_type, actor_id, ip, ip_key, session_id, request_id, correlation_id, auth_method, detail)`, args...); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, insertLink+`SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::boolean[], $6::boolean[])`,
		refType, refID, linkAt, linkID, did, done)
	return err
}
