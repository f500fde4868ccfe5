package audit

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables log_era, audit_log and audit_target.
//
//go:embed migrations
var Migrations embed.FS

// Config says where the log lies.
type Config struct {
	DB     *store.DB        // migrated
	Now    func() time.Time // nil: the clock
	Logger hclog.Logger     // nil: silent
	Tap    *Tap             // nil: a tap of its own
}

// Log is the audit log. Safe for concurrent use.
type Log struct {
	db  *store.DB
	now func() time.Time
	log hclog.Logger
	tap *Tap
	cl  *commitlog.Log
}

const table = "audit_log"

const columns = `id, occurred_at, action, category, crud, outcome, reason, actor_type, actor_id, actor_display, impersonator, targets,
organization_id, session_id, request_id, correlation_id, ip, user_agent, auth_method, metadata`

// New opens the log.
func New(cfg Config) (*Log, error) {
	if cfg.DB == nil {
		return nil, errors.New("the audit log needs a database")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Tap == nil {
		cfg.Tap = NewTap()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cl, err := commitlog.Open(ctx, commitlog.Config{DB: cfg.DB, Table: table, Columns: columns, Time: "occurred_at", Minor: `actor_type = 'anonymous' AND outcome = 'failure'`})
	if err != nil {
		return nil, err
	}
	return &Log{db: cfg.DB, now: cfg.Now, log: cfg.Logger, tap: cfg.Tap, cl: cl}, nil
}

// Tap is where committed rows can be subscribed to in this process.
func (l *Log) Tap() *Tap { return l.tap }

// Commits is the log in commit order, as the relay reads it.
func (l *Log) Commits() *commitlog.Log { return l.cl }

// Record writes one row of a catalogued action in the caller's transaction and returns its id. Once that has
// committed, the tap and the relay learn of it. Its errors are the caller's defects, never a user's.
func (l *Log) Record(ctx context.Context, tx *store.Tx, e Entry) (uuid.UUID, error) {
	a, ok := Lookup(e.Action)
	if !ok {
		return uuid.Nil, fmt.Errorf("record audit row: %q is not in the catalogue", e.Action)
	}
	row, problem := l.row(ctx, a, e)
	if problem != nil {
		return uuid.Nil, fmt.Errorf("record audit row %s: %w", e.Action, problem)
	}
	return l.write(ctx, tx, row)
}

// RecordAs writes one row in the name of a plugin, whose action must lie below prefix, the plugin's name. Its
// errors are faults that name the field, for the plugin's author.
func (l *Log) RecordAs(ctx context.Context, tx *store.Tx, prefix string, e Entry) (uuid.UUID, error) {
	a, problem := pluginAction(prefix, e.Action)
	var row *written
	if problem == nil {
		row, problem = l.row(ctx, a, e)
	}
	if problem != nil {
		return uuid.Nil, fault.New(fault.Invalid, "audit_row_invalid", problem.text).At(problem.field)
	}
	return l.write(ctx, tx, row)
}

// written is a row and its JSON columns.
type written struct {
	Row
	impersonator, targets, metadata json.RawMessage
}

// EraSQL reads the era in the statement itself, so that a node that has not noticed a new one can't write into the old.
var insertSQL = `INSERT INTO audit_log (era, ` + columns + `)
VALUES (` + commitlog.EraSQL(table) + `, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
RETURNING era, tx, seq`

// A statement over a network is a round trip, and every act has an audit row: Postgres writes it and its targets with one.
var insertWithTargetsSQL = `WITH target AS (INSERT INTO audit_target (target_id, target_type, occurred_at, id)
	SELECT t.id, t.type, $2, $1 FROM unnest($21::text[], $22::text[]) AS t (id, type) ON CONFLICT DO NOTHING)
` + insertSQL

const insertTargetSQL = `INSERT INTO audit_target (target_id, target_type, occurred_at, id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

func (l *Log) write(ctx context.Context, tx *store.Tx, w *written) (uuid.UUID, error) {
	r := &w.Row
	query, args := insertSQL, []any{
		r.ID, r.OccurredAt, r.Action, r.Category, r.CRUD, string(r.Outcome), r.Reason,
		r.Actor.Type, r.Actor.ID, r.Actor.Display, nullJSON(w.impersonator), nullJSON(w.targets), nullID(r.OrganizationID), nullID(r.SessionID),
		r.RequestID, r.CorrelationID, r.IP, r.UserAgent, r.AuthMethod, nullJSON(w.metadata),
	}
	ids, types := indexed(r.Targets)
	together := tx.Dialect() == store.Postgres && len(ids) > 0
	if together {
		query, args = insertWithTargetsSQL, append(args, ids, types)
	}
	err := tx.QueryRow(ctx, query, args...).Scan(&r.Position.Era, &r.Position.Tx, &r.Position.Seq)
	for i := 0; !together && err == nil && i < len(ids); i++ {
		_, err = tx.Exec(ctx, insertTargetSQL, ids[i], types[i], r.OccurredAt, r.ID)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("record audit row %s: %w", r.Action, err)
	}
	tx.AfterCommit(func() {
		l.tap.publish(r)
		l.cl.Committed(r.Position)
	})
	return r.ID, nil
}

func nullID(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}

func nullJSON(b json.RawMessage) any {
	if b == nil {
		return nil
	}
	return b
}

// row makes the row of an entry, or says what is wrong with it.
func (l *Log) row(ctx context.Context, a Action, e Entry) (*written, *problem) {
	info := request.From(ctx)
	w := &written{Row: Row{
		OccurredAt: l.now().UTC().Truncate(time.Microsecond), Action: a.Name, Category: a.Category, CRUD: a.CRUD,
		Outcome: e.Outcome, Reason: e.Reason, OrganizationID: e.OrganizationID, SessionID: e.SessionID,
		RequestID: cut(info.ID, maxRequestID), CorrelationID: e.CorrelationID, IP: info.IPString(),
		UserAgent: cut(info.UserAgent, maxUserAgent), AuthMethod: e.AuthMethod,
	}}
	if w.Outcome == "" {
		w.Outcome = a.Outcome
	}
	if p := checkEntry(e, w.Outcome); p != nil {
		return nil, p
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, &problem{"id", err.Error()}
	}
	w.ID = id
	w.Actor = clean(e.Actor)
	if e.Impersonator != nil {
		imp := clean(*e.Impersonator)
		w.Impersonator = &imp
		if w.impersonator, err = json.Marshal(imp); err != nil {
			return nil, &problem{"impersonator", err.Error()}
		}
	}
	if len(e.Targets) > 0 {
		w.Targets = make([]Ref, len(e.Targets))
		for i, t := range e.Targets {
			w.Targets[i] = clean(t)
		}
		if w.targets, err = json.Marshal(w.Targets); err != nil {
			return nil, &problem{"targets", err.Error()}
		}
	}
	if len(e.Metadata) == 0 {
		return w, nil
	}
	var p *problem
	w.metadata, w.Metadata, p = metadata(a, e.Metadata)
	return w, p
}

// indexed are the targets by which a row is found.
func indexed(targets []Ref) (ids, types []string) {
	for _, t := range targets {
		if t.ID != "" {
			ids, types = append(ids, t.ID), append(types, t.Type)
		}
	}
	return ids, types
}
