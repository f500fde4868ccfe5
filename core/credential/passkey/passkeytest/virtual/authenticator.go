package virtual

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Step is one thing done in the browser.
type Step = chromedp.Action[chromedp.Void]

// Do does steps in one tab, and ends the test when they fail.
type Do func(what string, steps ...Step)

// Command is a command of the DevTools protocol as a step.
func Command[P, R any](c cdp.Command[P, R], params P) Step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

// Ask is a command whose answer matters.
func Ask[P, R any](do Do, c cdp.Command[P, R], params P) (out R) {
	do("ask the browser", chromedp.Func(func(ctx context.Context, target *chromedp.Target) (err error) {
		out, err = cdp.Call(ctx, target, c, params)
		return err
	}))
	return out
}

// Enable puts virtual authenticators in the place of whatever the machine has. A tab needs it before Plug.
func Enable() Step { return Command(webauthn.Enable, webauthn.EnableParams{}) }

// BeforePages runs a script before those of every page from here on.
func BeforePages(js string) Step {
	return Command(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: js})
}

// Options are what an authenticator can do.
type Options = webauthn.VirtualAuthenticatorOptions

// Credential is what one keeps, private key and all.
type Credential = webauthn.Credential

// Laptop verifies people, keeps passkeys and backs them up; USBKey does none of that.
var (
	Laptop = Options{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		DefaultBackupEligibility: true, DefaultBackupState: true,
	}
	USBKey = Options{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap20, Transport: webauthn.AuthenticatorTransportUsb,
		AutomaticPresenceSimulation: true,
	}
)

// U2F is a key of the time before passkeys.
func U2F() Options {
	o := USBKey
	o.Protocol, o.Ctap2version = webauthn.AuthenticatorProtocolU2f, ""
	return o
}

// Authenticator is one that the browser makes up.
type Authenticator struct {
	do Do
	id webauthn.AuthenticatorID
}

// Plug gives the tab an authenticator.
func Plug(do Do, o Options) *Authenticator {
	return &Authenticator{do, Ask(do, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o}).AuthenticatorID}
}

// Unplug takes it away.
func (v *Authenticator) Unplug() {
	Ask(v.do, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: v.id})
}

// Keeps gives what it keeps.
func (v *Authenticator) Keeps() []*Credential {
	return Ask(v.do, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: v.id}).Credentials
}

// Forget deletes a passkey on the device.
func (v *Authenticator) Forget(c *Credential) {
	Ask(v.do, webauthn.RemoveCredential, webauthn.RemoveCredentialParams{AuthenticatorID: v.id, CredentialID: c.CredentialID})
}

// Learn puts a passkey onto the device, such as one copied from another.
func (v *Authenticator) Learn(c Credential) {
	// The generated parameters name an extension that few authenticators have, even where it is not used.
	add := cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential}
	Ask(v.do, add, map[string]any{"authenticatorId": v.id, "credential": map[string]any{
		"credentialId": c.CredentialID, "isResidentCredential": c.IsResidentCredential, "rpId": c.RpID, "privateKey": c.PrivateKey, "userHandle": c.UserHandle,
		"signCount": c.SignCount, "backupEligibility": c.BackupEligibility, "backupState": c.BackupState, "userName": c.UserName, "userDisplayName": c.UserDisplayName,
	}})
}

// Recognize says whether the person's finger is the right one from here on.
func (v *Authenticator) Recognize(yes bool) {
	Ask(v.do, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: v.id, IsUserVerified: yes})
}

// Touch says whether the person touches it at once, or never: when it is asked the next time.
func (v *Authenticator) Touch(yes bool) {
	Ask(v.do, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: v.id, Enabled: yes})
}

// Spoil makes it answer wrongly.
func (v *Authenticator) Spoil(signature, uv, up bool) {
	Ask(v.do, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: v.id, IsBogusSignature: &signature, IsBadUV: &uv, IsBadUP: &up})
}
