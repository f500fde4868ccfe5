package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// variants are the three shapes in which the same core suite must give the same results: with the satellite's block,
// without it, and (by the build tag core_only) on a binary that has no satellite at all.
func variants() map[string]string {
	v := map[string]string{"standalone": ""}
	if bundled() {
		v["with threadline"] = threadlineBlock
	}
	return v
}

// TestCore walks everything a person does, through a real server process.
func TestCore(t *testing.T) {
	t.Parallel()
	for name, plugins := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, database string) {
				t.Parallel()
				in := newInstance(t, setup{database: database, plugins: plugins})
				in.start()
				coreSuite(t, in)
				in.stop()
			})
		})
	}
}

func coreSuite(t *testing.T, in *instance) {
	const email = "ada@example.com"
	s := in.signUp(email)

	// The session of the confirmation stands.
	in.must(http.StatusOK, "GET", "/v1/session", s.Token, nil)
	in.must(http.StatusUnauthorized, "GET", "/v1/session", "", nil)
	in.must(http.StatusUnauthorized, "GET", "/v1/session", string(s.Token[0]^1)+s.Token[1:], nil)

	// Signing up again with the same address answers as if it were new, and changes nothing.
	again := in.must(http.StatusAccepted, "POST", "/v1/register", "", map[string]any{"email": email, "password": "another long password"})
	var flow struct{ Flow string }
	again.decode(t, &flow)
	if flow.Flow == "" {
		t.Errorf("sign-up of a known address answered %s", again.body)
	}
	in.mailTo(email, "already_registered")

	// A second sign-in gives a second session; a wrong password none.
	s2, err := in.signIn(email)
	if err != nil {
		t.Fatal(err)
	}
	if s2.Session.SessionID == s.Session.SessionID || s2.Token == s.Token {
		t.Error("the second sign-in gave the first one's session")
	}
	wrong := in.must(http.StatusUnauthorized, "POST", "/v1/login", "", map[string]any{"email": email, "password": "not the password"})
	unknown := in.must(http.StatusUnauthorized, "POST", "/v1/login", "", map[string]any{"email": "nobody@example.com", "password": "not the password"})
	if a, b := withoutIDs(wrong.body), withoutIDs(unknown.body); a != b {
		t.Errorf("a wrong password and an unknown address are told apart:\n%s\n%s", a, b)
	}

	// A new password ends the other sessions and renews this one.
	changed := in.must(http.StatusOK, "PUT", "/v1/account/password", s2.Token, map[string]any{
		"current_password": testPassword, "new_password": "a different long password", "token_delivery": "body"})
	var s3 signedIn
	changed.decode(t, &s3)
	in.must(http.StatusUnauthorized, "GET", "/v1/session", s.Token, nil)
	in.must(http.StatusUnauthorized, "GET", "/v1/session", s2.Token, nil)
	in.must(http.StatusOK, "GET", "/v1/session", s3.Token, nil)

	// Signing out ends the session at once.
	if r, err := in.call("POST", "/v1/logout", s3.Token, nil); err != nil || r.status/100 != 2 {
		t.Fatalf("sign-out: %d %v", r.status, err)
	}
	in.must(http.StatusUnauthorized, "GET", "/v1/session", s3.Token, nil)

	// An administrator is made by a command, and sees the log.
	admin := in.admin("root@example.com")
	if !admin.Session.Administrator {
		t.Error("the administrator is none")
	}
	in.must(http.StatusForbidden, "GET", "/v1/audit", mustSignUp(in, "eve@example.com").Token, nil)
	var actions []string
	for _, row := range in.auditLog(admin.Token) {
		actions = append(actions, row.Action)
	}
	for _, want := range []string{"auth.register.success", "auth.confirmation.success", "auth.login.success", "auth.register.failure",
		"auth.login.failure", "account.password_change.success", "auth.logout", "admin.user.create", "auth.password_reset.success"} {
		if !slices.Contains(actions, want) {
			t.Errorf("%s is not in the audit log: %v", want, actions)
		}
	}

	// Disabling takes effect on the very next request.
	eve, err := in.signIn("eve@example.com")
	if err != nil {
		t.Fatal(err)
	}
	in.cli("user", "disable", "eve@example.com")
	in.must(http.StatusUnauthorized, "GET", "/v1/session", eve.Token, nil)
	if _, err := in.signIn("eve@example.com"); err == nil {
		t.Error("a disabled account signed in")
	}

	// A restart keeps sessions, a crash too.
	in.stop()
	in.start()
	in.must(http.StatusOK, "GET", "/v1/session", admin.Token, nil)
	in.kill()
	in.start()
	in.must(http.StatusOK, "GET", "/v1/session", admin.Token, nil)
}

func mustSignUp(in *instance, email string) signedIn {
	in.t.Helper()
	return in.signUp(email)
}

// withoutIDs takes the request id out of an answer: all that may differ.
func withoutIDs(b []byte) string {
	s := string(b)
	if i := strings.Index(s, `"request_id":"`); i >= 0 {
		rest := s[i+len(`"request_id":"`):]
		return s[:i] + rest[strings.IndexByte(rest, '"')+1:]
	}
	return s
}

// TestCore_commandsWithoutServer runs the administrator's commands where no server runs: they open the database themselves.
func TestCore_commandsWithoutServer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		in := newInstance(t, setup{database: database})
		in.start()
		in.stop()
		out := in.cli("user", "create", "--admin", "root@example.com")
		if !strings.Contains(out, in.url+"/set-password?token=") {
			t.Errorf("no link in %q", out)
		}
		if out := in.cli("user", "list"); !strings.Contains(out, "root@example.com") {
			t.Errorf("list: %q", out)
		}
		if out := in.cli("audit", "list", "--action", "admin.*"); !strings.Contains(out, "admin.user.create") {
			t.Errorf("audit list: %q", out)
		}
		in.cli("keys", "rotate")
		if _, errOut, err := in.tryCLI("plugin", "list"); err == nil || !strings.Contains(errOut, "no Sigra runs here") {
			t.Errorf("plugin list without a server: %v %q", err, errOut)
		}
		in.start() // and the server takes up what they did
		if out := in.cli("user", "list", "--json"); !strings.Contains(out, "root@example.com") {
			t.Errorf("list over the socket: %q", out)
		}
	})
}

// TestShutdown_finishesRequestsInFlight sends SIGTERM while sign-ins are being hashed.
func TestShutdown_finishesRequestsInFlight(t *testing.T) {
	t.Parallel()
	in := newInstance(t, setup{})
	in.start()
	in.signUp("ada@example.com")
	const n = 8
	results := make(chan error, n)
	for range n {
		go func() {
			_, err := in.signIn("ada@example.com")
			results <- err
		}()
	}
	// Some must have begun; which ones does not matter.
	first := <-results
	in.stop()
	done := 0
	for _, err := range append(drain(results, n-1), first) {
		switch {
		case err == nil:
			done++
		case strings.Contains(err.Error(), "connection refused"), strings.Contains(err.Error(), "reset"), strings.Contains(err.Error(), "EOF"):
		default:
			t.Errorf("a sign-in during shutdown: %v", err)
		}
	}
	if done == 0 {
		t.Error("no sign-in finished")
	}
	if !strings.Contains(in.log(), "draining") {
		t.Error("the log does not say that it drains")
	}
}

func drain(c chan error, n int) []error {
	var out []error
	for range n {
		select {
		case err := <-c:
			out = append(out, err)
		case <-time.After(30 * time.Second):
			out = append(out, fmt.Errorf("a request got no answer in 30 s"))
		}
	}
	return out
}
