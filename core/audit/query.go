package audit

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Page limits of Query.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Filter says which rows are wanted; all conditions must hold, and a zero field is none.
type Filter struct {
	ActorType, ActorID   string
	TargetType, TargetID string // TargetType needs TargetID
	Action               string // exactly
	Prefix               string // "auth." or "auth.login.": dotted words
	Category             string
	Outcome              Outcome
	OrganizationID       uuid.UUID
	SessionID            uuid.UUID
	RequestID            string
	CorrelationID        string
	IP                   string
	From, To             time.Time // occurred_at >= From, < To

	// Cursor is Next or Previous of a page; empty for the newest rows. Limit 0 means 50, at most 200.
	Cursor string
	Limit  int
}

// Page is a part of a query's answer, newest first.
type Page struct {
	Rows     []Row
	Next     string // cursor of the older rows after these; empty at the end
	Previous string // cursor of the newer rows before these; empty on the first page asked without a cursor
}

// cursor is a place between two rows of a query. Rows that arrive while somebody pages don't shift it.
type cursor struct {
	newer bool // towards newer rows
	at    time.Time
	id    uuid.UUID
}

const cursorSize = 1 + 8 + 16

func (c cursor) String() string {
	var b [cursorSize]byte
	b[0] = 1
	if c.newer {
		b[0] = 2
	}
	binary.BigEndian.PutUint64(b[1:], uint64(c.at.UnixMicro()))
	copy(b[9:], c.id[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func parseCursor(s string) (cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != cursorSize || b[0] < 1 || b[0] > 2 {
		return cursor{}, fault.New(fault.Invalid, "cursor_invalid", "The cursor is not one that this list gave out.").At("cursor")
	}
	return cursor{b[0] == 2, time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))).UTC(), uuid.UUID(b[9:])}, nil
}

// where puts a filter's conditions together. The text is made of the constants below only, so there are few of them
// and each is served by an index; values travel as arguments.
type where struct {
	parts []string
	args  []any
}

func (w *where) add(condition string, args ...any) {
	for _, a := range args {
		w.args = append(w.args, a)
		condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(w.args)), 1)
	}
	w.parts = append(w.parts, condition)
}

func (f Filter) where() (*where, string, error) {
	w := &where{}
	from := "audit_log AS a"
	key := "a"
	switch {
	case f.TargetID != "":
		from, key = "audit_target AS t JOIN audit_log AS a ON a.id = t.id", "t"
		w.add("t.target_id = ?", f.TargetID)
		if f.TargetType != "" {
			w.add("t.target_type = ?", f.TargetType)
		}
	case f.TargetType != "":
		return nil, "", fault.New(fault.Invalid, "filter_invalid", "A target's type needs the target's id beside it.").At("target_id")
	}
	for _, c := range []struct {
		condition, value string
	}{
		{"a.actor_id = ?", f.ActorID}, {"a.actor_type = ?", f.ActorType}, {"a.action = ?", f.Action}, {"a.category = ?", f.Category},
		{"a.outcome = ?", string(f.Outcome)}, {"a.request_id = ?", f.RequestID}, {"a.correlation_id = ?", f.CorrelationID}, {"a.ip = ?", f.IP},
	} {
		if c.value != "" {
			w.add(c.condition, c.value)
		}
	}
	if f.ActorID != "" {
		w.add("a.actor_id <> ''") // lets the planner see that the partial index will do
	}
	if f.RequestID != "" {
		w.add("a.request_id <> ''")
	}
	if f.IP != "" {
		w.add("a.ip <> ''")
	}
	switch f.Outcome {
	case "", Success, Failure, Error:
	default:
		return nil, "", fault.New(fault.Invalid, "filter_invalid", "An outcome is success, failure or error.").At("outcome")
	}
	if f.Outcome == Failure || f.Outcome == Error {
		w.add("a.outcome <> 'success'")
	}
	if p := strings.TrimSuffix(f.Prefix, "*"); p != "" {
		if !strings.HasSuffix(p, ".") {
			p += "."
		}
		w.add("a.action >= ? AND a.action < ?", p, p[:len(p)-1]+"/") // '/' follows '.'
	}
	if f.OrganizationID != uuid.Nil {
		w.add("a.organization_id = ?", f.OrganizationID)
	}
	if f.SessionID != uuid.Nil {
		w.add("a.session_id = ?", f.SessionID)
	}
	if !f.From.IsZero() {
		w.add(key+".occurred_at >= ?", f.From.UTC().Truncate(time.Microsecond))
	}
	if !f.To.IsZero() {
		w.add(key+".occurred_at < ?", f.To.UTC().Truncate(time.Microsecond))
	}
	return w, from, nil
}

// Query gives a page of rows, newest first. A row shows as soon as it is committed.
func (l *Log) Query(ctx context.Context, f Filter) (Page, error) {
	switch {
	case f.Limit < 0 || f.Limit > MaxLimit:
		return Page{}, fault.Newf(fault.Invalid, "limit_invalid", "A page has at most %d rows.", MaxLimit).At("limit")
	case f.Limit == 0:
		f.Limit = DefaultLimit
	}
	var c cursor
	if f.Cursor != "" {
		var err error
		if c, err = parseCursor(f.Cursor); err != nil {
			return Page{}, err
		}
	}
	rows, err := l.page(ctx, f, c, f.Limit+1)
	if err != nil {
		return Page{}, err
	}
	more := len(rows) > f.Limit
	if more {
		rows = rows[:f.Limit]
	}
	if c.newer {
		slices.Reverse(rows)
	}
	p := Page{Rows: rows}
	if len(rows) == 0 {
		return p, nil
	}
	first, last := rows[0], rows[len(rows)-1]
	if more || c.newer {
		p.Next = cursor{false, last.OccurredAt, last.ID}.String()
	}
	if f.Cursor != "" && (!c.newer || more) {
		p.Previous = cursor{true, first.OccurredAt, first.ID}.String()
	}
	return p, nil
}

// sql is the query for up to limit rows from a cursor, in the cursor's direction.
func (f Filter) sql(c cursor, limit int) (string, []any, error) {
	w, from, err := f.where()
	if err != nil {
		return "", nil, err
	}
	key := "a"
	if f.TargetID != "" {
		key = "t"
	}
	order := "DESC"
	if c.newer {
		order = "ASC"
	}
	switch {
	case c.at.IsZero():
	case c.newer:
		w.add("("+key+".occurred_at, "+key+".id) > (?, ?)", c.at, c.id)
	default:
		w.add("("+key+".occurred_at, "+key+".id) < (?, ?)", c.at, c.id)
	}
	if len(w.parts) == 0 {
		w.add("1 = 1")
	}
	w.args = append(w.args, limit)
	return "SELECT a.era, a.tx, a.seq, " + qualified + " FROM " + from + " WHERE " + strings.Join(w.parts, " AND ") +
		" ORDER BY " + key + ".occurred_at " + order + ", " + key + ".id " + order + fmt.Sprintf(" LIMIT $%d", len(w.args)), w.args, nil
}

// page reads up to limit rows from a cursor, in the cursor's direction.
func (l *Log) page(ctx context.Context, f Filter, c cursor, limit int) ([]Row, error) {
	query, args, err := f.sql(c, limit)
	if err != nil {
		return nil, err
	}
	res, err := l.db.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("query audit log: %w", err)
	}
	defer res.Close()
	rows := make([]Row, 0, min(limit, 64))
	for res.Next() {
		r, err := scanRow(func(p *Position, dest ...any) error {
			return res.Scan(append([]any{&p.Era, &p.Tx, &p.Seq}, dest...)...)
		})
		if err != nil {
			return nil, fmt.Errorf("query audit log: %w", err)
		}
		rows = append(rows, r)
	}
	if err := res.Err(); err != nil {
		return nil, fmt.Errorf("query audit log: %w", err)
	}
	return rows, nil
}

// qualified is columns, each of the table a.
var qualified = "a." + strings.Join(strings.FieldsFunc(columns, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }), ", a.")

// Get finds one row.
func (l *Log) Get(ctx context.Context, id uuid.UUID) (Row, error) {
	row := l.db.QueryRow(ctx, "SELECT a.era, a.tx, a.seq, "+qualified+" FROM audit_log AS a WHERE a.id = $1", id)
	r, err := scanRow(func(p *Position, dest ...any) error {
		return row.Scan(append([]any{&p.Era, &p.Tx, &p.Seq}, dest...)...)
	})
	if errors.Is(err, store.ErrNoRows) {
		return Row{}, fault.New(fault.NotFound, "audit_row_not_found", "There is no audit row with this id.")
	}
	if err != nil {
		return Row{}, fmt.Errorf("get audit row: %w", err)
	}
	return r, nil
}
