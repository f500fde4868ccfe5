package selfservice

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// ListSessions lists somebody's own live sessions, newest first (ASVS 5.0 7.5.2).
func (s *own) ListSessions(ctx context.Context, p principal.Principal) ([]session.Session, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.kit.Sessions.List(ctx, a.ID)
}

// EndSession ends one of them; session.ErrGone when there is no such session.
func (s *own) EndSession(ctx context.Context, p principal.Principal, id uuid.UUID) error {
	if _, err := s.kit.Self(ctx, p); err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, _, err := s.kit.StillSignedIn(ctx, tx, p)
		if err != nil {
			return err
		}
		return s.kit.Sessions.RevokeIn(ctx, tx, flow.User(a.ID), "", a.ID, id)
	})
}

// SignOutElsewhere ends everything that gives access to somebody's account but their credentials and the session that asks, and names the
// sessions.
func (s *own) SignOutElsewhere(ctx context.Context, p principal.Principal) (n session.Ended, err error) {
	if _, err := s.kit.Self(ctx, p); err != nil {
		return nil, err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, _, err := s.kit.StillSignedIn(ctx, tx, p)
		if err != nil {
			return err
		}
		e := flow.By(p)
		if n, err = s.kit.End(ctx, tx, a, flow.Everything, p.SessionID, e, "signed_out"); err != nil {
			return err
		}
		e.Action, e.Targets, e.Metadata = "session.revoke_all", []audit.Ref{flow.User(a.ID)}, n.All(map[string]any{"except_current": true})
		return s.kit.Record(ctx, tx, e)
	})
	return n, err
}
