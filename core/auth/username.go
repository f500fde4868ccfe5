package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// Usernames says whether accounts have a username beside their address, to sign in with either.
type Usernames string

const (
	NoUsernames       Usernames = ""
	OptionalUsernames Usernames = "optional"
	RequiredUsernames Usernames = "required" // chosen at sign-up, and never given up
)

func (u Usernames) on() bool { return u != NoUsernames }

// Names is how many names an account can be signed in to by, each of which has its share of what may fail (ratelimit.Quota.Shared).
func (u Usernames) Names() int {
	if u.on() {
		return 2
	}
	return 1
}

var (
	errNoUsernames    = fault.New(fault.Invalid, "no_usernames", "This service has no usernames.").At("username")
	errUsernameNeeded = fault.New(fault.Invalid, "username_needed", "Choose a username.").At("username")
	errUnconfirmed    = fault.New(fault.Conflict, "account_unconfirmed", "Confirm your e-mail address first.")
)

// isUsername tells what somebody typed who signs in: nothing is both (account.ParseUsername).
func (s *Service) isUsername(typed string) bool {
	return s.set.Usernames.on() && !strings.Contains(typed, "@")
}

// usernameKey names the bucket that sign-ins by a username are counted in, known or not. It is not the bucket of the account's
// address: see doc.go.
func usernameKey(u account.Username) string { return keyOf("username", u.Key) }

// chosen reads the username that somebody wants at sign-up.
func (s *Service) chosen(typed string) (account.Username, error) {
	if strings.TrimSpace(typed) == "" {
		if s.set.Usernames == RequiredUsernames {
			return account.Username{}, errUsernameNeeded
		}
		return account.Username{}, nil
	}
	if !s.set.Usernames.on() {
		return account.Username{}, errNoUsernames
	}
	u, err := account.ParseUsername(typed)
	if err == nil {
		err = u.Chosen()
	}
	return u, err
}

// usernameFree ends a sign-up with a username that a live account has. Sign-ups that wait for their confirmation hold none, so that
// nobody can tell by a name which of them had a new address, and nobody keeps names without a mailbox.
func (s *Service) usernameFree(ctx context.Context, u account.Username) error {
	if u == (account.Username{}) {
		return nil
	}
	if _, err := s.accounts.FindByUsernameIn(ctx, s.db, u.Key); account.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.register.failure", Reason: "username_taken", Actor: anonymous, Targets: []audit.Ref{user(uuid.Nil)}, AuthMethod: "pwd", Metadata: map[string]any{"method": "password"},
		})
	})
	if err != nil {
		return err
	}
	return account.ErrUsernameTaken
}

// firstUsername gives an account the username of its sign-up, in the transaction that confirms it. It reports that somebody
// else has it by now; the account goes without then, and its owner chooses another one.
func (s *Service) firstUsername(ctx context.Context, tx *store.Tx, a account.Account, chosen string) (taken bool, err error) {
	u, err := account.ParseUsername(chosen)
	if err != nil || !s.set.Usernames.on() {
		return false, nil // none was asked for, or there are none any more
	}
	e := audit.Entry{Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, Metadata: map[string]any{"via": "sign_up"}}
	other, err := s.accounts.FindByUsernameIn(ctx, tx, u.Key)
	switch {
	case err == nil && other.ID != a.ID:
		e.Action, e.Reason = "account.username_change.failure", "username_taken"
		return true, s.record(ctx, tx, e)
	case err != nil && !account.IsNotFound(err):
		return false, err
	}
	if err := s.accounts.SetUsername(ctx, tx, a.ID, u); err != nil {
		return false, err
	}
	e.Action = "account.username_change.success"
	return false, s.record(ctx, tx, e)
}

// ChangeUsername gives the account of who is signed in another username, or none where that is allowed. They must have lately
// shown who they are. account.ErrUsernameTaken when somebody has it, which counts, so that nobody asks for names without end.
func (s *Service) ChangeUsername(ctx context.Context, p principal.Principal, typed string) error {
	a, err := s.sure(ctx, p)
	if err != nil {
		return err
	}
	u, err := s.chosen(typed)
	if err != nil {
		return err
	}
	if u.Display == a.Username {
		return nil
	}
	key := keyOf("username", a.ID.String())
	if err := s.factors.Check(ctx, s.db, key); err != nil {
		return err
	}
	row := func(ctx context.Context, tx *store.Tx, action, reason string) error {
		e := by(p)
		e.Action, e.Reason, e.Targets = action, reason, []audit.Ref{user(a.ID)}
		return s.record(ctx, tx, e)
	}
	err = s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		// Who was signed in before the address was confirmed may not be its owner, and holds no name.
		if a.Status != account.Active {
			return errUnconfirmed
		}
		if err := s.accounts.SetUsername(ctx, tx, a.ID, u); err != nil {
			return err
		}
		return row(ctx, tx, "account.username_change.success", "")
	})
	if !errors.Is(err, account.ErrUsernameTaken) {
		return err
	}
	if err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.factors.Fail(ctx, tx, key); err != nil {
			return err
		}
		return row(ctx, tx, "account.username_change.failure", "username_taken")
	}); err != nil {
		return err
	}
	return account.ErrUsernameTaken
}

// SetUsername is an administrator's: it also gives names that nobody may choose, and takes one away.
func (s *Service) SetUsername(ctx context.Context, actor audit.Ref, userID uuid.UUID, typed string) error {
	u, err := s.given(typed)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		if a.Username == u.Display {
			return nil
		}
		return s.giveUsername(ctx, tx, actor, a.ID, u)
	})
}

func (s *Service) giveUsername(ctx context.Context, tx *store.Tx, actor audit.Ref, id uuid.UUID, u account.Username) error {
	if err := s.accounts.SetUsername(ctx, tx, id, u); err != nil {
		return err
	}
	return s.record(ctx, tx, audit.Entry{
		Action: "account.username_change.success", Actor: actor, Targets: []audit.Ref{user(id)}, Metadata: map[string]any{"via": "administrator"},
	})
}

// given reads a username that an administrator chooses; empty is none.
func (s *Service) given(typed string) (account.Username, error) {
	if strings.TrimSpace(typed) == "" {
		return account.Username{}, nil
	}
	if !s.set.Usernames.on() {
		return account.Username{}, errNoUsernames
	}
	return account.ParseUsername(typed)
}
