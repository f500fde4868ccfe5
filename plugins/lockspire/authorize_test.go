package lockspire_test

import (
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func (w *world) authorize(who *pluginsdk.Principal, q url.Values) answer {
	w.t.Helper()
	return w.get(who, "/lockspire/authorize?"+q.Encode())
}

// errorSent sees that an answer carries an error to the client, and iss with it.
func (w *world) errorSent(a answer, code string) {
	w.t.Helper()
	if out := sent(w.t, a, callback); out.Get("error") != code || out.Get("iss") != issuer || out.Get("state") != "st-1" || out.Has("code") {
		w.t.Errorf("sent %v, want %s", out, code)
	}
}

// toSignIn is the address of the stored request that a sign-in leads back to.
func (w *world) toSignIn(a answer) (back string, ask url.Values) {
	w.t.Helper()
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther || u.Path != "/login" {
		w.t.Fatalf("no sign-in: %d %s %s", a.status, a.header.Get("Location"), a.body)
	}
	back = u.Query().Get("return_to")
	if !strings.HasPrefix(back, "/lockspire/interaction/") {
		w.t.Fatalf("the sign-in leads back to %s", back)
	}
	return back, u.Query()
}

// TestAuthorize_page: where nobody may be sent anywhere, nobody is.
func TestAuthorize_page(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, _ := w.client("--redirect-uri", callback)
		for name, q := range map[string]url.Values{
			"unknown client":    request("nobody"),
			"foreign redirect":  request(id, "redirect_uri", "https://evil.example/cb"),
			"markup in request": request(`<script>alert(1)</script>`, "redirect_uri", `"><script>alert(1)</script>`),
			"too long":          request(id, "state", strings.Repeat("x", 17<<10)),
		} {
			for _, a := range []answer{w.authorize(w.ada, q), w.post(nil, "/lockspire/authorize", q)} {
				if a.status < 400 || a.status >= 500 || a.header.Get("Location") != "" || a.header.Get("Refresh") != "" || strings.Contains(a.body, "<script>") {
					t.Errorf("%s: %d %s %v", name, a.status, a.body, a.header)
				}
			}
		}
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete} {
			if a := w.do(w.ada, method, "/lockspire/authorize?"+request(id).Encode(), ""); a.status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, a.status)
			}
		}
	})
}

// TestAuthorize_prompts: what is asked of the person, and what the client gets when nothing may be asked.
func TestAuthorize_prompts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		none := func(pairs ...string) url.Values { return request(id, append([]string{"prompt", "none"}, pairs...)...) }
		w.errorSent(w.authorize(nil, none()), "login_required")
		w.errorSent(w.authorize(w.ada, none()), "consent_required")

		// Signed out: to the sign-in, with what it should know, and back to consent.
		back, ask := w.toSignIn(w.authorize(nil, request(id, "login_hint", "ada@example.com")))
		if ask.Get("login_hint") != "ada@example.com" || ask.Get("client") != "Notes" || ask.Get("cancel_to") != back || ask.Has("fresh") {
			t.Errorf("sign-in: %v", ask)
		}
		ticket := w.ticket(back)
		out := sent(t, w.post(w.ada, back, url.Values{"ticket": {ticket}, "decision": {"allow"}}), callback)
		got := w.redeem(id, secret, out.Get("code")).json(t)

		// What was allowed is not asked again, and neither a reload nor a smaller request is.
		if q := sent(t, w.authorize(w.ada, none()), callback); q.Get("code") == "" {
			t.Errorf("after consent: %v", q)
		}
		if q := sent(t, w.authorize(w.ada, request(id, "scope", "openid")), callback); q.Get("code") == "" {
			t.Errorf("less than was allowed: %v", q)
		}
		w.errorSent(w.authorize(w.ada, none("scope", "openid profile")), "consent_required")
		w.errorSent(w.authorize(w.ada, none("acr_values", "aal2")), "interaction_required")
		w.errorSent(w.authorize(w.ada, none("max_age", "30")), "login_required")
		if q := sent(t, w.authorize(w.ada, none("max_age", "3600", "acr_values", "nonsense aal1", "ui_locales", "de en", "id_token_hint", text(got["id_token"]))), callback); q.Get("code") == "" {
			t.Errorf("wishes that are met: %v", q)
		}
		other := *w.ada
		other.UserID, other.SessionID = "0195a4c5-0000-7000-8000-0000000000bb", "0195a4c5-0000-7000-8000-0000000000bc"
		w.errorSent(w.authorize(&other, none("id_token_hint", text(got["id_token"]))), "login_required")
		w.errorSent(w.authorize(w.ada, none("id_token_hint", text(got["access_token"]))), "invalid_request")

		// A fresh sign-in is one that came after the request.
		back, _ = w.toSignIn(w.authorize(w.ada, request(id, "prompt", "login")))
		if a := w.get(w.ada, back); a.header.Get("Location") == "" {
			t.Errorf("an old sign-in passed for a fresh one: %d %s", a.status, a.body)
		}
		w.ada.AuthTime = w.clock.now().Add(time.Second)
		if q := sent(t, w.get(w.ada, back), callback); q.Get("code") == "" {
			t.Errorf("after a fresh sign-in: %v", q)
		}
		// The sign-in was cancelled.
		back, ask = w.toSignIn(w.authorize(nil, request(id)))
		w.errorSent(w.get(nil, ask.Get("cancel_to")+"?error=cancelled"), "access_denied")
		if a := w.get(w.ada, back); a.status != http.StatusConflict {
			t.Errorf("after it was cancelled: %d", a.status)
		}
		w.ada.AuthTime = w.clock.now().Add(-time.Minute)
		// What the client wants of the sign-in goes along to it.
		_, ask = w.toSignIn(w.authorize(w.ada, request(id, "prompt", "login", "login_hint", "bob@example.com", "ui_locales", "de-CH en", "max_age", "90", "acr_values", "urn:x aal2")))
		for name, want := range map[string]string{"fresh": "1", "login_hint": "bob@example.com", "ui_locales": "de-CH en", "max_age": "90", "aal": "aal2", "select_account": ""} {
			if ask.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, ask.Get(name), want)
			}
		}
		// Who is asked for an account may go on as they are, without proving it anew.
		back, ask = w.toSignIn(w.authorize(w.ada, request(id, "prompt", "select_account")))
		if ask.Get("select_account") != "1" || ask.Has("fresh") {
			t.Errorf("%v", ask)
		}
		if q := sent(t, w.get(w.ada, back), callback); q.Get("code") == "" {
			t.Errorf("after choosing: %v", q)
		}
		// A wish that the account can't grant is let go; nobody who is signed out gets by with that.
		back, _ = w.toSignIn(w.authorize(w.ada, request(id, "acr_values", "aal2")))
		if q := sent(t, w.get(w.ada, back+"?error=impossible"), callback); q.Get("code") == "" {
			t.Errorf("without what was wished for: %v", q)
		}
		back, _ = w.toSignIn(w.authorize(nil, request(id, "acr_values", "aal2")))
		w.errorSent(w.get(nil, back+"?error=impossible"), "access_denied")
		back, _ = w.toSignIn(w.authorize(w.ada, request(id, "acr_values", "aal2")))
		w.errorSent(w.get(w.ada, back+"?error=cancelled"), "access_denied")
		// Nobody goes round for ever.
		back, _ = w.toSignIn(w.authorize(nil, request(id)))
		for range 2 {
			w.toSignIn(w.get(nil, back))
		}
		w.errorSent(w.get(nil, back), "login_required")
	})
}

// TestConsent: one answer, by whom the page was shown, and the same place for who presses twice.
func TestConsent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		page, ticket := w.consentTo(request(id))
		allow := url.Values{"ticket": {ticket}, "decision": {"allow"}}
		other := *w.ada
		other.UserID, other.SessionID = "0195a4c5-0000-7000-8000-0000000000bb", "0195a4c5-0000-7000-8000-0000000000bc"
		for name, a := range map[string]answer{
			"another person sees it": w.get(&other, page), "another person answers": w.post(&other, page, allow), "nobody answers": w.post(nil, page, allow),
			"no ticket": w.post(w.ada, page, url.Values{"decision": {"allow"}}), "another ticket": w.post(w.ada, page, url.Values{"ticket": {"x"}, "decision": {"allow"}}),
			"no decision": w.post(w.ada, page, url.Values{"ticket": {ticket}}), "no interaction": w.post(w.ada, "/lockspire/interaction/nothing", allow),
		} {
			if a.status < 400 || a.header.Get("Refresh") != "" || a.header.Get("Location") != "" || strings.Contains(a.body, "Notes") {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		impersonated := *w.ada
		impersonated.ImpersonatorID = other.UserID
		if a := w.post(&impersonated, page, allow); a.status < 400 {
			t.Errorf("an administrator in her name: %d", a.status)
		}
		newer := w.ticket(page) // loaded again: the page before it is void
		if a := w.post(w.ada, page, allow); a.status != http.StatusConflict {
			t.Errorf("an older page: %d", a.status)
		}
		allow.Set("ticket", newer)
		first := sent(t, w.post(w.ada, page, allow), callback)
		if again := sent(t, w.post(w.ada, page, allow), callback); again.Encode() != first.Encode() {
			t.Errorf("pressed twice: %v, then %v", first, again)
		}
		if a := w.redeem(id, secret, first.Get("code")); a.status != http.StatusOK {
			t.Errorf("redeem: %d %s", a.status, a.body)
		}
		if a := w.get(w.ada, page); a.status != http.StatusConflict {
			t.Errorf("opened after it was answered: %d", a.status)
		}
		page, ticket = w.consentTo(request(id, "prompt", "consent"))
		deny := url.Values{"ticket": {ticket}, "decision": {"deny"}}
		w.errorSent(w.post(w.ada, page, deny), "access_denied")
		deny.Set("decision", "allow")
		w.errorSent(w.post(w.ada, page, deny), "access_denied") // what was refused stays so
		page, ticket = w.consentTo(request(id, "prompt", "consent"))
		w.clock.move(20 * time.Minute)
		if a := w.post(w.ada, page, url.Values{"ticket": {ticket}, "decision": {"allow"}}); a.status != http.StatusBadRequest || a.header.Get("Refresh") != "" {
			t.Errorf("too late: %d", a.status)
		}
		w.recorded("lockspire.consent.refuse")
	})
}

// TestAuthorize_disabledMeanwhile: an account that was disabled between sign-in and consent authorizes nothing.
func TestAuthorize_disabledMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, _ := w.client("--redirect-uri", callback)
		page, ticket := w.consentTo(request(id))
		w.host.AddUser(pluginsdk.User{ID: w.ada.UserID, Status: "disabled"})
		w.errorSent(w.post(w.ada, page, url.Values{"ticket": {ticket}, "decision": {"allow"}}), "access_denied")
	})
}

var inputInPage = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// TestAuthorize_modes: by POST, and with each way to answer.
func TestAuthorize_modes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, _ := w.client("--redirect-uri", callback, "--trusted", "--fragment")
		// A form of another site comes as nobody's; the browser goes on by GET.
		a := w.post(nil, "/lockspire/authorize", request(id))
		if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/lockspire/interaction/") {
			t.Fatalf("POST: %d %s", a.status, a.body)
		}
		if q := sent(t, w.get(w.ada, a.header.Get("Location")), callback); q.Get("code") == "" {
			t.Errorf("POST: %v", q)
		}
		if a := w.authorize(w.ada, request(id, "response_mode", "fragment")); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), callback+"#") ||
			!strings.Contains(a.header.Get("Location"), "code=") || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("fragment: %d %v", a.status, a.header)
		}
		a = w.authorize(w.ada, request(id, "response_mode", "form_post", "state", `"><b>`))
		fields := map[string]string{}
		for _, m := range inputInPage.FindAllStringSubmatch(a.body, -1) {
			fields[m[1]] = html.UnescapeString(m[2])
		}
		policy := a.header.Get("Content-Security-Policy")
		if a.status != http.StatusOK || fields["code"] == "" || fields["iss"] != issuer || fields["state"] != `"><b>` || strings.Contains(a.body, "<b>") ||
			!strings.Contains(a.body, `action="`+callback+`"`) || !strings.Contains(policy, "form-action https://app.example;") {
			t.Errorf("form_post: %d %s %s", a.status, policy, a.body)
		}
		other, _ := w.client("--redirect-uri", callback+"?a=1")
		q := sent(t, w.authorize(nil, request(other, "prompt", "none", "redirect_uri", callback+"?a=1")), callback+"?a=1")
		if q.Get("error") != "login_required" {
			t.Errorf("a redirect URI with a query: %v", q)
		}
	})
}

// TestNative: any port of the loopback address, no secret, and consent each time.
func TestNative(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--kind", "native", "--redirect-uri", "http://127.0.0.1/cb", "--redirect-uri", "com.example.app:/cb")
		if secret != "" {
			t.Error("a native application got a secret")
		}
		at := "http://127.0.0.1:51004/cb"
		q := request(id, "redirect_uri", at)
		for range 2 {
			page, ticket := w.consentTo(q)
			a := w.post(w.ada, page, url.Values{"ticket": {ticket}, "decision": {"allow"}})
			if a.status != http.StatusSeeOther { // at once: the person has just pressed a button
				t.Errorf("%d %s", a.status, a.body)
			}
			if a := w.redeem(id, "", sent(t, a, at).Get("code"), "redirect_uri", at); a.status != http.StatusOK {
				t.Errorf("token: %d %s", a.status, a.body)
			}
		}
		page, _ := w.consentTo(request(id, "redirect_uri", "com.example.app:/cb"))
		if p := w.get(w.ada, page).header.Get("Content-Security-Policy"); !strings.Contains(p, "form-action 'self' com.example.app:;") {
			t.Errorf("policy: %s", p)
		}
	})
}

// TestAuthorize_trouble: what goes wrong on our side after the request was checked is told to the client, and before that to nobody.
func TestAuthorize_trouble(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, _ := w.client("--redirect-uri", callback, "--trusted")
		w.host.Fail(pluginsdk.IdentityRead, pluginsdk.Retryable(errors.New("not well")))
		w.errorSent(w.authorize(w.ada, request(id)), "temporarily_unavailable")
		w.host.Fail(pluginsdk.IdentityRead, nil)
		if err := w.SDK().Database().Close(); err != nil {
			t.Fatal(err)
		}
		if a := w.authorize(w.ada, request(id)); a.status != http.StatusServiceUnavailable || a.header.Get("Location") != "" {
			t.Errorf("no database: %d %v", a.status, a.header)
		}
	})
}

// TestIssuer: the issuer's path is a setting, and may be empty.
func TestIssuer(t *testing.T) {
	t.Parallel()
	for path, discovery := range map[string]string{"": "/.well-known/oauth-authorization-server", "/oauth/v2": "/.well-known/oauth-authorization-server/oauth/v2"} {
		w := newWorld(t, plugintest.SQLiteAt(t), `{"issuer_path": "`+path+`"}`)
		for _, at := range []string{path + "/.well-known/openid-configuration", discovery} {
			if m := w.get(nil, at).json(t); m["issuer"] != "https://sigra.example"+path || m["authorization_endpoint"] != "https://sigra.example"+path+"/authorize" {
				t.Errorf("%s: %v", at, m)
			}
		}
		id, secret := w.client("--redirect-uri", callback)
		a := w.get(w.ada, path+"/authorize?"+request(id).Encode())
		page := a.header.Get("Location")
		if !strings.HasPrefix(page, path+"/interaction/") {
			t.Fatalf("authorize: %d %s", a.status, page)
		}
		out := sent(t, w.post(w.ada, page, url.Values{"ticket": {w.ticket(page)}, "decision": {"allow"}}), callback)
		form := url.Values{"grant_type": {"authorization_code"}, "code": {out.Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		if a := w.post(nil, path+"/token", form, "Authorization", basic(id, secret)); out.Get("iss") != "https://sigra.example"+path || a.status != http.StatusOK {
			t.Errorf("token: %v %d %s", out, a.status, a.body)
		}
	}
}
