package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// Grant says what a new session rests on.
type Grant struct {
	Account        account.Account
	AAL            string    // AAL1 or AAL2
	AMR            []string  // RFC 8176 names of the methods used
	Method         string    // how it began, as auth.login.success says
	AuthTime       time.Time // zero: now
	Persistent     bool      // "remember me"
	OrganizationID uuid.UUID // the active one, whose policy the caller has looked at; uuid.Nil: none
	Role           string    // in it
	ImpersonatorID uuid.UUID
	NotAfter       time.Time // an absolute end that is not to be outlived; zero: as the settings say
	Federated      string    // the handle of the login elsewhere that it rests on, for RevokeFederatedIn; empty: none
}

// Issued is a session with its token, which exists nowhere else.
type Issued struct {
	Token      string // secret
	Principal  principal.Principal
	Persistent bool
}

// Issue makes a session in the caller's transaction. The caller has locked the account, found it live, and writes the
// audit row. There is always a new token, whatever the client presented (ASVS 5.0 7.2.4: no session fixation).
func (s *Store) Issue(ctx context.Context, tx *store.Tx, g Grant) (Issued, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Issued{}, err
	}
	set, now := s.settings.Load(), s.now()
	life := set.AbsoluteTimeout
	if g.Persistent {
		life = set.RememberMe
	}
	if g.AuthTime.IsZero() {
		g.AuthTime = now
	}
	ends := now.Add(life)
	if !g.NotAfter.IsZero() && g.NotAfter.Before(ends) {
		ends = g.NotAfter.UTC().Truncate(time.Microsecond)
	}
	token, hash := newToken()
	p := principal.Principal{
		Kind: principal.User, UserID: g.Account.ID, SessionID: id, OrganizationID: g.OrganizationID, Role: g.Role, ImpersonatorID: g.ImpersonatorID,
		Email: g.Account.Email, Display: g.Account.Name(), Administrator: g.Account.Administrator,
		AAL: g.AAL, AMR: g.AMR, Method: g.Method, AuthTime: g.AuthTime.UTC().Truncate(time.Microsecond), CreatedAt: now, ExpiresAt: ends,
		TokenHash: hash,
	}
	if err := s.insert(ctx, tx, p, hash, g); err != nil {
		return Issued{}, err
	}
	return Issued{Token: token, Principal: p, Persistent: g.Persistent}, nil
}

func (s *Store) insert(ctx context.Context, tx *store.Tx, p principal.Principal, hash []byte, g Grant) error {
	info := request.From(ctx)
	_, err := tx.Exec(ctx, `INSERT INTO session (id, token_hash, account_id, organization_id, impersonator_id, aal, amr, persistent,
			auth_time, created_at, last_seen_at, expires_at, ip, user_agent, federated, method)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14, $15)`,
		p.SessionID, hash, p.UserID, orNull(p.OrganizationID), orNull(p.ImpersonatorID), p.AAL, strings.Join(p.AMR, " "), g.Persistent,
		p.AuthTime, p.CreatedAt, p.ExpiresAt, info.IPString(), userAgent(info), orNullText(g.Federated), g.Method)
	if err != nil {
		return fmt.Errorf("issue session: %w", err)
	}
	return nil
}

// Rotate gives a session a new token and the assurance that p says (AAL, AMR, AuthTime), in the caller's transaction: the
// old token stops working when it commits. The session keeps its id, and its absolute end unless p's is earlier. There is a new token at
// every rise of assurance (ASVS 5.0 7.2.4). ErrGone when there is no such session any more.
func (s *Store) Rotate(ctx context.Context, tx *store.Tx, p principal.Principal) (Issued, error) {
	token, hash := newToken()
	p.AuthTime, p.TokenHash = p.AuthTime.UTC().Truncate(time.Microsecond), hash
	var persistent bool
	err := tx.QueryRow(ctx, `UPDATE session SET token_hash = $3, auth_time = $4, last_seen_at = $5, aal = $6, amr = $7,
			expires_at = CASE WHEN expires_at > $8 THEN $8 ELSE expires_at END
		WHERE id = $1 AND account_id = $2 RETURNING persistent, expires_at`,
		p.SessionID, p.UserID, hash, p.AuthTime, s.now(), p.AAL, strings.Join(p.AMR, " "), p.ExpiresAt).Scan(&persistent, &p.ExpiresAt)
	if errors.Is(err, store.ErrNoRows) {
		return Issued{}, ErrGone
	}
	if err != nil {
		return Issued{}, fmt.Errorf("rotate session: %w", err)
	}
	return Issued{Token: token, Principal: p, Persistent: persistent}, nil
}

// SetOrganization makes an organization the active one of a session, or none for uuid.Nil, in the caller's transaction, which has
// looked at the membership and the policy. The token stays: the session may do no more by itself. ErrGone when there is no such session any more.
func (s *Store) SetOrganization(ctx context.Context, tx *store.Tx, sessionID, organizationID uuid.UUID) error {
	n, err := tx.Exec(ctx, `UPDATE session SET organization_id = $2 WHERE id = $1`, sessionID, orNull(organizationID))
	if err != nil {
		return fmt.Errorf("set active organization: %w", err)
	}
	if n == 0 {
		return ErrGone
	}
	return nil
}

// orNull keeps the nil id out of the table.
func orNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}

func orNullText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func userAgent(info request.Info) string {
	ua := strings.ToValidUTF8(info.UserAgent, "�")
	if strings.IndexByte(ua, 0) >= 0 { // Postgres stores no NUL
		ua = strings.ReplaceAll(ua, "\x00", "")
	}
	return ua
}
