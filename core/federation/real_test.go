package federation_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/npmtest"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// realProvider starts npm's oidc-provider, which is certified by the OpenID Foundation, and gives its issuer.
func realProvider(t *testing.T, redirectURI string) string {
	t.Helper()
	dir := npmtest.Install(t, filepath.Join("testdata", "oidc-provider"))
	cmd := exec.Command("node", "provider.mjs", redirectURI)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe() // it ends when this does, also when the test is killed
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		late := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer late.Stop()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(complaints.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("the provider did not start: %v\n%s", err, complaints.String())
	}
	var said struct{ Issuer string }
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return said.Issuer
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)"`)
	abortLink  = regexp.MustCompile(`href="([^"]+/abort)"`)
)

// browse walks through the provider's pages as a person called login would, and gives the address that it is sent back to. Whoever
// cancels does so at the first page.
func browse(t *testing.T, jar http.CookieJar, start, login string, cancel bool) *url.URL {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Get(start)
	for range 20 {
		if err != nil {
			t.Fatal(err)
		}
		body, rerr := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if rerr != nil {
			t.Fatal(rerr)
		}
		if to := res.Header.Get("Location"); to != "" {
			at, perr := res.Request.URL.Parse(to)
			if perr != nil {
				t.Fatal(perr)
			}
			if strings.HasPrefix(at.String(), federationtest.BaseURL) {
				return at
			}
			res, err = browser.Get(at.String())
			continue
		}
		action, abort := formAction.FindSubmatch(body), abortLink.FindSubmatch(body)
		switch {
		case res.StatusCode != http.StatusOK || action == nil:
			t.Fatalf("%s: %s\n%s", res.Request.URL, res.Status, body)
		case cancel && abort != nil:
			at, perr := res.Request.URL.Parse(string(abort[1]))
			if perr != nil {
				t.Fatal(perr)
			}
			res, err = browser.Get(at.String())
		default:
			at, perr := res.Request.URL.Parse(string(action[1]))
			if perr != nil {
				t.Fatal(perr)
			}
			form := url.Values{"login": {login}, "password": {"anything"}}
			for _, hidden := range formHidden.FindAllSubmatch(body, -1) {
				form.Set(string(hidden[1]), string(hidden[2]))
			}
			res, err = browser.PostForm(at.String(), form)
		}
	}
	t.Fatal("the provider's pages go round in circles")
	return nil
}

// TestRealProvider: the whole flow against a certified implementation: discovery, PKCE, nonce, RFC 9207 iss, its login and
// consent pages, three ways to sign ID tokens and three to prove the client, the API, a fresh sign-in, a cancelled one.
func TestRealProvider(t *testing.T) {
	t.Parallel()
	issuer := realProvider(t, federationtest.BaseURL+"/login/callback/real")
	db := storetest.Open(t, store.SQLite, sources...)
	ring := newRing(t, db)
	yes := true
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			cfg := config.Provider{Name: "real", Enabled: true, SignUp: true, Issuer: issuer, ClientID: "client-" + alg, ClientSecret: secret.New("secret of " + alg + ": %+/"), TrustEmail: &yes}
			switch alg {
			case "ES256":
				cfg.TokenAuth = config.TokenAuthPost
			case "EdDSA":
				cfg.TokenAuth, cfg.ClientSecret = config.TokenAuthNone, secret.Text{}
			}
			d, err := federation.NewDirectory(federation.DirectoryConfig{BaseURL: federationtest.BaseURL, Providers: []config.Provider{cfg}, Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			f, err := d.Check(t.Context(), "real")
			if err != nil || !f.IssParameter || f.Keys != 3 || len(f.Warnings) != 0 || strings.Join(f.Algorithms, " ") == "" {
				t.Fatalf("%+v %v", f, err)
			}
			w := newWorld(t, db, ring, d)
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			begin := func(r federation.Request) federation.Begun {
				t.Helper()
				r.Provider, r.Purpose = "real", federation.SignIn
				b, err := w.Begin(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			b := begin(federation.Request{})
			back := browse(t, jar, b.URL, "ada", false)
			if q := back.Query(); q.Get("iss") != issuer || q.Get("code") == "" {
				t.Errorf("it came back with %s", back)
			}
			c := federationtest.Callback(back, b.Browser)
			r, err := w.Finish(t.Context(), c)
			if cl := r.Claims; err != nil || cl.Subject != "ada" || cl.Issuer != issuer || cl.Email != "ada@example.org" || !cl.EmailVerified || cl.Name != "The ada" || cl.Locale != "en" {
				t.Fatalf("%+v %v", r, err)
			}
			_, err = w.Finish(t.Context(), c)
			refused(t, err, "state_invalid", "state", "spent")

			// Once more: the provider knows the browser, and asks nothing. Then a fresh sign-in, as somebody else.
			b = begin(federation.Request{})
			if r, err = w.Finish(t.Context(), federationtest.Callback(browse(t, jar, b.URL, "ada", false), b.Browser)); err != nil || r.Claims.Subject != "ada" || !r.Claims.AuthTime.IsZero() {
				t.Errorf("%+v %v", r, err)
			}
			b = begin(federation.Request{ForceLogin: true})
			if r, err = w.Finish(t.Context(), federationtest.Callback(browse(t, jar, b.URL, "unverified", false), b.Browser)); err != nil || r.Claims.Subject != "unverified" || r.Claims.EmailVerified || time.Since(r.Claims.AuthTime) > time.Minute {
				t.Errorf("%+v %v", r, err)
			}
			b = begin(federation.Request{ForceLogin: true})
			_, err = w.Finish(t.Context(), federationtest.Callback(browse(t, jar, b.URL, "", true), b.Browser))
			refused(t, err, "provider_denied", "authorize", "access_denied")

			// A code is good for the verifier that it was asked for with, and for no other: an injected one is refused by the provider.
			stolen := begin(federation.Request{})
			back = browse(t, jar, stolen.URL, "unverified", false)
			own := begin(federation.Request{})
			u, err := url.Parse(own.URL)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Finish(t.Context(), federation.Callback{Provider: "real", State: u.Query().Get("state"), Code: back.Query().Get("code"), Issuer: issuer, Browser: own.Browser})
			refused(t, err, "provider_answer_invalid", "token", "invalid_grant")
		})
	}
}
