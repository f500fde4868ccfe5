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
func (s *store) record(ctx context.Context, rows []pluginsdk.AuditRow) (pluginsdk.RecordResponse, error) {
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
	out := pluginsdk.RecordResponse{Refused: refused}
	if len(batch) == 0 {
		return out, nil
	}
	err := storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		out = pluginsdk.RecordResponse{Refused: refused}
		return s.recordTx(ctx, tx, batch, &out)
	})
	if err != nil {
		return pluginsdk.RecordResponse{}, fmt.Errorf("store %d rows: %w", len(batch), err)
	}
	return out, nil
}

// recordTx takes the state first. On Postgres that row is locked until the end, so that of two writers (a runner that has
// lost its lease and does not know it yet, and its successor) the second one begins to look only when what the first
// stored can be seen. On SQLite a transaction has had the file to itself from its beginning.
func (s *store) recordTx(ctx context.Context, tx *sql.Tx, batch []incoming, out *pluginsdk.RecordResponse) error {
	st, err := s.lockState(ctx, tx)
	if err != nil {
		return err
	}
	known, err := s.known(ctx, tx, batch)
	if err != nil {
		return err
	}
	fresh := make([]incoming, 0, len(batch))
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
	out.Inserted = len(fresh)
	now := s.now().UnixMicro()
	kept, err := s.keepConflicts(ctx, tx, conflicts, now)
	if err != nil {
		return err
	}
	if len(fresh) > 0 {
		insert := insertSQLite
		if s.dialect == pluginsdk.Postgres {
			insert = insertPostgres
		}
		if err := insert(ctx, tx, fresh, now); err != nil {
			return err
		}
		st.ingested = now
	}
	for _, in := range fresh {
		st.occurred, st.position = max(st.occurred, in.occurredAt), max(st.position, in.row.Position)
	}
	st.entries += int64(out.Inserted)
	st.duplicates += int64(out.Duplicate)
	st.conflicts += kept
	return st.write(ctx, tx)
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
		return nil, fmt.Errorf("look for known rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	known := make(map[string]string, len(batch))
	for rows.Next() {
		var id, hash string
		if err := rows.Scan(&id, &hash); err != nil {
			return nil, fmt.Errorf("look for known rows: %w", err)
		}
		known[id] = hash
	}
	return known, rows.Err()
}

// keepConflicts puts other versions of known rows aside, each once, and tells how many are new.
func (s *store) keepConflicts(ctx context.Context, tx *sql.Tx, conflicts []incoming, now int64) (kept int64, err error) {
	for _, in := range conflicts {
		content, err := json.Marshal(in.entry())
		if err != nil {
			return 0, fmt.Errorf("keep conflict: %w", err)
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO threadline_conflict (audit_id, content_hash, seen_at, content)
			VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, in.row.ID, in.hash, now, string(content))
		if err != nil {
			return 0, fmt.Errorf("keep conflict: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, fmt.Errorf("keep conflict: %w", err)
		}
		kept += n
	}
	return kept, nil
}

// entry is the row as it would have been shown.
func (in incoming) entry() Entry {
	r := in.row
	return Entry{
		AuditID: r.ID, OccurredAt: time.UnixMicro(in.occurredAt).UTC(), Action: r.Action, Category: r.Category, CRUD: r.CRUD, Outcome: r.Outcome,
		Reason: r.Reason, Actor: r.Actor, Impersonator: r.Impersonator, Targets: r.Targets, OrganizationID: r.OrganizationID,
		SessionID: r.SessionID, RequestID: r.RequestID, CorrelationID: r.CorrelationID, IP: r.IP, UserAgent: r.UserAgent,
		AuthMethod: r.AuthMethod, Metadata: r.Metadata,
	}
}
