package httpapi

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// AuditLog reads the audit log; *audit.Log is one.
type AuditLog interface {
	Query(ctx context.Context, f audit.Filter) (audit.Page, error)
	Export(ctx context.Context, f audit.Filter, out io.Writer, format string, progress func(rows int)) (int, error)
	Head(ctx context.Context) (audit.Position, error)
	Follow(ctx context.Context, after audit.Position, poll time.Duration, f func([]audit.Row) error) error
}

// AuditRow is a row of the audit log.
type AuditRow audit.Row

// AuditPage is a part of the audit log.
type AuditPage struct {
	Rows     []AuditRow `json:"rows" doc:"Newest first."`
	Next     string     `json:"next,omitempty" doc:"The cursor of older rows; absent at the end."`
	Previous string     `json:"previous,omitempty" doc:"The cursor of newer rows; absent on the first page."`
}

// AuditFilter is the parameters that say which rows are wanted. It is exported for huma, which looks into exported
// fields only.
type AuditFilter struct {
	Action         string    `query:"action" maxLength:"128" pattern:"^([a-z0-9_-]+\\.)*([a-z0-9_-]+|\\*)$" patternDescription:"an action, or dotted words and a star" doc:"Only this action, or, with a star as the last word, all that begin so." example:"auth.*"`
	Category       string    `query:"category" maxLength:"64" doc:"Only actions of this category."`
	Outcome        string    `query:"outcome" enum:"success,failure,error" doc:"Only rows of this outcome."`
	ActorType      string    `query:"actor_type" maxLength:"64" doc:"Only actors of this type." example:"user"`
	ActorID        string    `query:"actor_id" maxLength:"256" doc:"Only this actor."`
	TargetType     string    `query:"target_type" maxLength:"64" doc:"With target_id: the target's type."`
	TargetID       string    `query:"target_id" maxLength:"256" doc:"Only rows with this target."`
	OrganizationID uuid.UUID `query:"organization_id" format:"uuid" doc:"Only rows of this organization."`
	SessionID      uuid.UUID `query:"session_id" format:"uuid" doc:"Only rows of this session."`
	RequestID      string    `query:"request_id" maxLength:"64" doc:"Only rows of this request."`
	CorrelationID  string    `query:"correlation_id" maxLength:"128" doc:"Only rows of this flow."`
	IP             string    `query:"ip" maxLength:"64" doc:"Only rows from this address."`
	From           time.Time `query:"from" doc:"Only rows at or after this time." example:"2026-01-01T00:00:00Z"`
	To             time.Time `query:"to" doc:"Only rows before this time."`
}

func (f AuditFilter) filter() audit.Filter {
	out := audit.Filter{
		Category: f.Category, Outcome: audit.Outcome(f.Outcome), ActorType: f.ActorType, ActorID: f.ActorID,
		TargetType: f.TargetType, TargetID: f.TargetID, OrganizationID: f.OrganizationID, SessionID: f.SessionID,
		RequestID: f.RequestID, CorrelationID: f.CorrelationID, IP: f.IP, From: f.From, To: f.To,
	}
	if prefix, ok := strings.CutSuffix(f.Action, "*"); ok {
		out.Prefix = prefix
	} else {
		out.Action = f.Action
	}
	return out
}

// Paging is the parameters of a list that comes page by page.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"64" doc:"The next or previous member of another page of the same query."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
}

type queryAuditInput struct {
	AuditFilter
	Paging
}

// auditQuery reads the audit log page by page: all of it for administrators, their own rows for everybody.
type auditQuery struct{ log AuditLog }

// Mount adds the operations.
func (d auditQuery) Mount(k *kit) {
	off := d.log == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/audit", id: "query-audit", tag: "audit", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Query the audit log", description: "Newest first, page by page. All conditions must hold. Rows that arrive while somebody pages shift nothing. Signed-in users find their own rows at /v1/account/activity.",
		ok: "A page of rows.",
	}, func(ctx context.Context, _ asker, in *queryAuditInput) (*struct{ Body AuditPage }, error) {
		return d.page(ctx, in.filter(), in.Paging)
	})
	register(k, operation{
		method: http.MethodGet, path: "/v1/account/activity", id: "list-activity", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "List one's own activity", description: "The audit rows of which the signed-in user is the actor, newest first.", ok: "A page of rows.",
	}, func(ctx context.Context, who asker, in *Paging) (*struct{ Body AuditPage }, error) {
		return d.page(ctx, audit.Filter{ActorType: string(who.principal.Kind), ActorID: who.principal.UserID.String()}, *in)
	})
}

func (d auditQuery) page(ctx context.Context, f audit.Filter, page Paging) (*struct{ Body AuditPage }, error) {
	f.Cursor, f.Limit = page.Cursor, page.Limit
	p, err := d.log.Query(ctx, f)
	if err != nil {
		return nil, inQuery(err)
	}
	out := &struct{ Body AuditPage }{AuditPage{Rows: make([]AuditRow, 0, len(p.Rows)), Next: p.Next, Previous: p.Previous}}
	for _, r := range p.Rows {
		out.Body.Rows = append(out.Body.Rows, AuditRow(r))
	}
	return out, nil
}
