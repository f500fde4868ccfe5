package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/session"
)

// overview is what the account page shows.
type overview struct {
	Email         string
	Administrator bool
	Facts         []fact
	Plugins       []Link
}

// fact is a line of the overview; At is set for moments.
type fact struct {
	Label, Value string
	At           time.Time
}

var notices = map[string]string{
	"password-changed": "Your password is changed. Every other session of yours was signed out.",
	"password-set":     "Your password is set, and you are signed in.",
}

func (p *Pages) account(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	v := p.signedIn(p.view("Your account"), who, "/account")
	v.Notice = notices[r.URL.Query().Get("notice")]
	body := overview{Email: who.Email, Administrator: who.Administrator, Facts: []fact{
		{Label: "Signed in", At: who.CreatedAt},
		{Label: "With", Value: methods(who)},
		{Label: "Ends at the latest", At: who.ExpiresAt},
		{Label: "Session", Value: who.SessionID.String()},
	}}
	if p.cfg.Plugins != nil {
		body.Plugins = p.cfg.Plugins(who)
	}
	v.Body = body
	p.render(w, r, http.StatusOK, "account", v)
}

// Stamp is a moment as people read it, with its zone; Machine as the time element wants it.
func (f fact) Stamp() string   { return f.At.UTC().Format("2 January 2006, 15:04") + " UTC" }
func (f fact) Machine() string { return f.At.UTC().Format(time.RFC3339) }

var methodNames = map[string]string{
	"pwd": "password", "otp": "a one-time code", "hwk": "a passkey", "swk": "a passkey", "mfa": "", "email": "a mailed code", "fed": "another provider",
}

// methods names how the session was proved (RFC 8176), and how strongly.
func methods(who session.Principal) string {
	var names []string
	for _, m := range who.AMR {
		name, known := methodNames[m]
		if !known {
			name = m
		}
		if name != "" {
			names = append(names, name)
		}
	}
	s := strings.Join(names, " and ")
	if s == "" {
		s = "a confirmed address"
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	switch who.AAL {
	case session.AAL1:
		s += " (one factor)"
	case session.AAL2:
		s += " (two factors)"
	}
	return s
}
