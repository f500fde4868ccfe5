package session

import (
	"time"

	"github.com/google/uuid"
)

// Assurance levels of a session (NIST SP 800-63B): one factor, or two.
const (
	AAL1 = "aal1"
	AAL2 = "aal2"
)

// Principal is who is asking: the answer of a session check. Its zero value is nobody.
type Principal struct {
	Kind           string    // "user", "service_account", or "operator" for the control socket
	UserID         uuid.UUID // uuid.Nil for an operator
	SessionID      uuid.UUID
	OrganizationID uuid.UUID
	ImpersonatorID uuid.UUID
	Email          string
	Display        string
	Administrator  bool // of Sigra itself
	AAL            string
	AMR            []string  // RFC 8176 names of the methods used
	AuthTime       time.Time // when the person last proved who they are
	CreatedAt      time.Time // of the session
	ExpiresAt      time.Time // absolute end
}
