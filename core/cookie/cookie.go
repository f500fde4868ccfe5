package cookie

import (
	"net/http"
	"strings"
	"time"
)

// The names. Nothing else under Prefix may be set by a plugin.
const (
	Prefix  = "__Host-sigra_"
	Session = Prefix + "session"
	Flow    = Prefix + "flow"
	Device  = Prefix + "device"
)

// DeviceTTL is how long a browser is known: as long as browsers keep a cookie at all (RFC 6265bis §5.5).
const DeviceTTL = 400 * 24 * time.Hour

// FlowTTL is how long a browser remembers a sign-up it began: as long as its link lives.
const FlowTTL = 48 * time.Hour

// maxToken bounds what is taken for a token, before anything is hashed or looked up.
const maxToken = 512

// SetSession hands the browser a session token. A persistent session's cookie lasts until expires; with a zero
// time it ends with the browser.
func SetSession(w http.ResponseWriter, token string, expires time.Time) {
	c := base(Session, token)
	c.Expires = expires
	http.SetCookie(w, c)
}

// ClearSession takes the session token back.
func ClearSession(w http.ResponseWriter) { clearCookie(w, Session) }

// SessionToken is the session token the request carries, or "".
func SessionToken(r *http.Request) string { return read(r, Session) }

// SetFlow hands the browser the token of the sign-up it began.
func SetFlow(w http.ResponseWriter, token string) {
	c := base(Flow, token)
	c.MaxAge = int(FlowTTL / time.Second)
	http.SetCookie(w, c)
}

// ClearFlow takes the sign-up token back.
func ClearFlow(w http.ResponseWriter) { clearCookie(w, Flow) }

// FlowToken is the sign-up token the request carries, or "".
func FlowToken(r *http.Request) string { return read(r, Flow) }

// SetDevice hands the browser what tells it from others. It lets nobody in, so signing out leaves it.
func SetDevice(w http.ResponseWriter, token string) {
	c := base(Device, token)
	c.MaxAge = int(DeviceTTL / time.Second)
	http.SetCookie(w, c)
}

// DeviceToken is what tells this browser from others, or "".
func DeviceToken(r *http.Request) string { return read(r, Device) }

// Reserved reports whether a cookie name is Sigra's own: never passed to a plugin, never taken from one. Browsers
// match the __Host- prefix without regard to case (RFC 6265bis §4.1.3), so the comparison does too.
func Reserved(name string) bool {
	name = strings.TrimSpace(name)
	return len(name) >= len(Prefix) && strings.EqualFold(name[:len(Prefix)], Prefix)
}

// base is a cookie with every protection on. ASVS 5.0 3.3.1 to 3.3.4; RFC 6265bis §4.1.3.2 for __Host-. Lax and not
// Strict: a person who follows a link from a mail or from the application must arrive signed in.
func base(name, value string) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func clearCookie(w http.ResponseWriter, name string) {
	c := base(name, "")
	c.MaxAge = -1
	http.SetCookie(w, c)
}

func read(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil || len(c.Value) > maxToken {
		return ""
	}
	return c.Value
}
