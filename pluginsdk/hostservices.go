package pluginsdk

import (
	"context"
	"iter"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	"google.golang.org/protobuf/types/known/durationpb"
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

// Domain is what an organization has proven to own, or is about to.
type Domain struct {
	Name           string
	OrganizationID string
	Verified       bool
	VerifiedAt     time.Time
	RecordName     string // the TXT record to publish
	RecordValue    string
}

// Domains reads and proves the domains of organizations.
type Domains struct{ h *Host }

// DomainQuery asks for the domains of an organization, for one name, or the one of both.
type DomainQuery struct{ OrganizationID, Name string }

// Get gives domains, proven or not. Grant: domains.read
func (d Domains) Get(ctx context.Context, q DomainQuery) ([]Domain, error) {
	resp, err := call(ctx, d.h, DomainsRead, "get domains", hostv1.NewDomainsClient, hostv1.DomainsClient.Get,
		&hostv1.GetDomainsRequest{OrganizationId: q.OrganizationID, Name: q.Name})
	return list[Domain](resp.GetDomains()), err
}

// Verify begins the proof of a domain, or looks whether its record is there. Grant: domains.write
func (d Domains) Verify(ctx context.Context, q DomainQuery) (out Domain, err error) {
	resp, err := call(ctx, d.h, DomainsWrite, "verify domain", hostv1.NewDomainsClient, hostv1.DomainsClient.Verify,
		&hostv1.VerifyDomainRequest{OrganizationId: q.OrganizationID, Name: q.Name})
	wire.From(&out, resp.GetDomain())
	return out, err
}

// Links are addresses that work once. Grant: links.use
type Links struct{ h *Host }

// LinkRequest is an address to issue.
type LinkRequest struct {
	Purpose  string
	Subject  string // what it is about: links of one purpose and subject can be revoked together
	Data     []byte // at most 4 KiB, sealed
	ValidFor time.Duration
	Path     string // below one of the plugin's routes; the token is appended as "?token="
}

// IssuedLink is that address.
type IssuedLink struct {
	URL, Token string
	ExpiresAt  time.Time
}

// Link is what a token stands for.
type Link struct {
	Subject   string
	Data      []byte
	ExpiresAt time.Time
}

// Issue makes one.
func (l Links) Issue(ctx context.Context, r LinkRequest) (out IssuedLink, err error) {
	req := &hostv1.IssueLinkRequest{}
	if err := wire.To(req, r); err != nil {
		return out, Permanent(err)
	}
	resp, err := call(ctx, l.h, LinksUse, "issue link", hostv1.NewLinksClient, hostv1.LinksClient.Issue, req)
	wire.From(&out, resp)
	return out, err
}

// Peek looks at a link without spending it: a GET must not.
func (l Links) Peek(ctx context.Context, purpose, token string) (link Link, valid bool, err error) {
	resp, err := call(ctx, l.h, LinksUse, "look at link", hostv1.NewLinksClient, hostv1.LinksClient.Peek,
		&hostv1.PeekLinkRequest{Purpose: purpose, Token: token})
	return Link{Subject: resp.GetSubject(), Data: resp.GetData(), ExpiresAt: timeFrom(resp.GetExpiresAt())}, resp.GetValid(), err
}

// Redeem spends a link; it succeeds once.
func (l Links) Redeem(ctx context.Context, purpose, token string) (link Link, redeemed bool, err error) {
	resp, err := call(ctx, l.h, LinksUse, "redeem link", hostv1.NewLinksClient, hostv1.LinksClient.Redeem,
		&hostv1.RedeemLinkRequest{Purpose: purpose, Token: token})
	return Link{Subject: resp.GetSubject(), Data: resp.GetData()}, resp.GetRedeemed(), err
}

// Revoke voids the links of a purpose and subject.
func (l Links) Revoke(ctx context.Context, purpose, subject string) (revoked int, err error) {
	resp, err := call(ctx, l.h, LinksUse, "revoke links", hostv1.NewLinksClient, hostv1.LinksClient.Revoke,
		&hostv1.RevokeLinkRequest{Purpose: purpose, Subject: subject})
	return int(resp.GetRevoked()), err
}

// Directory provides accounts and memberships from a customer's directory, within one organization. Grant: directory.write
type Directory struct{ h *Host }

// DirectoryUser is an account that a directory provides.
type DirectoryUser struct {
	ExternalID string
	UserID     string // Sigra's
	Email      string
	Username   string
	Display    string
	Active     bool
	Attributes map[string]any // kept as the account's public metadata below the plugin's name
	Role       string         // of the membership
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// DirectoryRequest says in which organization, and for which request of the directory.
type DirectoryRequest struct {
	OrganizationID string
	CorrelationID  string // for the audit rows
}

// PutUser creates or updates an account by its external id.
func (d Directory) PutUser(ctx context.Context, r DirectoryRequest, u DirectoryUser) (out DirectoryUser, created bool, err error) {
	pb := &hostv1.DirectoryUser{}
	if err := wire.To(pb, u); err != nil {
		return out, false, Permanent(err)
	}
	resp, err := call(ctx, d.h, DirectoryWrite, "put user", hostv1.NewDirectoryClient, hostv1.DirectoryClient.PutUser,
		&hostv1.PutUserRequest{OrganizationId: r.OrganizationID, User: pb, CorrelationId: r.CorrelationID})
	wire.From(&out, resp.GetUser())
	return out, resp.GetCreated(), err
}

// SetActive disables an account, its sessions and tokens in one transaction, or enables it.
func (d Directory) SetActive(ctx context.Context, r DirectoryRequest, externalID string, active bool) (out DirectoryUser, err error) {
	resp, err := call(ctx, d.h, DirectoryWrite, "set user active", hostv1.NewDirectoryClient, hostv1.DirectoryClient.SetActive,
		&hostv1.SetActiveRequest{OrganizationId: r.OrganizationID, ExternalId: externalID, Active: active, CorrelationId: r.CorrelationID})
	wire.From(&out, resp.GetUser())
	return out, err
}

// PutMembership gives an account a place in the organization, or another role there.
func (d Directory) PutMembership(ctx context.Context, r DirectoryRequest, externalID, role string) (out Membership, err error) {
	resp, err := call(ctx, d.h, DirectoryWrite, "put membership", hostv1.NewDirectoryClient, hostv1.DirectoryClient.PutMembership,
		&hostv1.PutMembershipRequest{OrganizationId: r.OrganizationID, ExternalId: externalID, Role: role, CorrelationId: r.CorrelationID})
	wire.From(&out, resp.GetMembership())
	return out, err
}

// DeleteMembership takes an account out of the organization; the account stays.
func (d Directory) DeleteMembership(ctx context.Context, r DirectoryRequest, externalID string) (deleted bool, err error) {
	resp, err := call(ctx, d.h, DirectoryWrite, "delete membership", hostv1.NewDirectoryClient, hostv1.DirectoryClient.DeleteMembership,
		&hostv1.DeleteMembershipRequest{OrganizationId: r.OrganizationID, ExternalId: externalID, CorrelationId: r.CorrelationID})
	return resp.GetDeleted(), err
}

// DirectoryQuery asks for the accounts of an organization that this plugin provides; all, or one.
type DirectoryQuery struct{ OrganizationID, ExternalID, Email string }

// List walks them.
func (d Directory) List(ctx context.Context, q DirectoryQuery) iter.Seq2[DirectoryUser, error] {
	return pages(func(token string) ([]DirectoryUser, string, error) {
		resp, err := call(ctx, d.h, DirectoryWrite, "list directory", hostv1.NewDirectoryClient, hostv1.DirectoryClient.List,
			&hostv1.ListDirectoryRequest{OrganizationId: q.OrganizationID, ExternalId: q.ExternalID, Email: q.Email, PageToken: token, PageSize: pageSize})
		return list[DirectoryUser](resp.GetUsers()), resp.GetNextPageToken(), err
	})
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
	ReturnTo       string        // a path on this Sigra, or an address that its operator allows
	MaxAge         time.Duration // how long ago they may have proved who they are; 0: any time
	RequiredAAL    string        // "aal2"; empty: any
	Fresh          bool          // whatever the session says
	LoginHint      string        // an address to fill in
	UILocales      []string
	SelectAccount  bool     // offer to go on as somebody else
	ACRValues      []string // the first that Sigra knows counts when RequiredAAL is empty
	ClientName     string   // of the application that the person signs in to
	CancelTo       string   // where a cancelled or impossible sign-in returns
	OrganizationID string
}

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
