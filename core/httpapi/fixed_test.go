package httpapi_test

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/sessionjwt"
	"github.com/sigra-auth/sigra/core/store"
)

// fixed gives fixed answers for the parts whose own tests are elsewhere, so that the edge can be held byte by byte.
type fixed struct{}

var (
	_ httpapi.SignUps        = fixed{}
	_ httpapi.SignIns        = fixed{}
	_ httpapi.PasswordResets = fixed{}
	_ httpapi.OwnPassword    = fixed{}
	_ httpapi.Users          = fixed{}
	_ httpapi.Plugins        = fixed{}
	_ httpapi.System         = fixed{}
	_ httpapi.Keys           = fixed{}
)

var fixedTime = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)

func fixedSignedIn(persistent bool) auth.SignedIn {
	return auth.SignedIn{Token: "tok-1", Persistent: persistent, Principal: principal.Principal{
		Kind: principal.User, UserID: uuid.MustParse("0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"), SessionID: uuid.MustParse("0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b12"),
		Email: "ada@example.com", Display: "ada@example.com", AAL: "aal1", AMR: []string{"pwd"},
		AuthTime: fixedTime, CreatedAt: fixedTime, ExpiresAt: fixedTime.Add(24 * time.Hour),
	}}
}

// errInner is what a broken part says: it must never be shown.
var errInner = errors.New(`pq: syntax error at or near "SELECT" in store.go:12 *pgconn.PgError`)

func (fixed) Register(_ context.Context, r auth.Registration) (auth.Registered, error) {
	if r.Email == "broken@example.com" {
		return auth.Registered{}, errInner
	}
	if r.Email == "deferred@example.com" {
		in := fixedSignedIn(false)
		return auth.Registered{Flow: "flow-1", SignedIn: &in}, nil
	}
	return auth.Registered{Flow: "flow-1"}, nil
}

func (fixed) Confirm(_ context.Context, c auth.Confirmation) (auth.SignedIn, error) {
	return fixedSignedIn(false), nil
}

func (fixed) SignIn(ctx context.Context, c auth.Credentials) (auth.SignedIn, error) {
	switch c.Password {
	case "wrong":
		return auth.SignedIn{}, fault.New(fault.Unauthenticated, "invalid_credentials", "The email address or the password is wrong.").Because(errInner)
	case "slow down":
		return auth.SignedIn{}, fault.New(fault.RateLimited, "too_many_attempts", "Too many attempts.").After(90*time.Second + time.Millisecond)
	case "busy":
		return auth.SignedIn{}, fault.New(fault.Unavailable, "busy", "Busy.").After(2 * time.Second)
	case "denied":
		return auth.SignedIn{}, fault.New(fault.Denied, "sign_in_refused", "A rule refused this sign-in.")
	case "internal fault":
		return auth.SignedIn{}, fault.New(fault.Internal, "secret_code", "secret words").Because(errInner)
	case "broken":
		return auth.SignedIn{}, errInner
	case "panic":
		panic(errInner)
	}
	return fixedSignedIn(c.Remember), nil
}

func (fixed) SignOut(_ context.Context, token string) error {
	if token == "gone" {
		return fault.New(fault.Unauthenticated, "unauthenticated", "Sign in first.")
	}
	return nil
}

func (fixed) ChangePassword(_ context.Context, _ principal.Principal, current, _ string) (session.Issued, error) {
	if current == "wrong" {
		return session.Issued{}, fault.New(fault.Denied, "wrong_password", "The current password is wrong.").At("current_password")
	}
	in := fixedSignedIn(true)
	return session.Issued{Token: in.Token, Principal: in.Principal, Persistent: in.Persistent}, nil
}

func (fixed) RequestReset(context.Context, string) (auth.Requested, error) {
	return auth.Requested{Flow: "flow-2"}, nil
}

func (fixed) ResendConfirmation(context.Context, string) (auth.Requested, error) {
	return auth.Requested{Flow: "flow-3"}, nil
}

func (fixed) SetPassword(_ context.Context, n auth.NewPassword) (auth.SignedIn, error) {
	if len(n.Password) < 8 {
		return auth.SignedIn{}, fault.New(fault.Invalid, "password_too_short", "The password needs at least 8 bytes.").At("password")
	}
	return fixedSignedIn(false), nil
}

func (fixed) RevokeSessions(context.Context, audit.Ref, string, uuid.UUID) (session.Ended, error) {
	return nil, errInner
}

func (fixed) SetUsername(context.Context, audit.Ref, uuid.UUID, string) error { return nil }

func (fixed) CreateUser(_ context.Context, _ audit.Ref, n administration.NewUser) (account.Account, string, error) {
	if n.Email == "ada@example.com" {
		return account.Account{}, "", account.ErrEmailTaken
	}
	return account.Account{ID: uuid.MustParse("0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"), Email: n.Email, Status: account.Unconfirmed}, "link-token", nil
}
func (fixed) ResetLink(context.Context, audit.Ref, uuid.UUID) (string, error) {
	return "link-token", nil
}
func (fixed) ResetFactors(context.Context, audit.Ref, uuid.UUID) error { return nil }
func (fixed) Unlock(context.Context, audit.Ref, uuid.UUID) error       { return nil }
func (fixed) Disable(context.Context, audit.Ref, uuid.UUID) error      { return nil }
func (fixed) Enable(context.Context, audit.Ref, uuid.UUID) error {
	return fault.New(fault.Conflict, "account_active", "The account is active.")
}
func (fixed) Delete(context.Context, audit.Ref, uuid.UUID) error { return nil }

var errNoPlugin = fault.New(fault.NotFound, "plugin_not_found", "There is no such plugin.")

func (fixed) List(context.Context) ([]httpapi.PluginStatus, error) {
	return []httpapi.PluginStatus{{Name: "threadline", State: "ready", Source: "bundled"}}, nil
}
func (fixed) Info(_ context.Context, name string) (httpapi.PluginInfo, error) {
	if name != "threadline" {
		return httpapi.PluginInfo{}, errNoPlugin
	}
	return httpapi.PluginInfo{PluginStatus: httpapi.PluginStatus{Name: name, State: "ready", Source: "bundled"}}, nil
}
func (fixed) Check(_ context.Context, name string) (httpapi.PluginCheck, error) {
	return httpapi.PluginCheck{OK: true, Name: name}, nil
}
func (fixed) Restart(_ context.Context, _ audit.Ref, name string) error {
	if name != "threadline" {
		return errNoPlugin
	}
	return nil
}
func (fixed) Run(_ context.Context, _ audit.Ref, name string, c httpapi.PluginCommandCall, out func(httpapi.PluginCommandOutput) error) (httpapi.PluginCommandEnd, error) {
	if name != "threadline" {
		return httpapi.PluginCommandEnd{}, fault.New(fault.NotFound, "plugin_not_found", "There is no such plugin.")
	}
	err := out(httpapi.PluginCommandOutput{Stdout: []byte("ran " + c.Command)})
	return httpapi.PluginCommandEnd{}, err
}

func (fixed) Purge(context.Context, audit.Ref, string) error {
	return fault.New(fault.Conflict, "plugin_running", "The plugin is running.")
}

func (fixed) Reload(_ context.Context, actor audit.Ref) (httpapi.Reloaded, error) {
	if actor.ID == "1000/alice" {
		return httpapi.Reloaded{Diagnostics: []httpapi.Diagnostic{{Severity: "error", Summary: "Unsupported argument", Detail: "Did you mean listen?", File: "sigra.hcl", Line: 3, Column: 5}}}, nil
	}
	return httpapi.Reloaded{Applied: true, Changed: []string{"plugin threadline added"}}, nil
}
func (fixed) Status(context.Context) (httpapi.Status, error) {
	return httpapi.Status{Version: "test", Node: "a", Ready: true}, nil
}
func (fixed) Migrations(context.Context) ([]store.Migration, error) {
	return []store.Migration{{Version: 2026112310, Name: "2026112310_audit.sql", Applied: true, At: fixedTime}}, nil
}

func (fixed) Keys() []keyring.Key {
	return []keyring.Key{{ID: uuid.MustParse("0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"), State: "active", CreatedAt: fixedTime}}
}
func (fixed) Root() string { return "abcd" }
func (fixed) SigningKeys() []sessionjwt.Key {
	return []sessionjwt.Key{{ID: uuid.Nil, State: sessionjwt.Current, Since: time.Unix(0, 0)}}
}
func (fixed) RotateSigningKey(context.Context, audit.Ref) error { return nil }
func (fixed) IssueToken(_ context.Context, who principal.Principal) (sessionjwt.Token, error) {
	return sessionjwt.Token{Token: "of " + who.Email, ExpiresAt: who.ExpiresAt}, nil
}
func (fixed) TokenKeys() []byte { return []byte(`{"keys":[]}`) }
func (fixed) RotateKeys(context.Context, audit.Ref) (keyring.Key, error) {
	return keyring.Key{ID: uuid.MustParse("0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b12"), State: "active", CreatedAt: fixedTime}, nil
}

func (fixed) AddPassword(context.Context, principal.Principal, string) error { return nil }

// anytime takes everybody for somebody who has proved who they are a moment ago.
func anytime(context.Context, principal.Principal) error { return nil }

// noMail is an empty development inbox.
type noMail struct{}

func (noMail) List(context.Context, string) ([]mail.Received, error) { return nil, nil }
func (noMail) Get(context.Context, uuid.UUID) (mail.Received, error) {
	return mail.Received{}, fault.New(fault.NotFound, "mail_not_found", "There is no such message.")
}
