package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/lang"
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

// notices are what the account page may be told to say, by the name in its address.
var notices = map[string]string{"password-changed": "page.account.password_changed", "password-set": "page.account.password_set"}

func (p *Pages) account(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	l := p.in(r)
	v := p.signedIn(p.view(r, "page.account.title"), who, "/account")
	if key, ok := notices[r.URL.Query().Get("notice")]; ok {
		v.Notice = l.Text(key)
	}
	body := overview{Email: who.Email, Administrator: who.Administrator, Facts: []fact{
		{Label: l.Text("page.account.since"), At: who.CreatedAt},
		{Label: l.Text("page.account.with"), Value: methods(l, who)},
		{Label: l.Text("page.account.until"), At: who.ExpiresAt},
		{Label: l.Text("page.account.session_id"), Value: who.SessionID.String()},
	}}
	if p.cfg.Plugins != nil {
		body.Plugins = p.cfg.Plugins(who)
	}
	v.Body = body
	p.render(w, r, http.StatusOK, "account", v)
}

// Machine is a moment as the time element wants it.
func (f fact) Machine() string { return f.At.UTC().Format(time.RFC3339) }

// methods names how the session was proved (RFC 8176), and how strongly.
func methods(l *lang.Language, who session.Principal) string {
	var names []string
	for _, m := range who.AMR {
		switch m {
		case "mfa": // says nothing that aal does not
			continue
		case "pwd", "otp", "hwk", "swk", "email", "fed":
			m = l.Text("page.method." + m)
		}
		if !slices.Contains(names, m) {
			names = append(names, m)
		}
	}
	if len(names) == 0 {
		names = []string{l.Text("page.method.none")}
	}
	if who.AAL == session.AAL2 {
		names = append(names, l.Text("page.method.two_factors"))
	}
	return strings.Join(names, " · ")
}
