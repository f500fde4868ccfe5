package rulestead_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/plugins/rulestead"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, rulestead.New, plugintest.Options{
		RequirePostgres: true,
		Effects: func(ctx context.Context, host *pluginsdk.Host) (n int, err error) {
			err = host.Database().QueryRowContext(ctx, `SELECT count(*) FROM rulestead_version`).Scan(&n)
			return n, err
		},
	})
}

const acme = "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"

// closed keeps one organization out of login, and asks for more on a route.
const closed = `{"flags": {
	"acme-login": {"kind": "permission", "owner": "ada@example.com", "review_by": "2027-06-30", "enabled": true, "off": "allow", "default": "allow",
		"gate": {"question": "login", "message": "Acme signs in again on Monday."},
		"rules": [{"name": "acme", "when": {"attribute": "organization.id", "operator": "equals", "value": "` + acme + `"}, "value": "deny"}]},
	"admin-route": {"kind": "permission", "owner": "ada@example.com", "review_by": "2027-06-30", "enabled": true, "off": "allow", "default": "allow",
		"gate": {"question": "route"},
		"rules": [{"name": "admin pages", "when": {"all": [{"attribute": "route.path", "operator": "starts_with", "value": "/admin"}, {"attribute": "session.aal", "operator": "not_equals", "value": "aal2"}]}, "value": "step_up"}]}
}}`

func onBoth(t *testing.T, run func(t *testing.T, at *pluginsdk.Location)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); at := plugintest.SQLiteAt(t); run(t, &at) })
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		at, ok := plugintest.PostgresAt(t)
		if !ok {
			t.Fatal("SIGRA_TEST_POSTGRES is not set")
		}
		run(t, &at)
	})
}

func command(t *testing.T, p *plugintest.Running, stdin string, words ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := p.Command(t.Context(), pluginsdk.CommandCall{Name: words[0], Arguments: words[1:], Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &out, Operator: "0/root"})
	return out.String(), err
}

func decide(t *testing.T, p *plugintest.Running, a pluginsdk.Ask) pluginsdk.Verdict {
	t.Helper()
	v, err := p.Ask(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestGates: without flags everything is allowed; a flag keeps one organization out and says why; a rollback lets it in again.
func TestGates(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		p := plugintest.Start(t, rulestead.New(), plugintest.Config{Storage: at})
		login := pluginsdk.Ask{Question: pluginsdk.Login, Principal: &pluginsdk.Principal{Kind: "user", UserID: "u", OrganizationID: acme, AAL: "aal1"}, Login: &pluginsdk.LoginContext{Method: "password"}}
		other := login
		other.Principal = &pluginsdk.Principal{Kind: "user", UserID: "u", AAL: "aal1"}
		if v := decide(t, p, login); v.Decision != "allow" {
			t.Fatalf("without flags: %+v", v)
		}
		if out, err := command(t, p, closed, "apply", "--comment", "maintenance"); err != nil || out != "Version 1 is in force.\n" {
			t.Fatal(out, err)
		}
		if out, err := command(t, p, closed, "apply"); err != nil || out != "Nothing is different from version 1.\n" {
			t.Fatal(out, err)
		}
		if v := decide(t, p, login); v.Decision != "deny" || v.Reason != "rule_acme_login" || v.Message != "Acme signs in again on Monday." || v.Explain != "acme-login@1" {
			t.Fatalf("%+v", v)
		}
		if v := decide(t, p, other); v.Decision != "allow" {
			t.Fatalf("somebody else: %+v", v)
		}
		route := pluginsdk.Ask{Question: pluginsdk.RouteAccess, Principal: other.Principal, Route: &pluginsdk.RouteContext{Host: "app.example", Method: "GET", Path: "/admin/x"}}
		if v := decide(t, p, route); v.Decision != "step_up" || v.RequiredAAL != "aal2" {
			t.Fatalf("route: %+v", v)
		}
		out, err := command(t, p, "", "explain", "acme-login", "organization.id="+acme)
		if err != nil || !strings.Contains(out, `it applies: "deny"`) {
			t.Fatal(out, err)
		}
		if out, err = command(t, p, `{"flags": {}}`, "apply"); err != nil {
			t.Fatal(out, err)
		}
		if v := decide(t, p, login); v.Decision != "allow" {
			t.Fatalf("after it is gone: %+v", v)
		}
		if out, err = command(t, p, "", "rollback", "1"); err != nil || out != "Version 3 is in force.\n" {
			t.Fatal(out, err)
		}
		if v := decide(t, p, login); v.Decision != "deny" || v.Revision != "3" {
			t.Fatalf("after the rollback: %+v", v)
		}
		if n := len(p.Host.Recorded()); n != 3 {
			t.Errorf("%d audit rows for 3 changes", n)
		}
		if out, err := command(t, p, `{"flags": {"f": {}}}`, "apply"); err == nil || !strings.Contains(err.Error(), "kind is one of") {
			t.Error(out, err)
		}
		if out, err := command(t, p, "", "rollback", "9"); err == nil {
			t.Error(out)
		}
	})
}

// TestApply_atOnce: of many who apply on top of one version one wins, and what two processes decide by is the same within a second.
func TestApply_atOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		p := plugintest.Start(t, rulestead.New(), plugintest.Config{Storage: at})
		q := plugintest.Start(t, rulestead.New(), plugintest.Config{Storage: at})
		var won atomic.Int64
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				text := strings.Replace(closed, "2027-06-30", "2027-06-1"+string(rune('0'+i)), 1)
				if _, err := command(t, p, text, "apply", "--base", "0"); err == nil {
					won.Add(1)
				} else if !strings.Contains(err.Error(), "changed meanwhile") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d applied on top of nothing", won.Load())
		}
		login := pluginsdk.Ask{Question: pluginsdk.Login, Principal: &pluginsdk.Principal{OrganizationID: acme}, Login: &pluginsdk.LoginContext{}}
		q.Host.Notify("definitions", "1") // as Sigra tells all nodes
		for began := time.Now(); decide(t, q, login).Decision != "deny"; time.Sleep(20 * time.Millisecond) {
			if time.Since(began) > 5*time.Second { // before it would have looked by itself
				t.Fatal("the other process goes on with the old version")
			}
		}
	})
}

// TestPages: the editor shows every mistake and changes nothing; a change made meanwhile is not overwritten.
func TestPages(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		p := plugintest.Start(t, rulestead.New(), plugintest.Config{Storage: at})
		client := p.Client(&pluginsdk.Principal{Kind: "user", UserID: "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b12", Email: "ada@example.com", Administrator: true})
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		post := func(base, definitions string) int {
			resp, err := client.PostForm("https://sigra.example/rulestead/edit", url.Values{"base": {base}, "definitions": {definitions}, "comment": {"by page"}})
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		if got := post("0", `{"flags": {"f": {}}}`); got != http.StatusUnprocessableEntity {
			t.Errorf("a mistake: %d", got)
		}
		if got := post("0", closed); got != http.StatusSeeOther {
			t.Errorf("a change: %d", got)
		}
		if got := post("0", `{"flags": {}}`); got != http.StatusConflict {
			t.Errorf("on top of an old version: %d", got)
		}
		for path, want := range map[string]int{"/rulestead": 200, "/rulestead/edit": 200, "/rulestead/flags/acme-login?context=organization.id%3D" + acme: 200, "/rulestead/flags/none": 404} {
			resp, err := client.Get("https://sigra.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
	})
}
