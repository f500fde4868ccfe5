package auth

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

var noSession = uuid.Nil // of RevokeAllIn: keep none

var (
	errCurrent      = fault.New(fault.Denied, "wrong_password", "That is not your current password.").At("current")
	errImpersonated = fault.New(fault.Denied, "impersonated", "Nobody may do this in somebody else's name.")
	errMeanwhile    = fault.New(fault.Conflict, "password_changed", "The password was changed in the meantime. Sign in again.")
)

// ChangePassword replaces the password of who is signed in, who must know the current one (ASVS 5.0 6.2.3). Every other
// session ends and this one goes on with a new token (ASVS 5.0 7.4.3, 7.2.4). The person is told by mail.
func (s *Service) ChangePassword(ctx context.Context, p session.Principal, current, next string) (SignedIn, error) {
	if p.Kind != "user" || p.UserID == uuid.Nil {
		return SignedIn{}, session.ErrUnauthenticated
	}
	if p.ImpersonatorID != uuid.Nil {
		return SignedIn{}, errImpersonated
	}
	a, err := s.accounts.Get(ctx, p.UserID)
	if err != nil {
		return SignedIn{}, err
	}
	// Counted apart from sign-in: what strangers guess must not keep somebody who is signed in from a new password.
	id := identity{account: a, key: keyOf("change", a.ID.String())}
	if id.hash, err = s.passwords.Find(ctx, s.db, a.ID); err != nil {
		return SignedIn{}, err
	}
	if err := s.passwords.Check(next, a.Email); err != nil {
		return SignedIn{}, err
	}
	if err := s.failures.Check(ctx, s.db, id.key); err != nil {
		return SignedIn{}, err
	}
	right, _, err := s.passwords.Verify(ctx, id.hash, current)
	if err != nil && !errors.Is(err, password.ErrHash) {
		return SignedIn{}, err
	}
	if !right {
		return SignedIn{}, s.changeFailed(ctx, p, id)
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return SignedIn{}, err
	}
	var out session.Issued
	var device string
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.Lock(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if !a.Status.Live() {
			return session.ErrUnauthenticated
		}
		if now, err := s.passwords.Find(ctx, tx, a.ID); err != nil {
			return err
		} else if now != id.hash {
			return errMeanwhile // another change won: what was proved is no longer the password
		}
		if err := s.failures.Reset(ctx, tx, id.key); err != nil {
			return err
		}
		if out, err = s.sessions.Rotate(ctx, tx, p, s.now()); err != nil {
			if errors.Is(err, session.ErrGone) {
				return session.ErrUnauthenticated // revoked in the meantime
			}
			return err
		}
		n, err := s.newPassword(ctx, tx, a, hash, p.SessionID)
		if err != nil {
			return err
		}
		if device, err = s.newMark(ctx, tx, a.ID); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "account.password_change.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, SessionID: p.SessionID,
			AuthMethod: "pwd", Metadata: map[string]any{"sessions_revoked": n},
		})
	})
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{Token: out.Token, Principal: out.Principal, Persistent: out.Persistent, Device: device}, nil
}

func (s *Service) changeFailed(ctx context.Context, p session.Principal, id identity) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.countFailure(ctx, tx, id); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "account.password_change.failure", Reason: "wrong_password", Actor: user(p.UserID), Targets: []audit.Ref{user(p.UserID)},
			SessionID: p.SessionID, AuthMethod: "pwd",
		})
	})
	if err != nil {
		return err
	}
	return errCurrent
}

// newPassword is what every change of a password does, in its transaction: the new hash, no other session, no open
// link, a notice. It returns how many sessions ended.
func (s *Service) newPassword(ctx context.Context, tx *store.Tx, a account.Account, hash string, keep uuid.UUID) (int64, error) {
	if err := s.passwords.Set(ctx, tx, a.ID, hash); err != nil {
		return 0, err
	}
	if err := s.onetime.Forget(ctx, tx, a.ID, ""); err != nil {
		return 0, err
	}
	n, err := s.sessions.RevokeAllIn(ctx, tx, a.ID, keep)
	if err != nil {
		return 0, err
	}
	// ASVS 5.0 6.3.7: the person is told of a change to their credentials.
	return n, s.enqueue(ctx, tx, mail.Letter{
		Purpose: mail.PasswordChanged, To: a.Email, Link: s.set.BaseURL + "/", When: s.now(), IP: request.From(ctx).IPString(),
	})
}

// SetPassword sets a password with a one-time link that an administrator made, and begins a session. A wrong password
// leaves the link as it was. All sessions there were end.
func (s *Service) SetPassword(ctx context.Context, token, next string) (SignedIn, error) {
	g, err := s.onetime.Look(ctx, passwordPurpose, token)
	if err != nil {
		return SignedIn{}, err // before the hash: a made-up token costs a read
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	if err := s.passwords.Check(next, a.Email); err != nil {
		return SignedIn{}, err
	}
	old, err := s.passwords.Find(ctx, s.db, a.ID)
	if err != nil {
		return SignedIn{}, err
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return SignedIn{}, err
	}
	return s.complete(ctx, proof{
		account: a, method: "password_link", amr: []string{"otp"},
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := s.onetime.Spend(ctx, tx, g); err != nil {
				return err
			}
			if !a.Status.Live() {
				return refusal{reason: "account_" + string(a.Status), err: errCredentials}
			}
			if _, err := s.accounts.Activate(ctx, tx, a.ID); err != nil { // the administrator vouches for the address
				return err
			}
			n, err := s.newPassword(ctx, tx, a, hash, noSession)
			if err != nil {
				return err
			}
			return s.record(ctx, tx, audit.Entry{
				Action: "auth.password_reset.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "otp",
				Metadata: map[string]any{"method": "link", "sessions_revoked": n, "first": old == ""},
			})
		},
		refused: func(ctx context.Context, r refusal) error {
			return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				return s.record(ctx, tx, audit.Entry{
					Action: "auth.password_reset.failure", Reason: r.reason, Actor: anonymous, Targets: []audit.Ref{user(a.ID)}, AuthMethod: "otp",
					Metadata: map[string]any{"method": "link"},
				})
			})
		},
	})
}
