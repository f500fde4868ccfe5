//go:build !core_only

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/npmtest"
	"github.com/sigra-auth/sigra/core/web/browsertest"
)

// TestLockspire has an application sign somebody in: by npm's openid-client, in a real browser, on the pages of a real server process whose
// block for the satellite is empty. Then the block goes, and with it all that it brought.
func TestLockspire(t *testing.T) {
	t.Parallel()
	browser := browsertest.Chromium(t)
	onEither(t, func(t *testing.T, database string) {
		t.Parallel()
		in := newInstance(t, setup{database: database, plugins: `plugin "lockspire" {}` + "\n"})
		in.start()
		in.pluginReady("lockspire")
		person := in.signUp(ada)

		callback := "http://" + freeAddr(t) + "/callback"
		var made struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
			Issuer string
		}
		out := in.cli("lockspire", "client", "create", "--name", "Notes", "--redirect-uri", callback, "--development", "--json")
		if err := json.Unmarshal([]byte(out), &made); err != nil || made.Secret == "" || made.Issuer != in.url+"/lockspire" {
			t.Fatalf("%v %s", err, out)
		}
		if list := in.cli("lockspire", "client", "list"); !strings.Contains(list, made.ID) || strings.Contains(list, made.Secret) {
			t.Error(list)
		}
		startApplication(t, made.Issuer, made.ID, made.Secret, callback)
		app := strings.TrimSuffix(callback, "/callback")

		b := newTab(t, browser)
		b.do("sign in to the application", open(app+"/login"), arrive("Sign in"), typed("#email", ada), typed("#password", testPassword), press(), arrive("Notes wants to use your account"))
		if text := b.text(); !strings.Contains(text, ada) || !strings.Contains(text, app) {
			t.Errorf("the consent page does not say who and where:\n%s", text)
		}
		b.do("allow it", click(`button[value="allow"]`), arrive("Signed in to Notes"))
		type tokens struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		var got struct {
			tokens
			Claims map[string]any
			Info   map[string]any
		}
		if err := json.Unmarshal([]byte(browsertest.Evaluate[string](b.Tab, `document.querySelector("script").textContent`)), &got); err != nil {
			t.Fatal(err)
		}
		sub := person.Session.UserID
		if got.Claims["sub"] != sub || got.Claims["iss"] != made.Issuer || got.Info["email"] != ada || got.Info["email_verified"] != true || got.Access == "" || got.Refresh == "" {
			t.Errorf("%+v", got)
		}

		// Once allowed, nobody is asked again.
		b.do("again", open(app+"/login"), arrive("Signed in to Notes"))

		ask := func(path string, params url.Values, status int, v any) {
			t.Helper()
			res, err := client.Get(app + path + "?" + params.Encode())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != status || json.Unmarshal(body, v) != nil {
				t.Fatalf("%s answered %s: %s (%v)", path, res.Status, body, err)
			}
		}
		refresh := func(token string) (next tokens) {
			t.Helper()
			ask("/refresh", url.Values{"token": {token}}, http.StatusOK, &next)
			if next.Refresh == "" || next.Refresh == token || next.Access == "" {
				t.Fatalf("refreshed: %+v", next)
			}
			return next
		}
		second := refresh(got.Refresh)
		if lost := refresh(got.Refresh); lost.Refresh != second.Refresh {
			t.Error("the same token gives another successor within the grace")
		}
		third := refresh(second.Refresh) // the successor is used: the grace is over
		var info map[string]any
		ask("/userinfo", url.Values{"token": {third.Access}, "sub": {sub}}, http.StatusOK, &info)
		var refused struct{ Error string }
		if ask("/refresh", url.Values{"token": {got.Refresh}}, http.StatusBadRequest, &refused); refused.Error != "invalid_grant" {
			t.Errorf("reuse: %+v", refused)
		}
		if ask("/refresh", url.Values{"token": {third.Refresh}}, http.StatusBadRequest, &refused); refused.Error != "invalid_grant" {
			t.Errorf("the family lives on: %+v", refused)
		}
		if r := in.must(http.StatusUnauthorized, "GET", "/lockspire/userinfo", third.Access, nil); !strings.Contains(r.header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("userinfo: %v", r.header)
		}

		in.configure(setup{database: database})
		in.cli("reload")
		for _, path := range []string{"/lockspire/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/lockspire", "/lockspire/jwks"} {
			in.must(http.StatusNotFound, "GET", path, "", nil)
		}
		if _, _, err := in.tryCLI("lockspire", "client", "list"); err == nil {
			t.Error("the command runs without the block")
		}
		in.must(http.StatusOK, "GET", "/v1/session", person.Token, nil)
		if _, err := in.signIn(ada); err != nil {
			t.Error(err)
		}
		b.do("her account", open(in.url), arrive("Your account"))
	})
}

// startApplication runs testdata/openid-client until the test ends.
func startApplication(t *testing.T, arguments ...string) {
	t.Helper()
	cmd := exec.Command("node", append([]string{"application.mjs"}, arguments...)...)
	cmd.Dir = npmtest.Install(t, filepath.Join("testdata", "openid-client"))
	stdin, err := cmd.StdinPipe() // it ends when this does, also when the test is killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		_ = cmd.Wait()
		t.Fatalf("the application did not start: %v\n%s", err, complaints.String())
	}
}
