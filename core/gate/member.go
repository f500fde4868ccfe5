package gate

import "github.com/google/uuid"

// MemberContext is what member.add and member.remove are about.
type MemberContext struct {
	OrganizationID uuid.UUID
	UserID         uuid.UUID // uuid.Nil: an address that has no account yet
	Email          string
	Role           string
	Kind           string // "member", "guest", "service_account"
	Via            string // "direct", "invitation", "just_in_time", "provisioning"
	InvitationID   uuid.UUID
	Members        int64 // how many the organization has
	Invitations    int64 // how many are open
	Protected      bool  // an owner
}
