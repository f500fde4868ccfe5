package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/store"
)

// PasskeySignIn is what a browser answers to BeginPasskeySignIn.
type PasskeySignIn struct {
	Ceremony   string
	Credential []byte
	Remember   bool
	Device     string
	Link       string // see Credentials
}

// BeginPasskeySignIn begins a sign-in for which nobody says who they are: the browser offers the passkeys it has, and the
// one that answers names its account. So there is nothing to learn from the options (ASVS 5.0 6.3.8): they are the same
// for everybody.
func (s *Service) BeginPasskeySignIn(ctx context.Context) (c passkey.Ceremony, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = s.passkeys.BeginLogin(ctx, tx, passkey.LoginOptions{Purpose: passkeyFirst, RequireUV: true})
		return err
	})
	return c, err
}

// SignInPasskey takes the answer and begins a session. The passkey has verified its user, so it is two factors in one
// (NIST SP 800-63B-4 §3.1.7): the session is at AAL2 and no second factor is asked.
func (s *Service) SignInPasskey(ctx context.Context, in PasskeySignIn) (SignedIn, error) {
	as, err := s.passkeys.VerifyLogin(ctx, in.Ceremony, passkeyFirst, in.Credential)
	if err != nil {
		return SignedIn{}, s.passkeyRefused(ctx, account.Account{ID: as.AccountID}, err)
	}
	a, err := s.accounts.Get(ctx, as.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	if err := s.factors.Check(ctx, s.db, a.ID.String()); err != nil {
		return SignedIn{}, err
	}
	sh := s.verified(as)
	var blocked bool
	out, err := s.complete(ctx, proof{
		account: a, method: MethodPasskey, amr: with(sh.amr, "mfa"), twoFactors: true, persistent: in.Remember, device: in.Device, link: in.Link,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			reason, answer, err := sh.spend(ctx, tx, a)
			if err == nil && reason != "" {
				blocked = reason == reasonCloned
				err = refusal{reason: reason, err: answer}
			}
			return err
		},
		refused: func(ctx context.Context, r refusal) error {
			if blocked { // what change wrote of it went with its transaction
				if err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.cloneAlarm(ctx, tx, a, sh) }); err != nil {
					return err
				}
			}
			return s.loginRefused(ctx, a, MethodPasskey, sh.amr[0], r)
		},
	})
	return out, err
}

// passkeyRefused writes down an answer that proved nothing. Whose passkey it claims to be is not believed.
func (s *Service) passkeyRefused(ctx context.Context, a account.Account, why error) error {
	reason := passkey.Reason(why)
	if reason == "" {
		return why
	}
	target := user(uuid.Nil)
	if a.ID != uuid.Nil {
		target = user(a.ID)
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.login.failure", Reason: reason, Actor: anonymous, Targets: []audit.Ref{target}, AuthMethod: "hwk",
			Metadata: map[string]any{"method": MethodPasskey},
		})
	})
	if err != nil {
		return err
	}
	return errPasskey
}
