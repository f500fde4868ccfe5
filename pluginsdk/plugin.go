package pluginsdk

import (
	"context"
	"net/http"
	"time"
)

// Plugin is what every plugin implements.
type Plugin interface {
	// Manifest says what the plugin is. It is asked before Configure and must answer the same each time.
	Manifest() Manifest
	// Configure is called with the settings of the plugin's block before anything else is, and again when they change
	// while the plugin runs. Return an error made by Diagnostic (or joined from several) to point at a setting; on any
	// error the earlier settings must stay in force. host stays the same for the life of the process.
	Configure(ctx context.Context, host *Host, settings Settings) error
}

// Manifest describes a plugin.
type Manifest struct {
	Name        string // [a-z][a-z0-9_]{0,62}: the name its audit actions and claims stand under
	Version     string // semantic version
	Description string // one line

	// Settings is a pointer to a struct whose sigra tags describe the config block; nil for none. See SettingsOf.
	Settings any
	// Requires are the host services the plugin can't run without, Wants those it uses when granted.
	Requires, Wants []Service
	Routes          []Route
	// Events are the host-emitted events it takes: "billing.*".
	Events []string
	// Questions are what it can be asked as a Gate.
	Questions []Question
	// AuditActions are actions or prefixes ("auth.*") it takes beside the catalogue's defaults.
	AuditActions []string
	// Claims are the names of the claims it may add, below its own name.
	Claims []string
	// Storage asks for a database of its own; nil for none. See the package pluginsdk/storage.
	Storage Storage
}

// Route is a path a plugin serves, with all below it.
type Route struct {
	Path    string // "/threadline"
	Machine bool   // for programs: no cross-origin check in front
	Title   string // in navigation; empty: not there
	Access  Access
}

// Access says who gets to a route at all; the host answers the others.
type Access int

// The levels of access.
const (
	Public Access = iota
	SignedIn
	Administrators
)

// Ref names somebody or something.
type Ref struct {
	Type    string `json:"type"`
	ID      string `json:"id,omitempty"`
	Role    string `json:"role,omitempty"`
	Display string `json:"display,omitempty"`
}

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
	Record(ctx context.Context, rows []AuditRow) (Recorded, error)
}

// Recorded says what became of a batch.
type Recorded struct {
	Inserted, Duplicate, Conflict int
	Refused                       []Refusal // rows the sink can never take; they go to the dead letters
}

// Refusal is one row or event a sink can never take.
type Refusal struct{ ID, Reason string }

// Event is a host-emitted event: something the application told Sigra, under a name that is not Sigra's.
type Event struct {
	ID         string // the idempotency key
	Type       string
	OccurredAt time.Time
	ReceivedAt time.Time
	Subject    string
	Source     string
	Data       []byte // JSON
	Position   string
}

// EventSink takes host-emitted events, like AuditSink takes rows.
type EventSink interface {
	Receive(ctx context.Context, events []Event) ([]Refusal, error)
}

// Address is a mailbox.
type Address struct{ Address, Name string }

// Message is a mail to send.
type Message struct {
	IdempotencyKey    string
	Purpose           string
	From, To          Address
	Subject           string
	Text, HTML        string
	Variables         map[string]string
	Language          string
	Deadline          time.Time
	OrganizationID    string
	PossibleDuplicate bool
}

// Mailer sends mail. Return nil when another system has taken the message; Retryable(err) when it was surely not
// sent; Permanent(err) when it never can be; any other error means it may or may not have been.
type Mailer interface {
	Send(ctx context.Context, m Message) error
}

// Question is what a gate can be asked.
type Question string

// The questions.
const (
	Registration  Question = "registration"
	Login         Question = "login"
	SessionStepUp Question = "session.step_up"
	MemberAdd     Question = "member.add"
	MemberRemove  Question = "member.remove"
	UserDelete    Question = "user.delete"
	TokenIssue    Question = "token.issue"
	RouteAccess   Question = "route"
)

// Ask is one question.
type Ask struct {
	Question  Question
	Principal *Principal // who acts; nil at registration
	Subject   Ref
	Request   RequestInfo
	Context   map[string]any
	AttemptID string // one action; answer a repeated question alike
}

// RequestInfo is where a request came from.
type RequestInfo struct{ RequestID, IP, UserAgent string }

// Answer is a gate's answer: make one with Allow, Deny or StepUp.
type Answer struct {
	decision decision
	reason   string
	message  string
	aal      string
}

type decision int

const (
	undecided decision = iota
	allow
	deny
	stepUp
)

// Allow lets the action go on.
func Allow() Answer { return Answer{decision: allow} }

// Deny stops it, with a code for programs and a sentence for the user (which may be empty).
func Deny(reason, message string) Answer {
	return Answer{decision: deny, reason: reason, message: message}
}

// StepUp demands a higher assurance first ("aal2").
func StepUp(aal, reason string) Answer { return Answer{decision: stepUp, aal: aal, reason: reason} }

// Gate answers questions before actions happen.
type Gate interface {
	Ask(ctx context.Context, a Ask) (Answer, error)
}

// Routes serves HTTP below the manifest's paths. RequestPrincipal(r.Context()) says who is asking; the request bears
// no Sigra cookie and no identity header, and none it may carry can be trusted.
type Routes interface {
	http.Handler
}

// LoginMethod is a way to sign in that the plugin offers.
type LoginMethod struct {
	ID, Label, URL string
	Exclusive      bool // the other ways are not to be offered
}

// LoginMethods offers ways to sign in.
type LoginMethods interface {
	Offer(ctx context.Context, emailDomain, organizationID, returnTo string) ([]LoginMethod, error)
}

// Claims adds claims, below the plugin's own name, to what Sigra issues for audience.
type Claims interface {
	Claims(ctx context.Context, p Principal, audience string) (claims map[string]any, maxAge time.Duration, err error)
}

// Principal is who is asking, resolved by Sigra.
type Principal struct {
	Kind           string // "user", "service_account", "operator"
	UserID         string
	OrganizationID string
	SessionID      string
	ImpersonatorID string
	Email          string
	Display        string
	Administrator  bool
	AAL            string
	AMR            []string
	AuthTime       time.Time
}
