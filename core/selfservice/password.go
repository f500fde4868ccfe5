package selfservice

import (
	"context"
	"errors"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

var (
	errCurrent = fault.New(fault.Denied, "wrong_password", "That is not your current password.").At("current")
)

// ChangePassword replaces the password of who is signed in, who must know the current one (ASVS 5.0 6.2.3). Every other
// session ends and this one goes on with a new token (ASVS 5.0 7.4.3, 7.2.4). The person is told by mail.
func (s *own) ChangePassword(ctx context.Context, p principal.Principal, current, next string) (session.Issued, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return session.Issued{}, err
	}
	// Counted apart from sign-in: what strangers guess must not keep somebody who is signed in from a new password.
	key := flow.Key("change", a.ID.String())
	before, err := s.kit.Passwords.Find(ctx, s.kit.DB, a.ID)
	if err != nil {
		return session.Issued{}, err
	}
	if a.SecondFactor && !s.kit.Recent(p, a) {
		return session.Issued{}, flow.ErrStepUpRequired // the current password is one factor only
	}
	if err := s.kit.Factors.Check(ctx, s.kit.DB, key); err != nil {
		return session.Issued{}, err
	}
	right, _, err := s.kit.Passwords.Verify(ctx, before, current)
	if err != nil && !errors.Is(err, password.ErrHash) {
		return session.Issued{}, err
	}
	if !right {
		return session.Issued{}, s.changeFailed(ctx, p, a, key)
	}
	screened, err := s.kit.ScreenPassword(ctx, next, a.Email, a.Username)
	if err != nil {
		return session.Issued{}, err
	}
	hash, err := s.kit.Passwords.Hash(ctx, next)
	if err != nil {
		return session.Issued{}, err
	}
	var out session.Issued
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, standing, err := s.kit.StillSignedIn(ctx, tx, p)
		if err != nil {
			return err
		}
		if a.SecondFactor && !s.kit.Recent(standing, a) { // it may have come meanwhile
			return flow.ErrStepUpRequired
		}
		if now, err := s.kit.Passwords.Find(ctx, tx, a.ID); err != nil {
			return err
		} else if now != before {
			return flow.ErrPasswordChanged // another change won: what was proved is no longer the password
		}
		if err := s.kit.Factors.Reset(ctx, tx, key); err != nil {
			return err
		}
		p.AuthTime = s.kit.Now()
		if out, err = s.kit.Sessions.Rotate(ctx, tx, p); err != nil {
			if errors.Is(err, session.ErrGone) {
				return session.ErrUnauthenticated // revoked in the meantime
			}
			return err
		}
		n, err := s.kit.ReplacePassword(ctx, tx, a, hash, p.SessionID, flow.By(p))
		if err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "account.password_change.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, SessionID: p.SessionID,
			AuthMethod: "pwd", Metadata: screened(n.In(map[string]any{})),
		})
	})
	if err != nil {
		return session.Issued{}, err
	}
	return out, nil
}

func (s *own) changeFailed(ctx context.Context, p principal.Principal, a account.Account, key string) error {
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.factors.CountFailure(ctx, tx, a, key); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "account.password_change.failure", Reason: "wrong_password", Actor: flow.User(p.UserID), Targets: []audit.Ref{flow.User(p.UserID)},
			SessionID: p.SessionID, AuthMethod: "pwd",
		})
	})
	if err != nil {
		return err
	}
	return errCurrent
}

// AddPassword gives a password to an account that has none, for who has lately shown who they are.
func (s *own) AddPassword(ctx context.Context, p principal.Principal, next string) error {
	a, err := s.kit.RequireRecentAuth(ctx, p)
	if err != nil {
		return err
	}
	screened, err := s.kit.ScreenPassword(ctx, next, a.Email, a.Username)
	if err != nil {
		return err
	}
	hash, err := s.kit.Passwords.Hash(ctx, next)
	if err != nil {
		return err
	}
	return s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		if now, err := s.kit.Passwords.Find(ctx, tx, a.ID); err != nil {
			return err
		} else if now != "" {
			return errHasPassword
		}
		n, err := s.kit.ReplacePassword(ctx, tx, a, hash, p.SessionID, flow.By(p))
		if err != nil {
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets = "account.password_change.success", []audit.Ref{flow.User(a.ID)}
		e.Metadata = screened(n.In(map[string]any{}))
		return s.kit.Record(ctx, tx, e)
	})
}

var errHasPassword = fault.New(fault.Conflict, "has_password", "This account has a password. Change it by showing the present one.")
