package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
)

// What can be shown as a second factor, or to step up.
const (
	MethodTOTP         = "totp"
	MethodPasskey      = "passkey"
	MethodRecoveryCode = "recovery_code"
	MethodPassword     = "password" // to step up only
	MethodMail         = "mail"     // to step up only, for who has nothing else
)

// Factor is what somebody shows.
type Factor struct {
	Method     string
	Code       string // of the authenticator app, of the list of recovery codes, or mailed
	Password   string
	Ceremony   string // passkey: the token of the ceremony
	Credential []byte // passkey: what the browser answered, as JSON
	Flow       string // mail: the flow of the code
}

// Factors is what an account can show beside its password.
type Factors struct {
	TOTP          bool
	Passkeys      int
	RecoveryCodes int
}

func (s *Service) factorsOf(ctx context.Context, q store.Querier, accountID uuid.UUID) (f Factors, err error) {
	if f.TOTP, err = s.totp.Enrolled(ctx, q, accountID); err != nil {
		return f, err
	}
	if f.Passkeys, _, err = s.passkeys.Count(ctx, q, accountID); err != nil {
		return f, err
	}
	f.RecoveryCodes, err = s.codes.Remaining(ctx, q, accountID)
	return f, err
}

// second are the methods with which a sign-in can be ended. Recovery codes stand in for a factor and are none by themselves.
func (f Factors) second() []string {
	var out []string
	if f.TOTP {
		out = append(out, MethodTOTP)
	}
	if f.Passkeys > 0 {
		out = append(out, MethodPasskey)
	}
	if len(out) > 0 && f.RecoveryCodes > 0 {
		out = append(out, MethodRecoveryCode)
	}
	return out
}

// The answers to a factor that does not prove anything. They tell no more than that.
var (
	errFactor     = fault.New(fault.Unauthenticated, "wrong_factor", "That code is not right, or was used already.").At("code")
	errPasskey    = fault.New(fault.Unauthenticated, "passkey_refused", "This passkey could not be verified.")
	errNoMethod   = fault.New(fault.Invalid, "unknown_method", "This account can't show that. Choose another way.").At("method")
	errCloned     = fault.New(fault.Denied, "passkey_blocked", "This passkey may have been copied and is not taken any more. Use another way to sign in and remove it.")
	errOneFactor  = fault.New(fault.Denied, "another_factor_required", "This passkey can't be relied upon alone yet. Sign in another way, such as with your password, and confirm with the passkey once.")
	errIsFactor   = fault.New(fault.Denied, "step_up_required", "Please confirm that it is you first.")
	errLastWay    = fault.New(fault.Conflict, "last_way_in", "This is the last way into your account. Add a password or another passkey first.")
	errLastFactor = fault.New(fault.Conflict, "second_factor_required", "This service asks everybody for a second factor. Add another one first.")
)

// shown is a factor that has been looked at outside of any transaction; spend ends the matter inside of one.
type shown struct {
	method string
	amr    []string // RFC 8176
	alone  bool     // it is two factors in one
	// spend uses the factor up, with the account's row locked. A reason means that it proved nothing, and answer is what
	// the person is told; the transaction goes on, to write that down.
	spend func(ctx context.Context, tx *store.Tx, a account.Account) (reason string, answer error, err error)
}

// show looks at a factor of an account. purpose binds a passkey's ceremony to what it was begun for.
func (s *Service) show(ctx context.Context, a account.Account, f Factor, purpose passkey.Purpose) (shown, error) {
	switch f.Method {
	case MethodTOTP:
		return shown{method: f.Method, amr: []string{"otp"}, spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			got, err := s.totp.Spend(ctx, tx, a.ID, f.Code)
			return totpReason(got), errFactor, err
		}}, nil
	case MethodRecoveryCode:
		return shown{method: f.Method, amr: []string{"otp"}, spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			return s.spendRecoveryCode(ctx, tx, a, f.Code)
		}}, nil
	case MethodPasskey:
		return s.showPasskey(ctx, a.ID, f, purpose)
	}
	return shown{}, errNoMethod
}

func totpReason(o totp.Outcome) string {
	switch o {
	case totp.Right:
		return ""
	case totp.Replayed:
		return "replayed_code"
	case totp.None:
		return "not_enrolled"
	}
	return "wrong_code"
}

func (s *Service) spendRecoveryCode(ctx context.Context, tx *store.Tx, a account.Account, code string) (string, error, error) {
	ok, left, err := s.codes.Spend(ctx, tx, a.ID, code)
	if err != nil || !ok {
		return "wrong_code", errFactor, err
	}
	if err := s.record(ctx, tx, audit.Entry{
		Action: "mfa.recovery_code.used", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "otp", Metadata: map[string]any{"remaining": left},
	}); err != nil {
		return "", nil, err
	}
	return "", nil, s.notice(ctx, tx, a, mail.Letter{Purpose: mail.RecoveryCodeUsed, Count: left})
}

// showPasskey verifies what a passkey answered to a ceremony of an account.
func (s *Service) showPasskey(ctx context.Context, accountID uuid.UUID, f Factor, purpose passkey.Purpose) (shown, error) {
	as, err := s.passkeys.VerifyLogin(ctx, purpose, accountID, f.Ceremony, f.Credential)
	reason := string(passkey.ReasonOf(err))
	if err != nil && reason == "" {
		return shown{}, err
	}
	return s.verified(as, reason), nil
}

// verified is a passkey's answer that was verified, or was not, for a reason.
func (s *Service) verified(as passkey.Assertion, reason string) shown {
	sh := shown{method: MethodPasskey, amr: keyAMR(as.BackedUp), alone: as.TwoFactors}
	sh.spend = func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
		if reason != "" {
			return reason, errPasskey, nil
		}
		used, err := s.passkeys.Use(ctx, tx, as)
		why := string(passkey.ReasonOf(err))
		if err != nil && why == "" {
			return "", nil, err
		}
		if used.Regressed {
			if err := s.cloneAlarm(ctx, tx, a, as, used, why != ""); err != nil {
				return "", nil, err
			}
		}
		if passkey.Reason(why) == passkey.ReasonSignCount {
			return why, errCloned, nil
		}
		return why, errPasskey, nil
	}
	return sh
}

// keyAMR: a key that is kept in more than one place is not bound to hardware (RFC 8176 §2).
func keyAMR(backedUp bool) []string {
	if backedUp {
		return []string{"swk"}
	}
	return []string{"hwk"}
}

// cloneAlarm writes down that a passkey's counter did not rise, and tells the person (WebAuthn L3 §6.1.1).
func (s *Service) cloneAlarm(ctx context.Context, tx *store.Tx, a account.Account, as passkey.Assertion, used passkey.Used, blocked bool) error {
	if err := s.record(ctx, tx, audit.Entry{
		Action: "passkey.sign_count_regression", Actor: user(a.ID), AuthMethod: "hwk",
		Targets:  []audit.Ref{{Type: "passkey", ID: as.PasskeyID.String()}, user(a.ID)},
		Metadata: map[string]any{"stored": used.Stored, "presented": used.Presented, "blocked": blocked},
	}); err != nil {
		return err
	}
	k, err := s.passkeys.Get(ctx, tx, a.ID, as.PasskeyID)
	if err != nil {
		return err
	}
	return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.PasskeyCloneAlarm, Name: k.Name})
}

// factorFailed counts a factor that proved nothing and writes it down.
func (s *Service) factorFailed(ctx context.Context, tx *store.Tx, a account.Account, sh shown, reason string) error {
	if err := s.countFactor(ctx, tx, a, a.ID.String()); err != nil {
		return err
	}
	return s.record(ctx, tx, audit.Entry{
		Action: "mfa.challenge.failure", Reason: reason, Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: sh.amr[0],
		Metadata: map[string]any{"method": sh.method},
	})
}

// countFactor counts, and says in the log and to the person when that was the one after which there is a pause.
func (s *Service) countFactor(ctx context.Context, tx *store.Tx, a account.Account, key string) error {
	if err := s.factors.Fail(ctx, tx, key); err != nil {
		return err
	}
	full := s.factors.Check(ctx, tx, key)
	if full == nil || fault.KindOf(full) != fault.RateLimited {
		return full
	}
	if err := s.record(ctx, tx, audit.Entry{
		Action: "security.lockout", Reason: "too_many_failures", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)},
		Metadata: map[string]any{"scope": "second_factor", "seconds": int(fault.From(full).RetryAfter.Seconds())},
	}); err != nil {
		return err
	}
	return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.Lockout})
}
