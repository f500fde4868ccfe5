package sessionjwt

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// Life is how long a token is good for, at most.
const Life = 5 * time.Minute

// maxClaims bounds what plugins add, in bytes of JSON. A token goes into a header, of which servers take some 8 KiB.
const maxClaims = 4 << 10

// reserved are claims that only Issue makes (RFC 7519 §4.1; OpenID Connect Core §2). A plugin's name is none of them.
var reserved = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true, "sid": true, "aal": true, "amr": true, "auth_time": true, "email": true, "name": true,
	"organization_id": true, "organization_role": true, "impersonator_id": true, "stale": true,
}

// ErrNoSession is given to who has no session of their own: an application, an operator, a service account.
var ErrNoSession = fault.New(fault.Denied, "session_required", "Only a person with a session gets a token for it.")

// Token is an issued one.
type Token struct {
	Token     string
	ExpiresAt time.Time
}

// claims are Sigra's own.
type claims struct {
	jwt.Claims
	SessionID      string           `json:"sid"`
	AAL            string           `json:"aal"`
	AMR            []string         `json:"amr"` // RFC 8176
	AuthTime       *jwt.NumericDate `json:"auth_time"`
	Email          string           `json:"email,omitempty"`
	Name           string           `json:"name,omitempty"`
	OrganizationID string           `json:"organization_id,omitempty"`
	Role           string           `json:"organization_role,omitempty"`
	ImpersonatorID string           `json:"impersonator_id,omitempty"`
	Stale          []string         `json:"stale,omitempty"` // plugins whose claims are missing
}

// Issue makes a token for a session. added is what plugins add, each under its own name, and stale names those that should have added something and
// did not. What is more than a token can hold is left out and named there, too.
func (i *Issuer) Issue(who principal.Principal, added map[string]map[string]any, stale []string) (Token, error) {
	if !who.SignedIn() || who.SessionID == uuid.Nil {
		return Token{}, ErrNoSession
	}
	now := i.now()
	until := now.Add(Life)
	if who.ExpiresAt.Before(until) {
		until = who.ExpiresAt
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, err
	}
	c := claims{
		Claims: jwt.Claims{
			Issuer: i.issuer, Subject: who.UserID.String(), Audience: i.audience, ID: id.String(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(until),
		},
		SessionID: who.SessionID.String(), AAL: who.AAL, AMR: who.AMR, AuthTime: jwt.NewNumericDate(who.AuthTime),
		Email: who.Email, Name: who.Display, Role: who.Role, OrganizationID: text(who.OrganizationID), ImpersonatorID: text(who.ImpersonatorID), Stale: stale,
	}
	more, left := fitting(added)
	c.Stale = append(c.Stale, left...)
	b := jwt.Signed(i.keys.Load().signer).Claims(c)
	if len(more) > 0 {
		b = b.Claims(more)
	}
	signed, err := b.Serialize()
	if err != nil {
		return Token{}, err
	}
	return Token{signed, until.Truncate(time.Second)}, nil
}

func text(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// fitting gives what plugins add as far as it fits, and the names of those whose claims don't.
func fitting(added map[string]map[string]any) (more map[string]any, left []string) {
	more = map[string]any{}
	size := 0
	for _, plugin := range slices.Sorted(maps.Keys(added)) {
		if len(added[plugin]) == 0 {
			continue
		}
		b, err := json.Marshal(added[plugin])
		if err != nil || reserved[plugin] || size+len(b) > maxClaims {
			left = append(left, plugin)
			continue
		}
		size += len(b)
		more[plugin] = json.RawMessage(b)
	}
	return more, left
}
