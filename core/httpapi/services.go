package httpapi

import (
	"context"

	"github.com/sigra-auth/sigra/core/audit"
)

// Services are the parts of the server that the operations call.
type Services struct {
	Auth           Auth
	SecondFactors  SecondFactors
	PasskeySignIns PasskeySignIns
	MagicLinks     MagicLinks
	OwnFactors     OwnFactors
	OwnAccount     OwnAccount
	OwnMetadata    OwnMetadata
	Providers      Providers
	Logins         Logins
	Users          Users
	Accounts       Accounts
	UserSessions   UserSessions
	UserMetadata   UserMetadata
	Audit          AuditLog
	Events         Events
	Relay          Relay
	Plugins        Plugins
	Keys           Keys
	System         System
	Mail           Mail
	// Note writes an audit row for what changes nothing by itself: an export, a refusal. Nil means it is not recorded.
	Note  func(ctx context.Context, e audit.Entry) error
	Inbox Inbox // nil where mail is not kept for development: then its operations do not exist
}

func (a *API) mountAdmin() {
	a.mountUsers()
	a.mountRelay()
	a.mountPlugins()
	a.mountSystem()
	a.mountMail()
	a.mountInbox()
}
