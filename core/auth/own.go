package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/principal"
)

// Own is what somebody's account looks like to themselves: what they sign in with, and what they could add.
type Own struct {
	Email        string
	Username     string    // empty: none
	Usernames    Usernames // whether there may be one, or must
	Password     bool      // there is one
	Factors      Factors
	SecondFactor bool     // one is asked for after every first factor
	Required     bool     // of everybody, whether an account has one or not
	Providers    []string // of the linked logins, each once
	Browsers     int
	PasskeyLimit int // how many there may be; 0: passkeys can't be added and used here
}

// Own gives it.
func (s *Service) Own(ctx context.Context, p principal.Principal) (Own, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return Own{}, err
	}
	out := Own{Email: a.Email, Username: a.Username, Usernames: s.set.Usernames, SecondFactor: a.SecondFactor, Required: s.set.RequireSecondFactor, PasskeyLimit: s.passkeys.MaxPerAccount()}
	if out.Factors, err = s.factorsOf(ctx, s.db, a.ID); err != nil {
		return Own{}, err
	}
	hash, err := s.passwords.Find(ctx, s.db, a.ID)
	if err != nil {
		return Own{}, err
	}
	out.Password = hash != ""
	logins, err := s.logins.List(ctx, s.db, a.ID)
	if err != nil {
		return Own{}, err
	}
	seen := map[string]bool{}
	for _, l := range logins {
		if !seen[l.Provider] {
			seen[l.Provider] = true
			out.Providers = append(out.Providers, l.Provider)
		}
	}
	browsers, err := s.devices.List(ctx, s.db, a.ID)
	out.Browsers = len(browsers)
	return out, err
}

// Sure says whether somebody has shown lately enough who they are to change how they sign in: nil, or a fault with the
// code step_up_required, so that a page can ask before it shows a form that would be refused.
func (s *Service) Sure(ctx context.Context, p principal.Principal) error {
	_, err := s.sure(ctx, p)
	return err
}

// Authenticator is how things stand with somebody's authenticator app.
type Authenticator struct {
	On      bool            // its codes are asked for
	Waiting bool            // it was begun and waits for its first code
	Secret  totp.Enrollment // while it waits
}

// Authenticator gives it. The secret is shown only to who has lately shown who they are; to others nothing waits.
func (s *Service) Authenticator(ctx context.Context, p principal.Principal) (out Authenticator, err error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return out, err
	}
	if out.On, err = s.totp.Enrolled(ctx, s.db, a.ID); err != nil || out.On || !s.fresh(p, a) {
		return out, err
	}
	out.Secret, out.Waiting, err = s.totp.Pending(ctx, s.db, a.ID, a.Email, s.set.ServiceName)
	return out, err
}

// ThisDevice says which of somebody's browsers has the token; the nil id when none has.
func (s *Service) ThisDevice(ctx context.Context, p principal.Principal, token string) (uuid.UUID, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return uuid.Nil, err
	}
	seen, err := s.devices.Look(ctx, s.db, a.ID, token)
	return seen.ID, err
}

// PasswordOf says whether somebody has a password. It refuses, as changing or adding it would, who must show anew who they
// are first: the present password is proof enough where there is no second factor.
func (s *Service) PasswordOf(ctx context.Context, p principal.Principal) (has bool, err error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return false, err
	}
	hash, err := s.passwords.Find(ctx, s.db, a.ID)
	if err == nil && (hash == "" || a.SecondFactor) && !s.fresh(p, a) {
		err = errIsFactor
	}
	return hash != "", err
}
