package httpapi

import (
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/principal"
)

// SessionInfo is a principal as a client sees it: the one place where that is said.
type SessionInfo struct {
	Kind           string    `json:"kind" enum:"user,service_account,application,operator" doc:"What is signed in."`
	UserID         uuid.UUID `json:"user_id,omitzero" format:"uuid" doc:"The account's id."`
	SessionID      uuid.UUID `json:"session_id,omitzero" format:"uuid" doc:"The session's id. It stays the same when the token is renewed."`
	OrganizationID uuid.UUID `json:"organization_id,omitzero" format:"uuid" doc:"The active organization."`
	Role           string    `json:"role,omitempty" doc:"The role in the active organization, as the application named it."`
	ImpersonatorID uuid.UUID `json:"impersonator_id,omitzero" format:"uuid" doc:"The administrator who acts in the user's name."`
	Email          string    `json:"email,omitempty" doc:"The account's email address." example:"ada@example.com"`
	Display        string    `json:"display,omitempty" doc:"A name for people."`
	Administrator  bool      `json:"administrator" doc:"May administer this server."`
	AAL            string    `json:"aal,omitempty" enum:"aal1,aal2" doc:"Assurance: one factor or two (NIST SP 800-63B)."`
	AMR            []string  `json:"amr,omitempty" doc:"How the person proved who they are (RFC 8176)." example:"[\"pwd\"]"`
	Scopes         []string  `json:"scopes,omitempty" doc:"Of a token: what it may do. Absent: whatever its holder may."`
	AuthTime       time.Time `json:"auth_time,omitzero" doc:"When they last did."`
	CreatedAt      time.Time `json:"created_at,omitzero" doc:"When the session began."`
	ExpiresAt      time.Time `json:"expires_at,omitzero" doc:"When the session ends whatever happens."`
}

func infoOf(p principal.Principal) SessionInfo {
	user := p.UserID
	if p.Kind == principal.Application {
		user = uuid.Nil // it is a key's
	}
	return SessionInfo{
		Kind: string(p.Kind), UserID: user, SessionID: p.SessionID, OrganizationID: p.OrganizationID, Role: p.Role, ImpersonatorID: p.ImpersonatorID,
		Email: p.Email, Display: p.Display, Administrator: p.Administrator, AAL: p.AAL, AMR: p.AMR, Scopes: p.Scopes,
		AuthTime: p.AuthTime, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
	}
}
