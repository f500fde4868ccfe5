package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/session"
)

// OwnSessions is people's own sessions.
type OwnSessions interface {
	ListSessions(ctx context.Context, p principal.Principal) ([]session.Session, error)
	EndSession(ctx context.Context, p principal.Principal, id uuid.UUID) error
	SignOutElsewhere(ctx context.Context, p principal.Principal) (session.Ended, error)
}

// OwnSession is one of somebody's own live sessions.
type OwnSession struct {
	ID         uuid.UUID `json:"id" format:"uuid" doc:"The session's id."`
	Current    bool      `json:"current" doc:"The session that this request came with."`
	Browser    string    `json:"browser,omitempty" doc:"What it called itself when it was last used." example:"Firefox"`
	System     string    `json:"system,omitempty" doc:"What it said it runs on." example:"Linux"`
	IP         string    `json:"ip,omitempty" doc:"Where it was last used from."`
	Persistent bool      `json:"persistent" doc:"It outlives the browser."`
	CreatedAt  time.Time `json:"created_at" doc:"When it began."`
	LastSeenAt time.Time `json:"last_seen_at" doc:"When it was last used, to about a minute."`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends at the latest."`
}

type ownSessionsOutput struct {
	Body struct {
		Sessions []OwnSession `json:"sessions" doc:"Newest first."`
	} `nameHint:"OwnSessions"`
}

// accountSessions is the live sessions of whoever is signed in.
type accountSessions struct{ flows OwnSessions }

// Mount adds the operations.
func (d accountSessions) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/account/sessions", id: "list-own-sessions", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "List your own sessions", description: "Where the account is signed in right now.", ok: "The live sessions.",
	}, d.list)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/sessions/{id}", id: "end-own-session", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "End one of your own sessions", description: "The very next request with it is refused.", ok: "It has ended.",
		problems: map[int]string{http.StatusNotFound: "There is no such session on this account."},
	}, func(ctx context.Context, who asker, in *ownIDInput) (*empty, error) {
		return nil, d.flows.EndSession(ctx, who.principal, in.ID)
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/sessions", id: "sign-out-elsewhere", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary:     "Sign out everywhere else",
		description: "Ends every other session of the account, sign-ins under way, links and codes that were mailed and not used, and the trust in every browser. This session and the credentials stay.",
		ok:          "How many sessions were ended.",
	}, func(ctx context.Context, who asker, _ *none) (*struct{ Body Revoked }, error) {
		n, err := d.flows.SignOutElsewhere(ctx, who.principal)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Revoked }{Revoked{Sessions: int64(len(n))}}, nil
	})
}

func (d accountSessions) list(ctx context.Context, who asker, _ *none) (*ownSessionsOutput, error) {
	list, err := d.flows.ListSessions(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	out := &ownSessionsOutput{}
	out.Body.Sessions = make([]OwnSession, 0, len(list))
	for _, s := range list {
		v := OwnSession{ID: s.ID, Current: s.ID == who.principal.SessionID, IP: s.IP, Persistent: s.Persistent, CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeenAt, ExpiresAt: s.ExpiresAt}
		v.Browser, v.System = device.Describe(s.UserAgent)
		out.Body.Sessions = append(out.Body.Sessions, v)
	}
	return out, nil
}
