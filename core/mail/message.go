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

// Mailer sends one message.
type Mailer interface {
	// Send returns nil once another system has taken responsibility for the message. A *fault.Error of kind
	// Unavailable or RateLimited means surely not sent, try again; Invalid or Denied means never; anything else is
	// uncertain.
	Send(ctx context.Context, m Message) error
}

// Owner is a Mailer that owns what it accepts: it sends again by itself, and reports the end to Queue.Report. Until then the
// queue keeps the message, and takes it back where another mailer is configured meanwhile.
type Owner interface {
	Mailer
	// Owns is the name under which it reports; empty: accepting is the end, as for any other Mailer.
	Owns() string
}
