package auth_test

import (
	"slices"

	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/principal"
)

// What must come of every way to sign in, written from the package comment and from nothing else, so that it can be wrong in
// other ways than the code.

// first is a way to show a first factor.
type first struct {
	name     string
	amr      string // RFC 8176
	both     bool   // both factors in one
	passkey  bool   // it is a passkey, which is not a second factor to itself
	mailed   bool   // it rests on a one-time secret
	owner    bool   // it shows the mailbox of an unconfirmed account: whatever is there was put there by who knows whom
	made     bool   // it makes the account
	sets     bool   // it sets a new password
	vouched  bool   // another provider says so
	password bool   // it is the password
	proved   []string
	retired  outcome // where what was mailed was ended before: a browser that has the flow sees what any stranger's sees
}

var firsts = []first{
	{name: "password", amr: "pwd", password: true},
	{name: "magic link", amr: "otp", mailed: true, proved: []string{"auth.magic_link_verify.success"}},
	{name: "magic link's code", amr: "otp", mailed: true, retired: refused("wrong_code", "auth.magic_link_verify.failure/wrong_code"), proved: []string{"auth.magic_link_verify.success"}},
	{name: "magic link approved elsewhere", amr: "otp", mailed: true, retired: refused("not_approved"), proved: []string{"auth.magic_link_verify.success"}},
	{name: "reset link", amr: "otp", mailed: true, sets: true, proved: []string{"auth.password_reset.success"}},
	{name: "reset code", amr: "otp", mailed: true, retired: refused("wrong_code", "auth.password_reset.failure/wrong_code"), sets: true, proved: []string{"auth.password_reset.success"}},
	{name: "administrator's link", amr: "otp", mailed: true, sets: true, proved: []string{"auth.password_reset.success"}},
	{name: "confirmation code", amr: "otp", mailed: true, retired: refused("wrong_code", "auth.confirmation.failure/wrong_code"), owner: true, proved: []string{"auth.confirmation.success"}},
	{name: "confirmation link", amr: "otp", mailed: true, owner: true, proved: []string{"auth.confirmation.success"}},
	{name: "confirmation link and password", amr: "pwd", mailed: true, owner: true, proved: []string{"auth.confirmation.success"}},
	{name: "passkey", amr: "swk", passkey: true, both: true},
	{name: "passkey not relied upon", amr: "swk", passkey: true},
	{name: "federated login", amr: "fed", vouched: true, proved: []string{"oauth.login.success"}},
	{name: "deferred registration", amr: "pwd", made: true},
}

// change is what happens to the account in the middle of a sign-in.
type change string

const (
	disabled     change = "disabled"
	newPassword  change = "password changed"
	factorsReset change = "factors reset"
	factorAdded  change = "factor added"
)

// when it happens.
type when string

const (
	before  when = "before"              // the first factor is shown, when it is at hand already
	atGate  when = "while a gate thinks" // between the proof and the transaction
	between when = "between the factors"
)

// state is what an account has and what else the answer rests on.
type state struct {
	name string
	has
	policy     bool // a second factor is asked of everybody
	suspecting bool // and in suspicious sign-ins
	stranger   bool // the browser and the network are new to the account
	gate       gate.Decision
	change     change
	when       when
}

var states = []state{
	{name: "nothing"},
	{name: "app", has: has{totp: true}},
	{name: "passkey", has: has{passkey: true}},
	{name: "passkey asked for", has: has{passkey: true, asks: true}},
	{name: "app and passkey", has: has{totp: true, passkey: true}},
	{name: "app, no codes left", has: has{totp: true, noCodes: true}},
	{name: "passkey asked for, no codes left", has: has{passkey: true, asks: true, noCodes: true}},
	{name: "app, known browser", has: has{totp: true, known: true}},
	{name: "app, trusted browser", has: has{totp: true, trusted: true}},
	{name: "passkey asked for, trusted browser", has: has{passkey: true, asks: true, trusted: true}},
	{name: "app and passkey, trusted browser elsewhere", has: has{totp: true, passkey: true, trusted: true}, stranger: true},

	{name: "policy, nothing", policy: true},
	{name: "policy, app", policy: true, has: has{totp: true}},
	{name: "policy, passkey", policy: true, has: has{passkey: true}},
	{name: "policy, app, trusted browser", policy: true, has: has{totp: true, trusted: true}},

	{name: "gate steps up, nothing", gate: gate.StepUp},
	{name: "gate steps up, app", gate: gate.StepUp, has: has{totp: true}},
	{name: "gate steps up, passkey", gate: gate.StepUp, has: has{passkey: true}},
	{name: "gate steps up, app, trusted browser", gate: gate.StepUp, has: has{totp: true, trusted: true}},
	{name: "gate steps up, policy, nothing", gate: gate.StepUp, policy: true},
	{name: "gate denies, nothing", gate: gate.Deny},
	{name: "gate denies, app, trusted browser", gate: gate.Deny, has: has{totp: true, trusted: true}},

	{name: "suspicious, nothing", suspecting: true, stranger: true, has: has{known: true}},
	{name: "suspicious, passkey", suspecting: true, stranger: true, has: has{known: true, passkey: true}},
	{name: "suspicious, app, trusted browser elsewhere", suspecting: true, stranger: true, has: has{totp: true, trusted: true}},
	{name: "suspicious, policy, nothing", suspecting: true, stranger: true, policy: true, has: has{known: true}},
	{name: "nothing suspicious, app, trusted browser", suspecting: true, has: has{totp: true, trusted: true}},

	{name: "disabled", change: disabled, when: before},
	{name: "disabled, app, trusted browser", change: disabled, when: before, has: has{totp: true, trusted: true}},
	{name: "disabled at the gate", change: disabled, when: atGate},
	{name: "disabled at the gate, app", change: disabled, when: atGate, has: has{totp: true}},
	{name: "password changed at the gate", change: newPassword, when: atGate},
	{name: "password changed at the gate, app, trusted browser", change: newPassword, when: atGate, has: has{totp: true, trusted: true}},
	{name: "factors reset at the gate, app, trusted browser", change: factorsReset, when: atGate, has: has{totp: true, trusted: true}},
	{name: "factors reset at the gate, policy, app", change: factorsReset, when: atGate, policy: true, has: has{totp: true}},
	{name: "disabled between, app", change: disabled, when: between, has: has{totp: true}},
	{name: "disabled between, policy", change: disabled, when: between, policy: true},
	{name: "password changed between, app", change: newPassword, when: between, has: has{totp: true}},
	{name: "factors reset between, app", change: factorsReset, when: between, has: has{totp: true}},
	{name: "factors reset between, policy", change: factorsReset, when: between, policy: true},
	{name: "factor added between, passkey asked for", change: factorAdded, when: between, has: has{passkey: true, asks: true}},
	{name: "factor added between, policy", change: factorAdded, when: between, policy: true},
}

// outcome is what the browser gets and what is written down.
type outcome struct {
	code   string // "ok", or why not
	aal    string // of the session; empty: there is none yet
	amr    []string
	spared bool     // because of the browser
	ask    []string // the second factors that may be shown
	enroll bool     // one is to be added
	rows   []string
}

func refused(code string, rows ...string) outcome { return outcome{code: code, rows: rows} }

// possible reports whether there is such a case at all: an account that is only just made has nothing yet, and nobody could have changed its password.
func possible(f first, s state) bool {
	if f.made && (s.has != (has{}) || s.stranger || s.change != "" && s.when != between) {
		return false
	}
	return !(f.made || f.owner && s.when == atGate) || s.change != newPassword
}

// model says what must come of a first factor that is right.
func model(f first, s state) outcome {
	h, used := s.has, s.known || s.trusted
	h.passkey = h.passkey || f.passkey
	if f.owner || f.made {
		h, used = has{}, false
	}
	made := []string{}
	if f.made {
		made = []string{"auth.register.success"}
	}

	// "the account's row is locked and still live"; "what could change meanwhile is asked again under the lock". A link that
	// the change has ended is a link like any that leads nowhere, and such leave no row.
	switch {
	case s.change == disabled && s.when == before && f.vouched:
		return refused("account_disabled", "oauth.login.failure/account_disabled")
	case s.change != "" && s.when == before, s.change == disabled && s.when == atGate && !f.vouched:
		switch {
		case f.mailed && s.when == before && f.retired.code != "":
			return f.retired
		case f.mailed:
			return refused("invalid_or_expired")
		}
		return refused("invalid_credentials", "auth.login.failure/account_disabled")
	case s.gate == gate.Deny:
		return refused("not_today", append(made, "auth.login.failure/gate_denied")...)
	case s.when != atGate:
	case s.change == disabled:
		return refused("invalid_credentials", "auth.login.failure/changed_meanwhile")
	case s.change == newPassword && f.mailed:
		return refused("invalid_or_expired")
	case s.change == newPassword && f.password:
		return refused("invalid_credentials", "auth.login.failure/password_changed")
	case s.change == newPassword:
		h.trusted = false
	case f.passkey:
		return refused("passkey_refused", "auth.login.failure/credential_unknown")
	default:
		h = has{known: h.known}
	}

	out := outcome{code: "ok", rows: append(made, f.proved...)}
	if f.sets && h.trusted { // "A trusted browser is spared it", until a credential changes
		h.trusted = false
		out.rows = append(out.rows, "trusted_device.revoke")
	}
	var second []string
	if h.totp {
		second = append(second, factor.TOTP)
	}
	if h.passkey {
		second = append(second, factor.Passkey)
	}
	if (h.totp || h.asks) && !h.noCodes {
		second = append(second, factor.RecoveryCode)
	}
	shown := second
	if f.passkey { // what is one factor is not two by being shown twice
		shown = slices.DeleteFunc(slices.Clone(second), func(m string) bool { return m == factor.Passkey })
	}
	// "A second factor is asked when the account has one (an authenticator app, or a passkey that its owner wants asked for), when a
	// gate demands it of this sign-in, when policy demands it of everybody, and, as a setting, when the sign-in is suspicious."
	steppedUp := s.gate == gate.StepUp
	suspicious := s.suspecting && s.stranger && used && len(second) > 0
	asked := steppedUp || suspicious || s.policy || h.totp || h.asks
	switch {
	case f.both: // a passkey that verified its user: both factors in one
		return begun(s, used, out, principal.AAL2, f.amr, "mfa")
	case !asked:
		return begun(s, used, out, principal.AAL1, f.amr)
	case len(second) == 0 && steppedUp: // "except for a gate, which is refused"
		return refused("second_factor_missing", append(made, "auth.login.failure/gate_step_up")...)
	case len(second) == 0: // "Who must show one and has none adds it in the middle of the sign-in"
		out.ask, out.enroll = []string{factor.TOTP, factor.Passkey}, true
		return out
	case h.trusted && !s.stranger && !steppedUp && !suspicious:
		out.spared = true
		return begun(s, used, out, principal.AAL1, f.amr)
	case len(shown) == 0 && steppedUp:
		return refused("second_factor_missing", append(made, "auth.login.failure/gate_step_up")...)
	case len(shown) == 0:
		return refused("another_factor_required", "auth.login.failure/one_factor")
	}
	out.ask = shown
	return out
}

// begun is the session.
func begun(s state, used bool, out outcome, aal string, amr ...string) outcome {
	out.aal = aal
	for _, m := range amr {
		if !slices.Contains(out.amr, m) {
			out.amr = append(out.amr, m)
		}
	}
	out.rows = append(out.rows, "auth.login.success")
	if s.suspecting && s.stranger && used {
		out.rows = append(out.rows, "security.suspicious_login")
	}
	return out
}

// modelFinish says what must come of a right second factor.
func modelFinish(f first, s state, asked outcome, method string) outcome {
	if s.when == between { // "A credential that changes ends every pending sign-in", and so does the account's end
		return refused("sign_in_expired")
	}
	out := outcome{code: "ok", rows: []string{"mfa.challenge.success"}}
	switch {
	case asked.enroll && method == factor.TOTP:
		out.rows = append(out.rows, "mfa.enrollment.complete")
	case asked.enroll:
		out.rows = append(out.rows, "mfa.enrollment.complete", "passkey.register.success")
	case method == factor.RecoveryCode:
		out.rows = append(out.rows, "mfa.recovery_code.used")
	}
	shown := "otp"
	if method == factor.Passkey {
		shown = "swk"
	}
	used := (s.known || s.trusted) && !f.owner && !f.made
	return begun(s, used, out, principal.AAL2, f.amr, shown, "mfa")
}
