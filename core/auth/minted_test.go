package auth_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/request"
)

// A plugin vouches for somebody: the browser it spoke with goes on once, through the same machine as with any provider.
func TestMinted(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.member("ada@example.org", horse)
		mint := func(m auth.VerifiedByPlugin) string {
			t.Helper()
			m.Plugin, m.Provider = "relyra", "okta"
			flow, err := w.HoldPluginSignIn(w.ctx(), m)
			if err != nil {
				t.Fatal(err)
			}
			return flow
		}
		elsewhere := request.With(context.Background(), request.Info{IP: netip.MustParseAddr("198.51.100.9"), UserAgent: "test/1"})

		// Whom the plugin knows is signed in, once, and back where the plugin wants them.
		flow := mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID, Index: "idx-1", ReturnTo: "/threadline"})
		out, to, err := w.SignInPlugin(w.ctx(), flow, "")
		if err != nil || out.SignedIn.Token == "" || to != "/threadline" || out.SignedIn.Principal.AMR[0] != "fed" {
			t.Fatalf("%+v %q %v", out, to, err)
		}
		if _, _, err := w.SignInPlugin(w.ctx(), flow, ""); code(err) != "sign_in_expired" {
			t.Errorf("a second time: %v", err)
		}
		// Not in another browser, nor when two minutes are over; and the attempt elsewhere has spent it.
		flow = mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID})
		if _, _, err := w.SignInPlugin(elsewhere, flow, ""); code(err) != "sign_in_expired" {
			t.Errorf("elsewhere: %v", err)
		}
		if _, _, err := w.SignInPlugin(w.ctx(), flow, ""); code(err) != "sign_in_expired" {
			t.Errorf("after somebody else tried: %v", err)
		}
		flow = mint(auth.VerifiedByPlugin{Subject: "s1", UserID: ada.Principal.UserID})
		w.advance(2*time.Minute + time.Second)
		if _, _, err := w.SignInPlugin(w.ctx(), flow, ""); code(err) != "sign_in_expired" {
			t.Errorf("too late: %v", err)
		}

		// Without the account it is a provider's word like any other: an address that an account has waits for its own credential.
		out, _, err = w.SignInPlugin(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s1", Email: "ada@example.org", EmailVerified: true}), "")
		if err != nil || out.Link == nil || out.SignedIn.Token != "" {
			t.Fatalf("%+v %v", out, err)
		}
		if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: "ada@example.org", Password: horse, Link: out.Link.Flow}); err != nil {
			t.Fatal(err)
		}
		linked, _, err := w.SignInPlugin(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s1", Index: "idx-1"}), "")
		if err != nil || linked.SignedIn.Principal.UserID != ada.Principal.UserID {
			t.Fatalf("a linked login: %+v %v", linked, err)
		}
		if _, _, err := w.SignInPlugin(w.ctx(), mint(auth.VerifiedByPlugin{Subject: "s2", UserID: uuid.New()}), ""); code(err) != "account_not_found" {
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
		out, _, err := w.SignInPlugin(w.ctx(), flow, "")
		if err != nil || out.SignedIn.Pending == nil || out.SignedIn.Token != "" {
			t.Fatalf("%+v %v", out, err)
		}
	})
}
