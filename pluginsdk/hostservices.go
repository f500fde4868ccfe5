package pluginsdk

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// AuditEntry is an action to record, named below the plugin's own name: "greeter.greeting.change".
type AuditEntry struct {
	Action         string
	Outcome        string // success, failure or error
	Reason         string // a code for why it failed
	Actor          Ref
	Impersonator   *Ref
	Targets        []Ref
	OrganizationID string
	SessionID      string
	CorrelationID  string // of one action over several rows; Ask.AttemptID is one
	AuthMethod     string
	Metadata       map[string]any // the keys that Manifest.Actions allows, no secrets; at most 8 KB as JSON
	IdempotencyKey string         // the same key is recorded once
	Request        RequestInfo
}

// By fills in who acts, from a principal: actor, impersonator, organization and session.
func (e AuditEntry) By(p *Principal) AuditEntry {
	e.Actor = p.Ref()
	if p == nil {
		return e
	}
	e.OrganizationID, e.SessionID = p.OrganizationID, p.SessionID
	if p.ImpersonatorID != "" {
		e.Impersonator = &Ref{Type: "user", ID: p.ImpersonatorID}
	}
	return e
}

// AuditPage is a stretch of the audit log.
type AuditPage struct {
	Rows []AuditRow
	Next string // where the next page begins
	End  bool   // nothing further is committed yet
}

// AuditAction is one line of the catalogue.
type AuditAction struct {
	Name, Category, CRUD, Description string
	Outcomes, Metadata                []string
	Webhooks, Timeline                bool
	Plugin                            string // whose; empty: Sigra's own
}

// Audit records, and reads the log.
type Audit struct{ h *Host }

// Record writes one audit row and gives its id. Grant: audit.record
func (a Audit) Record(ctx context.Context, e AuditEntry) (id string, err error) {
	req := &hostv1.RecordAuditRequest{}
	if err := wire.To(req, e); err != nil {
		return "", Permanent(err)
	}
	resp, err := call(ctx, a.h, AuditRecord, "record audit row", hostv1.NewAuditClient, hostv1.AuditClient.Record, req)
	return resp.GetId(), err
}

// Read gives up to limit rows (at most 1000) in commit order after a position; the empty one is the start. Grant: audit.read
func (a Audit) Read(ctx context.Context, after string, limit int) (AuditPage, error) {
	resp, err := call(ctx, a.h, AuditRead, "read audit log", hostv1.NewAuditLogClient, hostv1.AuditLogClient.Read,
		&hostv1.ReadAuditRequest{After: after, Limit: int32(min(max(limit, 1), 1000))})
	if err != nil {
		return AuditPage{}, err
	}
	return AuditPage{Rows: rowsFrom(resp.GetRows()), Next: resp.GetNext(), End: resp.GetEnd()}, nil
}

// Actions gives the catalogue, with the actions of every plugin. Grant: audit.read
func (a Audit) Actions(ctx context.Context) ([]AuditAction, error) {
	resp, err := call(ctx, a.h, AuditRead, "read catalogue", hostv1.NewAuditLogClient, hostv1.AuditLogClient.Actions, &hostv1.ActionsRequest{})
	return list[AuditAction](resp.GetActions()), err
}

// Events publishes host-emitted events in the plugin's name.
type Events struct{ h *Host }

// Published says how many events were new.
type Published struct{ Stored, Duplicate int }

// Publish stores events durably, once per id. Grant: events.publish for types below the plugin's own name,
// events.publish:billing for those below "billing."
func (e Events) Publish(ctx context.Context, events ...Event) (Published, error) {
	req := &hostv1.PublishRequest{}
	for _, ev := range events {
		req.Events = append(req.Events, eventTo(ev))
	}
	resp, err := call(ctx, e.h, EventsPublish, "publish events", hostv1.NewEventsClient, hostv1.EventsClient.Publish, req)
	return Published{Stored: int(resp.GetStored()), Duplicate: int(resp.GetDuplicate())}, err
}

// Mail sends mail, and hears from the mailer.
type Mail struct{ h *Host }

// Send hands a message over and gives its id; no error means Sigra has taken responsibility for it. Grant: mail.send
func (m Mail) Send(ctx context.Context, msg Message) (id string, err error) {
	pb, err := messageTo(msg)
	if err != nil {
		return "", Permanent(err)
	}
	resp, err := call(ctx, m.h, MailSend, "send mail", hostv1.NewMailClient, hostv1.MailClient.Send, &hostv1.SendMailRequest{Message: pb})
	return resp.GetId(), err
}

// MailEvent is what became of a message.
type MailEvent int

// The events.
const (
	MailDelivered MailEvent = iota + 1
	MailBounced
	MailComplained
	MailFailed // given up
)

// MailReport tells what became of a message that this plugin took as the mailer.
type MailReport struct {
	IdempotencyKey string // of the message
	Event          MailEvent
	Reason         string
	OccurredAt     time.Time
}

// Report tells what became of a message; known is false when no such message is waited for. Grant: mail.report
func (m Mail) Report(ctx context.Context, r MailReport) (known bool, err error) {
	resp, err := call(ctx, m.h, MailReporting, "report mail", hostv1.NewMailClient, hostv1.MailClient.Report, &hostv1.ReportMailRequest{
		IdempotencyKey: r.IdempotencyKey, Event: hostv1.ReportMailRequest_Event(r.Event), Reason: r.Reason, OccurredAt: timeTo(r.OccurredAt),
	})
	return resp.GetKnown(), err
}

// MailPurpose is one kind of mail that Sigra sends.
type MailPurpose struct {
	Name, Description string
	Category          MailCategory `wire:"-"`
	Stream            string
	Fields            []string // the variables it may bring
	ValidFor          time.Duration
	Samples           []Message `wire:"-"` // rendered, one per language
}

// Catalogue gives every kind of mail, with samples. Grant: mail.read
func (m Mail) Catalogue(ctx context.Context) ([]MailPurpose, error) {
	resp, err := call(ctx, m.h, MailRead, "read mail catalogue", hostv1.NewMailClient, hostv1.MailClient.Catalogue, &hostv1.MailCatalogueRequest{})
	if err != nil {
		return nil, err
	}
	var out []MailPurpose
	for _, p := range resp.GetPurposes() {
		var x MailPurpose
		wire.From(&x, p)
		x.Category = categoryFrom(p.GetCategory())
		for _, s := range p.GetSamples() {
			x.Samples = append(x.Samples, messageFrom(s))
		}
		out = append(out, x)
	}
	return out, nil
}

// Notice tells the administrators of an organization something.
type Notice struct {
	OrganizationID string // empty: the administrators of Sigra
	IdempotencyKey string
	Subject, Text  string            // texts, or keys of the plugin's texts: each reads their language
	Variables      map[string]string // {name} in the texts
	Link           string            // a path on this Sigra
}

// Notices tells administrators something.
type Notices struct{ h *Host }

// Send tells all of them, by mail, and says how many there are. Grant: notices.send
func (n Notices) Send(ctx context.Context, notice Notice) (recipients int, err error) {
	req := &hostv1.SendNoticeRequest{}
	if err := wire.To(req, notice); err != nil {
		return 0, Permanent(err)
	}
	resp, err := call(ctx, n.h, NoticesSend, "send notice", hostv1.NewNoticesClient, hostv1.NoticesClient.Send, req)
	return int(resp.GetRecipients()), err
}

// Seal encrypts with Sigra's keyring, bound to the plugin's block: no other plugin can open it.
type Seal struct{ h *Host }

// Seal encrypts at most 64 KiB for a purpose.
func (s Seal) Seal(ctx context.Context, plain []byte, purpose string) ([]byte, error) {
	resp, err := call(ctx, s.h, SealUse, "seal", hostv1.NewSealClient, hostv1.SealClient.Seal,
		&hostv1.SealRequest{Plaintext: plain, Purpose: purpose})
	return resp.GetSealed(), err
}

// Open decrypts what Seal made for the same purpose. Seal it again when it is stale: an older key made it.
func (s Seal) Open(ctx context.Context, sealed []byte, purpose string) (plain []byte, stale bool, err error) {
	resp, err := call(ctx, s.h, SealUse, "open sealed", hostv1.NewSealClient, hostv1.SealClient.Open,
		&hostv1.OpenRequest{Sealed: sealed, Purpose: purpose})
	return resp.GetPlaintext(), resp.GetStale(), err
}

// KVEntry is one value with the version to compare and swap on.
type KVEntry struct {
	Key     string
	Value   []byte
	Version int64
}

// KV is small state: keys of at most 512 bytes, values of at most 64 KiB.
type KV struct{ h *Host }

// AnyVersion makes Put and Delete go ahead whatever is there.
const AnyVersion int64 = -1

// Get reads a key.
func (k KV) Get(ctx context.Context, key string) (e KVEntry, found bool, err error) {
	resp, err := call(ctx, k.h, KVUse, "get key", hostv1.NewKVClient, hostv1.KVClient.Get, &hostv1.GetRequest{Key: key})
	if err != nil || resp.GetEntry() == nil {
		return KVEntry{}, false, err
	}
	wire.From(&e, resp.GetEntry())
	return e, true, nil
}

// KVPut is a value to store.
type KVPut struct {
	Key       string
	Value     []byte
	IfVersion int64         // AnyVersion, 0 for "only if absent", or the one last read
	TTL       time.Duration // 0: for ever
}

// Put writes a key if its version is still IfVersion; stored is false when it was another.
func (k KV) Put(ctx context.Context, p KVPut) (version int64, stored bool, err error) {
	req := &hostv1.PutRequest{Key: p.Key, Value: p.Value, IfVersion: p.IfVersion}
	if p.TTL > 0 {
		req.Ttl = durationpb.New(p.TTL)
	}
	resp, err := call(ctx, k.h, KVUse, "put key", hostv1.NewKVClient, hostv1.KVClient.Put, req)
	return resp.GetVersion(), resp.GetStored(), err
}

// Delete removes a key if its version is still ifVersion.
func (k KV) Delete(ctx context.Context, key string, ifVersion int64) (deleted bool, err error) {
	resp, err := call(ctx, k.h, KVUse, "delete key", hostv1.NewKVClient, hostv1.KVClient.Delete,
		&hostv1.DeleteRequest{Key: key, IfVersion: ifVersion})
	return resp.GetDeleted(), err
}

// List gives up to limit entries (at most 500) whose keys begin with prefix and lie after a key, in order.
func (k KV) List(ctx context.Context, prefix, after string, limit int) ([]KVEntry, error) {
	resp, err := call(ctx, k.h, KVUse, "list keys", hostv1.NewKVClient, hostv1.KVClient.List,
		&hostv1.ListRequest{Prefix: prefix, After: after, Limit: int32(min(max(limit, 1), 500))})
	return list[KVEntry](resp.GetEntries()), err
}

// RateLimit counts across all nodes.
type RateLimit struct{ h *Host }

// Quota is how much of something may be had: Limit per Window, in one burst or spread.
type Quota struct {
	Limit  int64
	Window time.Duration
	Cost   int64 // of this time; 0: 1
}

// Taken says whether there was enough.
type Taken struct {
	Allowed    bool
	Remaining  int64
	RetryAfter time.Duration // when not allowed
	ResetAfter time.Duration // until the whole limit is there again
}

// Take takes from the quota of a key, which may be personal: only its hash is kept. Grant: ratelimit.take
func (r RateLimit) Take(ctx context.Context, key string, q Quota) (out Taken, err error) {
	req := &hostv1.TakeRequest{Key: key}
	if err := wire.To(req, q); err != nil {
		return out, Permanent(err)
	}
	req.Key = key
	resp, err := call(ctx, r.h, RateLimitTake, "take from quota", hostv1.NewRateLimitClient, hostv1.RateLimitClient.Take, req)
	wire.From(&out, resp)
	return out, err
}

// ClaimsService gathers what other plugins say, and has this plugin's own asked anew.
type ClaimsService struct{ h *Host }

// CollectRequest says whose claims, and what for.
type CollectRequest struct {
	SessionID string // or
	UserID    string
	Audience  string // "token"
	ClientID  string
	Scopes    []string
}

// Collected are the claims of all other plugins.
type Collected struct {
	Claims    map[string]any // by the name of the plugin
	Stale     []string       // plugins that did not answer
	MaxAge    time.Duration
	Revisions map[string]string // by the name of the plugin
}

// Collect merges the claims of all plugins but the caller. Grant: claims.read
func (c ClaimsService) Collect(ctx context.Context, r CollectRequest) (out Collected, err error) {
	req := &hostv1.CollectClaimsRequest{Audience: r.Audience, ClientId: r.ClientID, Scopes: r.Scopes}
	if r.SessionID != "" {
		req.Who = &hostv1.CollectClaimsRequest_SessionId{SessionId: r.SessionID}
	} else {
		req.Who = &hostv1.CollectClaimsRequest_UserId{UserId: r.UserID}
	}
	resp, err := call(ctx, c.h, ClaimsRead, "collect claims", hostv1.NewClaimsClient, hostv1.ClaimsClient.Collect, req)
	wire.From(&out, resp)
	return out, err
}

// Invalidate has the plugin's claims asked anew, for one user or, without one, for everybody. Grant: claims.write
func (c ClaimsService) Invalidate(ctx context.Context, userID string) error {
	_, err := call(ctx, c.h, ClaimsWrite, "invalidate claims", hostv1.NewClaimsClient, hostv1.ClaimsClient.Invalidate,
		&hostv1.InvalidateClaimsRequest{UserId: userID})
	return err
}

// Gates puts questions to the gates that are configured.
type Gates struct{ h *Host }

// Ask asks before the plugin does something itself: TokenIssue or RouteAccess. Grant: gates.ask
func (g Gates) Ask(ctx context.Context, a Ask) (Verdict, error) {
	q, err := askTo(a)
	if err != nil {
		return Verdict{}, Permanent(err)
	}
	resp, err := call(ctx, g.h, GatesAsk, "ask gates", hostv1.NewGatesClient, hostv1.GatesClient.Ask, &hostv1.AskGatesRequest{Question: q})
	if err != nil {
		return Verdict{}, err
	}
	return verdictFrom(resp), nil
}

// Settle tells what became of an attempt that was asked about. Grant: gates.ask
func (g Gates) Settle(ctx context.Context, attemptID string, committed bool) error {
	_, err := call(ctx, g.h, GatesAsk, "settle attempt", hostv1.NewGatesClient, hostv1.GatesClient.Settle,
		&hostv1.SettleGatesRequest{AttemptId: attemptID, Committed: committed})
	return err
}

// Page is a page to put into the shared layout.
type Page struct {
	Title     string
	BodyHTML  string // the plugin vouches that it is safe
	Principal *Principal
	Language  string // BCP 47; empty: the request's
	Path      string // the page's own, to mark it in navigation
	Request   RequestInfo
	Styles    []string // addresses below the plugin's own routes
	Scripts   []string
}

// Rendered is the whole page.
type Rendered struct {
	HTML      string
	Language  string // that it came in
	Direction string // "ltr", "rtl"
}

// SignInRequest is what the plugin needs of the person.
type SignInRequest struct {
	ReturnTo      string        // a path on this Sigra, or an address that its operator allows; anything else is refused
	MaxAge        time.Duration // how long ago they may have proved who they are; 0: any time
	RequiredAAL   string        // "aal2"; empty: any
	Fresh         bool          // whatever the session says
	LoginHint     string        // an address to fill in
	UILocales     []string      // the first that Sigra speaks is the language of the pages
	SelectAccount bool          // whoever is signed in is asked as whom they go on
	ACRValues     []string      // the first that Sigra knows ("aal1", "aal2") counts when RequiredAAL is empty
	ClientName    string        // of the application that the person signs in to
	CancelTo      string        // where a cancelled or impossible sign-in returns, like ReturnTo; see SignInCancelled
}

// What Sigra adds to CancelTo as "error".
const (
	SignInCancelled  = "cancelled"  // the person did not want to
	SignInImpossible = "impossible" // the account can't show what is asked for: it has no second factor
)

// Pages gives pages the house's layout. Grant: pages.render
type Pages struct{ h *Host }

// Render wraps a page's body in the layout.
func (p Pages) Render(ctx context.Context, page Page) (out Rendered, err error) {
	if page.Request == (RequestInfo{}) {
		page.Request = RequestInfoFrom(ctx)
	}
	req := &hostv1.RenderRequest{}
	if err := wire.To(req, page); err != nil {
		return out, Permanent(err)
	}
	resp, err := call(ctx, p.h, PagesRender, "render page", hostv1.NewPagesClient, hostv1.PagesClient.Render, req)
	wire.From(&out, resp)
	return out, err
}

// SignInURL is where to send a browser when somebody must be signed in, or signed in better.
func (p Pages) SignInURL(ctx context.Context, r SignInRequest) (string, error) {
	req := &hostv1.SignInRequest{}
	if err := wire.To(req, r); err != nil {
		return "", Permanent(err)
	}
	resp, err := call(ctx, p.h, PagesRender, "ask for sign-in", hostv1.NewPagesClient, hostv1.PagesClient.SignIn, req)
	return resp.GetUrl(), err
}
