package auth_test

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/request"
)

// noCookies is a browser without any.
func noCookies(string) string { return "" }

// A plugin vouches for somebody: the browser it spoke with goes on once, through the same machine as with any provider.
func TestMinted(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.member("ada@example.org", horse)
		mint := func(m auth.VerifiedByPlugin) string {
			t.Helper()
			m.Plugin, m.Provider, m.SignUp = "relyra", "okta", true
			flow, err := w.HoldPluginSignIn(w.ctx(), m)
			if err != nil {
				t.Fatal(err)
			}
			return flow
		}
		elsewhere := request.With(context.Background(), request.Info{IP: netip.MustParseAddr("198.51.100.9"), UserAgent: "test/1"})

		// Whom the plugin knows is signed in, once, and back where the plugin wants them.
		flow := mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID, Index: "idx-1", ReturnTo: "/threadline"})
		out, to, err := w.SignInPlugin(w.ctx(), flow, "", noCookies)
		if err != nil || out.SignedIn.Token == "" || to != "/threadline" || out.SignedIn.Principal.AMR[0] != "fed" {
			t.Fatalf("%+v %q %v", out, to, err)
		}
		if _, _, err := w.SignInPlugin(w.ctx(), flow, "", noCookies); code(err) != "sign_in_expired" {
			t.Errorf("a second time: %v", err)
		}
		// Not in another browser, nor when two minutes are over; and the attempt elsewhere has spent it.
		flow = mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID})
		if _, _, err := w.SignInPlugin(elsewhere, flow, "", noCookies); code(err) != "sign_in_expired" {
			t.Errorf("elsewhere: %v", err)
		}
		if _, _, err := w.SignInPlugin(w.ctx(), flow, "", noCookies); code(err) != "sign_in_expired" {
			t.Errorf("after somebody else tried: %v", err)
		}
		flow = mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID})
		w.advance(2*time.Minute + time.Second)
		if _, _, err := w.SignInPlugin(w.ctx(), flow, "", noCookies); code(err) != "sign_in_expired" {
			t.Errorf("too late: %v", err)
		}

		// Without the account it is a provider's word like any other: an address that an account has waits for its own credential.
		out, _, err = w.SignInPlugin(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s1", Email: "ada@example.org", EmailVerified: true}), "", noCookies)
		if err != nil || out.Link == nil || out.SignedIn.Token != "" {
			t.Fatalf("%+v %v", out, err)
		}
		if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: "ada@example.org", Password: horse, Link: out.Link.Flow}); err != nil {
			t.Fatal(err)
		}
		linked, _, err := w.SignInPlugin(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s1", Index: "idx-1"}), "", noCookies)
		if err != nil || linked.SignedIn.Principal.UserID != ada.Principal.UserID {
			t.Fatalf("a linked login: %+v %v", linked, err)
		}
		if _, _, err := w.SignInPlugin(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s2", UserID: uuid.New()}), "", noCookies); code(err) != "account_not_found" {
			t.Errorf("nobody's account: %v", err)
		}

		// The end of the login at the provider ends the sessions that it began, of that plugin only.
		if n, err := w.RevokeFederated(w.ctx(), "other", "idx-1", "slo"); n != 0 || err != nil {
			t.Errorf("another plugin's: %d %v", n, err)
		}
		rows := w.wantRows(func() {
			if n, err := w.RevokeFederated(w.ctx(), "relyra", "idx-1", "slo"); n != 2 || err != nil {
				t.Errorf("%d %v", n, err)
			}
		}, "session.revoke/slo", "session.revoke/slo")
		if rows[0].Actor.Type != "plugin" || rows[0].Actor.ID != "relyra" {
			t.Errorf("%+v", rows[0])
		}
		if w.resolves(linked.SignedIn.Token) || !w.resolves(ada.Token) {
			t.Error("the wrong sessions ended")
		}
	})
}

// A plugin's word does not spare the second factor, and the session that follows it ends with the provider's all the same.
func TestMinted_secondFactor(t *testing.T) {
	each(t, options{settings: flow.Settings{RequireSecondFactor: true}}, func(t *testing.T, w *world) {
		r := w.register("ada@example.org", horse)
		_, digits := w.confirmMail("ada@example.org")
		in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: r.Flow, Code: digits})
		if err != nil || in.Pending == nil || !in.Pending.Enroll {
			t.Fatalf("%+v %v", in, err)
		}
		a, err := w.accounts.FindByEmail(w.ctx(), "ada@example.org")
		if err != nil {
			t.Fatal(err)
		}
		flow, err := w.HoldPluginSignIn(w.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: "s1", UserID: a.ID})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := w.SignInPlugin(w.ctx(), flow, "", noCookies)
		if err != nil || out.SignedIn.Pending == nil || out.SignedIn.Token != "" {
			t.Fatalf("%+v %v", out, err)
		}
	})
}

// A sign-in that the plugin began goes on in the browser that has its key, whatever its address is by then, and in no other; its state is
// good for one.
func TestMinted_begun(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.member("ada@example.org", horse)
		elsewhere := request.With(context.Background(), request.Info{IP: netip.MustParseAddr("198.51.100.9"), UserAgent: "phone/2"})
		begin := func() auth.PluginState {
			t.Helper()
			st, err := w.BeginPluginSignIn(w.ctx(), auth.PluginBegun{Plugin: "relyra", Provider: "okta", ReturnTo: "/threadline"}, auth.DefaultPluginState)
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		mint := func(st auth.PluginState, change func(*auth.VerifiedByPlugin)) (string, error) {
			m := auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: "s1", UserID: ada.Principal.UserID, State: st.State, Key: st.Key}
			if change != nil {
				change(&m)
			}
			return w.HoldPluginSignIn(w.ctx(), m)
		}
		browser := func(st auth.PluginState) func(string) string {
			return func(name string) string {
				if name == st.Cookie {
					return st.Key
				}
				return ""
			}
		}

		st, other := begin(), begin()
		for name, change := range map[string]func(*auth.VerifiedByPlugin){
			"another plugin's":       func(m *auth.VerifiedByPlugin) { m.Plugin = "thief" },
			"another provider's":     func(m *auth.VerifiedByPlugin) { m.Provider = "evil" },
			"another organization's": func(m *auth.VerifiedByPlugin) { m.OrganizationID = uuid.New() },
			"without the key":        func(m *auth.VerifiedByPlugin) { m.Key = "" },
			"another browser's key":  func(m *auth.VerifiedByPlugin) { m.Key = other.Key },
			"no state":               func(m *auth.VerifiedByPlugin) { m.State = "nothing" },
		} {
			if _, err := mint(st, change); code(err) != "state_invalid" {
				t.Errorf("%s: %v", name, err)
			}
		}
		flow, err := mint(st, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mint(st, nil); code(err) != "state_invalid" {
			t.Errorf("a second answer: %v", err)
		}
		out, to, err := w.SignInPlugin(elsewhere, flow, "", browser(st))
		if err != nil || out.SignedIn.Token == "" || to != "/threadline" {
			t.Errorf("%+v %q %v", out, to, err)
		}
		// Who is made to follow the address signs in to nothing, even from the same network.
		flow, err = mint(other, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.SignInPlugin(w.ctx(), flow, "", noCookies); code(err) != "sign_in_expired" {
			t.Errorf("a made follower: %v", err)
		}
		// Late.
		st = begin()
		w.advance(auth.DefaultPluginState + time.Second)
		if _, err := mint(st, nil); code(err) != "state_invalid" {
			t.Errorf("late: %v", err)
		}
		// One state, many answers at once: one goes on.
		st = begin()
		var all sync.WaitGroup
		var held atomic.Int32
		for range 20 {
			all.Go(func() {
				if _, err := mint(st, nil); err == nil {
					held.Add(1)
				} else if code(err) != "state_invalid" {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if held.Load() != 1 {
			t.Errorf("%d went on", held.Load())
		}
	})
}
