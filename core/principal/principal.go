package principal

import (
	"time"

	"github.com/google/uuid"
)

// Kind says what sort of principal is asking.
type Kind string

// The kinds of principals.
const (
	User           Kind = "user"
	ServiceAccount Kind = "service_account"
	Application    Kind = "application" // the application behind Sigra, by one of its keys
	Operator       Kind = "operator"    // whoever runs the installation, over the control socket
)

// Assurance levels of an authentication (NIST SP 800-63B-4 §2): one factor, or two.
const (
	AAL1 = "aal1"
	AAL2 = "aal2"
)

// Principal is who is asking. Its zero value is nobody.
type Principal struct {
	Kind           Kind
	UserID         uuid.UUID // of a user; of a service account its own id, of an application that of its key; uuid.Nil for an operator
	SessionID      uuid.UUID // uuid.Nil where there is no session: a token, an operator
	OrganizationID uuid.UUID // the active organization; uuid.Nil: none
	Role           string    // the membership's opaque role string in that organization
	Owner          bool      // of that organization
	ImpersonatorID uuid.UUID // the administrator who acts in the user's name; uuid.Nil: nobody
	Email          string
	Display        string
	Administrator  bool // of Sigra itself
	// AdministratorWithheld says that the account administers Sigra and this session does not, because it has shown one factor and the
	// settings want two of administrators.
	AdministratorWithheld bool
	AAL                   string
	AMR                   []string  // RFC 8176 names of the methods used
	Method                string    // how the session began: "password", "magic_link", "passkey" …
	Scopes                []string  // what a token may do; nil: whatever its holder may
	AuthTime              time.Time // when the person last proved who they are
	CreatedAt             time.Time // of the session
	ExpiresAt             time.Time // absolute end

	// TokenHash is the SHA-256 of the token that the request showed; nil where none was shown. A session's token changes with
	// every rise of assurance while its id stays, so a change under way compares it inside its transaction.
	TokenHash []byte
}

// SignedIn reports whether this is a person with a session of their own.
func (p Principal) SignedIn() bool { return p.Kind == User && p.UserID != uuid.Nil }
