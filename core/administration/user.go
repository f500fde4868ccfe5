package administration

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
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
	u, err := s.kit.Settings.Usernames.Given(n.Username)
	if err != nil {
		return account.Account{}, "", err
	}
	if n.Mail {
		if err := s.kit.Reaches(ctx, mail.PasswordSetLink, email, uuid.Nil); err != nil {
			return account.Account{}, "", err
		}
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var made bool
		a, made, err = s.kit.Accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Unconfirmed, Administrator: n.Administrator})
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
		if err := s.kit.Record(ctx, tx, audit.Entry{
			Action: "admin.user.create", Actor: actor, Targets: []audit.Ref{flow.User(a.ID)}, Metadata: map[string]any{"administrator": n.Administrator},
		}); err != nil {
			return err
		}
		link, err := s.passwordLink(ctx, tx, actor, a)
		if err != nil {
			return err
		}
		token = link.Link
		if n.Mail {
			return s.kit.Enqueue(ctx, tx, mail.Letter{
				Purpose: mail.PasswordSetLink, To: a.Email, Link: s.kit.PasswordLink(link.Link), Valid: s.kit.Settings.PasswordLinkTTL,
			})
		}
		return nil
	})
	if err != nil {
		return account.Account{}, "", err
	}
	return a, token, nil
}

// ResetLink makes a one-time link with which the account's owner sets a new password. Links made before stop
// working; password and sessions go on until it is used.
func (s *Service) ResetLink(ctx context.Context, actor audit.Ref, userID uuid.UUID) (token string, err error) {
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Lock(ctx, tx, userID)
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
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "admin.user.reset_link", Actor: actor, Targets: []audit.Ref{flow.User(a.ID)},
			Metadata: map[string]any{"expires_at": link.ExpiresAt.Format(time.RFC3339)},
		})
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

func (s *Service) passwordLink(ctx context.Context, tx *store.Tx, actor audit.Ref, a account.Account) (onetime.Issued, error) {
	if err := s.kit.Onetime.Retire(ctx, tx, a.ID, flow.SetPassword); err != nil {
		return onetime.Issued{}, err
	}
	link, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.SetPassword, AccountID: a.ID, TTL: s.kit.Settings.PasswordLinkTTL})
	if err != nil {
		return onetime.Issued{}, err
	}
	return link, s.kit.Record(ctx, tx, audit.Entry{
		Action: "auth.password_reset_request", Actor: actor, Targets: []audit.Ref{flow.User(a.ID)},
		Metadata: map[string]any{"method": "link", "channel": "administrator"},
	})
}
