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
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// noCookies is a browser without any.
func noCookies(string) string { return "" }

// goOn is a browser without cookies that goes on with what a plugin has verified.
func (w *world) goOn(ctx context.Context, flow string) (auth.Federated, string, error) {
	return w.SignInPlugin(ctx, auth.PluginArrival{Flow: flow, Cookie: noCookies})
}

// linked gives an account a login of relyra's provider okta.
func (w *world) linked(account uuid.UUID, subject string) {
	w.t.Helper()
	if err := w.db.Tx(w.ctx(), func(ctx context.Context, tx *store.Tx) error {
		_, _, err := w.Logins.Link(ctx, tx, account, federation.Claims{Provider: "relyra/okta", Issuer: "plugin:relyra", Subject: subject})
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
}

// A plugin vouches for somebody: the browser it spoke with goes on once, through the same machine as with any provider.
func TestMinted(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.member("ada@example.org", horse)
		mint := func(m auth.VerifiedByPlugin) string {
			t.Helper()
			m.Plugin, m.Provider, m.SignUp = "relyra", "okta", true
			flow, _, err := w.HoldPluginSignIn(w.ctx(), m)
			if err != nil {
				t.Fatal(err)
			}
			return flow
		}
		elsewhere := request.With(context.Background(), request.Info{IP: netip.MustParseAddr("198.51.100.9"), UserAgent: "test/1"})

		// Who has linked the login is signed in, once, and back where the plugin wants them.
		w.linked(ada.Principal.UserID, "s1")
		flow := mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID, Index: "idx-1", ReturnTo: "/threadline"})
		out, to, err := w.goOn(w.ctx(), flow)
		if err != nil || out.SignedIn.Token == "" || to != "/threadline" || out.SignedIn.Principal.AMR[0] != "fed" {
			t.Fatalf("%+v %q %v", out, to, err)
		}
		if _, _, err := w.goOn(w.ctx(), flow); code(err) != "sign_in_expired" {
			t.Errorf("a second time: %v", err)
		}
		// Not in another browser, nor when two minutes are over; and the attempt elsewhere has spent it.
		flow = mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID})
		if _, _, err := w.goOn(elsewhere, flow); code(err) != "sign_in_expired" {
			t.Errorf("elsewhere: %v", err)
		}
		if _, _, err := w.goOn(w.ctx(), flow); code(err) != "sign_in_expired" {
			t.Errorf("after somebody else tried: %v", err)
		}
		flow = mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID})
		w.advance(2*time.Minute + time.Second)
		if _, _, err := w.goOn(w.ctx(), flow); code(err) != "sign_in_expired" {
			t.Errorf("too late: %v", err)
		}

		// Without the account it is a provider's word like any other: an address that an account has waits for its own credential.
		out, _, err = w.goOn(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s3", Email: "ada@example.org", EmailVerified: true}))
		if err != nil || out.Link == nil || out.SignedIn.Token != "" {
			t.Fatalf("%+v %v", out, err)
		}
		if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: "ada@example.org", Password: horse, Link: out.Link.Flow}); err != nil {
			t.Fatal(err)
		}
		linked, _, err := w.goOn(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s3", Index: "idx-1"}))
		if err != nil || linked.SignedIn.Principal.UserID != ada.Principal.UserID {
			t.Fatalf("a linked login: %+v %v", linked, err)
		}
		// An id of an account says nothing by itself: the login must be linked to that very account.
		for what, m := range map[string]auth.VerifiedByPlugin{
			"nobody's account":        {Subject: "s1", UserID: uuid.New()},
			"an account, not linked":  {Subject: "s2", UserID: ada.Principal.UserID},
			"by its verified address": {Subject: "s2", UserID: ada.Principal.UserID, Email: "ada@example.org", EmailVerified: true},
		} {
			if _, _, err := w.goOn(w.ctx(), mint(m)); code(err) != "identity_not_linked" {
				t.Errorf("%s: %v", what, err)
			}
		}

		// The end of the login at the provider ends the sessions that it began, of that plugin only.
		if n, err := w.RevokeFederated(w.ctx(), "other", "idx-1", "slo"); len(n) != 0 || err != nil {
			t.Errorf("another plugin's: %v %v", n, err)
		}
		rows := w.wantRows(func() {
			if n, err := w.RevokeFederated(w.ctx(), "relyra", "idx-1", "slo"); len(n) != 2 || err != nil {
				t.Errorf("%v %v", n, err)
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

// A plugin's word, also that of two factors from one that isn't believed on it, does not spare the second factor, and the session that follows it ends with the provider's all the same.
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
		w.linked(a.ID, "s1")
		flow, _, err := w.HoldPluginSignIn(w.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: "s1", UserID: a.ID, AMR: []string{"mfa"}})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := w.goOn(w.ctx(), flow)
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
		w.linked(ada.Principal.UserID, "s1")
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
			flow, _, err := w.HoldPluginSignIn(w.ctx(), m)
			return flow, err
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
		out, to, err := w.SignInPlugin(elsewhere, auth.PluginArrival{Flow: flow, Cookie: browser(st)})
		if err != nil || out.SignedIn.Token == "" || to != "/threadline" {
			t.Errorf("%+v %q %v", out, to, err)
		}
		// Who is made to follow the address signs in to nothing, even from the same network.
		flow, err = mint(other, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.goOn(w.ctx(), flow); code(err) != "sign_in_expired" {
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
