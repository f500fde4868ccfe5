package rulestead_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// administrator is a browser of one. It follows no redirects.
func administrator(p *plugintest.Running, name string) *http.Client {
	c := p.Client(&pluginsdk.Principal{Kind: "user", UserID: "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b" + name, Email: name + "@example.com", Administrator: true})
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// post sends a form, and gives the status, where it leads, and the page.
func post(t *testing.T, c *http.Client, path string, form url.Values) (int, string, string) {
	t.Helper()
	resp, err := c.PostForm("https://sigra.example"+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(body)
}

// TestChanges: where two approvals are needed, no way to change a gate avoids them; whoever made a change approves nothing of it; what
// is approved is what was proposed, and what it was made from has to be in force still.
func TestChanges(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		p := plugintest.Start(t, rulestead.New(), plugintest.Config{Storage: at})
		if out, err := command(t, p, closed, "apply"); err != nil {
			t.Fatal(out, err)
		}
		if err := p.Configure(`{"approvals": 2}`); err != nil {
			t.Fatal(err)
		}
		ada, bob, eve := administrator(p, "01"), administrator(p, "02"), administrator(p, "03")
		login := pluginsdk.Ask{Question: pluginsdk.Login, Principal: &pluginsdk.Principal{Kind: "user", UserID: "u", OrganizationID: acme, AAL: "aal1"}, Login: &pluginsdk.LoginContext{Method: "password"}}
		denied := func(when string) {
			t.Helper()
			if v := decide(t, p, login); v.Decision != "deny" || v.Revision != "1" {
				t.Fatalf("%s: %+v", when, v)
			}
		}
		// Every way.
		if out, err := command(t, p, `{"flags": {}}`, "apply"); err != nil || out != "Change 1 waits for approvals (0 of 2).\n" {
			t.Fatal(out, err)
		}
		if status, to, _ := post(t, ada, "/rulestead/edit", url.Values{"base": {"1"}, "definitions": {strings.Replace(closed, `"value": "deny"`, `"value": "allow"`, 1)}}); status != http.StatusSeeOther || to != "/rulestead/changes/2" {
			t.Fatal(status, to)
		}
		if out, err := command(t, p, "", "rollback", "1"); err != nil || out != "Nothing is different from version 1.\n" {
			t.Fatal(out, err)
		}
		if out, err := command(t, p, `{"flags": {}}`, "apply", "--at", "2999-01-01T00:00:00Z"); err != nil || out != "Change 3 waits for approvals (0 of 2) and its time, 2999-01-01T00:00:00Z.\n" {
			t.Fatal(out, err)
		}
		if out, err := command(t, p, "", "kill", "acme-login"); err == nil || !strings.Contains(err.Error(), "may let more people in") {
			t.Fatal(out, err)
		}
		if status, _, _ := post(t, ada, "/rulestead/flags/acme-login/kill", nil); status != http.StatusConflict {
			t.Fatal(status)
		}
		denied("before any approval")
		// Whoever made it, twice the same, and somebody who acts for another.
		if out, err := command(t, p, "", "approve", "1"); err == nil || !strings.Contains(err.Error(), "whoever made a change") {
			t.Fatal(out, err)
		}
		if status, _, page := post(t, ada, "/rulestead/changes/2/approve", nil); status != http.StatusForbidden || !strings.Contains(page, "Whoever made a change") {
			t.Fatal(status, page)
		}
		if status, to, _ := post(t, bob, "/rulestead/changes/2/approve", nil); status != http.StatusSeeOther || to != "/rulestead/changes/2" {
			t.Fatal(status, to)
		}
		if status, _, _ := post(t, bob, "/rulestead/changes/2/approve", nil); status != http.StatusConflict {
			t.Fatal(status)
		}
		other := p.Client(&pluginsdk.Principal{Kind: "user", UserID: "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b04", ImpersonatorID: "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b02", Email: "x@example.com", Administrator: true})
		if status, _, _ := post(t, other, "/rulestead/changes/2/approve", nil); status != http.StatusForbidden {
			t.Fatal(status)
		}
		denied("after one approval")
		refused := 0
		for _, e := range p.Host.Recorded() {
			if e.Action == "rulestead.change.approve" && e.Outcome == "failure" && e.Reason != "" {
				refused++
			}
		}
		if refused != 3 {
			t.Errorf("%d refusals are recorded", refused)
		}
		// The second one.
		if status, _, _ := post(t, eve, "/rulestead/changes/2/approve", nil); status != http.StatusSeeOther {
			t.Fatal(status)
		}
		if v := decide(t, p, login); v.Decision != "allow" || v.Revision != "2" {
			t.Fatalf("after both: %+v", v)
		}
		if out, err := command(t, p, "", "history", "2"); err != nil || out != "~ flags/acme-login/rules/0/value: \"deny\" → \"allow\"\n" {
			t.Fatal(out, err)
		}
		// One that was made from what is no more, and one that is rejected.
		for _, c := range []*http.Client{bob, eve} {
			if status, _, _ := post(t, c, "/rulestead/changes/1/approve", nil); status != http.StatusSeeOther {
				t.Fatal(status)
			}
		}
		if out, err := command(t, p, "", "changes"); err != nil || !strings.Contains(out, "outdated") || !strings.Contains(out, "applied") {
			t.Fatal(out, err)
		}
		if out, err := command(t, p, "", "reject", "3"); err != nil || !strings.Contains(out, "is rejected") {
			t.Fatal(out, err)
		}
		if status, _, _ := post(t, bob, "/rulestead/changes/3/approve", nil); status != http.StatusConflict {
			t.Fatal(status)
		}
		if v := decide(t, p, login); v.Revision != "2" {
			t.Fatalf("%+v", v)
		}
		for path, want := range map[string]int{"/rulestead/changes": 200, "/rulestead/changes/1": 200, "/rulestead/changes/9": 404, "/rulestead/changes/x": 404, "/rulestead/versions/2": 200, "/rulestead/versions/9": 404} {
			resp, err := ada.Get("https://sigra.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			if _ = resp.Body.Close(); resp.StatusCode != want {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
	})
}

// TestKill: a flag is off at once and without approval, and a gate that denies then is closed by it; turning it on is a change.
func TestKill(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		const text = `{"flags": {
			"signups": {"kind": "kill_switch", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": false, "default": true},
			"gate": {"kind": "permission", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "deny", "default": "allow", "gate": {"question": "registration"}, "prerequisites": [{"flag": "signups", "value": true}]},
			"when-off": {"kind": "permission", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "deny", "default": "allow", "gate": {"question": "member.add"}, "prerequisites": [{"flag": "freeze", "value": "no"}]},
			"freeze": {"kind": "kill_switch", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "no", "default": "yes"}}}`
		p := plugintest.Start(t, rulestead.New(), plugintest.Config{Storage: at})
		if out, err := command(t, p, text, "apply"); err != nil {
			t.Fatal(out, err)
		}
		if err := p.Configure(`{"approvals": 1}`); err != nil {
			t.Fatal(err)
		}
		register := pluginsdk.Ask{Question: pluginsdk.Registration, Registration: &pluginsdk.RegistrationContext{}}
		if v := decide(t, p, register); v.Decision != "allow" {
			t.Fatalf("%+v", v)
		}
		if out, err := command(t, p, "", "kill", "signups"); err != nil || out != "Version 2 is in force.\n" {
			t.Fatal(out, err)
		}
		if v := decide(t, p, register); v.Decision != "deny" {
			t.Fatalf("%+v", v)
		}
		if out, err := command(t, p, "", "kill", "freeze"); err == nil || !strings.Contains(err.Error(), "the gate when-off may let") {
			t.Fatal(out, err)
		}
		if out, err := command(t, p, "", "kill", "none"); err == nil {
			t.Fatal(out)
		}
		if out, err := command(t, p, "", "rollback", "1"); err != nil || out != "Change 1 waits for approvals (0 of 1).\n" {
			t.Fatal(out, err)
		}
		if status, _, _ := post(t, administrator(p, "01"), "/rulestead/changes/1/approve", nil); status != http.StatusSeeOther {
			t.Fatal(status)
		}
		if v := decide(t, p, register); v.Decision != "allow" {
			t.Fatalf("%+v", v)
		}
	})
}

// TestScheduled: a change for later comes into force at its time, by itself.
func TestScheduled(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		p := plugintest.Start(t, rulestead.New(), plugintest.Config{Storage: at})
		soon := time.Now().Add(1500 * time.Millisecond).UTC()
		if out, err := command(t, p, closed, "apply", "--at", soon.Format(time.RFC3339Nano)); err != nil || !strings.Contains(out, "Change 1 waits for its time") {
			t.Fatal(out, err)
		}
		if out, err := command(t, p, closed, "apply", "--at", "2020-01-01T00:00:00Z"); err == nil {
			t.Fatal(out)
		}
		route := pluginsdk.Ask{Question: pluginsdk.RouteAccess, Route: &pluginsdk.RouteContext{Path: "/admin/x"}, Principal: &pluginsdk.Principal{AAL: "aal1"}}
		if v := decide(t, p, route); v.Decision != "allow" {
			t.Fatalf("before its time: %+v", v)
		}
		for began := time.Now(); decide(t, p, route).Decision != "step_up"; time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatal("it is not in force")
			}
			p.Host.Notify("definitions", "0") // what makes it look before its own tick
		}
		if e := p.Host.Recorded(); len(e) != 2 || e[1].Actor.Type != "system" {
			t.Errorf("%+v", e)
		}
		var exit *pluginsdk.ExitError
		if out, err := command(t, p, "", "approve", "x"); err == nil || errors.As(err, &exit) && exit.Status != 2 {
			t.Fatal(out, err)
		}
	})
}
