package threadline

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

const insertEntry = `INSERT INTO threadline_entry (audit_id, occurred_at, ingested_at, position, content_hash, organization_id,
	action, category, crud, outcome, reason, actor_type, actor_id, ip, ip_key, session_id, request_id, correlation_id, auth_method, detail) `

const insertLink = `INSERT INTO threadline_link (ref_type, ref_id, occurred_at, audit_id, did, done, own) `

const (
	entryWidth = 20 // columns of insertEntry
	linkWidth  = 7  // columns of insertLink
	chunk      = 32 // rows of one SQLite statement
)

// insertSQLite puts several rows into each statement: a statement costs more than a row.
func insertSQLite(ctx context.Context, tx *sql.Tx, rows []incoming, now int64) error {
	entries := make([]any, 0, len(rows)*entryWidth)
	refs := make([]any, 0, 2*len(rows)*linkWidth)
	for _, in := range rows {
		r := in.row
		entries = append(entries, r.ID, in.occurredAt, now, r.Position, in.hash, r.OrganizationID, r.Action, r.Category, r.CRUD,
			r.Outcome, r.Reason, r.Actor.Type, r.Actor.ID, r.IP, in.ipKey, r.SessionID, r.RequestID, r.CorrelationID, r.AuthMethod, in.detail)
		for _, l := range links(r) {
			refs = append(refs, l.typ, l.id, in.occurredAt, r.ID, l.did, l.done, l.own)
		}
	}
	if err := insertChunks(ctx, tx, insertEntry, entryWidth, entries); err != nil {
		return fmt.Errorf("insert entries: %w", err)
	}
	if err := insertChunks(ctx, tx, insertLink, linkWidth, refs); err != nil {
		return fmt.Errorf("insert links: %w", err)
	}
	return nil
}

// insertChunks inserts args, width of them to a row.
func insertChunks(ctx context.Context, tx *sql.Tx, into string, width int, args []any) error {
	full := chunk * width
	if len(args) >= 2*full {
		st, err := tx.PrepareContext(ctx, into+values(width, chunk))
		if err != nil {
			return err
		}
		defer func() { _ = st.Close() }()
		for ; len(args) >= full; args = args[full:] {
			if _, err := st.ExecContext(ctx, args[:full]...); err != nil {
				return err
			}
		}
	}
	for len(args) > 0 {
		n := min(len(args), full)
		if _, err := tx.ExecContext(ctx, into+values(width, n/width), args[:n]...); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

// values is a VALUES clause of n rows: "VALUES (?,?),(?,?)".
func values(width, n int) string {
	row := "(" + strings.Repeat("?,", width-1) + "?),"
	return "VALUES " + strings.TrimSuffix(strings.Repeat(row, n), ",")
}

// insertPostgres sends each table's rows as arrays in one statement: one round trip however many rows.
func insertPostgres(ctx context.Context, tx *sql.Tx, rows []incoming, now int64) error {
	n := len(rows)
	at := make([]int64, n)
	text := make([][]string, entryWidth-2) // all columns but the two times
	for c := range text {
		text[c] = make([]string, n)
	}
	var refType, refID, linkID []string
	var linkAt []int64
	var did, done, own []bool
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
			did, done, own = append(did, l.did), append(done, l.done), append(own, l.own)
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
		return fmt.Errorf("insert entries: %w", err)
	}
	if _, err := tx.ExecContext(ctx, insertLink+`SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[],
			$5::boolean[], $6::boolean[], $7::boolean[])`, refType, refID, linkAt, linkID, did, done, own); err != nil {
		return fmt.Errorf("insert links: %w", err)
	}
	return nil
}
