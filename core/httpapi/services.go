package httpapi

import (
	"context"

	"github.com/sigra-auth/sigra/core/audit"
)

// Services are the parts of the server that the operations call, one for each domain of the API.
type Services struct {
	// Signing up, in and out.
	SignUps        SignUps
	SignIns        SignIns
	PasswordResets PasswordResets
	SecondFactors  SecondFactors
	PasskeySignIns PasskeySignIns
	MagicLinks     MagicLinks
	Providers      Providers
	StepUps        StepUps
	LoginMethods   LoginMethods // nil: no plugins
	SessionTokens  SessionTokens

	// What people do to their own account.
	OwnProfile    OwnProfile
	OwnPassword   OwnPassword
	OwnFactors    OwnFactors
	OwnPasskeys   OwnPasskeys
	OwnEmail      OwnEmail
	OwnUsername   OwnUsername
	OwnDevices    OwnDevices
	OwnSessions   OwnSessions
	OwnMetadata   OwnMetadata
	Logins        Logins
	MetadataLimit func() int64 // bytes of a body that changes metadata; nil: the most there can be

	// Organizations. *membership.Service is all of them.
	Organizations           Organizations
	OrganizationMembers     OrganizationMembers
	OrganizationInvitations OrganizationInvitations
	OrganizationDomains     OrganizationDomains
	OwnInvitations          OwnInvitations
	OrganizationSwitch      OrganizationSwitch

	// Administration.
	Users        Users
	Accounts     Accounts
	UserSessions UserSessions
	UserMetadata UserMetadata
	Exports      Exports
	Relay        Relay
	Plugins      Plugins
	Keys         Keys
	Applications ApplicationKeys
	System       System
	Mail         Mail

	Audit  AuditLog
	Events Events
	// Note writes an audit row for what changes nothing by itself: an export, a refusal. Nil means it is not recorded.
	Note  func(ctx context.Context, e audit.Entry) error
	Inbox Inbox // nil where mail is not kept for development: then its operations do not exist
}

// domains are the parts of the API. Routes are tried in this order, so the one that is asked most comes first.
func (s Services) domains(k *kit, closing <-chan struct{}) []domain {
	return []domain{
		sessionCheck{k}, sessionTokens{k, s.SessionTokens},
		signUp{s.SignUps}, signIn{k, s.SignIns}, passwordReset{s.PasswordResets}, secondFactor{s.SecondFactors}, passkeySignIn{s.PasskeySignIns},
		magicLink{s.MagicLinks}, providers{s.Providers}, stepUp{s.StepUps}, loginMethods{s.LoginMethods},
		accountProfile{s.OwnProfile}, accountPassword{s.OwnPassword}, accountFactors{s.OwnFactors}, accountPasskeys{s.OwnPasskeys}, accountEmail{k, s.OwnEmail},
		accountUsername{s.OwnUsername}, accountDevices{s.OwnDevices}, accountSessions{s.OwnSessions}, accountLogins{s.Logins}, accountMetadata{s.OwnMetadata, s.MetadataLimit},
		organizations{s.Organizations}, organizationMembers{s.OrganizationMembers}, organizationInvitations{s.OrganizationInvitations}, organizationDomains{s.OrganizationDomains},
		ownInvitations{s.OwnInvitations}, organizationSwitch{s.OrganizationSwitch},
		hostEvents{k, s.Events}, adminEvents{s.Events},
		auditQuery{s.Audit}, auditExport{k, s.Audit}, auditStream{k, s.Audit, closing, make(chan struct{}, maxStreams)},
		adminUsers{k, s.Users, s.Accounts, s.UserSessions}, adminExport{s.Exports}, adminMetadata{s.UserMetadata, s.MetadataLimit}, adminRelay{s.Relay}, adminPlugins{s.Plugins},
		adminSystem{s.System}, adminKeys{s.Keys}, adminApplications{s.Applications}, adminMail{s.Mail}, devMail{s.Inbox},
	}
}
