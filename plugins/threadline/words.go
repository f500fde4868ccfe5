package threadline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// titles are the actions people meet most, in their words.
var titles = map[string]string{
	"auth.register.success":           "Signed up",
	"auth.login.success":              "Signed in",
	"auth.login.failure":              "Sign-in failed",
	"auth.logout":                     "Signed out",
	"auth.password_reset_request":     "Password link requested",
	"auth.password_reset.success":     "New password set",
	"auth.password_reset.failure":     "Setting a new password failed",
	"auth.magic_link_verify.success":  "Sign-in link used",
	"auth.confirmation.success":       "Email address confirmed",
	"auth.confirmation.failure":       "Confirmation failed",
	"auth.step_up.success":            "Identity proved again",
	"mfa.enrollment.complete":         "Second factor added",
	"mfa.disable":                     "Second factor removed",
	"mfa.recovery_code.used":          "Recovery code used",
	"passkey.register.success":        "Passkey added",
	"passkey.rename":                  "Passkey renamed",
	"passkey.delete":                  "Passkey removed",
	"session.revoke":                  "Session ended",
	"session.revoke_all":              "All sessions ended",
	"trusted_device.add":              "Device trusted",
	"trusted_device.revoke":           "Device no longer trusted",
	"oauth.link.success":              "Sign-in with another service linked",
	"oauth.unlink.success":            "Sign-in with another service unlinked",
	"account.email_change.request":    "Change of email address asked for",
	"account.email_change.confirm":    "Email address changed",
	"account.password_change.success": "Password changed",
	"account.password_change.failure": "Changing the password failed",
	"account.deletion_schedule":       "Deletion of the account scheduled",
	"account.deletion_cancel":         "Deletion of the account cancelled",
	"account.deletion_execute":        "Account deleted",
	"organization.create":             "Organization created",
	"membership.create":               "Member added",
	"membership.delete":               "Member removed",
	"impersonation.start":             "Impersonation began",
	"impersonation.stop":              "Impersonation ended",
	"security.lockout":                "Sign-in locked after too many attempts",
	"security.suspicious_login":       "Unusual sign-in",
	"admin.user.create":               "Account created by an administrator",
	"admin.user.disable":              "Account disabled",
	"admin.user.enable":               "Account enabled",
	"admin.user.reset_link":           "Password link made by an administrator",
	"service_account.create":          "Service account created",
	"service_account.revoke":          "Service account revoked",
	"api_token.create":                "API token created",
	"api_token.revoke":                "API token revoked",
	"passkey.sign_count_regression":   "Passkey used out of order",
	"mfa.recovery_code.regenerate":    "New recovery codes made",
	"organization.update":             "Organization changed",
	"organization.delete":             "Organization deleted",
	"membership.update":               "Membership changed",
	"invitation.create":               "Invitation sent",
	"invitation.accept":               "Invitation accepted",
	"invitation.revoke":               "Invitation withdrawn",
	"oauth.login.success":             "Signed in with another service",
	"oauth.login.failure":             "Sign-in with another service failed",
	"webhook_endpoint.create":         "Webhook added",
	"webhook_endpoint.update":         "Webhook changed",
	"webhook_endpoint.delete":         "Webhook removed",
}

// words turns an action's name into something to read.
func words(action string) string {
	if t, ok := titles[action]; ok {
		return t
	}
	rest := action
	if _, after, ok := strings.Cut(action, "."); ok && strings.Trim(after, "._") != "" {
		rest = after
	}
	return capital(plain(strings.NewReplacer(".", " ", "_", " ").Replace(rest)))
}

// reason is the code of a failure in words: "wrong_password" → "wrong password".
func reason(code string) string { return plain(strings.ReplaceAll(code, "_", " ")) }

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// plain is what a client or a plugin wrote, made safe to show: what would be invisible, or would turn the text around it
// (U+202E), stands as the replacement character. Escaping for HTML is the template's work.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return utf8.RuneError
		}
		return r
	}, s)
}

// cut shortens a text to n bytes at most, at a character's end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// fact is one key of an entry's metadata, made ready to be shown.
type fact struct{ Name, Value string }

// pretty is a value of an entry's metadata as text: a text as it is, everything else as JSON.
func pretty(v any) string {
	switch v := v.(type) {
	case string:
		return plain(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the template does it
	if err := enc.Encode(v); err != nil {
		return "(not readable)"
	}
	return plain(strings.TrimSpace(b.String()))
}

// methods are the names of RFC 8176 in people's words.
var methods = map[string]string{
	"pwd": "password", "otp": "one-time code", "hwk": "security key", "swk": "passkey", "mca": "second channel", "sms": "text message", "mfa": "several factors",
}

func method(amr string) string {
	if w, ok := methods[amr]; ok {
		return w
	}
	return plain(amr)
}

// browser is a user agent in two words, for a line of a timeline; the whole of it stands on the entry's page. Empty when
// it can't tell.
func browser(ua string) string {
	find := func(of [][2]string) string {
		for _, o := range of {
			if strings.Contains(ua, o[0]) {
				return o[1]
			}
		}
		return ""
	}
	// The order matters: each pretends to be those below it.
	name := find([][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}, {"Go-http-client/", "a Go program"}})
	system := find([][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"},
		{"Linux", "Linux"}})
	switch {
	case name != "" && system != "":
		return name + " on " + system
	case name != "":
		return name
	}
	return system
}

// day names a day as seen from today; both are in UTC.
func day(t, now time.Time) string {
	text := t.Format("Monday, 2 January 2006")
	switch t.Format(time.DateOnly) {
	case now.Format(time.DateOnly):
		return "Today, " + t.Format("2 January")
	case now.AddDate(0, 0, -1).Format(time.DateOnly):
		return "Yesterday, " + t.Format("2 January")
	}
	return text
}

func clock(t time.Time) string { return t.Format("15:04:05") }

func iso(t time.Time) string { return t.Format(time.RFC3339) }

// number groups digits: 12 345.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
