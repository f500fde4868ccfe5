package web_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/web"
)

// sent is the address at which somebody begins whom a plugin sends to sign in.
func (e *env) sent(t *testing.T, r web.SignInRequest) string {
	t.Helper()
	to, err := e.pages.SignInFor(r)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// href is how a page writes an address.
func href(address string) string { return `href="` + address + `"` }

// What a plugin wants of a sign-in is done, and goes along from page to page: the name of its application, the address to fill in, the
// way back for who doesn't want to, and where to go on.
func TestErrand(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.member(t, alice)
		to := e.sent(t, web.SignInRequest{
			ReturnTo: "/lockspire/interaction/1?a=b", ClientName: "Flight <b>Planner</b>", CancelTo: "/lockspire/interaction/1?cancel=1", LoginHint: alice, Languages: []string{"tlh", "de-CH", "fr"},
		})
		if !strings.Contains(to, "lang=de-CH") || strings.Contains(to, "alice") || strings.Contains(to, "interaction") {
			t.Errorf("%s", to)
		}
		back := href("/lockspire/interaction/1?cancel=1&error=cancelled")
		b := e.browser(t)
		b.language = "de"
		p := b.get(to)
		p.shows(t, 200, "Weiter zu Flight <b>Planner</b>", `value="`+alice+`"`, back)
		if strings.Contains(p.body, "<b>") {
			t.Error("the application's name is no text")
		}
		carried := html.UnescapeString(p.find(t, `name="return_to" value="(~[^"]+)"`))
		b.language = "en"
		for _, path := range []string{"/login", "/register", "/reset", "/login/link"} {
			if path == "/login" || path == "/register" {
				b.get(path+"?"+url.Values{"return_to": {carried}, "lang": {"en"}}.Encode()).shows(t, 200, "To go on to Flight", back, carried)
				continue
			}
			b.get(path+"?"+url.Values{"return_to": {carried}}.Encode()).shows(t, 200, carried)
		}
		b.post("/login", "email", alice, "password", "wrong", "return_to", carried).shows(t, 401, "To go on to Flight", back)
		b.post("/login", "email", alice, "password", first, "return_to", carried).sends(t, "/lockspire/interaction/1?a=b")

		// Nobody else makes the pages name an application, and a changed text is none.
		other := e.browser(t)
		for _, forged := range []string{"~" + strings.Repeat("A", 200), carried[:len(carried)-2] + "AA", "~"} {
			p := other.get("/login?" + url.Values{"return_to": {forged}}.Encode())
			p.shows(t, 200)
			p.hides(t, "To go on to", `name="return_to"`)
		}
		for what, r := range map[string]web.SignInRequest{
			"where it goes on": {ReturnTo: "https://evil.example/"}, "where it is cancelled": {CancelTo: "//evil.example"}, "too much": {CancelTo: "/" + strings.Repeat("x", 2040), ReturnTo: "/" + strings.Repeat("y", 2040)},
		} {
			if to, err := e.pages.SignInFor(r); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %s %v", what, to, err)
			}
		}
		if to := e.sent(t, web.SignInRequest{ReturnTo: "https://app.example.com/x", MaxAge: time.Minute, RequiredAAL: "aal2", Fresh: true}); to != "/login?aal=aal2&fresh=1&max_age=60&return_to=https%3A%2F%2Fapp.example.com%2Fx" {
			t.Errorf("%s", to)
		}
	})
}

// Who is signed in is asked as whom they go on, where the plugin wants that; going on keeps what it demands.
func TestErrand_selectAccount(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		ask := web.SignInRequest{ReturnTo: "/threadline", ClientName: "App", CancelTo: "/threadline?cancel=1", SelectAccount: true}
		p := b.get(e.sent(t, ask))
		p.shows(t, 200, "You are signed in as "+alice, "To go on to App", href("/threadline?cancel=1&error=cancelled"))
		b.get(html.UnescapeString(p.find(t, `class="button" href="([^"]+)"`))).sends(t, "/threadline")
		other := b.get(html.UnescapeString(p.find(t, `class="button quiet" href="([^"]+)"`)))
		other.shows(t, 200, "To go on to App", "Sign in")
		other.hides(t, "Sign in again")
		ask.Fresh = true
		if to := b.get(html.UnescapeString(b.get(e.sent(t, ask)).find(t, `class="button" href="([^"]+)"`))).location; !strings.HasPrefix(to, "/step-up?return_to=~") && !strings.HasPrefix(to, "/step-up?return_to=%7E") {
			t.Errorf("%s", to)
		} else {
			b.get(to).shows(t, 200, "To go on to App", href("/threadline?cancel=1&error=cancelled"))
			b.post("/step-up", "method", "password", "password", first, "return_to", html.UnescapeString(b.get(to).find(t, `name="return_to" value="(~[^"]+)"`))).sends(t, "/threadline")
		}
		// What the account can't show is said to whoever asked.
		ask = web.SignInRequest{ReturnTo: "/threadline", CancelTo: "/threadline?cancel=1", RequiredAAL: "aal2"}
		b.get(b.get(e.sent(t, ask)).location).shows(t, 403, href("/threadline?cancel=1&error=impossible"))
		e.browser(t).get(e.sent(t, web.SignInRequest{ReturnTo: "/threadline", SelectAccount: true})).shows(t, 200, "Sign in")
	})
}

// A plugin's sign-in for something else than signing in ends on the page where it was begun.
func TestContinue_purposes(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		session := func() string { return b.cookie(cookie.Session) }
		who, err := e.parts.Sessions.Resolve(t.Context(), session())
		if err != nil {
			t.Fatal(err)
		}
		goOn := func(purpose auth.Purpose) page {
			t.Helper()
			begun := auth.PluginBegun{Plugin: "relyra", Provider: "okta", Purpose: purpose, SessionID: who.SessionID, ReturnTo: "/threadline"}
			if purpose == auth.ToTest {
				begun.SessionID = [16]byte{}
			}
			st, err := e.parts.BeginPluginSignIn(t.Context(), begun, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			b.jar.SetCookies(b.here(), []*http.Cookie{{Name: st.Cookie, Value: st.Key, Path: "/", Secure: true}})
			flow, _, err := e.parts.HoldPluginSignIn(t.Context(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: "s1", Purpose: purpose, State: st.State, Key: st.Key, AuthTime: c.now()})
			if err != nil {
				t.Fatal(err)
			}
			return b.get("/login/continue?flow=" + flow)
		}
		goOn(auth.ToLink).sends(t, "/threadline")
		e.change(t, func(ctx context.Context, tx *store.Tx) error {
			_, err := e.parts.Logins.Find(ctx, tx, federation.Claims{Provider: "relyra/okta", Issuer: "plugin:relyra", Subject: "s1"})
			return err
		})
		goOn(auth.ToTest).sends(t, "/threadline")
		was := session()
		c.pass(10 * time.Minute)
		b.get("/account/email").hides(t, "New address")
		goOn(auth.ToStepUp).sends(t, "/threadline")
		if session() == was {
			t.Error("the session has the token of before")
		}
		b.get("/account/email").shows(t, 200)
	})
}
