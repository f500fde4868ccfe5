package main

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/web"
)

// TestReload_settings changes each setting that may change while running, and looks for what it changes.
func TestReload_settings(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		r := &reloading{database: database, in: newInstance(t, setup{database: database, host: "id.example.org", extra: devMail})}
		r.in.start()
		r.ada = r.in.signUp("ada@example.org")
		for _, c := range []struct {
			name string
			play func(r *reloading)
		}{
			{"passkey.enabled", func(r *reloading) {
				r.question(http.StatusOK)
				r.with("passkey", `passkey { enabled = false }`)
				r.question(http.StatusNotFound)
				if p := r.page("/login"); strings.Contains(p, "data-passkey") {
					r.t.Error("the page still offers passkeys")
				}
				r.with("passkey", ``)
				r.question(http.StatusOK)
				if p := r.page("/login"); !strings.Contains(p, "data-passkey") {
					r.t.Error("the page does not offer passkeys again")
				}
			}},
			{"passkey.related_origins", func(r *reloading) {
				r.in.must(http.StatusNotFound, "GET", "/.well-known/webauthn", "", nil)
				for _, site := range []string{"https://example.com", "https://example.fr"} {
					r.with("passkey", `passkey { related_origins = ["`+site+`"] }`)
					if b := r.in.must(http.StatusOK, "GET", "/.well-known/webauthn", "", nil).body; string(b) != `{"origins":["`+site+`"]}` {
						r.t.Errorf("%s", b)
					}
				}
				r.with("passkey", ``)
				r.in.must(http.StatusNotFound, "GET", "/.well-known/webauthn", "", nil)
			}},
			{"passkey.ceremony_ttl", func(r *reloading) {
				was := r.question(http.StatusOK).PublicKey.Timeout
				r.with("passkey", `passkey { ceremony_ttl = "1m" }`)
				if is := r.question(http.StatusOK).PublicKey.Timeout; was != 290_000 || is != 58_000 {
					r.t.Errorf("%d ms, then %d", was, is)
				}
			}},
			{"passkey.require_user_verification", func(r *reloading) {
				if a := r.registration(http.StatusOK); a.PublicKey.AuthenticatorSelection.UserVerification != "preferred" {
					r.t.Errorf("%+v", a)
				}
				r.with("passkey", `passkey { require_user_verification = true }`)
				if a := r.registration(http.StatusOK); a.PublicKey.AuthenticatorSelection.UserVerification != "required" {
					r.t.Errorf("%+v", a)
				}
			}},
			{"passkey.allowed_aaguids", func(r *reloading) {
				r.with("passkey", `passkey { allowed_aaguids = ["`+uuid.NewString()+`"] }`)
				r.add(http.StatusForbidden, "passkey_not_allowed")
				r.with("passkey", ``)
				r.add(http.StatusNoContent, "")
			}},
			{"passkey.max_per_account", func(r *reloading) {
				r.with("passkey", `passkey { max_per_account = 1 }`)
				r.registration(http.StatusConflict)
				r.with("passkey", `passkey { max_per_account = 2 }`)
				r.registration(http.StatusOK)
			}},
			{"passkey.block_on_regression", func(r *reloading) {
				use := func(status int) {
					r.device.Count = 1 // once and for all: it does not rise
					q := r.asked(http.StatusOK, "/v1/login/passkey/options", "", map[string]any{})
					r.in.must(status, "POST", "/v1/login/passkey", "", map[string]any{"ceremony": q.Ceremony, "credential": json.RawMessage(r.device.Get(q.Options))})
				}
				r.device.Keys = r.device.Keys[len(r.device.Keys)-1:] // those before were refused
				use(http.StatusOK)
				use(http.StatusOK)
				r.with("passkey", `passkey { block_on_regression = true }`)
				use(http.StatusForbidden)
			}},
			{"passkey.rp_id", func(r *reloading) {
				out := r.with("passkey.rp_id", `passkey { rp_id = "example.org" }`)
				if !strings.Contains(out, "Passkeys still belong to id.example.org") || !strings.Contains(out, "nobody could use any passkey") {
					r.t.Errorf("reload said %s", out)
				}
			}},
			{"second_factor.trust_device", func(r *reloading) {
				r.in.must(http.StatusOK, "PUT", "/v1/account/factors/after-password", r.ada.Token, map[string]any{"on": true})
				for days, set := range map[string]string{"30 days": ``, "7 days": `second_factor { trust_device = "168h" }`, "": `second_factor { trust_device = "0" }`} {
					r.with("second_factor.trust_device", set)
					p := r.page("/login", "email", "ada@example.org", "password", testPassword)
					if strings.Contains(p, "Don't ask again on this device") != (days != "") || !strings.Contains(p, days) {
						r.t.Errorf("%s: the page says\n%s", set, p)
					}
				}
			}},
			{"abuse.backoff", func(r *reloading) {
				r.with("abuse", backoff("1/15m"))
				r.guess("b", "", 0)
				r.guess("b", "proof_of_work", 21)
				r.with("abuse", backoff("0"))
				r.guess("b", "", 0)
			}},
			{"abuse.proof_of_work", func(r *reloading) {
				r.with("abuse", backoff("1/15m", "proof_of_work {\n    difficulty = 12\n  }"))
				r.guess("c", "", 0)
				r.guess("c", "proof_of_work", 12)
				r.with("abuse", backoff("1/15m", "proof_of_work {\n    difficulty = 13\n  }"))
				r.guess("c", "proof_of_work", 13)
			}},
			{"abuse.captcha", func(r *reloading) {
				r.with("abuse", backoff("1/15m", "captcha {\n    provider = \"turnstile\"\n    site_key = \"k\"\n    secret = \"s\"\n  }"))
				r.guess("c", "captcha", 0)
				r.with("abuse", backoff("1/15m"))
				r.guess("c", "proof_of_work", 21)
			}},
			{"abuse.hard_lockout", func(r *reloading) {
				r.with("abuse", `abuse { hard_lockout = "1/1h" }`)
				r.guess("d", "", 0)
				r.guess("d", "stopped", 0)
				r.with("abuse", ``)
				r.guess("d", "", 0)
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				mine := *r
				mine.t, mine.in = t, r.in.forTest(t)
				if mine.device == nil {
					mine.device = passkeytest.New(t, r.in.url)
				}
				mine.device.TB = t
				c.play(&mine)
				r.device = mine.device
				mine.in.configure(setup{database: database, extra: devMail})
				mine.in.cli("reload")
			})
		}
		// What waits for a restart is told each time.
		r.in.configure(setup{database: database, extra: "registration {\n  enabled = false\n}\nsign_in {\n  magic_link = false\n}\nsecond_factor {\n  required = true\n}\n" + devMail})
		for range 2 {
			out := r.in.cli("reload")
			for _, want := range []string{"registration", "sign_in", "second_factor"} {
				if !strings.Contains(out, want) {
					t.Errorf("reload does not say that %s needs a restart: %s", want, out)
				}
			}
		}
	})
}

// devMail keeps mails in the inbox, under a public name too.
const devMail = "mail {\n  dev = true\n}\n"

// backoff slows down after so many failures; more stands in the block beside it.
func backoff(after string, more ...string) string {
	return "abuse {\n  backoff {\n    after = \"" + after + "\"\n  }\n  " + strings.Join(more, "\n") + "\n}\n"
}

// reloading is a server whose settings change, and somebody with an account on it.
type reloading struct {
	t        *testing.T
	in       *instance
	database string
	ada      signedIn
	device   *passkeytest.Authenticator
}

// with reloads with other settings, and wants what changed to be named.
func (r *reloading) with(named, extra string) string {
	r.t.Helper()
	r.in.configure(setup{database: r.database, extra: extra + "\n" + devMail})
	out := r.in.cli("reload")
	if !strings.Contains(out, named) && extra != "" {
		r.t.Errorf("reload does not name %s: %s", named, out)
	}
	return out
}

// asked begins a ceremony.
func (r *reloading) asked(status int, path, token string, body any) (out asked) {
	r.t.Helper()
	res := r.in.must(status, "POST", path, token, body)
	if status == http.StatusOK {
		res.decode(r.t, &out)
	}
	return out
}

func (r *reloading) options(q asked) (a passkeytest.Asked) {
	r.t.Helper()
	if q.Options != nil {
		if err := json.Unmarshal(q.Options, &a); err != nil {
			r.t.Fatal(err)
		}
	}
	return a
}

// question is that of a sign-in, registration that of a new passkey.
func (r *reloading) question(status int) passkeytest.Asked {
	r.t.Helper()
	return r.options(r.asked(status, "/v1/login/passkey/options", "", map[string]any{}))
}

func (r *reloading) registration(status int) passkeytest.Asked {
	r.t.Helper()
	return r.options(r.asked(status, "/v1/account/passkeys/options", r.ada.Token, map[string]any{}))
}

// add makes a passkey and adds it.
func (r *reloading) add(status int, code string) {
	r.t.Helper()
	q := r.asked(http.StatusOK, "/v1/account/passkeys/options", r.ada.Token, map[string]any{})
	answer, err := r.device.Create(q.Options)
	if err != nil {
		r.t.Fatal(err)
	}
	res := r.in.must(status, "POST", "/v1/account/passkeys", r.ada.Token, map[string]any{"ceremony": q.Ceremony, "credential": json.RawMessage(answer)})
	if !strings.Contains(string(res.body), code) {
		r.t.Errorf("the answer is %s, want %s", res.body, code)
	}
}

// page is what a browser shows at a path, or after a form was sent there.
func (r *reloading) page(path string, form ...string) string {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	browser := &http.Client{Transport: r.in.http.Transport, Jar: jar}
	fields := url.Values{}
	for i := 0; i < len(form); i += 2 {
		fields.Set(form[i], form[i+1])
	}
	var res *http.Response
	if form == nil {
		res, err = browser.Get(r.in.url + path)
	} else {
		res, err = browser.PostForm(r.in.url+path, fields)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return html.UnescapeString(string(b))
}

// guess fails to sign in, and wants to be asked for something, or for nothing.
func (r *reloading) guess(who, kind string, difficulty int) {
	r.t.Helper()
	res, err := r.in.call("POST", "/v1/login", "", map[string]any{"email": who + "@example.org", "password": "nonsense"})
	if err != nil {
		r.t.Fatal(err)
	}
	var problem struct {
		Code      string
		Challenge struct {
			Kind       string
			Difficulty int
		}
	}
	res.decode(r.t, &problem)
	got := fmt.Sprintf("%s %d", problem.Challenge.Kind, problem.Challenge.Difficulty)
	switch {
	case kind == "stopped" && (res.status != http.StatusTooManyRequests || problem.Challenge.Kind != ""):
	case kind == "" && res.status != http.StatusUnauthorized, kind != "" && kind != "stopped" && got != fmt.Sprintf("%s %d", kind, difficulty):
	default:
		return
	}
	r.t.Errorf("a guess is answered with %d %s, want %q %d", res.status, res.body, kind, difficulty)
}

// Sigra's own name below /.well-known takes none of the others there from plugins.
func TestCorePaths_wellKnown(t *testing.T) {
	t.Parallel()
	var service *auth.Service
	pages, err := web.New(web.Config{BaseURL: "https://example.org", Services: web.Services{
		SignUps: service, SignIns: service, PasswordResets: service, Sessions: (*session.Store)(nil), PasskeySignIns: service, Signals: (*passkey.Store)(nil),
	}})
	if err != nil {
		t.Fatal(err)
	}
	paths := corePaths(pages)
	if slices.Contains(paths, "/.well-known") || !slices.Contains(paths, "/.well-known/webauthn") || !slices.Contains(paths, "/login") {
		t.Errorf("%q", paths)
	}
}
