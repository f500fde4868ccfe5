package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// OwnAccount is somebody's own account at a glance.
type OwnAccount interface {
	Overview(ctx context.Context, p principal.Principal) (selfservice.Overview, error)
}

// accountOverview is the page of the account of whoever is signed in.
type accountOverview struct {
	*ownKit
	passkeys      OwnPasskeys
	linked        bool // logins at other providers can be linked
	organizations bool // there are organizations
}

// Mount adds the page.
func (p *accountOverview) Mount(m *mounter) { m.page("/account", own, p.show) }

// overview is what the account page shows.
type overview struct {
	Email         string
	Administrator bool
	Warning       *warning
	Groups        []group
	Facts         []fact
	Plugins       []Link
	Conditional   bool   // the browser may make a passkey by itself
	Tell          string // signals for the person's password managers
}

// warning is what should not wait.
type warning struct {
	Text string
	Link Link
}

// group is a section of the overview.
type group struct {
	ID, Title string
	Rows      []ownRow
}

// ownRow leads to a page of the account and says how things stand there.
type ownRow struct {
	Link
	Tag  string // a word that catches the eye
	Warn bool   // the tag warns
}

// fact is a line of a list of facts; At is set for moments.
type fact struct {
	Label, Value string
	At           time.Time
}

// Machine is a moment as the time element wants it.
func (f fact) Machine() string { return f.At.UTC().Format(time.RFC3339) }

func (p *accountOverview) show(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	own, err := p.account.Overview(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.title")
	l := v.L.Language
	body := overview{
		Email: own.Email, Administrator: who.Administrator, Warning: warn(l, own),
		Groups: []group{p.waysIn(l, own), secondFactorOf(l, own), seenAt(l, own)},
		Facts: []fact{
			{Label: l.Text("page.account.session.begun"), At: who.CreatedAt},
			{Label: l.Text("page.account.session.with"), Value: methods(l, who)},
			{Label: l.Text("page.account.session.ends"), At: who.ExpiresAt},
			{Label: l.Text("page.account.session.id"), Value: who.SessionID.String()},
		},
	}
	if p.organizations {
		row := ownRow{Link: Link{Title: l.Text("page.organization.mine.title"), Path: ownOrganizations, Description: l.Text("page.organization.mine.lead")}}
		body.Groups = append(body.Groups, group{"organizations", l.Text("page.organization.mine.group"), []ownRow{row}})
	}
	if p.set.Plugins != nil {
		body.Plugins = p.set.Plugins(who, p.in(r).Code())
	}
	body.Conditional = p.mayMakePasskey(who, own)
	if r.URL.Query().Get("notice") == "email-changed" { // passkeys are shown with the address
		if body.Tell, err = signals(r.Context(), p.passkeys, who); err != nil {
			p.Error(w, r, err)
			return
		}
	}
	if body.Conditional || body.Tell != "" {
		v.Scripts = passkeyScripts
	}
	v.Body = body
	p.render(w, r, http.StatusOK, "account", v)
}

func warn(l *lang.Language, own selfservice.Overview) *warning {
	left := own.Factors.RecoveryCodes
	renew := Link{Title: l.Text("page.account.warning.renew"), Path: "/account/recovery-codes/renew"}
	switch {
	case own.SecondFactor && left == 0:
		return &warning{l.Text("page.account.warning.no_codes"), renew}
	case own.SecondFactor && left <= fewCodes:
		return &warning{l.Plural("page.account.warning.codes", left), renew}
	case own.Required && !own.Factors.TOTP && own.Factors.Passkeys == 0:
		return &warning{l.Text("page.account.warning.required"), Link{Title: l.Text("page.account.codes.set_up"), Path: "/account/authenticator"}}
	}
	return nil
}

func (p *accountOverview) waysIn(l *lang.Language, own selfservice.Overview) group {
	add := l.Text("page.account.row.new")
	rows := []ownRow{{Link: Link{Title: l.Text("page.account.email.title"), Path: "/account/email", Description: own.Email}}}
	if p.usernames() {
		row := ownRow{Link: Link{Title: l.Text("page.account.username.title"), Path: "/account/username", Description: own.Username}}
		if own.Username == "" {
			row.Description, row.Tag = l.Text("page.account.row.no_username"), add
		}
		rows = append(rows, row)
	}
	row := ownRow{Link: Link{Title: l.Text("page.account.row.password_title"), Path: "/account/password", Description: l.Text("page.account.row.password")}}
	if !own.Password {
		row.Description, row.Tag = l.Text("page.account.row.no_password"), add
	}
	rows = append(rows, row)
	row = ownRow{Link: Link{Title: l.Text("page.account.passkeys.title"), Path: "/account/passkeys"}}
	if n := own.Factors.Passkeys; n > 0 {
		row.Description = l.Plural("page.account.row.passkeys", n)
	} else {
		row.Description, row.Tag = l.Text("page.account.row.no_passkeys"), add
	}
	if own.PasskeyLimit > 0 || own.Factors.Passkeys > 0 {
		rows = append(rows, row)
	}
	if p.linked && (len(own.Providers) > 0 || len(p.providers()) > 0) {
		row = ownRow{Link: Link{Title: l.Text("page.account.logins.title"), Path: "/account/logins"}}
		if len(own.Providers) > 0 {
			row.Description = strings.Join(p.providerTitles(own.Providers), " · ")
		} else {
			row.Description, row.Tag = l.Text("page.account.row.logins"), add
		}
		rows = append(rows, row)
	}
	return group{"ways", l.Text("page.account.ways"), rows}
}

func secondFactorOf(l *lang.Language, own selfservice.Overview) group {
	app := ownRow{Link: Link{Title: l.Text("page.account.authenticator.title"), Path: "/account/authenticator", Description: l.Text("page.account.row.authenticator")}}
	if !own.Factors.TOTP {
		app.Description, app.Tag = l.Text("page.account.row.no_authenticator"), l.Text("page.account.row.new")
	}
	codes := ownRow{Link: Link{Title: l.Text("page.account.codes.title"), Path: "/account/recovery-codes"}}
	switch left := own.Factors.RecoveryCodes; {
	case !own.SecondFactor:
		codes.Description = l.Text("page.account.row.no_second_factor")
	case left == 0:
		codes.Description, codes.Tag, codes.Warn = l.Text("page.account.codes.none"), l.Text("page.account.row.low"), true
	default:
		codes.Description = l.Plural("page.account.codes.left", left)
		if left <= fewCodes {
			codes.Tag, codes.Warn = l.Text("page.account.row.low"), true
		}
	}
	return group{"second", l.Text("page.account.second"), []ownRow{app, codes}}
}

func seenAt(l *lang.Language, own selfservice.Overview) group {
	row := ownRow{Link: Link{Title: l.Text("page.account.devices.title"), Path: "/account/devices", Description: l.Plural("page.account.row.browsers", own.Browsers)}}
	live := ownRow{Link: Link{Title: l.Text("page.account.sessions.title"), Path: "/account/sessions", Description: l.Text("page.account.row.sessions")}}
	return group{"seen", l.Text("page.account.seen"), []ownRow{live, row}}
}

// methods names how the session was proved (RFC 8176), and how strongly.
func methods(l *lang.Language, who principal.Principal) string {
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
	if who.AAL == principal.AAL2 {
		names = append(names, l.Text("page.method.two_factors"))
	}
	return strings.Join(names, " · ")
}
