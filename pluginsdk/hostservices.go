package pluginsdk

import (
	"context"
	"time"

	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// SignIn is a sign-in that the plugin has verified.
type SignIn struct {
	Provider       string // below the plugin's name: "okta-acme"
	Subject        string // stable id at the provider
	UserID         string // when the plugin knows the account
	Email          string
	EmailVerified  bool
	OrganizationID string
	FederatedIndex string // the provider's session handle, for single logout
	AMR            []string
	ReturnTo       string
	Request        RequestInfo
}

// Sessions makes and ends sessions.
type Sessions struct{ h *Host }

// Mint completes a sign-in through the same second factor, gate and policy as any other. Send the browser to
// continueURL: it can be used once, sets the cookie or asks for what is missing.
func (s Sessions) Mint(ctx context.Context, in SignIn) (continueURL string, err error) {
	resp, err := call(ctx, s.h, SessionsWrite, "mint session", hostv1.NewSessionsClient, hostv1.SessionsClient.Mint,
		&hostv1.MintRequest{
			Provider: in.Provider, Subject: in.Subject, UserId: in.UserID, Email: in.Email, EmailVerified: in.EmailVerified,
			OrganizationId: in.OrganizationID, FederatedIndex: in.FederatedIndex, Amr: in.AMR, ReturnTo: in.ReturnTo,
			Request: requestInfoTo(in.Request),
		})
	return resp.GetContinueUrl(), err
}

// Revoke ends one session and tells how many it ended.
func (s Sessions) Revoke(ctx context.Context, sessionID, reason string) (int, error) {
	return s.revoke(ctx, &hostv1.RevokeRequest{Which: &hostv1.RevokeRequest_SessionId{SessionId: sessionID}, Reason: reason})
}

// RevokeFederated ends the sessions minted with a provider's session handle.
func (s Sessions) RevokeFederated(ctx context.Context, index, reason string) (int, error) {
	return s.revoke(ctx, &hostv1.RevokeRequest{Which: &hostv1.RevokeRequest_FederatedIndex{FederatedIndex: index}, Reason: reason})
}

// RevokeUser ends all sessions of a user.
func (s Sessions) RevokeUser(ctx context.Context, userID, reason string) (int, error) {
	return s.revoke(ctx, &hostv1.RevokeRequest{Which: &hostv1.RevokeRequest_UserId{UserId: userID}, Reason: reason})
}

func (s Sessions) revoke(ctx context.Context, req *hostv1.RevokeRequest) (int, error) {
	resp, err := call(ctx, s.h, SessionsWrite, "revoke session", hostv1.NewSessionsClient, hostv1.SessionsClient.Revoke, req)
	return int(resp.GetRevoked()), err
}

// AuditEntry is an action to record, named below the plugin's own name: "greeter.greeting.change".
type AuditEntry struct {
	Action         string
	Outcome        string // success, failure or error
	Actor          Ref
	Targets        []Ref
	OrganizationID string
	SessionID      string
	Metadata       map[string]any // no secrets; at most 8 KB as JSON
	IdempotencyKey string         // the same key is recorded once
	Request        RequestInfo
}

// AuditPage is a stretch of the audit log.
type AuditPage struct {
	Rows []AuditRow
	Next string // where the next page begins
	End  bool   // nothing further is committed yet
}

// Audit records, and reads the log.
type Audit struct{ h *Host }

// Record writes one audit row and gives its id.
func (a Audit) Record(ctx context.Context, e AuditEntry) (id string, err error) {
	md, err := structTo(e.Metadata)
	if err != nil {
		return "", Permanent(err)
	}
	resp, err := call(ctx, a.h, AuditRecord, "record audit row", hostv1.NewAuditClient, hostv1.AuditClient.Record,
		&hostv1.RecordAuditRequest{
			Action: e.Action, Outcome: e.Outcome, Actor: refTo(e.Actor), Targets: refsTo(e.Targets), OrganizationId: e.OrganizationID,
			SessionId: e.SessionID, Metadata: md, IdempotencyKey: e.IdempotencyKey, Request: requestInfoTo(e.Request),
		})
	return resp.GetId(), err
}

// Read gives up to limit rows (at most 1000) in commit order after a position; the empty one is the start.
func (a Audit) Read(ctx context.Context, after string, limit int) (AuditPage, error) {
	resp, err := call(ctx, a.h, AuditRead, "read audit log", hostv1.NewAuditLogClient, hostv1.AuditLogClient.Read,
		&hostv1.ReadAuditRequest{After: after, Limit: int32(min(max(limit, 1), 1000))})
	if err != nil {
		return AuditPage{}, err
	}
	return AuditPage{Rows: rowsFrom(resp.GetRows()), Next: resp.GetNext(), End: resp.GetEnd()}, nil
}

// Events publishes host-emitted events in the plugin's name.
type Events struct{ h *Host }

// Publish stores events durably, once per id.
func (e Events) Publish(ctx context.Context, events ...Event) (stored, duplicate int, err error) {
	req := &hostv1.PublishRequest{}
	for _, ev := range events {
		req.Events = append(req.Events, eventTo(ev))
	}
	resp, err := call(ctx, e.h, EventsPublish, "publish events", hostv1.NewEventsClient, hostv1.EventsClient.Publish, req)
	return int(resp.GetStored()), int(resp.GetDuplicate()), err
}

// Mail sends mail.
type Mail struct{ h *Host }

// Send hands a message over; nil means Sigra has taken responsibility for it.
func (m Mail) Send(ctx context.Context, msg Message) error {
	_, err := call(ctx, m.h, MailSend, "send mail", hostv1.NewMailClient, hostv1.MailClient.Send,
		&hostv1.SendMailRequest{Message: messageTo(msg)})
	return err
}

// Seal encrypts with Sigra's keyring, bound to the plugin's block: no other plugin can open it.
type Seal struct{ h *Host }

// Seal encrypts at most 64 KiB for a purpose.
func (s Seal) Seal(ctx context.Context, plain []byte, purpose string) ([]byte, error) {
	resp, err := call(ctx, s.h, SealService, "seal", hostv1.NewSealClient, hostv1.SealClient.Seal,
		&hostv1.SealRequest{Plaintext: plain, Purpose: purpose})
	return resp.GetSealed(), err
}

// Open decrypts what Seal made for the same purpose. Seal it again when it is stale: an older key made it.
func (s Seal) Open(ctx context.Context, sealed []byte, purpose string) (plain []byte, stale bool, err error) {
	resp, err := call(ctx, s.h, SealService, "open sealed", hostv1.NewSealClient, hostv1.SealClient.Open,
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
	resp, err := call(ctx, k.h, KVService, "get key", hostv1.NewKVClient, hostv1.KVClient.Get, &hostv1.GetRequest{Key: key})
	if err != nil || resp.GetEntry() == nil {
		return KVEntry{}, false, err
	}
	return kvEntryFrom(resp.GetEntry()), true, nil
}

// Put writes a key if its version is still ifVersion: AnyVersion, 0 for "only if absent", or the one last read. A ttl
// of zero keeps it for ever. stored is false when the version was another.
func (k KV) Put(ctx context.Context, key string, value []byte, ifVersion int64, ttl time.Duration) (version int64, stored bool, err error) {
	req := &hostv1.PutRequest{Key: key, Value: value, IfVersion: ifVersion}
	if ttl > 0 {
		req.Ttl = durationpb.New(ttl)
	}
	resp, err := call(ctx, k.h, KVService, "put key", hostv1.NewKVClient, hostv1.KVClient.Put, req)
	return resp.GetVersion(), resp.GetStored(), err
}

// Delete removes a key if its version is still ifVersion.
func (k KV) Delete(ctx context.Context, key string, ifVersion int64) (deleted bool, err error) {
	resp, err := call(ctx, k.h, KVService, "delete key", hostv1.NewKVClient, hostv1.KVClient.Delete,
		&hostv1.DeleteRequest{Key: key, IfVersion: ifVersion})
	return resp.GetDeleted(), err
}

// List gives up to limit entries (at most 500) whose keys begin with prefix and lie after a key, in order.
func (k KV) List(ctx context.Context, prefix, after string, limit int) ([]KVEntry, error) {
	resp, err := call(ctx, k.h, KVService, "list keys", hostv1.NewKVClient, hostv1.KVClient.List,
		&hostv1.ListRequest{Prefix: prefix, After: after, Limit: int32(min(max(limit, 1), 500))})
	if err != nil {
		return nil, err
	}
	var out []KVEntry
	for _, e := range resp.GetEntries() {
		out = append(out, kvEntryFrom(e))
	}
	return out, nil
}

func kvEntryFrom(e *hostv1.Entry) KVEntry {
	return KVEntry{Key: e.GetKey(), Value: e.GetValue(), Version: e.GetVersion()}
}

// Page is a page to put into the shared layout.
type Page struct {
	Title     string
	Body      string // HTML; the plugin vouches that it is safe
	Principal *Principal
	Language  string // BCP 47
	Path      string // the page's own, to mark it in navigation
}

// SignInDemand is what the plugin needs of the person.
type SignInDemand struct {
	ReturnTo string        // a path on this Sigra, or an address on its allow-list
	MaxAge   time.Duration // how long ago they may have proved who they are; zero: any time
	AAL      string        // "aal2"; empty: any
	Fresh    bool          // whatever the session says
}

// Pages gives pages the house's layout.
type Pages struct{ h *Host }

// Render wraps a page's body in the layout.
func (p Pages) Render(ctx context.Context, page Page) (html string, err error) {
	resp, err := call(ctx, p.h, PagesService, "render page", hostv1.NewPagesClient, hostv1.PagesClient.Render,
		&hostv1.RenderRequest{
			Title: page.Title, BodyHtml: page.Body, Principal: principalTo(page.Principal), Language: page.Language, Path: page.Path,
		})
	return resp.GetHtml(), err
}

// SignInURL is where to send a browser when somebody must be signed in, or signed in better.
func (p Pages) SignInURL(ctx context.Context, d SignInDemand) (string, error) {
	req := &hostv1.SignInRequest{ReturnTo: d.ReturnTo, RequiredAal: d.AAL, Fresh: d.Fresh}
	if d.MaxAge > 0 {
		req.MaxAge = durationpb.New(d.MaxAge)
	}
	resp, err := call(ctx, p.h, PagesService, "ask for sign-in", hostv1.NewPagesClient, hostv1.PagesClient.SignIn, req)
	return resp.GetUrl(), err
}
