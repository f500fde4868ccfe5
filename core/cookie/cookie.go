package cookie

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// The names. Nothing else under Prefix or SharedPrefix may be set by a plugin.
const (
	Prefix      = "__Host-sigra_"
	Session     = Prefix + "session"
	Device      = Prefix + "device"
	Language    = Prefix + "language"
	Application = Prefix + "application"

	SharedPrefix  = "__Secure-sigra_"
	SharedSession = SharedPrefix + "session"
)

// DeviceTTL is how long a browser is known: as long as browsers keep a cookie at all (RFC 6265bis §5.5).
const DeviceTTL = 400 * 24 * time.Hour

// Flow is something that a browser has begun and will go on with, named by its cookie, which holds the flow's token. One
// browser has at most one flow of each sort: a new one takes the place of the old.
type Flow string

// The flows.
const (
	SignUp   Flow = Prefix + "flow"     // a sign-up that waits for its confirmation
	Pending  Flow = Prefix + "pending"  // a sign-in between its first and its second factor
	Reset    Flow = Prefix + "reset"    // a new password that waits for the mailed code
	Magic    Flow = Prefix + "link"     // a sign-in that waits for the mailed link or code
	Email    Flow = Prefix + "email"    // a new address that waits for its code
	StepUp   Flow = Prefix + "step_up"  // a proof that waits for the mailed code
	Join     Flow = Prefix + "join"     // a login elsewhere that waits for the account's own credential
	Provider Flow = Prefix + "provider" // a sign-in that is away at another provider
	Return   Flow = Prefix + "return"   // where to go after a sign-in by mail: no token, and nothing to rely on
)

// Flows lists them all.
func Flows() []Flow {
	return []Flow{SignUp, Pending, Reset, Magic, Email, StepUp, Join, Provider, Return}
}

// TTL is how long a browser keeps the cookie: no less than the flow may be set to live. Whether the flow still does, its
// owner says.
func (f Flow) TTL() time.Duration {
	switch f {
	case SignUp, Email:
		return 30 * 24 * time.Hour
	case Reset:
		return 24 * time.Hour
	}
	return time.Hour
}

// maxToken bounds what is taken for a token, before anything is hashed or looked up.
const maxToken = 512

// SessionCookie is the cookie that holds a session's token. The zero SessionCookie belongs to Sigra's own host alone.
type SessionCookie struct {
	// Domain shares the cookie with all hosts below it, such as "example.com" with app.example.com. Whoever runs one of them can then read
	// the token of everybody who visits it, and set one. Empty: it is not shared.
	Domain string
}

func (s SessionCookie) base(value string) *http.Cookie {
	c := base(s.Name(), value)
	c.Domain = s.Domain
	return c
}

// Name is the cookie's name.
func (s SessionCookie) Name() string {
	if s.Domain == "" {
		return Session
	}
	return SharedSession
}

// Set hands the browser a session token. A persistent session's cookie lasts until expires; with a zero time it ends with the browser.
func (s SessionCookie) Set(w http.ResponseWriter, token string, expires time.Time) {
	c := s.base(token)
	c.Expires = expires
	http.SetCookie(w, c)
}

// Clear takes the session token back.
func (s SessionCookie) Clear(w http.ResponseWriter) {
	c := s.base("")
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// Token is the session token the request carries, or "".
func (s SessionCookie) Token(r *http.Request) string {
	return read(r, s.Name())
}

// SetApplication remembers, until the browser is closed, the address of the application that somebody came from.
func SetApplication(w http.ResponseWriter, address string) {
	http.SetCookie(w, base(Application, base64.RawURLEncoding.EncodeToString([]byte(address))))
}

// ApplicationAddress is what SetApplication remembered, or "". It is what the browser says, and nothing to rely on.
func ApplicationAddress(r *http.Request) string {
	b, err := base64.RawURLEncoding.DecodeString(read(r, Application))
	if err != nil {
		return ""
	}
	return string(b)
}

// Set hands the browser the token of the flow it began.
func (f Flow) Set(w http.ResponseWriter, token string) {
	c := base(string(f), token)
	c.MaxAge = int(f.TTL() / time.Second)
	http.SetCookie(w, c)
}

// Clear takes the flow's token back.
func (f Flow) Clear(w http.ResponseWriter) { clearCookie(w, string(f)) }

// Token is the flow's token that the request carries, or "".
func (f Flow) Token(r *http.Request) string { return read(r, string(f)) }

// SetDevice hands the browser what tells it from others. It lets nobody in, so signing out leaves it.
func SetDevice(w http.ResponseWriter, token string) {
	c := base(Device, token)
	c.MaxAge = int(DeviceTTL / time.Second)
	http.SetCookie(w, c)
}

// DeviceToken is what tells this browser from others, or "".
func DeviceToken(r *http.Request) string { return read(r, Device) }

// SetLanguage keeps the language that somebody chose: for good, or until the browser is closed.
func SetLanguage(w http.ResponseWriter, tag string, forGood bool) {
	c := base(Language, tag)
	if forGood {
		c.MaxAge = int(DeviceTTL / time.Second)
	}
	http.SetCookie(w, c)
}

// LanguageTag is the language chosen in this browser, as it came, or "".
func LanguageTag(r *http.Request) string { return read(r, Language) }

// Reserved reports whether a cookie name is Sigra's own: never passed to a plugin, never taken from one. Browsers
// match the prefixes __Host- and __Secure- without regard to case (RFC 6265bis §4.1.3), so the comparison does too.
func Reserved(name string) bool {
	name = strings.TrimSpace(name)
	begins := func(prefix string) bool {
		return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
	}
	return begins(Prefix) || begins(SharedPrefix)
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

// Read is the value of a cookie as it came, or "": for cookies that are not Sigra's own.
func Read(r *http.Request, name string) string { return read(r, name) }

// Forget has the browser forget a cookie with the __Host- prefix that is not Sigra's own.
func Forget(w http.ResponseWriter, name string) { clearCookie(w, name) }

func read(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil || len(c.Value) > maxToken {
		return ""
	}
	return c.Value
}
