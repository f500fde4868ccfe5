package flow

import "github.com/sigra-auth/sigra/core/onetime"

// The purposes of one-time secrets.
const (
	Confirmation    onetime.Purpose = "confirm_email"     // of a sign-up
	SetPassword     onetime.Purpose = "set_password"      // a reset's, or an administrator's link
	MagicLink       onetime.Purpose = "magic_link"        // to sign in
	PendingSignIn   onetime.Purpose = "second_factor"     // between first and second factor; never mailed
	StepUpCode      onetime.Purpose = "step_up"           // mailed
	EmailChange     onetime.Purpose = "email_change"      // to the new address
	EmailChangeUndo onetime.Purpose = "email_change_undo" // to the old address
	PendingLink     onetime.Purpose = "link_login"        // a login elsewhere, until the account's own credential is shown
	PluginState     onetime.Purpose = "plugin_state"      // begun by a plugin, until its provider answers
	PluginSignIn    onetime.Purpose = "plugin_sign_in"    // verified by a plugin, until the browser goes on
)

// waitingPurposes and mailedPurposes are those that End ends, scope by scope.
var (
	waitingPurposes = []onetime.Purpose{PendingSignIn, PendingLink}
	mailedPurposes  = []onetime.Purpose{Confirmation, SetPassword, MagicLink, StepUpCode, EmailChange}
)
