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
	web.SignUps
	web.PasswordResets
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

// noFlows are the flows that there must be.
func noFlows(err error) web.Services {
	flows := noAuth{err: err}
	return web.Services{SignUps: flows, SignIns: flows, PasswordResets: flows, Sessions: noSessions{}, Recent: func(context.Context, principal.Principal) error { return nil }}
}

// noAccount is there so that the account's pages are; nobody gets to call it.
type noAccount struct {
	web.OwnAccount
	web.OwnPassword
	web.OwnUsername
	web.OwnEmail
	web.OwnTOTP
	web.OwnCodes
	web.OwnDevices
	web.OwnPasskeys
}

// withAccount adds the pages of the account.
func withAccount(s web.Services) web.Services {
	none := noAccount{}
	s.Account, s.OwnPassword, s.OwnUsername, s.OwnEmail, s.OwnTOTP, s.OwnCodes, s.OwnDevices, s.OwnPasskeys = none, none, none, none, none, none, none, none
	return s
}
