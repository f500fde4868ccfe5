package threadline

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// standing is the one row of threadline_state.
type standing struct {
	entries, duplicates, conflicts int64
	occurred, ingested             int64 // of the latest entry; zero: there is none
	position                       string
}

const selectState = `SELECT entries, duplicates, conflicts, last_occurred_at, last_ingested_at, position FROM threadline_state WHERE id = 1`

func (st *standing) scan(row *sql.Row) error {
	err := row.Scan(&st.entries, &st.duplicates, &st.conflicts, &st.occurred, &st.ingested, &st.position)
	if errors.Is(err, sql.ErrNoRows) {
		return errors.New("the table threadline_state has lost its row: purge the plugin, and the log is read anew")
	}
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}

// lockState reads the state and keeps other writers out until tx ends.
func (s *store) lockState(ctx context.Context, tx *sql.Tx) (*standing, error) {
	query := selectState
	if s.dialect == pluginsdk.Postgres {
		query += ` FOR UPDATE`
	}
	st := &standing{}
	return st, st.scan(tx.QueryRowContext(ctx, query))
}

func (st *standing) write(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `UPDATE threadline_state SET entries = $1, duplicates = $2, conflicts = $3,
		last_occurred_at = $4, last_ingested_at = $5, position = $6 WHERE id = 1`,
		st.entries, st.duplicates, st.conflicts, st.occurred, st.ingested, st.position); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// Status is how the projection stands.
type Status struct {
	Entries      int64      `json:"entries"`
	Duplicates   int64      `json:"duplicates"` // rows that came again, and changed nothing
	Conflicts    int64      `json:"conflicts"`  // other versions of known rows, kept aside
	LastOccurred *time.Time `json:"last_occurred_at,omitempty"`
	LastIngested *time.Time `json:"last_ingested_at,omitempty"`
	Position     string     `json:"position,omitempty"` // of the newest row in the core's log order
}

// status reads the figures an operator asks for: one row, however long the history is.
func (s *store) status(ctx context.Context) (Status, error) {
	var st standing
	if err := st.scan(s.db.QueryRowContext(ctx, selectState)); err != nil {
		return Status{}, err
	}
	out := Status{Entries: st.entries, Duplicates: st.duplicates, Conflicts: st.conflicts, Position: st.position}
	if st.entries > 0 {
		o, i := time.UnixMicro(st.occurred).UTC(), time.UnixMicro(st.ingested).UTC()
		out.LastOccurred, out.LastIngested = &o, &i
	}
	return out, nil
}

// Conflict is another version of a row that had been stored before. The stored one stands.
type Conflict struct {
	AuditID string    `json:"audit_id"`
	SeenAt  time.Time `json:"seen_at"`
	Content Entry     `json:"content"`
}

// maxConflicts is how many are shown; their number is in the status.
const maxConflicts = 100

// conflicts are the latest ones, or those of one entry.
func (s *store) conflicts(ctx context.Context, auditID string) ([]Conflict, error) {
	query, args := `SELECT audit_id, seen_at, content FROM threadline_conflict`, []any{}
	if auditID != "" {
		query, args = query+` WHERE audit_id = $1`, append(args, auditID)
	}
	rows, err := s.db.QueryContext(ctx, query+fmt.Sprintf(` ORDER BY seen_at DESC, audit_id DESC, content_hash DESC LIMIT %d`, maxConflicts), args...)
	if err != nil {
		return nil, fmt.Errorf("read conflicts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := []Conflict{}
	for rows.Next() {
		var c Conflict
		var seen int64
		var raw string
		if err := rows.Scan(&c.AuditID, &seen, &raw); err != nil {
			return nil, fmt.Errorf("read conflicts: %w", err)
		}
		if err := json.Unmarshal([]byte(raw), &c.Content); err != nil {
			return nil, fmt.Errorf("read conflicts: %w", err)
		}
		c.SeenAt = time.UnixMicro(seen).UTC()
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read conflicts: %w", err)
	}
	return out, nil
}
