package httpapi_test

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

var flowSources = append(authtest.Sources(), event.Migrations)

// eachFlow runs a test on both databases with the real flows behind the API.
func eachFlow(t *testing.T, f func(t *testing.T, e *env)) {
	t.Helper()
	eachFlowWith(t, authtest.Options{}, f)
}

func eachFlowWith(t *testing.T, o authtest.Options, f func(t *testing.T, e *env)) {
	t.Helper()
	o.Settings.BaseURL, o.Settings.MagicLinks = "http://localhost:8484", true
	storetest.Each(t, flowSources, func(t *testing.T, db *store.DB) {
		f(t, newEnv(t, db, func(e *env, cfg *httpapi.Config) {
			parts := authtest.Open(t, db, o)
			cfg.Administrators = parts.Administration
			service, own, queue := parts.SignIns, parts.SelfService, parts.Queue
			e.flows = parts
			cfg.Recent = own.RequireRecentAuth
			cfg.SignUps, cfg.SignIns, cfg.PasswordResets, cfg.SecondFactors, cfg.StepUps, cfg.PasskeySignIns, cfg.MagicLinks = service, service, service, service, service, service, service
			cfg.OwnProfile, cfg.OwnPassword, cfg.OwnFactors, cfg.OwnPasskeys, cfg.OwnEmail = own, own, own, own, own
			cfg.OwnUsername, cfg.OwnDevices, cfg.OwnMetadata = own, own, own
			cfg.Organizations, cfg.OrganizationMembers, cfg.OrganizationInvitations, cfg.OrganizationDomains, cfg.OwnInvitations, cfg.OrganizationSwitch = parts.Members, parts.Members, parts.Members, parts.Members, parts.Members, parts.Members
			cfg.Users, cfg.UserMetadata, cfg.Inbox = parts.Administration, parts.Administration, parts.Inbox
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = queue.Run(ctx)
			}()
			t.Cleanup(func() { cancel(); <-done })
		}))
	})
}

// mailTo waits for the n-th newest mail to an address.
func (e *env) mailTo(address string, n int) httpapi.InboxMessage {
	e.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		list := read[httpapi.InboxList](e.t, e.do(stranger, "GET", "/v1/dev/mail?to="+url.QueryEscape(address), ""))
		if len(list.Messages) >= n {
			return list.Messages[0]
		}
	}
	e.t.Fatalf("no mail to %s", address)
	return httpapi.InboxMessage{}
}

// arabic is a code as an Arabic keyboard types it, and a phone pastes it.
func arabic(code string) string {
	digits := func(s string) string { return strings.Map(func(r rune) rune { return '٠' + r - '0' }, s) }
	return "\u200f" + digits(code[:3]) + " " + digits(code[3:])
}

var code = regexp.MustCompile(`\b\d{6}\b`)

func TestFlow_registerConfirmSignInSignOut(t *testing.T) {
	t.Parallel()
	eachFlow(t, func(t *testing.T, e *env) {
		a := e.do(stranger, "POST", "/v1/register", `{"email":"grace@example.com","password":"a fine long password"}`)
		flow := read[httpapi.Registered](t, a).Flow
		if a.StatusCode != 202 || len(flow) < 40 || len(a.Header.Values("Set-Cookie")) != 0 {
			t.Fatalf("register: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(stranger, "POST", "/v1/login", `{"email":"grace@example.com","password":"a fine long password"}`); a.StatusCode != 401 {
			t.Fatalf("sign-in before confirmation: %d %s", a.StatusCode, a.body)
		}
		m := e.mailTo("grace@example.com", 1)
		if one := read[httpapi.InboxMessage](t, e.do(stranger, "GET", "/v1/dev/mail/"+m.ID.String(), "")); one.Text != m.Text {
			t.Errorf("one message: %+v", one)
		}
		if a := e.do(stranger, "POST", "/v1/confirm", `{"flow":"`+flow+`","code":"000000"}`); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("a wrong code: %d %s", a.StatusCode, a.body)
		}
		a = e.do(stranger, "POST", "/v1/confirm", `{"flow":"`+flow+`","code":"`+arabic(code.FindString(m.Text))+`","token_delivery":"body"}`)
		if a.StatusCode != 200 {
			t.Fatalf("confirm: %d %s (mail: %s)", a.StatusCode, a.body, m.Text)
		}
		in := read[httpapi.SignedIn](t, a)
		bearer := []string{"Authorization", "Bearer " + in.Token}
		if a := e.do(stranger, "GET", "/v1/session", "", bearer...); a.StatusCode != 200 {
			t.Fatalf("session: %d %s", a.StatusCode, a.body)
		}
		a = e.do(stranger, "PUT", "/v1/account/password", `{"current_password":"a fine long password","new_password":"an even longer password"}`, bearer...)
		if a.StatusCode != 200 {
			t.Fatalf("change password: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(stranger, "GET", "/v1/session", "", bearer...); a.StatusCode != 401 {
			t.Errorf("the old token still works: %d", a.StatusCode)
		}
		a = e.do(stranger, "POST", "/v1/login", `{"email":"Grace@Example.com","password":"an even longer password"}`)
		cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		if a.StatusCode != 200 || cookie == "" {
			t.Fatalf("sign-in: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(stranger, "GET", "/v1/account/activity", "", "Cookie", cookie); !strings.Contains(a.body, "auth.login.success") {
			t.Errorf("activity: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(stranger, "POST", "/v1/logout", "", "Cookie", cookie); a.StatusCode != 204 {
			t.Errorf("sign-out: %d", a.StatusCode)
		}
		if a := e.do(stranger, "GET", "/v1/session", "", "Cookie", cookie); a.StatusCode != 401 {
			t.Errorf("signed out and answered %d", a.StatusCode)
		}
	})
}

// What anybody may ask of an address is answered alike, whatever the address is: the same status, the same headers, the same
// bytes but for secrets, which are of the same length.
func TestFlow_answersTellNothing(t *testing.T) {
	t.Parallel()
	eachFlow(t, func(t *testing.T, e *env) {
		secret := regexp.MustCompile(`"(flow|ceremony|token|challenge)":"[A-Za-z0-9_-]+"`)
		number := regexp.MustCompile(`"number":"\d\d"`)
		moment := regexp.MustCompile(`"expires_at":"[^"]+"`)
		shape := func(a answer) string {
			body := secret.ReplaceAllStringFunc(a.body, func(s string) string { return strings.Repeat("x", len(s)) })
			body = moment.ReplaceAllString(number.ReplaceAllString(body, ""), "")
			a.Header.Del("Date")
			if moment.MatchString(a.body) {
				a.Header.Del("Content-Length") // a moment's fraction is as long as it has to be
			}
			lines := []string{a.Status, body}
			for k, v := range a.Header {
				lines = append(lines, k+": "+strings.Join(v, "|"))
			}
			slices.Sort(lines)
			return strings.Join(lines, "\n")
		}
		user := func(email string, n account.NewAccount) {
			n.Email = email
			must2(0, e.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { _, _, err := e.accounts.Create(ctx, tx, n); return err }))(t)
		}
		sides := []struct {
			name string
			make func(email string)
		}{
			{"unknown", func(string) {}},
			{"unconfirmed", func(email string) { user(email, account.NewAccount{Status: account.Unconfirmed}) }},
			{"known", func(email string) { user(email, account.NewAccount{Status: account.Active}) }},
			{"administrator", func(email string) { user(email, account.NewAccount{Status: account.Unconfirmed, Administrator: true}) }},
		}
		for i, ask := range []struct{ path, body string }{
			{"/v1/login", `{"email":"%s","password":"not the password"}`},
			{"/v1/login", `{"email":"%s","password":""}`},
			{"/v1/register", `{"email":"%s","password":"a fine long password"}`},
			{"/v1/register", `{"email":"%s","password":"x"}`},
			{"/v1/password/reset", `{"email":"%s"}`},
			{"/v1/magic-link", `{"email":"%s"}`},
			{"/v1/confirm/resend", `{"flow":"%s"}`},
			{"/v1/confirm", `{"flow":"%s","code":"000000"}`},
			{"/v1/login/passkey/options", `{}`},
		} {
			var first string
			for j, s := range sides {
				about := fmt.Sprintf("u%d%d@example.com", i, j)
				s.make(about)
				if strings.Contains(ask.body, "flow") {
					about = read[httpapi.Registered](t, e.do(stranger, "POST", "/v1/register", `{"email":"`+about+`","password":"a fine long password"}`)).Flow
				}
				got := shape(e.do(stranger, "POST", ask.path, strings.Replace(ask.body, "%s", about, 1)))
				if first == "" {
					first = got
				}
				if got != first || strings.Contains(got, "404") {
					t.Errorf("%s %s\n%s: %s\n%s: %s", ask.path, ask.body, sides[0].name, first, s.name, got)
				}
			}
		}
	})
}

func TestFlow_administratorMakesAnAccount(t *testing.T) {
	t.Parallel()
	eachFlow(t, func(t *testing.T, e *env) {
		a := e.do(theOperator, "POST", "/v1/admin/users", `{"email":"root@example.com","administrator":true}`)
		inv := read[httpapi.Invitation](t, a)
		token, ok := strings.CutPrefix(inv.Link, "http://localhost:8484/set-password?token=")
		if a.StatusCode != 201 || !ok {
			t.Fatalf("create: %d %s", a.StatusCode, a.body)
		}
		body := `{"token":"` + token + `","password":"a fine long password","token_delivery":"body"}`
		a = e.do(stranger, "POST", "/v1/password/set", body)
		in := read[httpapi.SignedIn](t, a)
		if in.Session == nil || !in.Session.Administrator || in.Token == "" {
			t.Fatalf("set password: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(stranger, "POST", "/v1/password/set", body); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("a spent link was answered %d %s", a.StatusCode, a.body)
		}
		bearer := []string{"Authorization", "Bearer " + in.Token}
		path := "/v1/admin/users/" + e.user.Account.ID.String()
		if a := e.do(stranger, "POST", path+"/disable", "", bearer...); a.StatusCode != 403 || !strings.Contains(a.body, `"administrator_second_factor"`) {
			t.Errorf("with one factor: %d %s", a.StatusCode, a.body)
		}
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{"POST", "/disable", 200}, {"POST", "/enable", 200}, {"POST", "/reset-link", 201}, {"DELETE", "/sessions", 200}, {"DELETE", "", 204}, {"DELETE", "", 404},
		} {
			if a := e.do(administrator, c.method, path+c.path, ""); a.StatusCode != c.status {
				t.Errorf("%s %s: %d %s", c.method, c.path, a.StatusCode, a.body)
			}
		}
		log := e.do(theOperator, "GET", "/v1/audit?action=admin.user.create", "")
		if rows := read[httpapi.AuditPage](t, log).Rows; len(rows) != 1 || rows[0].Actor.Type != "operator" || rows[0].Actor.ID != "1000/alice" {
			t.Errorf("audit: %s", log.body)
		}
	})
}
