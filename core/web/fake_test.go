package web_test

import (
	"context"
	"errors"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/web"
)

// noAuth fails every flow with err; what a page calls beyond these is not there at all. noSessions knows nobody.
type noAuth struct {
	web.Auth
	err error
}

func (a noAuth) fail() error {
	if a.err == nil {
		return errors.New("no such flow here")
	}
	return a.err
}

func (a noAuth) Register(context.Context, auth.Registration) (auth.Registered, error) {
	return auth.Registered{}, a.fail()
}

func (a noAuth) Confirm(context.Context, auth.Confirmation) (auth.SignedIn, error) {
	return auth.SignedIn{}, a.fail()
}

func (a noAuth) LookConfirmation(context.Context, string) (string, error) { return "", a.fail() }

func (a noAuth) LookPassword(context.Context, string) (string, error) { return "", a.fail() }

func (a noAuth) SignIn(context.Context, auth.Credentials) (auth.SignedIn, error) {
	return auth.SignedIn{}, a.fail()
}

func (a noAuth) SignOut(context.Context, string) error { return a.fail() }

func (a noAuth) SetPassword(context.Context, auth.NewPassword) (auth.SignedIn, error) {
	return auth.SignedIn{}, a.fail()
}

type noSessions struct{}

func (noSessions) Resolve(context.Context, string) (principal.Principal, error) {
	return principal.Principal{}, fault.New(fault.Unauthenticated, "unauthenticated", "Sign in first.")
}

// noOwnFactors and noOwnAccount are there so that the account's pages are; nobody gets to call them.
type (
	noOwnFactors struct{ web.OwnFactors }
	noOwnAccount struct{ web.OwnAccount }
)
