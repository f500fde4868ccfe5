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
		c, err = s.passkeys.BeginLogin(ctx, tx, passkey.LoginOptions{Purpose: passkey.PurposeLogin, RequireUV: true})
		return err
	})
	return c, err
}

// SignInPasskey takes the answer and begins a session. A passkey that has verified its user is two factors in one (NIST SP
// 800-63B-4 §3.1.7): the session is at AAL2 and no second factor is asked. One whose verification can't be relied upon yet
// is one factor like any other.
func (s *Service) SignInPasskey(ctx context.Context, in PasskeySignIn) (SignedIn, error) {
	as, err := s.passkeys.VerifyLogin(ctx, passkey.PurposeLogin, uuid.Nil, in.Ceremony, in.Credential)
	if err != nil {
		return SignedIn{}, s.passkeyRefused(ctx, as.AccountID, err)
	}
	a, err := s.accounts.Get(ctx, as.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	sh := s.verified(as, "")
	amr := sh.amr
	if sh.alone {
		amr = with(amr, "mfa")
	}
	return s.complete(ctx, proof{
		account: a, method: MethodPasskey, amr: amr, twoFactors: sh.alone, persistent: in.Remember, device: in.Device, link: in.Link,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			reason, answer, err := sh.spend(ctx, tx, a)
			if err == nil && reason != "" {
				err = refusal{reason: reason, err: answer}
			}
			return err
		},
		refused: func(ctx context.Context, r refusal) error {
			// What change wrote went with its transaction: an alarm must not.
			if passkey.Reason(r.reason) == passkey.ReasonSignCount {
				if err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					_, _, err := sh.spend(ctx, tx, a)
					return err
				}); err != nil {
					return err
				}
			}
			return s.loginRefused(ctx, a, MethodPasskey, sh.amr[0], r)
		},
	})
}

// passkeyRefused writes down an answer that proved nothing. Whose passkey it claims to be is not believed.
func (s *Service) passkeyRefused(ctx context.Context, claimed uuid.UUID, why error) error {
	reason := string(passkey.ReasonOf(why))
	if reason == "" {
		return why
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.login.failure", Reason: reason, Actor: anonymous, Targets: []audit.Ref{user(claimed)}, AuthMethod: "hwk",
			Metadata: map[string]any{"method": MethodPasskey},
		})
	})
	if err != nil {
		return err
	}
	return why // for a passkey that nobody has, the page tells the browser so
}
