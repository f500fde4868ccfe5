package mail

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// The purposes of the core's own messages.
const (
	ConfirmEmail         = "confirm_email"          // link and code, to who signed up
	AlreadyRegistered    = "already_registered"     // what the owner gets instead
	PasswordSetLink      = "password_set_link"      // by an administrator
	PasswordReset        = "password_reset"         // link and code
	PasswordChanged      = "password_changed"       // notice
	MagicLink            = "magic_link"             // link and code, with who asked
	OTP                  = "otp"                    // code for a step-up by mail
	EmailChangeConfirm   = "email_change_confirm"   // link and code, to the new address
	EmailChangeNotice    = "email_change_notice"    // to the old address, with the undo link
	EmailChanged         = "email_changed"          // to the new address, or, with Valid, to the old one with the undo link
	EmailChangeUndone    = "email_change_undone"    // to the old address, which is the address again
	NewDevice            = "new_device"             // a new or suspicious sign-in
	MFAAdded             = "mfa_added"              // which Method
	MFARemoved           = "mfa_removed"            // which Method
	PasskeyAdded         = "passkey_added"          // which Name
	PasskeyRemoved       = "passkey_removed"        // which Name
	PasskeyCloneAlarm    = "passkey_clone_alarm"    // which Name
	RecoveryCodeUsed     = "recovery_code_used"     // Count are left
	RecoveryCodesRenewed = "recovery_codes_renewed" // notice
	OAuthLinked          = "oauth_linked"           // which Provider
	OAuthUnlinked        = "oauth_unlinked"         // which Provider
	Lockout              = "lockout"                // sign-in was slowed
	TokenCreated         = "token_created"          // which Name
	Invitation           = "invitation"             // link to join an organization, which Name says
	DeletionScheduled    = "deletion_scheduled"     // on which day it is Due
	AccountDeleted       = "account_deleted"        // the last one
	Test                 = "test"                   // sent by an administrator to see whether mail arrives
)

// The methods that notices about second factors speak of.
const (
	MethodTOTP          = "totp"
	MethodPasskey       = "passkey"
	MethodRecoveryCodes = "recovery_codes"
	MethodEmail         = "email"
)

// fewCodes is from when on recovery codes are said to run out.
const fewCodes = 3

// Letter is what the core's own messages are written from. Which fields one needs is in the purposes' table below; a missing one is an
// error. When, Device and IP are shown where they are set.
type Letter struct {
	Purpose  string
	To       string // an address
	Language string // BCP 47, as the person chose it; empty: the default
	// Link is where to confirm, sign in or set things right. Secret, where it carries a token. It never has the code in it.
	Link     string
	Code     string        // secret
	Valid    time.Duration // of link and code
	When     time.Time
	Due      time.Time // when it will happen
	IP       string
	Device   string    // the browser in words, such as "Firefox on Linux"
	Method   string    // MethodTOTP …
	Provider string    // a provider's display name
	Name     string    // what the owner calls a passkey or a token; the organization's, of an invitation
	Address  string    // the other address of a change
	Count    int       // of recovery codes left
	UserID   uuid.UUID // see Message.UserID
}

// field names a field of Letter that a purpose can't do without.
type field uint8

const (
	link field = 1 << iota
	code
	valid
	when
	due
	method
	provider
)

// purposes say what each message needs. Those with a code show a person who asked for it; all others are notices.
var purposes = []struct {
	name  string
	needs field
}{
	{ConfirmEmail, link | code | valid},
	{AlreadyRegistered, link},
	{PasswordSetLink, link | valid},
	{PasswordReset, link | code | valid},
	{PasswordChanged, link | when},
	{MagicLink, link | code | valid | when},
	{OTP, link | code | valid},
	{EmailChangeConfirm, link | code | valid},
	{EmailChangeNotice, link | valid | when},
	{EmailChanged, link | when},
	{EmailChangeUndone, link | when},
	{NewDevice, link | when},
	{MFAAdded, link | when | method},
	{MFARemoved, link | when | method},
	{PasskeyAdded, link | when},
	{PasskeyRemoved, link | when},
	{PasskeyCloneAlarm, link | when},
	{RecoveryCodeUsed, link | when},
	{RecoveryCodesRenewed, link | when},
	{OAuthLinked, link | when | provider},
	{OAuthUnlinked, link | when | provider},
	{Lockout, link | when},
	{TokenCreated, link | when},
	{Invitation, link | valid},
	{DeletionScheduled, link | due},
	{AccountDeleted, when},
	{Test, when},
}

// Purposes are the names of all the core's own messages.
func Purposes() []string {
	out := make([]string, len(purposes))
	for i, p := range purposes {
		out[i] = p.name
	}
	return out
}

func needs(purpose string) (field, bool) {
	for _, p := range purposes {
		if p.name == purpose {
			return p.needs, true
		}
	}
	return 0, false
}

// category is auth for whatever somebody waits for. The owner of an address learns of a sign-up with it in the same category as
// a stranger would, so that no mailer treats the two differently.
func category(purpose string) Category {
	need, _ := needs(purpose)
	switch {
	case need&code != 0, purpose == AlreadyRegistered, purpose == PasswordSetLink, purpose == Invitation:
		return Auth
	}
	return Notice
}

// check reports the first thing the letter lacks.
func (d Letter) check() error {
	need, ok := needs(d.Purpose)
	if !ok {
		return fmt.Errorf("no mail for the purpose %q", d.Purpose)
	}
	for _, f := range []struct {
		field
		name  string
		there bool
	}{
		{link, "Link", d.Link != ""}, {code, "Code", d.Code != ""}, {valid, "Valid", d.Valid > 0}, {when, "When", !d.When.IsZero()},
		{due, "Due", !d.Due.IsZero()}, {method, "Method", d.Method != ""}, {provider, "Provider", d.Provider != ""},
	} {
		if need&f.field != 0 && !f.there {
			return fmt.Errorf("mail %s: %s is missing", d.Purpose, f.name)
		}
	}
	if d.Link == "" {
		return nil
	}
	if u, err := url.Parse(d.Link); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("mail %s: the link is no https or http URL", d.Purpose)
	}
	return nil
}

// sanitize makes what came from outside fit for a mail that carries our name: one short line in which nothing looks like a link, so that
// a stranger can't have us deliver one by what their browser or passkey is called.
func sanitize(s string) string {
	var out []rune
	runes := []rune(oneLine(s))
	for i, r := range runes {
		if len(out) >= maxWords {
			out = append(out, '…')
			break
		}
		switch {
		case r == '/' && i+1 < len(runes) && runes[i+1] == '/', r == '@', r == '<', r == '>':
			continue
		}
		out = append(out, r)
		if (r == '.' || r == ':') && i+1 < len(runes) && unicode.IsLetter(runes[i+1]) {
			out = append(out, ' ') // a name of a host or a scheme would be made a link by mail programs
		}
	}
	return string(out)
}

const maxWords = 60

// oneLine replaces whatever can't be seen by spaces.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }), " ")
}

// address is an IP address in its usual form, or sanitized text where it is none.
func address(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return sanitize(s)
}

// Sample is a letter with something in every field, for previews and for trying templates out. Base is where its link leads.
func Sample(purpose, base string) Letter {
	at := time.Date(2026, 2, 1, 3, 4, 0, 0, time.UTC)
	d := Letter{
		Purpose: purpose, To: "ada@example.org", Link: strings.TrimRight(base, "/") + "/example?token=not-a-token", When: at, IP: "192.0.2.17", Device: "Firefox on Linux",
	}
	need, _ := needs(purpose)
	if need&code != 0 {
		d.Code = "123456"
	}
	if need&valid != 0 {
		d.Valid = 10 * time.Minute
	}
	switch purpose {
	case MFAAdded, MFARemoved:
		d.Method = MethodTOTP
	case PasskeyAdded, PasskeyRemoved, PasskeyCloneAlarm:
		d.Name = "Ada's laptop"
	case TokenCreated:
		d.Name = "backup job"
	case Invitation:
		d.Name, d.Valid = "Acme Inc.", 7*24*time.Hour
	case OAuthLinked, OAuthUnlinked:
		d.Provider = "Google"
	case EmailChangeNotice, EmailChanged:
		d.Address, d.Valid = "lovelace@example.org", 24*time.Hour
	case RecoveryCodeUsed:
		d.Count = fewCodes
	case DeletionScheduled:
		d.Due = at.AddDate(0, 0, 30)
	case ConfirmEmail, PasswordSetLink:
		d.Valid = 48 * time.Hour
	case AccountDeleted, Test:
		d.Link, d.IP, d.Device = "", "", ""
	}
	return d
}
