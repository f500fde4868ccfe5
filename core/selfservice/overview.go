package selfservice

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
)

// Overview is what somebody's account looks like to themselves: what they sign in with, and what they could add.
type Overview struct {
	Email        string
	Username     string         // empty: none
	Usernames    flow.Usernames // whether there may be one, or must
	Password     bool           // there is one
	Factors      factor.Set
	SecondFactor bool     // one is asked for after every first factor
	Required     bool     // of everybody, whether an account has one or not
	Providers    []string // of the linked logins, each once
	Browsers     int
	PasskeyLimit int // how many there may be; 0: passkeys can't be added and used here
}

// Overview gives it.
func (s *own) Overview(ctx context.Context, p principal.Principal) (Overview, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return Overview{}, err
	}
	out := Overview{Email: a.Email, Username: a.Username, Usernames: s.kit.Settings.Usernames, SecondFactor: a.SecondFactor, Required: s.kit.Settings.RequiresSecondFactor(a), PasskeyLimit: s.kit.Passkeys.MaxPerAccount()}
	if out.Factors, err = s.factors.Of(ctx, s.kit.DB, a.ID); err != nil {
		return Overview{}, err
	}
	hash, err := s.kit.Passwords.Find(ctx, s.kit.DB, a.ID)
	if err != nil {
		return Overview{}, err
	}
	out.Password = hash != ""
	logins, err := s.kit.Logins.List(ctx, s.kit.DB, a.ID)
	if err != nil {
		return Overview{}, err
	}
	seen := map[string]bool{}
	for _, l := range logins {
		if !seen[l.Provider] {
			seen[l.Provider] = true
			out.Providers = append(out.Providers, l.Provider)
		}
	}
	browsers, err := s.kit.Devices.List(ctx, s.kit.DB, a.ID)
	out.Browsers = len(browsers)
	return out, err
}

// RequireRecentAuth says whether somebody has shown lately enough who they are to change how they sign in: nil, or a fault with the
// code step_up_required, so that a page can ask before it shows a form that would be refused.
func (s *own) RequireRecentAuth(ctx context.Context, p principal.Principal) error {
	_, err := s.kit.RequireRecentAuth(ctx, p)
	return err
}

// Authenticator is how things stand with somebody's authenticator app.
type Authenticator struct {
	On      bool            // its codes are asked for
	Waiting bool            // it was begun and waits for its first code
	Secret  totp.Enrollment // while it waits
}

// Authenticator gives it. The secret is shown only to who has lately shown who they are; to others nothing waits.
func (s *own) Authenticator(ctx context.Context, p principal.Principal) (out Authenticator, err error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return out, err
	}
	if out.On, err = s.kit.TOTP.Enrolled(ctx, s.kit.DB, a.ID); err != nil || out.On || !s.kit.Recent(p, a) {
		return out, err
	}
	out.Secret, out.Waiting, err = s.kit.TOTP.Pending(ctx, s.kit.DB, a.ID, a.Email, s.kit.Settings.ServiceName)
	return out, err
}

// ThisDevice says which of somebody's browsers has the token; the nil id when none has.
func (s *own) ThisDevice(ctx context.Context, p principal.Principal, token string) (uuid.UUID, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return uuid.Nil, err
	}
	seen, err := s.kit.Devices.Look(ctx, s.kit.DB, a.ID, token)
	return seen.ID, err
}

// HasPassword says whether somebody has a password. It refuses, as changing or adding it would, who must show anew who they
// are first: the present password is proof enough where there is no second factor.
func (s *own) HasPassword(ctx context.Context, p principal.Principal) (has bool, err error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return false, err
	}
	hash, err := s.kit.Passwords.Find(ctx, s.kit.DB, a.ID)
	if err == nil && (hash == "" || a.SecondFactor) && !s.kit.Recent(p, a) {
		err = flow.ErrStepUpRequired
	}
	return hash != "", err
}
