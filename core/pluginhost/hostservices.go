package pluginhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Events stores host-emitted events; core/event is one.
type Events interface {
	Publish(ctx context.Context, events []event.Event) (stored, duplicate int, err error)
}

// Pages lends the shared layout; core/web is one.
type Pages interface {
	// Render wraps a body, which the plugin vouches for as safe HTML, in the layout.
	Render(ctx context.Context, p Page) (Rendered, error)
	// SignIn is where to send a browser whose person must sign in, anew or better. It refuses addresses that may not be returned to.
	SignIn(r SignIn) (string, error)
}

// SignIn is what a plugin wants of a sign-in.
type SignIn struct {
	ReturnTo      string // a path of this Sigra, or an address that its operator allows
	MaxAge        time.Duration
	RequiredAAL   string
	Fresh         bool // prove it now
	LoginHint     string
	Languages     []string // BCP 47, the preferred first
	SelectAccount bool     // offer to go on as somebody else
	ClientName    string   // of the application that the person signs in to
	CancelTo      string   // where a cancelled or impossible sign-in returns; like ReturnTo
}

// Page is a plugin's page.
type Page struct {
	Title, BodyHTML string
	Principal       *principal.Principal // whose navigation it shows; nil: nobody is signed in
	Language        string               // BCP 47; of the reader
	Path            string               // the page's own
	Styles, Scripts []string             // addresses below the plugin's own routes
}

// Rendered is the whole page, and the language it came in.
type Rendered struct{ HTML, Language, Direction string }

// ---- Identity ------------------------------------------------------------------------------------------------

type identityService struct {
	hostv1.UnimplementedIdentityServer
	*hostServices
}

const maxIDs = 200

func userTo(a account.Account) *hostv1.User {
	u := &hostv1.User{Id: a.ID.String(), Status: string(a.Status)}
	if a.Status == account.Deleted {
		return u
	}
	u.Email, u.EmailVerified, u.Username, u.Display = a.Email, !a.ConfirmedAt.IsZero(), a.Username, a.Display
	u.Administrator, u.CreatedAt = a.Administrator, timeTo(a.CreatedAt)
	return u
}

func (s identityService) GetUsers(ctx context.Context, r *hostv1.GetUsersRequest) (*hostv1.GetUsersResponse, error) {
	if s.h.cfg.Accounts == nil {
		return nil, missing("accounts")
	}
	if len(r.GetIds()) > maxIDs {
		return nil, fault.Newf(fault.Invalid, "too_many_ids", "At most %d ids at once.", maxIDs).At("ids")
	}
	ids := make([]uuid.UUID, 0, len(r.GetIds()))
	for _, text := range r.GetIds() {
		// An id that isn't one names nobody, like any other unknown one.
		if id, err := uuid.Parse(text); err == nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return &hostv1.GetUsersResponse{}, nil
	}
	found, err := s.h.cfg.Accounts.GetMany(ctx, ids)
	if err != nil {
		return nil, err
	}
	users, err := s.usersTo(ctx, found...)
	return &hostv1.GetUsersResponse{Users: users}, err
}

func (s identityService) FindUser(ctx context.Context, r *hostv1.FindUserRequest) (*hostv1.FindUserResponse, error) {
	if s.h.cfg.Accounts == nil {
		return nil, missing("accounts")
	}
	if r.GetBy() == nil {
		return nil, fault.New(fault.Invalid, "invalid_query", "Accounts are found by an email address, a username or an external id.").At("by")
	}
	a, err := s.findUser(ctx, r)
	if k := fault.KindOf(err); err != nil && (k == fault.NotFound || k == fault.Invalid) {
		return &hostv1.FindUserResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	users, err := s.usersTo(ctx, a)
	if err != nil {
		return nil, err
	}
	return &hostv1.FindUserResponse{User: users[0]}, nil
}

func orElseErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// withRequest passes on where a plugin says its request came from, for the audit row. A plugin that serves routes got
// these values from the host; it can only lie about its own rows.
func withRequest(ctx context.Context, r *pluginv1.RequestInfo) context.Context {
	if r == nil {
		return ctx
	}
	ip, _ := netip.ParseAddr(r.GetIp())
	return request.With(ctx, request.Info{ID: clip(printable(r.GetRequestId()), 64), IP: ip, UserAgent: clip(printable(r.GetUserAgent()), 500), Language: clip(printable(r.GetLanguage()), 35),
		Traceparent: request.ValidTraceparent(r.GetTraceparent()),
	})
}

// ---- Audit ---------------------------------------------------------------------------------------------------

type auditService struct {
	hostv1.UnimplementedAuditServer
	*hostServices
}

// idempotencyTTL is how long the same key means the same row.
const idempotencyTTL = 7 * 24 * time.Hour

func (s auditService) Record(ctx context.Context, r *hostv1.RecordAuditRequest) (*hostv1.RecordAuditResponse, error) {
	if s.h.cfg.Audit == nil {
		return nil, missing("the audit log")
	}
	org, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	sess, err := idFrom(r.GetSessionId(), "session_id")
	if err != nil {
		return nil, err
	}
	if len(r.GetIdempotencyKey()) > maxKey {
		return nil, fault.Newf(fault.Invalid, "invalid_key", "An idempotency key has at most %d bytes.", maxKey).At("idempotency_key")
	}
	e := audit.Entry{Action: r.GetAction(), Outcome: audit.Outcome(r.GetOutcome()), Actor: refFrom(r.GetActor()), OrganizationID: org, SessionID: sess, Metadata: r.GetMetadata().AsMap(),
		Reason: r.GetReason(), CorrelationID: r.GetCorrelationId(), AuthMethod: r.GetAuthMethod(),
	}
	if i := r.GetImpersonator(); i != nil {
		ref := refFrom(i)
		e.Impersonator = &ref
	}
	if r.GetActor() == nil {
		e.Actor = pluginRef(s.name())
	}
	for _, t := range r.GetTargets() {
		e.Targets = append(e.Targets, refFrom(t))
	}
	// The prefix is what the plugin calls itself, and that is part of its manifest: a bundled plugin under another
	// label still records as itself, and an external one can't take a name that somebody else runs under.
	prefix := s.in.manifest.GetName()
	var id uuid.UUID
	hops := s.h.hops.of(s.name())
	record := func(ctx context.Context, tx *store.Tx) (err error) {
		if id, err = s.h.cfg.Audit.RecordAs(ctx, tx, prefix, e); err != nil {
			return err
		}
		return s.h.hops.put(ctx, tx, rowKey(id.String()), hops)
	}
	err = s.h.cfg.DB.Tx(withRequest(ctx, r.GetRequest()), func(ctx context.Context, tx *store.Tx) error {
		var err error
		if r.GetIdempotencyKey() == "" {
			return record(ctx, tx)
		}
		sum := sha256.Sum256([]byte(r.GetIdempotencyKey()))
		var seen []byte
		now := s.h.now()
		err = tx.QueryRow(ctx, kvGetSQL, s.name()+auditKeys, sum[:], now).Scan(&seen, new(int64))
		if err == nil {
			id, err = uuid.FromBytes(seen)
			return err
		}
		if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		if err := record(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, kvExpiredSQL, s.name()+auditKeys, now); err != nil {
			return err
		}
		until := now.Add(idempotencyTTL)
		_, err = tx.Exec(ctx, kvInsertSQL, s.name()+auditKeys, sum[:], id[:], now.UnixMicro(), until)
		return err
	})
	if store.IsUnique(err) {
		// Somebody else recorded under the key at this moment; the row to name is theirs.
		return nil, fault.New(fault.Unavailable, "busy", "The same key is being recorded. Try again.").After(50 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	return &hostv1.RecordAuditResponse{Id: id.String()}, nil
}

// auditKeys marks the rows of plugin_kv that remember idempotency keys. No plugin's name has a slash.
const auditKeys = "/audit"

const kvInsertSQL = `INSERT INTO plugin_kv (plugin, key, value, version, expires_at) VALUES ($1, $2, $3, $4, $5)`

type auditLogService struct {
	hostv1.UnimplementedAuditLogServer
	*hostServices
}

func (s auditLogService) Read(ctx context.Context, r *hostv1.ReadAuditRequest) (*hostv1.ReadAuditResponse, error) {
	if s.h.cfg.Audit == nil {
		return nil, missing("the audit log")
	}
	after, err := audit.ParsePosition(r.GetAfter())
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_position", "This is not a position in the log.").At("after")
	}
	limit := int(r.GetLimit())
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	rows, next, err := s.h.cfg.Audit.Read(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	out := &hostv1.ReadAuditResponse{Next: next.String(), End: len(rows) == 0}
	size := 0
	for i := range rows {
		row, err := rowTo(&rows[i])
		if err != nil {
			return nil, err
		}
		if size += sizeOf(row); size > maxBatchBytes && i > 0 {
			out.Next = rows[i-1].Position.String()
			break
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// Actions is the catalogue: Sigra's own actions, and those that the plugins which run here record.
func (s auditLogService) Actions(context.Context, *hostv1.ActionsRequest) (*hostv1.ActionsResponse, error) {
	out := &hostv1.ActionsResponse{}
	for _, a := range audit.Catalogue() {
		out.Actions = append(out.Actions, &hostv1.AuditAction{
			Name: a.Name, Category: a.Category, Crud: a.CRUD, Description: a.Description, Outcomes: []string{string(a.Outcome)}, Metadata: a.Metadata, Webhooks: a.Webhook, Timeline: a.Timeline,
		})
	}
	for _, p := range s.h.all() {
		p.mu.Lock()
		m := p.manifest
		p.mu.Unlock()
		if m == nil {
			continue
		}
		for _, a := range m.GetActions() {
			out.Actions = append(out.Actions, &hostv1.AuditAction{
				Name: a.GetName(), Category: m.GetName(), Crud: a.GetCrud(), Description: a.GetDescription(), Outcomes: a.GetOutcomes(), Metadata: a.GetMetadata(),
				Webhooks: a.GetWebhooks(), Timeline: a.GetTimeline(), Plugin: p.name,
			})
		}
	}
	return out, nil
}

// ---- Events --------------------------------------------------------------------------------------------------

type eventsService struct {
	hostv1.UnimplementedEventsServer
	*hostServices
}

func (s eventsService) Publish(ctx context.Context, r *hostv1.PublishRequest) (*hostv1.PublishResponse, error) {
	if s.h.cfg.Events == nil {
		return nil, missing("host-emitted events")
	}
	if len(r.GetEvents()) > event.MaxBatch {
		return nil, fault.Newf(fault.Invalid, "too_many_events", "At most %d events at once.", event.MaxBatch).At("events")
	}
	var events []event.Event
	for _, e := range r.GetEvents() {
		if !s.in.grants().allowsEvent(s.in.manifest.GetName(), e.GetType()) {
			prefix, _, _ := strings.Cut(e.GetType(), ".")
			return nil, s.h.guard.refuse(ctx, s.in, eventsGrant+":"+printable(clip(prefix, 64)), "sigra.host.v1.Events/Publish")
		}
		ev := eventFrom(e)
		ev.Source = "plugin:" + s.name() // in its own name, whatever it says
		events = append(events, ev)
	}
	if hops := s.h.hops.of(s.name()); hops > 0 { // before they are there to be delivered
		err := s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for _, e := range events {
				if err := s.h.hops.put(ctx, tx, eventKey(e.Source, e.ID), hops); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	stored, duplicate, err := s.h.cfg.Events.Publish(ctx, events)
	if err != nil {
		return nil, err
	}
	return &hostv1.PublishResponse{Stored: uint32(stored), Duplicate: uint32(duplicate)}, nil
}
