package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// NewUser is an account that an administrator makes.
type NewUser struct {
	Email         string
	Username      string // empty: none
	Administrator bool
	Mail          bool // also mail the link to the address
}

// CreateUser makes an unconfirmed account and a one-time link with which its owner sets a password; nobody else ever chooses
// one (ASVS 5.0 6.4.6). The token is for BaseURL/set-password?token=….
func (s *Service) CreateUser(ctx context.Context, actor audit.Ref, n NewUser) (a account.Account, token string, err error) {
	email, err := account.ParseEmail(n.Email)
	if err != nil {
		return account.Account{}, "", err
	}
	u, err := s.given(n.Username)
	if err != nil {
		return account.Account{}, "", err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var made bool
		a, made, err = s.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Unconfirmed, Administrator: n.Administrator})
		if err != nil {
			return err
		}
		if !made {
			return account.ErrEmailTaken
		}
		if u != (account.Username{}) {
			if err := s.giveUsername(ctx, tx, actor, a.ID, u); err != nil {
				return err
			}
			a.Username = u.Display
		}
		if err := s.record(ctx, tx, audit.Entry{
			Action: "admin.user.create", Actor: actor, Targets: []audit.Ref{user(a.ID)}, Metadata: map[string]any{"administrator": n.Administrator},
		}); err != nil {
			return err
		}
		link, err := s.passwordLink(ctx, tx, actor, a)
		if err != nil {
			return err
		}
		token = link.Link
		if n.Mail {
			return s.enqueue(ctx, tx, mail.Letter{
				Purpose: mail.PasswordSetLink, To: a.Email, Link: s.PasswordLink(link.Link), Valid: s.set.PasswordLinkTTL,
			})
		}
		return nil
	})
	if err != nil {
		return account.Account{}, "", err
	}
	return a, token, nil
}

// lock locks the row of an account for who administers it; a deleted one is none any more.
func (s *Service) lock(ctx context.Context, tx *store.Tx, userID uuid.UUID) (account.Account, error) {
	a, err := s.accounts.Lock(ctx, tx, userID)
	if err == nil && a.Status == account.Deleted {
		err = account.ErrNotFound
	}
	return a, err
}

// PasswordLink is the address to open for a token of CreateUser or ResetLink.
func (s *Service) PasswordLink(token string) string {
	return s.set.BaseURL + "/set-password?token=" + token
}

// ResetLink makes a one-time link with which the account's owner sets a new password. Links made before stop
// working; password and sessions go on until it is used.
func (s *Service) ResetLink(ctx context.Context, actor audit.Ref, userID uuid.UUID) (token string, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		if a.Status == account.Disabled {
			return errDisabled
		}
		link, err := s.passwordLink(ctx, tx, actor, a)
		if err != nil {
			return err
		}
		token = link.Link
		return s.record(ctx, tx, audit.Entry{
			Action: "admin.user.reset_link", Actor: actor, Targets: []audit.Ref{user(a.ID)},
			Metadata: map[string]any{"expires_at": link.ExpiresAt.Format(time.RFC3339)},
		})
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

func (s *Service) passwordLink(ctx context.Context, tx *store.Tx, actor audit.Ref, a account.Account) (onetime.Issued, error) {
	if err := s.onetime.Forget(ctx, tx, a.ID, passwordPurpose); err != nil {
		return onetime.Issued{}, err
	}
	link, err := s.onetime.Issue(ctx, tx, onetime.Request{Purpose: passwordPurpose, AccountID: a.ID, TTL: s.set.PasswordLinkTTL})
	if err != nil {
		return onetime.Issued{}, err
	}
	return link, s.record(ctx, tx, audit.Entry{
		Action: "auth.password_reset_request", Actor: actor, Targets: []audit.Ref{user(a.ID)},
		Metadata: map[string]any{"method": "link", "channel": "administrator"},
	})
}

// Disable stops an account and ends its sessions and links. Disabling a disabled one changes nothing.
func (s *Service) Disable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed, err := s.accounts.Disable(ctx, tx, userID)
		if err != nil || !changed {
			return err
		}
		n, err := s.sessions.RevokeAllIn(ctx, tx, userID, noSession)
		if err != nil {
			return err
		}
		if err := s.onetime.Forget(ctx, tx, userID, ""); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "admin.user.disable", Actor: actor, Targets: []audit.Ref{user(userID)}, Metadata: map[string]any{"sessions_revoked": n},
		})
	})
}

// Enable lets a disabled account live again. Enabling one that is not disabled changes nothing.
func (s *Service) Enable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed, err := s.accounts.Enable(ctx, tx, userID)
		if err != nil || !changed {
			return err
		}
		return s.record(ctx, tx, audit.Entry{Action: "admin.user.enable", Actor: actor, Targets: []audit.Ref{user(userID)}})
	})
}

// RevokeSessions ends all sessions of a user.
func (s *Service) RevokeSessions(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	if _, err := s.accounts.Get(ctx, userID); err != nil {
		return err
	}
	_, err := s.sessions.RevokeAll(ctx, actor, userID)
	return err
}

// Delete executes a deletion, when no gate "user.delete" objects: everything that says who it was goes, the id stays, so
// that the audit log goes on pointing at something. account.ErrNotFound when it is deleted already.
func (s *Service) Delete(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	a, err := s.accounts.Get(ctx, userID)
	if err != nil {
		return err
	}
	if a.Status == account.Deleted {
		return account.ErrNotFound
	}
	if err := s.askDelete(ctx, actor, a); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.erase(ctx, tx, actor, userID, "", true) })
}

func (s *Service) askDelete(ctx context.Context, actor audit.Ref, a account.Account) error {
	if !s.gates.Configured(gate.UserDelete) {
		return nil
	}
	by := &principal.Principal{Kind: principal.Kind(actor.Type), Display: actor.Display}
	if id, err := uuid.Parse(actor.ID); err == nil {
		by.UserID = id
	}
	return unrefuse(s.askFlat(ctx, gate.Ask{
		Question: gate.UserDelete, Principal: by, Subject: user(a.ID),
		Context: map[string]any{"email_domain": domain(a.Email)},
	}))
}

// erase removes a person, in the caller's transaction.
func (s *Service) erase(ctx context.Context, tx *store.Tx, actor audit.Ref, userID uuid.UUID, reason string, notify bool) error {
	a, err := s.lock(ctx, tx, userID)
	if err != nil {
		return err
	}
	n, err := s.sessions.RevokeAllIn(ctx, tx, userID, noSession)
	if err != nil {
		return err
	}
	if err := s.passwords.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if err := s.eraseFactors(ctx, tx, userID); err != nil {
		return err
	}
	if err := s.devices.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if _, err := s.logins.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if err := s.metadata.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if err := s.onetime.Forget(ctx, tx, userID, ""); err != nil {
		return err
	}
	if _, err := s.accounts.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if notify {
		if err := s.enqueue(ctx, tx, mail.Letter{Purpose: mail.AccountDeleted, To: a.Email, When: s.now()}); err != nil {
			return err
		}
	}
	return s.record(ctx, tx, audit.Entry{
		Action: "account.deletion_execute", Reason: reason, Actor: actor, Targets: []audit.Ref{user(userID)},
		Metadata: map[string]any{"erased": []string{"email", "username", "password", "factors", "devices", "logins", "metadata", "sessions", "links"}, "sessions_revoked": n},
	})
}
