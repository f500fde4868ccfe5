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
	"github.com/sigra-auth/sigra/core/principal"
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
func (s *Service) ChangePassword(ctx context.Context, p principal.Principal, current, next string) (SignedIn, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return SignedIn{}, err
	}
	// Counted apart from sign-in: what strangers guess must not keep somebody who is signed in from a new password.
	id := identity{account: a, key: keyOf("change", a.ID.String())}
	if id.hash, err = s.passwords.Find(ctx, s.db, a.ID); err != nil {
		return SignedIn{}, err
	}
	if a.SecondFactor && !s.fresh(p, a) {
		return SignedIn{}, errIsFactor // the current password is one factor only
	}
	if err := s.factors.Check(ctx, s.db, id.key); err != nil {
		return SignedIn{}, err
	}
	right, _, err := s.passwords.Verify(ctx, id.hash, current)
	if err != nil && !errors.Is(err, password.ErrHash) {
		return SignedIn{}, err
	}
	if !right {
		return SignedIn{}, s.changeFailed(ctx, p, id)
	}
	screened, err := s.screen(ctx, next, a.Email, a.Username)
	if err != nil {
		return SignedIn{}, err
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return SignedIn{}, err
	}
	var out session.Issued
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
		if err := s.factors.Reset(ctx, tx, id.key); err != nil {
			return err
		}
		p.AuthTime = s.now()
		if out, err = s.sessions.Rotate(ctx, tx, p); err != nil {
			if errors.Is(err, session.ErrGone) {
				return session.ErrUnauthenticated // revoked in the meantime
			}
			return err
		}
		n, err := s.newPassword(ctx, tx, a, hash, p.SessionID, by(p))
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "account.password_change.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, SessionID: p.SessionID,
			AuthMethod: "pwd", Metadata: screened(map[string]any{"sessions_revoked": n}),
		})
	})
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{Token: out.Token, Principal: out.Principal, Persistent: out.Persistent}, nil
}

func (s *Service) changeFailed(ctx context.Context, p principal.Principal, id identity) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.countFactor(ctx, tx, id.account, id.key); err != nil {
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

// screen applies the policy to a password that somebody wants to have, and asks whether it was seen in a breach. screened
// adds to the metadata of the audit row what came of that.
func (s *Service) screen(ctx context.Context, pw, email, username string) (screened func(map[string]any) map[string]any, err error) {
	if err := s.passwords.Check(pw, email, username); err != nil {
		return nil, err
	}
	sc, err := s.passwords.Screen(ctx, pw)
	if err != nil {
		return nil, err
	}
	return func(meta map[string]any) map[string]any {
		if sc.Outcome != password.Off {
			meta["breach_check"] = string(sc.Outcome)
		}
		return meta
	}, nil
}

// newPassword is what every change of a password does, in its transaction: the new hash, no other session, no open
// link, no trusted browser, a notice. e begins the rows it writes. It returns how many sessions ended.
func (s *Service) newPassword(ctx context.Context, tx *store.Tx, a account.Account, hash string, keep uuid.UUID, e audit.Entry) (int64, error) {
	if err := s.passwords.Set(ctx, tx, a.ID, hash); err != nil {
		return 0, err
	}
	// Not the way back to an address from before: whoever took the account over changes the password next.
	if err := s.onetime.ForgetBut(ctx, tx, a.ID, undoPurpose); err != nil {
		return 0, err
	}
	n, err := s.sessions.RevokeAllIn(ctx, tx, a.ID, keep)
	if err != nil {
		return 0, err
	}
	if err := s.distrust(ctx, tx, a, e, "password_changed"); err != nil {
		return 0, err
	}
	return n, s.notice(ctx, tx, a, mail.Letter{Purpose: mail.PasswordChanged, Link: s.set.BaseURL + "/reset"})
}

// AddPassword gives a password to an account that has none, for who has lately shown who they are.
func (s *Service) AddPassword(ctx context.Context, p principal.Principal, next string) error {
	a, err := s.sure(ctx, p)
	if err != nil {
		return err
	}
	screened, err := s.screen(ctx, next, a.Email, a.Username)
	if err != nil {
		return err
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return err
	}
	return s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		if now, err := s.passwords.Find(ctx, tx, a.ID); err != nil {
			return err
		} else if now != "" {
			return errHasPassword
		}
		n, err := s.newPassword(ctx, tx, a, hash, p.SessionID, by(p))
		if err != nil {
			return err
		}
		e := by(p)
		e.Action, e.Targets = "account.password_change.success", []audit.Ref{user(a.ID)}
		e.Metadata = screened(map[string]any{"sessions_revoked": n})
		return s.record(ctx, tx, e)
	})
}

var errHasPassword = fault.New(fault.Conflict, "has_password", "This account has a password. Change it by showing the present one.")
