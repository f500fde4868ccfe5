package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Profile is somebody's account as they see it themselves.
type Profile struct {
	Account      account.Account
	Public, User metadata.Object
}

// Profile gives it.
func (s *Service) Profile(ctx context.Context, p principal.Principal) (out Profile, err error) {
	if out.Account, err = s.reader(ctx, p); err != nil {
		return Profile{}, err
	}
	if out.Public, err = s.metadata.Get(ctx, s.db, out.Account.ID, metadata.Public); err != nil {
		return Profile{}, err
	}
	out.User, err = s.metadata.Get(ctx, s.db, out.Account.ID, metadata.User)
	return out, err
}

// reader is the account of who is signed in, in whoever's name: what is shown to an administrator who acts as somebody is what
// that person would see.
func (s *Service) reader(ctx context.Context, p principal.Principal) (account.Account, error) {
	if p.Kind != principal.User || p.UserID == noSession {
		return account.Account{}, session.ErrUnauthenticated
	}
	return s.accounts.Get(ctx, p.UserID)
}

// ChangeOwnMetadata changes what people keep with their own account.
func (s *Service) ChangeOwnMetadata(ctx context.Context, p principal.Principal, c metadata.Change) (metadata.Object, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return metadata.Object{}, err
	}
	c.Scope = metadata.User
	return s.changeMetadata(ctx, by(p), a.ID, c)
}

// Metadata gives the object of a scope of an account that is not deleted.
func (s *Service) Metadata(ctx context.Context, userID uuid.UUID, scope metadata.Scope) (metadata.Object, error) {
	a, err := s.accounts.Get(ctx, userID)
	if err != nil {
		return metadata.Object{}, err
	}
	if a.Status == account.Deleted {
		return metadata.Object{}, account.ErrNotFound
	}
	return s.metadata.Get(ctx, s.db, a.ID, scope)
}

// ChangeMetadata changes the object of a scope, for an administrator or the application.
func (s *Service) ChangeMetadata(ctx context.Context, actor audit.Ref, userID uuid.UUID, c metadata.Change) (metadata.Object, error) {
	return s.changeMetadata(ctx, audit.Entry{Actor: actor}, userID, c)
}

// changeMetadata changes an object and writes down which members, never their values. e begins the row.
func (s *Service) changeMetadata(ctx context.Context, e audit.Entry, userID uuid.UUID, c metadata.Change) (out metadata.Object, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		var changed []string
		if out, changed, err = s.metadata.Apply(ctx, tx, a.ID, c); err != nil || len(changed) == 0 {
			return err
		}
		row := e
		row.Action, row.Targets = "account.update", []audit.Ref{user(a.ID)}
		row.Metadata = map[string]any{"scope": string(c.Scope), "fields": someOf(changed)}
		return s.record(ctx, tx, row)
	})
	return out, err
}

// The bounds of the names in one audit row.
const (
	maxFields    = 16
	maxFieldName = 64
)

// someOf shortens a list of names that somebody else made up, for the log.
func someOf(names []string) []string {
	out := make([]string, 0, min(len(names), maxFields))
	for _, n := range names[:min(len(names), maxFields)] {
		if r := []rune(n); len(r) > maxFieldName {
			n = string(r[:maxFieldName]) + "…"
		}
		out = append(out, n)
	}
	if len(names) > maxFields {
		out = append(out, "…")
	}
	return out
}
