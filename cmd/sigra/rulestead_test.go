//go:build !core_only

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// flags keep one organization out of sign-in, and close a page of the application to whoever isn't in it.
const flags = `{"flags": {
  "acme-login": {"kind": "permission", "owner": "ada@example.com", "review_by": "2027-06-30", "enabled": true, "off": "allow", "default": "allow",
    "gate": {"question": "login", "message": "Acme signs in again on Monday."},
    "rules": [{"name": "acme", "when": {"attribute": "organization.id", "operator": "equals", "value": "%[1]s"}, "value": "deny"}]},
  "reports": {"kind": "permission", "owner": "ada@example.com", "review_by": "2027-06-30", "enabled": true, "off": "allow", "default": "allow",
    "gate": {"question": "route"},
    "rules": [{"name": "acme", "when": {"all": [{"attribute": "route.path", "operator": "starts_with", "value": "/reports"}, {"attribute": "organization.id", "operator": "equals", "value": "%[1]s"}]}, "value": "deny"}]}
}}`

// asks has a proxy ask whether somebody may open a page.
func (in *instance) asks(token, path string) reply {
	in.t.Helper()
	req, err := http.NewRequest("GET", in.url+"/auth/verify", nil)
	if err != nil {
		in.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-Method", "GET")
	req.Header.Set("X-Forwarded-Uri", path)
	req.Header.Set("X-Forwarded-For", "203.0.113.7")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := in.http.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	_, _ = b.ReadFrom(res.Body)
	return reply{res.StatusCode, res.Header, b.Bytes()}
}

// TestRulestead: a flag applied by the command line gates sign-in and a route for one organization, says why, is rolled back, and without the block all
// is as before.
func TestRulestead(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		with := setup{database: database, server: `  trusted_proxies = ["127.0.0.1/32"]` + "\n", plugins: waitedFor("rulestead", "registration", "login", "route", "member.add")}
		in := newInstance(t, with)
		in.start()
		in.pluginReady("rulestead")
		emails := in.people(2)
		acme := in.organization("Acme", emails[0])
		inside, err := in.signIn(emails[0])
		if err != nil {
			t.Fatal(err)
		}
		outside, err := in.signIn(emails[1])
		if err != nil {
			t.Fatal(err)
		}
		if r := in.asks(inside.Token, "/reports/7?x=1"); r.status != http.StatusOK || r.header.Get("Sigra-Organization-Id") != acme || r.header.Get("Sigra-User-Email") != emails[0] {
			t.Fatalf("%d %v %s", r.status, r.header, r.body)
		}
		if r := in.asks("", "/reports"); r.status != http.StatusUnauthorized || !strings.Contains(r.header.Get("Sigra-Sign-In"), "/login?return_to=%2Freports") {
			t.Errorf("nobody: %d %v", r.status, r.header)
		}

		if out, err := in.pipe(fmt.Sprintf(flags, acme), "rulestead", "apply", "--comment", "maintenance"); err != nil || !strings.Contains(out, "Version 1 is in force.") {
			t.Fatalf("%v %s", err, out)
		}
		r, err := in.call("POST", "/v1/login", "", map[string]any{"email": emails[0], "password": testPassword, "token_delivery": "body"})
		if err != nil || r.status != http.StatusForbidden || !strings.Contains(string(r.body), "rule_acme_login") || !strings.Contains(string(r.body), "Acme signs in again on Monday.") {
			t.Errorf("%v %d %s", err, r.status, r.body)
		}
		if _, err := in.signIn(emails[1]); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		if r := in.asks(inside.Token, "/reports/7"); r.status != http.StatusForbidden || r.header.Get("Sigra-Reason") != "rule_reports" {
			t.Errorf("%d %v", r.status, r.header)
		}
		if r := in.asks(inside.Token, "/"); r.status != http.StatusOK {
			t.Errorf("another page: %d", r.status)
		}
		if r := in.asks(outside.Token, "/reports/7"); r.status != http.StatusOK {
			t.Errorf("somebody else: %d", r.status)
		}
		for _, p := range []string{"//reports", "/x/../reports", "/%2e%2e/reports", "/x%2freports"} {
			if r := in.asks(inside.Token, p); r.status != http.StatusForbidden {
				t.Errorf("%s: %d", p, r.status)
			}
		}
		if out := in.cli("rulestead", "explain", "acme-login", "organization.id="+acme); !strings.Contains(out, "deny") || !strings.Contains(out, "acme") {
			t.Error(out)
		}
		if out, err := in.pipe(`{"flags": {"x": {}}}`, "rulestead", "apply"); err == nil || !strings.Contains(out, "kind is one of") {
			t.Errorf("%v %s", err, out)
		}

		if out, err := in.pipe(`{"flags": {}}`, "rulestead", "apply"); err != nil {
			t.Errorf("%v %s", err, out)
		}
		if _, err := in.signIn(emails[0]); err != nil {
			t.Errorf("without flags: %v", err)
		}
		if out := in.cli("rulestead", "rollback", "1"); !strings.Contains(out, "in force") {
			t.Error(out)
		}
		if _, err := in.signIn(emails[0]); err == nil {
			t.Error("rolled back, and signed in")
		}
		alone := with
		alone.plugins = ""
		in.configure(alone)
		in.cli("reload")
		in.eventually(10*time.Second, "sign-in without the block", func() error { _, err := in.signIn(emails[0]); return err })
		if r := in.asks(inside.Token, "/reports/7"); r.status != http.StatusOK {
			t.Errorf("without the block: %d %s", r.status, r.body)
		}
	})
}
