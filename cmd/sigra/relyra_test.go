//go:build !core_only

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/web/browsertest"
	"github.com/sigra-auth/sigra/plugins/relyra/relyratest"
)

// TestRelyra signs people of an organization in at SimpleSAMLphp, another site to the browser than Sigra: who has no account, and who has
// one. Then the block goes, and nothing offers it any more.
func TestRelyra(t *testing.T) {
	t.Parallel()
	browser := browsertest.Chromium(t)
	onEither(t, func(t *testing.T, database string) {
		t.Parallel()
		in := newInstance(t, setup{database: database, plugins: `plugin "relyra" {}` + "\n"})
		in.start()
		in.pluginReady("relyra")
		const alice, bob = "alice@corp.example", "bob@corp.example"
		alices := in.signUp(alice)

		var acme struct{ ID string }
		if err := json.Unmarshal([]byte(in.cli("organization", "create", "Acme", "--slug", "acme", "--json")), &acme); err != nil || acme.ID == "" {
			t.Fatal(err, acme)
		}
		provider := relyratest.New(t)
		var connection struct {
			ID, Status string
			Entity     string `json:"entity_id"`
			ACS        string `json:"acs_url"`
			Metadata   string `json:"metadata_url"`
		}
		run := func(stdin string, args ...string) {
			t.Helper()
			cmd := in.command(append(append([]string{"relyra", "connection"}, args...), "--json", "--config", in.config)...)
			var errOut bytes.Buffer
			cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &errOut
			out, err := cmd.Output()
			if err == nil {
				err = json.Unmarshal(out, &connection)
			}
			if err != nil {
				t.Fatalf("%v: %v\n%s%s", args, err, out, errOut.String())
			}
		}
		run(provider.Metadata(), "create", "--organization", "acme", "--name", "Acme staff")
		if connection.Status != "draft" {
			t.Errorf("%+v", connection)
		}
		provider.Trust(connection.Entity, relyratest.ServiceProvider{ACS: connection.ACS})
		if r := in.must(http.StatusOK, "GET", strings.TrimPrefix(connection.Metadata, in.url), "", nil); !strings.Contains(string(r.body), connection.ACS) {
			t.Errorf("%s", r.body)
		}

		b := newTab(t, browser)
		find := func(b *tab, email string) {
			t.Helper()
			b.do("find the organization", open(in.url), arrive("Sign in"), click(`a[href^="/login/organization"]`), arrive("Sign in with your organization"), typed("#email", email), press(),
				there(`[role=status], a[href^="/relyra/"]`))
		}
		nothing := func(why string) {
			t.Helper()
			find(b, bob)
			if b.count(`a[href^="/relyra/"]`) != 0 {
				t.Errorf("%s, and it is offered:\n%s", why, b.text())
			}
		}
		b.do("look at it", open(in.url), arrive("Sign in"), b.shots("130-sign-in-offers"))
		nothing("the connection is a draft")
		run("", "enable", connection.ID)
		nothing("the organization has no domain")
		in.provenDomain(database, acme.ID, "corp.example")

		enter := func(b *tab, who, heading string) {
			t.Helper()
			find(b, who+"@corp.example")
			if text := b.text(); !strings.Contains(text, "Acme staff") {
				t.Fatalf("the connection is not offered:\n%s", text)
			}
			b.do("sign in there", click(`a[href^="/relyra/"]`), there("#username"), typed("#username", who), typed("#password", who+"-pass"), click("#submit_button"),
				arrive(heading))
		}
		type session struct {
			UserID         string `json:"user_id"`
			Email          string
			OrganizationID string `json:"organization_id"`
		}
		signedInAs := func(b *tab) (s session) {
			t.Helper()
			b.do("the session", open(in.url+"/v1/session"), there("pre"))
			said := browsertest.Evaluate[string](b.Tab, `document.querySelector("pre").textContent`)
			if err := json.Unmarshal([]byte(said), &s); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			return s
		}
		find(b, bob)
		b.do("look at it", b.shots("131-organization-sign-in"))
		enter(b, "bob", "Your account")
		bobs := signedInAs(b)
		if bobs.Email != bob || bobs.OrganizationID != acme.ID {
			t.Errorf("bob: %+v", bobs)
		}
		// Her account is older than the connection. The organization owns the domain, so that its provider's word is enough.
		a := newTab(t, browser)
		enter(a, "alice", "Your account")
		if s := signedInAs(a); s.Email != alice || s.OrganizationID != acme.ID || s.UserID != alices.Session.UserID {
			t.Errorf("alice: %+v, her account is %s", s, alices.Session.UserID)
		}
		again := newTab(t, browser)
		enter(again, "bob", "Your account")
		if s := signedInAs(again); s != bobs {
			t.Errorf("bob once more: %+v, he was %+v", s, bobs)
		}
		// Who administers Sigra is not the organization's to vouch for.
		root := in.admin("admin@corp.example")
		enter(newTab(t, browser), "admin", "Is this your account?")
		in.boundToTheBrowser(provider, connection.ID)
		if out := in.cli("organization", "member", "list", "acme"); strings.Contains(out, "admin@corp.example") || !strings.Contains(out, alice) || !strings.Contains(out, bob) {
			t.Error(out)
		}
		if out := in.cli("relyra", "trace", connection.ID); strings.Count(out, "accepted") != 5 || !strings.Contains(out, "browser_binding") {
			t.Error(out)
		}

		out := newTab(t, browser)
		find(out, bob)
		if out.count(`main a[href="/login"]`) != 1 {
			t.Errorf("there is no way back:\n%s", out.text())
		}
		form := url.Values{"action": {"update"}, "name": {"Acme staff"}, "just_in_time": {"1"}, "exclusive": {"1"}}
		req, err := http.NewRequest(http.MethodPost, in.url+"/relyra/admin/"+connection.ID, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("Cookie", cookie.Session+"="+root.Token)
		res, err := in.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusSeeOther && res.StatusCode != http.StatusOK {
			t.Errorf("an administrator's change answers %s", res.Status)
		}
		find(out, bob)
		if out.count(`main a`) != 1 || out.count(`a[href^="/relyra/"]`) != 1 {
			t.Errorf("another way is offered:\n%s", out.text())
		}

		in.configure(setup{database: database})
		in.cli("reload")
		out.do("nothing offers it", open(in.url), arrive("Sign in"))
		if out.count(`a[href^="/login/organization"], a[href^="/relyra"]`) != 0 {
			t.Errorf("the sign-in page speaks of it:\n%s", out.text())
		}
		for _, path := range []string{"/relyra/saml/" + connection.ID + "/login", "/relyra/admin", "/login/organization"} {
			in.must(http.StatusNotFound, "GET", path, "", nil)
		}
		if s := signedInAs(again); s != bobs {
			t.Errorf("bob's session is %+v without the block, it was %+v", s, bobs)
		}
	})
}

// boundToTheBrowser holds that what one browser began does nothing in another: not the identity provider's answer, and not the address that follows it.
func (in *instance) boundToTheBrowser(provider *relyratest.IdP, connection string) {
	in.t.Helper()
	at := in.url + "/relyra/saml/" + connection
	send := func(status int, method, to, state string, form url.Values) *http.Response {
		in.t.Helper()
		req, err := http.NewRequest(method, to, strings.NewReader(form.Encode()))
		if err != nil {
			in.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if method == http.MethodPost { // as browsers say of a form of another site
			req.Header.Set("Origin", provider.URL)
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		if state != "" {
			req.Header.Set("Cookie", state)
		}
		res, err := in.http.Do(req)
		if err != nil {
			in.t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != status {
			in.t.Fatalf("%s %s answered %s, want %d", method, to, res.Status, status)
		}
		return res
	}
	begin := func() (state string, answer relyratest.Answer) {
		in.t.Helper()
		res := send(http.StatusSeeOther, http.MethodGet, at+"/login", "", nil)
		for _, c := range res.Cookies() {
			if strings.HasPrefix(c.Name, "__Host-relyra-state_") && c.Secure && c.HttpOnly && c.SameSite == http.SameSiteNoneMode {
				state = c.Name + "=" + c.Value
			}
		}
		if state == "" {
			in.t.Fatalf("no cookie keeps the state: %v", res.Header["Set-Cookie"])
		}
		return state, provider.SignIn(res.Header.Get("Location"), "bob", "bob-pass")
	}
	state, answer := begin()
	other, _ := begin()
	send(http.StatusForbidden, http.MethodPost, answer.Action, "", answer.Form)
	send(http.StatusForbidden, http.MethodPost, answer.Action, other, answer.Form)
	next := send(http.StatusSeeOther, http.MethodPost, answer.Action, state, answer.Form).Header.Get("Location")
	if res := send(http.StatusUnauthorized, http.MethodGet, next, other, nil); len(res.Cookies()) != 0 {
		in.t.Errorf("another browser gets %v", res.Cookies())
	}
	send(http.StatusForbidden, http.MethodPost, answer.Action, state, answer.Form) // a replay
}

// provenDomain makes a domain an organization's own, as if its record had been found.
func (in *instance) provenDomain(database, organization, domain string) {
	in.t.Helper()
	db, err := store.Open(in.t.Context(), store.Config{URL: database, DataDir: in.data})
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Tx(in.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO organization_domain (organization_id, domain, challenge, created_at, verified_at) VALUES ($1, $2, 'x', $3, $3)`,
			organization, domain, time.Now().UTC().Truncate(time.Microsecond))
		return err
	}); err != nil {
		in.t.Fatal(err)
	}
}
