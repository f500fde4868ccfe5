package web

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
)

// Services are the flows and stores that the pages call. *auth.Service is what is about signing in, *selfservice.Service what is one's own;
// what is nil is not offered. Their errors are *fault.Error where a person can do something about them.
type Services struct {
	Auth           Auth     // needed
	Sessions       Sessions // needed
	SecondFactors  SecondFactors
	PasskeySignIns PasskeySignIns
	MagicLinks     MagicLinks
	OwnFactors     OwnFactors
	OwnAccount     OwnAccount
	Logins         Logins
	OwnLogins      OwnLogins
	Signals        Signals   // nil: browsers are not told of passkeys that nobody has
	Providers      Providers // *federation.Service; needed with Logins
	Inbox          Inbox     // nil: no /dev/mail
}

// Auth is signing up, in and out, and a forgotten password.
type Auth interface {
	Register(ctx context.Context, r auth.Registration) (auth.Registered, error)
	ResendConfirmation(ctx context.Context, flow string) (auth.Requested, error)
	LookConfirmation(ctx context.Context, token string) (email string, err error)
	Confirm(ctx context.Context, c auth.Confirmation) (auth.SignedIn, error)
	SignIn(ctx context.Context, c auth.Credentials) (auth.SignedIn, error)
	SignOut(ctx context.Context, token string) error
	LookPassword(ctx context.Context, token string) (email string, err error)
	SetPassword(ctx context.Context, n auth.NewPassword) (auth.SignedIn, error)
	RequestReset(ctx context.Context, email string) (auth.Requested, error)
}

// Sessions answers who a token belongs to.
type Sessions interface {
	// Resolve gives the principal, or a fault of kind Unauthenticated.
	Resolve(ctx context.Context, token string) (principal.Principal, error)
}

// SecondFactors ends a sign-in that waits, and renews a session.
type SecondFactors interface {
	PendingSignIn(ctx context.Context, flow string) (auth.Pending, error)
	PendingPasskey(ctx context.Context, flow string) (passkey.Ceremony, error)
	PendingTOTP(ctx context.Context, flow string) (totp.Enrollment, error)
	WaitingTOTP(ctx context.Context, flow string) (e totp.Enrollment, waits bool, err error)
	FinishSignIn(ctx context.Context, f auth.SecondFactor) (auth.SignedIn, error)
	StepUpMethods(ctx context.Context, p principal.Principal) ([]string, error)
	StepUpPasskey(ctx context.Context, p principal.Principal) (passkey.Ceremony, error)
	StepUpMail(ctx context.Context, p principal.Principal) (flow string, err error)
	StepUp(ctx context.Context, p principal.Principal, f factor.Proof) (session.Issued, error)
	TrustFor() time.Duration // how long a browser may be spared it; 0: that is not offered
}

// PasskeySignIns is signing in with a passkey.
type PasskeySignIns interface {
	PasskeysOffered() bool // may change while running
	BeginPasskeySignIn(ctx context.Context) (passkey.Ceremony, error)
	SignInPasskey(ctx context.Context, in auth.PasskeySignIn) (auth.SignedIn, error)
}

// Signals says what browsers are to know of passkeys: whether nobody has one that was shown, and where else they are good; *passkey.Store does.
type Signals interface {
	UnknownCredential(err error) (passkey.Signals, bool)
	RelatedOrigins() (document []byte, ok bool) // other sites that may use the same passkeys
}

// MagicLinks is signing in by mail.
type MagicLinks interface {
	RequestMagicLink(ctx context.Context, email string) (auth.Requested, error)
	MagicLinkNumber(ctx context.Context, flow string) (string, error)
	MagicLinkApproved(ctx context.Context, flow string) (bool, error)
	LookMagicLink(ctx context.Context, token, flow string) (auth.Asking, error)
	ApproveMagicLink(ctx context.Context, token, number string) error
	SignInMagicLink(ctx context.Context, m auth.MagicLink) (auth.SignedIn, error)
}

// OwnFactors is what people do to their own factors.
type OwnFactors interface {
	FactorsOf(ctx context.Context, p principal.Principal) (f factor.Set, required bool, err error)
	Authenticator(ctx context.Context, p principal.Principal) (selfservice.Authenticator, error)
	BeginTOTP(ctx context.Context, p principal.Principal) (totp.Enrollment, error)
	ConfirmTOTP(ctx context.Context, p principal.Principal, code string) (selfservice.Enrolled, error)
	CancelTOTP(ctx context.Context, p principal.Principal) error
	RemoveTOTP(ctx context.Context, p principal.Principal) error
	RenewRecoveryCodes(ctx context.Context, p principal.Principal) (codes []string, err error)
	AskAfterPassword(ctx context.Context, p principal.Principal, on bool) (codes []string, err error)
	Passkeys(ctx context.Context, p principal.Principal) ([]passkey.Passkey, error)
	PasskeySignals(ctx context.Context, p principal.Principal) (passkey.Signals, error)
	BeginPasskey(ctx context.Context, p principal.Principal, conditional bool) (passkey.Ceremony, error)
	AddPasskey(ctx context.Context, p principal.Principal, f factor.Proof, name string) error
	RenamePasskey(ctx context.Context, p principal.Principal, id uuid.UUID, name string) error
	DeletePasskey(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// OwnAccount is what else people do to their own account.
type OwnAccount interface {
	Overview(ctx context.Context, p principal.Principal) (selfservice.Overview, error)
	RequireRecentAuth(ctx context.Context, p principal.Principal) error
	HasPassword(ctx context.Context, p principal.Principal) (has bool, err error)
	ChangePassword(ctx context.Context, p principal.Principal, current, next string) (session.Issued, error)
	AddPassword(ctx context.Context, p principal.Principal, next string) error
	ChangeUsername(ctx context.Context, p principal.Principal, username string) error
	RequestEmailChange(ctx context.Context, p principal.Principal, email string) (flow string, err error)
	LookEmailChange(ctx context.Context, token string, undo bool) (address string, err error)
	ConfirmEmailChange(ctx context.Context, current principal.Principal, c selfservice.EmailChange) error
	UndoEmailChange(ctx context.Context, token string) error
	Devices(ctx context.Context, p principal.Principal) ([]device.Device, error)
	ThisDevice(ctx context.Context, p principal.Principal, token string) (uuid.UUID, error)
	ForgetDevice(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// Logins is signing in at other providers.
type Logins interface {
	SignInFederated(ctx context.Context, c federation.Claims, signUp bool, device string) (auth.Federated, error)
	SignInPlugin(ctx context.Context, flow, device string) (out auth.Federated, returnTo string, err error)
	FederatedFailed(ctx context.Context, provider, stage, reason string, why error) error
	LookLink(ctx context.Context, flow string) (auth.LinkWaiting, error)
}

// OwnLogins are the links of somebody's own account to other providers.
type OwnLogins interface {
	LinkLogin(ctx context.Context, p principal.Principal, c federation.Claims) error
	Logins(ctx context.Context, p principal.Principal) ([]federation.Identity, error)
	UnlinkLogin(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// Inbox is the development mailbox.
type Inbox interface {
	List(ctx context.Context, to string) ([]mail.Received, error)
	Get(ctx context.Context, id uuid.UUID) (mail.Received, error) // fault NotFound
}

var _ interface {
	Auth
	SecondFactors
	PasskeySignIns
	MagicLinks
	Logins
} = (*auth.Service)(nil)

var _ interface {
	OwnFactors
	OwnAccount
	OwnLogins
} = (*selfservice.Service)(nil)
