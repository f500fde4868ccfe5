package factor

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/store"
)

// What can be shown as a second factor, or to step up.
const (
	TOTP         = "totp"
	Passkey      = "passkey"
	RecoveryCode = "recovery_code"
	Password     = "password" // to step up only
	Mail         = "mail"     // to step up only, by an account that has nothing else
)

// Proof is what somebody shows.
type Proof struct {
	Method     string
	Code       string // of the authenticator app, of the list of recovery codes, or mailed
	Password   string
	Ceremony   string // passkey: the token of the ceremony
	Credential []byte // passkey: what the browser answered, as JSON
	Flow       string // mail: the flow of the code
}

// Set is what an account can show beside its password.
type Set struct {
	TOTP          bool
	Passkeys      int
	RecoveryCodes int
}

// Second are the methods with which a sign-in can be ended. Recovery codes stand in for a factor and are none by themselves.
func (f Set) Second() []string {
	var out []string
	if f.TOTP {
		out = append(out, TOTP)
	}
	if f.Passkeys > 0 {
		out = append(out, Passkey)
	}
	if len(out) > 0 && f.RecoveryCodes > 0 {
		out = append(out, RecoveryCode)
	}
	return out
}

// The answers to a factor that does not prove anything. They tell no more than that.
var (
	ErrWrong   = fault.New(fault.Unauthenticated, "wrong_factor", "That code is not right, or was used already.").At("code")
	ErrMethod  = fault.New(fault.Invalid, "unknown_method", "This account can't show that. Choose another way.").At("method")
	ErrLast    = fault.New(fault.Conflict, "second_factor_required", "This service asks everybody for a second factor. Add another one first.")
	errPasskey = fault.New(fault.Unauthenticated, "passkey_refused", "This passkey could not be verified.")
	errCloned  = fault.New(fault.Denied, "passkey_blocked", "This passkey may have been copied and is not taken any more. Use another way to sign in and remove it.")
)

// Service verifies and counts factors, and keeps an account true to those it has. Safe for concurrent use.
type Service struct{ kit *flow.Kit }

// New makes a Service on what all flows use.
func New(kit *flow.Kit) (*Service, error) {
	if kit == nil {
		return nil, fmt.Errorf("factor: the kit of the flows is needed")
	}
	return &Service{kit: kit}, nil
}

// Of says what an account has.
func (s *Service) Of(ctx context.Context, q store.Querier, accountID uuid.UUID) (f Set, err error) {
	if f.TOTP, err = s.kit.TOTP.Enrolled(ctx, q, accountID); err != nil {
		return f, err
	}
	if f.Passkeys, _, err = s.kit.Passkeys.Count(ctx, q, accountID); err != nil {
		return f, err
	}
	f.RecoveryCodes, err = s.kit.Codes.Remaining(ctx, q, accountID)
	return f, err
}
