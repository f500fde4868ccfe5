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
	Language          string            `json:"language,omitempty"` // BCP 47
	Deadline          time.Time         `json:"deadline"`           // never sent after this
	OrganizationID    uuid.UUID         `json:"organization_id,omitzero"`
	PossibleDuplicate bool              `json:"possible_duplicate,omitempty"` // an earlier attempt may have been accepted
}

// Mailer sends one message.
type Mailer interface {
	// Send returns nil once another system has taken responsibility for the message. A *fault.Error of kind
	// Unavailable or RateLimited means surely not sent, try again; Invalid or Denied means never; anything else is
	// uncertain.
	Send(ctx context.Context, m Message) error
}
