package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"audit_log", "audit_target"}, Impersonal: []string{"log_era"}}
}

// maxExported bounds a person's export, which is made in memory.
const maxExported = 10_000

// Exported is what a person's export says of the log.
type Exported struct {
	Rows      []Row `json:"rows"`      // newest first
	Truncated bool  `json:"truncated"` // there are older ones
}

// ExportPerson gives what the person did and what was done to them. What others did to them is given without where those others sat.
func (l *Log) ExportPerson(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	id := who.UserID.String()
	rows, err := q.Query(ctx, `SELECT era, tx, seq, `+columns+` FROM audit_log WHERE id IN (
			SELECT id FROM audit_log WHERE actor_id = $1 AND actor_id <> '' UNION SELECT id FROM audit_target WHERE target_id = $1 AND target_type = 'user'
		) ORDER BY occurred_at DESC, id DESC LIMIT $2`, id, maxExported+1)
	if err != nil {
		return nil, fmt.Errorf("export audit log: %w", err)
	}
	defer rows.Close()
	out := Exported{Rows: []Row{}}
	for rows.Next() {
		if len(out.Rows) == maxExported {
			out.Truncated = true
			break
		}
		r, err := scanRow(func(p *Position, dest ...any) error {
			return rows.Scan(append([]any{&p.Era, &p.Tx, &p.Seq}, dest...)...)
		})
		if err != nil {
			return nil, fmt.Errorf("export audit log: %w", err)
		}
		if r.Actor.ID != id && r.Actor.Type != "anonymous" {
			r.IP, r.UserAgent = "", ""
		}
		out.Rows = append(out.Rows, r)
	}
	return out, rows.Err()
}

// ErasePerson makes the rows about a person say no more than their id: what they were called, and where they sat, goes. The rows stay, with
// their positions: the log still tells what happened, to nobody in particular.
func (l *Log) ErasePerson(ctx context.Context, tx *store.Tx, who part.Subject) error {
	id := who.UserID.String()
	for _, query := range []string{
		`UPDATE audit_log SET actor_display = '', ip = '', user_agent = '' WHERE actor_id = $1 AND actor_id <> ''`,
		// A sign-in that failed has nobody for an actor, and is the person's or somebody's who tried to be them.
		`UPDATE audit_log SET ip = '', user_agent = '' WHERE actor_type = 'anonymous' AND id IN (SELECT id FROM audit_target WHERE target_id = $1 AND target_type = 'user')`,
	} {
		if _, err := tx.Exec(ctx, query, id); err != nil {
			return fmt.Errorf("erase from the audit log: %w", err)
		}
	}
	return eraseDisplays(ctx, tx, id)
}

// eraseDisplays blanks what the person is called as a target.
func eraseDisplays(ctx context.Context, tx *store.Tx, id string) error {
	type change struct {
		id      uuid.UUID
		targets json.RawMessage
	}
	var changes []change
	rows, err := tx.Query(ctx, `SELECT a.id, a.targets FROM audit_target AS t JOIN audit_log AS a ON a.id = t.id WHERE t.target_id = $1 AND t.target_type = 'user'`, id)
	if err != nil {
		return fmt.Errorf("erase from the audit log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c change
		if err := rows.Scan(&c.id, &c.targets); err != nil {
			return fmt.Errorf("erase from the audit log: %w", err)
		}
		var targets []Ref
		if err := json.Unmarshal(c.targets, &targets); err != nil {
			return fmt.Errorf("erase from the audit log: row %s: %w", c.id, err)
		}
		shown := func(t Ref) bool { return t.Type == "user" && t.ID == id && t.Display != "" }
		if !slices.ContainsFunc(targets, shown) {
			continue
		}
		for i := range targets {
			if shown(targets[i]) {
				targets[i].Display = ""
			}
		}
		if c.targets, err = json.Marshal(targets); err != nil {
			return err
		}
		changes = append(changes, c)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("erase from the audit log: %w", err)
	}
	rows.Close()
	for _, c := range changes {
		if _, err := tx.Exec(ctx, `UPDATE audit_log SET targets = $2 WHERE id = $1`, c.id, c.targets); err != nil {
			return fmt.Errorf("erase from the audit log: %w", err)
		}
	}
	return nil
}
