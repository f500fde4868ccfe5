package pluginsdk

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"
)

// AuditRow is a committed row of Sigra's audit log.
type AuditRow struct {
	ID             string // UUIDv7; with OccurredAt the key of the effect
	OccurredAt     time.Time
	Action         string
	Category       string
	CRUD           string
	Outcome        string
	Reason         string
	Actor          Ref
	Impersonator   *Ref
	Targets        []Ref
	OrganizationID string
	SessionID      string
	RequestID      string
	CorrelationID  string
	IP             string
	UserAgent      string
	AuthMethod     string
	Metadata       map[string]any
	Position       string // opaque; grows in delivery order, compare as text
}

// AuditSink takes audit rows.
type AuditSink interface {
	// Record returns nil once every row is durable, except those it names as refused. Rows arrive in commit order, at
	// least once: an error, or a crash before the answer, brings them again, perhaps cut into other batches.
	Record(ctx context.Context, r RecordRequest) (RecordResponse, error)
}

// RecordRequest is a batch of audit rows.
type RecordRequest struct{ Rows []AuditRow }

// RecordResponse says what became of a batch.
type RecordResponse struct {
	Inserted, Duplicate, Conflict int
	Refused                       []Refusal // rows the sink can never take; they go to the dead letters
}

// Refusal is one row or event a sink can never take.
type Refusal struct{ ID, Reason string }

// Event is a host-emitted event: something the application, or a plugin, told Sigra under a name that is not Sigra's.
type Event struct {
	ID             string // the idempotency key
	Type           string
	OccurredAt     time.Time
	ReceivedAt     time.Time
	Subject        string
	Source         string
	OrganizationID string
	Schema         string // what Data looks like: "billing.subscription/1"
	Version        int64  // of the subject: grows with each of its changes; 0: not told
	Data           []byte // JSON
	Position       string
}

// EventSink takes host-emitted events, like AuditSink takes rows.
type EventSink interface {
	Receive(ctx context.Context, r ReceiveRequest) (ReceiveResponse, error)
}

// ReceiveRequest is a batch of events.
type ReceiveRequest struct{ Events []Event }

// ReceiveResponse names the events the sink can never take; they go to the dead letters.
type ReceiveResponse struct{ Refused []Refusal }

// Address is a mailbox.
type Address struct{ Address, Name string }

// MailCategory says how much depends on a mail.
type MailCategory string

// The categories.
const (
	AuthMail   MailCategory = "auth"   // somebody can't go on without it
	NoticeMail MailCategory = "notice" // tells of what has happened
	OtherMail  MailCategory = "other"
)

// Message is a mail to send.
type Message struct {
	IdempotencyKey    string
	Purpose           string // "password_reset"; of a plugin's own mail "plugin.purpose"
	Category          MailCategory
	Stream            string // "transactional", "operational", "bulk"
	From, To          Address
	Subject           string
	Text, HTML        string
	Variables         map[string]string
	Link              string // the address that the mail is about
	Code              string // the code that it carries
	ValidFor          time.Duration
	Language          string
	Deadline          time.Time // not to be sent after this
	UserID            string    // whose account it is about; empty where that is nobody's business
	OrganizationID    string
	TemplateVersion   string // of the templates that rendered the body: it changes when they do
	PossibleDuplicate bool
}

// Mailer sends mail. Return no error when the plugin has taken the message and owns all further tries, whose end it tells
// by Mail.Report; Retryable or RetryAfter when it was surely not sent; Permanent, or Rejected with a code and findings, when
// it never can be; any other error means it may or may not have been. It may also be a MailChecker.
type Mailer interface {
	Send(ctx context.Context, m Message) (SendResponse, error)
}

// SendResponse is a message taken.
type SendResponse struct{ MessageID string }

// Finding is something wrong with a message.
type Finding struct {
	Rule   string // "remote_image"
	Detail string
	Where  string // "html:12:4"
}

// MailChecker says, before a flow promises a mail, whether one would reach the address as far as is known.
type MailChecker interface {
	Check(ctx context.Context, r CheckRequest) (CheckResponse, error)
}

// CheckRequest asks about one address.
type CheckRequest struct{ Purpose, Address, OrganizationID string }

// CheckResponse is the answer; Code says why not: "suppressed".
type CheckResponse struct {
	Deliverable  bool
	Code, Reason string
}

// Routes serves HTTP below the manifest's paths. RequestPrincipal(r.Context()) says who is asking; the request bears
// no Sigra cookie and no identity header, and none it may carry can be trusted. Of cookies it bears those that are the
// plugin's own, see CookieName.
type Routes interface {
	http.Handler
}

// Route is a path a plugin serves, with all below it.
type Route struct {
	// Path is "/threadline". {name} stands for the text of the setting of that name, empty or a path:
	// "{issuer_path}/token".
	Path    string
	Title   string // a text, or a key of the plugin's texts: what navigation calls it; empty: not there
	Section Section
	Access  Access // of people

	Applications    bool     // the application's keys may call it
	ServiceAccounts bool     // service accounts and personal tokens may call it
	Scopes          []string // a key or token must have each of these

	AAL          string        // "aal2": people with less are sent to prove more
	MaxAge       time.Duration // people who proved who they are longer ago are sent to do it again
	MaxBody      int64         // bytes of a request; 0: any length, as long as it keeps coming
	MaxInFlight  int           // requests at once; 0: the plugin's common bound only
	Streaming    bool          // answers may stay open without a byte
	CrossSite    CrossSite
	Certificates bool // the client's TLS certificate is wanted, see RequestCertificate
}

// Access says which people get to a route; the host answers the others. Programs are let in by Applications and ServiceAccounts.
type Access int

// The levels of access.
const (
	Public Access = iota
	SignedIn
	Administrators             // of Sigra
	OrganizationAdministrators // of the session's organization, and of Sigra
	Programs                   // no people at all
)

// Section is where in navigation a page stands.
type Section int

// The sections.
const (
	AccountSection Section = iota
	AdministrationSection
	OrganizationSection
)

// CrossSite says what becomes of requests that a page of another site makes a browser send.
type CrossSite int

// The treatments.
const (
	CrossSiteRefused   CrossSite = iota // except for reading
	CrossSiteAnonymous                  // let in as nobody's; the session counts for requests from this site only
	CrossSiteMachine                    // for programs: no cookie of Sigra's counts at all, nothing stands in front
)

// ClientCertificate is what the client proved to own in its TLS handshake with Sigra or with a trusted proxy.
type ClientCertificate struct {
	Chain    []*x509.Certificate // the client's own first
	Source   string              // "tls", "proxy"
	Verified bool                // the chain leads to a root that the terminating side trusts
}

// LoginMethods offers ways to sign in.
type LoginMethods interface {
	Offer(ctx context.Context, r OfferRequest) (OfferResponse, error)
}

// OfferRequest is who is about to sign in, as far as a plugin may know.
type OfferRequest struct {
	EmailDomain    string // empty: before anybody typed an address
	OrganizationID string
	ReturnTo       string
	Request        RequestInfo
}

// OfferResponse is what the plugin offers; nothing is an answer.
type OfferResponse struct{ Methods []LoginMethod }

// LoginMethod is a way to sign in.
type LoginMethod struct {
	ID        string
	Label     string // a text, or a key of the plugin's texts
	URL       string // below one of the plugin's routes
	Exclusive bool   // the other ways are not to be offered
}

// Claims adds claims, below the plugin's own name, to what Sigra issues.
type Claims interface {
	Claims(ctx context.Context, r ClaimsRequest) (ClaimsResponse, error)
}

// ClaimsRequest says for whom and what.
type ClaimsRequest struct {
	Principal Principal
	Audience  string // "session_jwt", "forward_auth", "token"
	ClientID  string // of a token
	Scopes    []string
	Request   RequestInfo
}

// ClaimsResponse is what to add. It may be used again for MaxAge, or until Claims.Invalidate.
type ClaimsResponse struct {
	Claims   map[string]any
	MaxAge   time.Duration
	Revision string // of what they were made from
}

// Subject answers for the data that the plugin holds of one person.
type Subject interface {
	// Export gives all of it; Data is anything JSON can hold.
	Export(ctx context.Context, r ExportRequest) (ExportResponse, error)
	// Erase removes or pseudonymizes it. It is called again until it succeeds, and must be harmless the second time.
	Erase(ctx context.Context, r EraseRequest) (EraseResponse, error)
}

// ExportRequest says whose data.
type ExportRequest struct{ UserID, Email string }

// ExportResponse is that data.
type ExportResponse struct{ Data any }

// EraseRequest says whose data.
type EraseRequest struct{ UserID, Email string }

// EraseResponse says that it is done.
type EraseResponse struct{}

// Logout lets a plugin end what it started elsewhere when a person signs out.
type Logout interface {
	SignedOut(ctx context.Context, r SignedOutRequest) (SignedOutResponse, error)
}

// SignedOutRequest says who signed out and which sessions have ended.
type SignedOutRequest struct {
	Principal  Principal
	SessionIDs []string
	ReturnTo   string
	Request    RequestInfo
}

// SignedOutResponse is what the browser is to do besides.
type SignedOutResponse struct {
	FrameURLs   []string // shown in hidden frames
	RedirectURL string   // visited last; it must come back to ReturnTo
}
