package auth

import (
	"context"

	"github.com/sigra-auth/sigra/core/membership"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/store"
)

// PasskeySignIn is what a browser answers to BeginPasskeySignIn.
type PasskeySignIn struct {
	Ceremony     string
	Credential   []byte
	Remember     bool
	Device       string
	Link         string    // see Credentials
	Organization uuid.UUID // where the session is to begin; uuid.Nil: wherever the person was last
}

// passkeySignIns signs in by passkey alone.
type passkeySignIns struct{ *machine }

// BeginPasskeySignIn begins a sign-in for which nobody says who they are: the browser offers the passkeys it has, and the
// one that answers names its account. So there is nothing to learn from the options (ASVS 5.0 6.3.8): they are the same
// for everybody.
func (s *passkeySignIns) BeginPasskeySignIn(ctx context.Context) (c passkey.Ceremony, err error) {
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = s.kit.Passkeys.BeginLogin(ctx, tx, passkey.LoginOptions{Purpose: passkey.PurposeLogin, RequireUV: true})
		return err
	})
	return c, err
}

// SignInPasskey takes the answer and begins a session. A passkey that has verified its user is two factors in one (NIST SP
// 800-63B-4 §3.1.7): the session is at AAL2 and no second factor is asked. One whose verification can't be relied upon yet
// is one factor like any other.
func (s *passkeySignIns) SignInPasskey(ctx context.Context, in PasskeySignIn) (SignedIn, error) {
	as, err := s.kit.Passkeys.VerifyLogin(ctx, passkey.PurposeLogin, uuid.Nil, in.Ceremony, in.Credential)
	if err != nil {
		return SignedIn{}, s.passkeyRefused(ctx, as.AccountID, err)
	}
	a, err := s.kit.Accounts.Get(ctx, as.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	sh := s.factors.VerifiedPasskey(as, "")
	amr := sh.AMR
	if sh.TwoFactors {
		amr = factor.With(amr, "mfa")
	}
	return s.complete(ctx, proof{
		account: a, method: factor.Passkey, amr: amr, twoFactors: sh.TwoFactors, persistent: in.Remember, device: in.Device, link: in.Link, entry: membership.Entry{OrganizationID: in.Organization},
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			reason, answer, err := sh.Spend(ctx, tx, a)
			if err == nil && reason != "" {
				err = flow.Refusal{Reason: reason, Err: answer}
			}
			return err
		},
		refused: func(ctx context.Context, r flow.Refusal) error {
			// What change wrote went with its transaction: an alarm must not.
			if passkey.Reason(r.Reason) == passkey.ReasonSignCount {
				if err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					_, _, err := sh.Spend(ctx, tx, a)
					return err
				}); err != nil {
					return err
				}
			}
			return s.loginRefused(ctx, a, factor.Passkey, sh.AMR[0], r)
		},
	})
}

// passkeyRefused writes down an answer that proved nothing. Whose passkey it claims to be is not believed.
func (s *passkeySignIns) passkeyRefused(ctx context.Context, claimed uuid.UUID, why error) error {
	reason := string(passkey.ReasonOf(why))
	if reason == "" {
		return why
	}
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "auth.login.failure", Reason: reason, Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(claimed)}, AuthMethod: "hwk",
			Metadata: map[string]any{"method": factor.Passkey},
		})
	})
	if err != nil {
		return err
	}
	return why // for a passkey that nobody has, the page tells the browser so
}

// PasskeysOffered reports whether people can sign in with passkeys.
func (s *passkeySignIns) PasskeysOffered() bool { return s.kit.Passkeys.Enabled() }
