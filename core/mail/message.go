package mail

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Address is a mailbox with an optional name.
type Address struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
}

// Message is one mail to one person.
type Message struct {
	ID                uuid.UUID         `json:"id"` // the idempotency key
	Purpose           string            `json:"purpose"`
	From              Address           `json:"from"`
	To                Address           `json:"to"`
	Subject           string            `json:"subject"`
	Text              string            `json:"text"`
	HTML              string            `json:"html,omitempty"`
	Variables         map[string]string `json:"variables,omitempty"`
	Language          string            `json:"language,omitempty"`  // BCP 47
	Deadline          time.Time         `json:"deadline"`            // never sent after this
	ValidFor          time.Duration     `json:"valid_for,omitempty"` // of the link and the code
	Category          Category          `json:"category,omitempty"`
	OrganizationID    uuid.UUID         `json:"organization_id,omitzero"`
	UserID            uuid.UUID         `json:"user_id,omitzero"`             // whose account it tells of. None in what a stranger can have sent: a decoy is as long
	Stream            Stream            `json:"stream,omitempty"`             // empty: transactional
	TemplateVersion   string            `json:"template_version,omitempty"`   // changes when what it is written with does
	PossibleDuplicate bool              `json:"possible_duplicate,omitempty"` // an earlier attempt may have been accepted
}

// Category says how much depends on a message.
type Category string

// The categories.
const (
	Auth   Category = "auth"   // somebody can't go on without it
	Notice Category = "notice" // tells of what has happened
	Other  Category = "other"  // a plugin's own
)

// Stream is what providers of mail keep apart, so that one kind of mail doesn't spoil the name of another.
type Stream string

// The streams.
const (
	Transactional Stream = "transactional" // somebody did something, and this is the answer
	Operational   Stream = "operational"   // something happened that they must know
	Bulk          Stream = "bulk"          // for many
)

// Mailer sends one message.
type Mailer interface {
	// Send returns nil once another system has taken responsibility for the message. A *fault.Error of kind
	// Unavailable or RateLimited means surely not sent, try again; Invalid or Denied means never; anything else is
	// uncertain.
	Send(ctx context.Context, m Message) error
}

// Checker is a Mailer that knows of addresses to which it sends no mail.
type Checker interface {
	// Check says, before somebody is promised a message of a purpose, why it would not reach an address: a fault of kind Invalid. Whatever goes
	// wrong in finding that out is no reason not to try.
	Check(ctx context.Context, purpose, address string, organization uuid.UUID) error
}

// Lettered is a Mailer that may be unable to write to an address with letters beyond ASCII before the @ (RFC 6531).
type Lettered interface {
	// TakesUTF8 reports whether it can when it writes from an address. Where it doesn't know, it says that it can.
	TakesUTF8(ctx context.Context, from string) bool
}

// Owner is a Mailer that owns what it accepts: it sends again by itself, and reports the end to Queue.Report. Until then the
// queue keeps the message, and takes it back where another mailer is configured meanwhile.
type Owner interface {
	Mailer
	// Owns is the name under which it reports; empty: accepting is the end, as for any other Mailer.
	Owns() string
}
