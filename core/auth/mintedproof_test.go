package auth_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// sso is relyra at work in one browser, with one provider.
type sso struct{ *world }

// begin begins a sign-in.
func (s sso) begin(b auth.PluginBegun) auth.PluginState {
	s.t.Helper()
	b.Plugin, b.Provider = "relyra", "okta"
	st, err := s.BeginPluginSignIn(s.ctx(), b, auth.DefaultPluginState)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// answer ends it: what the provider said of somebody, for who is signed in.
func (s sso) answer(st auth.PluginState, m auth.VerifiedByPlugin, who principal.Principal) (auth.Federated, mint.Outcome, error) {
	s.t.Helper()
	m.Plugin, m.Provider, m.State, m.Key = "relyra", "okta", st.State, st.Key
	token, id, err := s.HoldPluginSignIn(s.ctx(), m)
	if err != nil {
		return auth.Federated{}, mint.Outcome{}, err
	}
	out, _, err := s.SignInPlugin(s.ctx(), auth.PluginArrival{Flow: token, Who: who, Cookie: func(name string) string {
		if name == st.Cookie {
			return st.Key
		}
		return ""
	}})
	return out, s.outcome(id), err
}

func (s sso) outcome(id uuid.UUID) mint.Outcome {
	s.t.Helper()
	o, err := s.OutcomeOfPlugin(s.ctx(), "relyra", id)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.OutcomeOfPlugin(s.ctx(), "thief", id); code(err) != "mint_not_found" {
		s.t.Errorf("another plugin is told of it: %v", err)
	}
	return o
}

func (s sso) now() time.Time { return s.world.now().Truncate(time.Microsecond) }

// What the provider proved is what the session rests on: its methods, its moment, its end; and never more than was shown and believed.
func TestMinted_proof(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		ada := w.member("ada@example.org", horse).Principal
		w.linked(ada.UserID, "s1")
		at := s.now().Add(-7 * time.Minute)
		sign := func(m auth.VerifiedByPlugin) principal.Principal {
			t.Helper()
			m.Subject = "s1"
			out, o, err := s.answer(s.begin(auth.PluginBegun{}), m, principal.Principal{})
			p := out.SignedIn.Principal
			if err != nil || o.Status != mint.SignedIn || o.UserID != ada.UserID || o.SessionID != p.SessionID || o.AccountCreated {
				t.Fatalf("%+v %+v %v", out, o, err)
			}
			stored, err := w.sessions.Find(w.ctx(), p.SessionID)
			if err != nil || stored.AAL != p.AAL || !stored.AuthTime.Equal(p.AuthTime) || !stored.ExpiresAt.Equal(p.ExpiresAt) || !slices.Equal(stored.AMR, p.AMR) {
				t.Fatalf("stored as %+v, %v, given as %+v", stored, err, p)
			}
			return p
		}
		for _, c := range []struct {
			what    string
			m       auth.VerifiedByPlugin
			aal     string
			methods []string
		}{
			{"nothing said", auth.VerifiedByPlugin{}, "aal1", []string{"fed"}},
			{"a password", auth.VerifiedByPlugin{AMR: []string{"pwd"}, Assures: true}, "aal1", []string{"fed", "pwd"}},
			{"two factors", auth.VerifiedByPlugin{AMR: []string{"pwd", "otp", "mfa"}, Assures: true}, "aal2", []string{"fed", "pwd", "otp", "mfa"}},
			{"two factors, of a plugin that isn't believed", auth.VerifiedByPlugin{AMR: []string{"pwd", "otp", "mfa"}}, "aal1", []string{"fed", "pwd", "otp"}},
			{"what no method is called", auth.VerifiedByPlugin{AMR: []string{"a b", "", "pwd", "pwd"}}, "aal1", []string{"fed", "pwd"}},
			{"a name for it", auth.VerifiedByPlugin{ACR: "aal2", Assures: true}, "aal1", []string{"fed"}},
		} {
			if p := sign(c.m); p.AAL != c.aal || !slices.Equal(p.AMR, c.methods) {
				t.Errorf("%s: %s %v", c.what, p.AAL, p.AMR)
			}
		}
		if p := sign(auth.VerifiedByPlugin{AuthTime: at}); !p.AuthTime.Equal(at) {
			t.Errorf("proved at %s, taken as %s", at, p.AuthTime)
		} else if err := w.RequireRecentAuth(w.ctx(), p); code(err) != "step_up_required" {
			t.Errorf("an old proof counts as fresh: %v", err)
		}
		if p := sign(auth.VerifiedByPlugin{AuthTime: s.now().Add(time.Hour)}); p.AuthTime.After(s.now()) {
			t.Errorf("a proof of the future: %s", p.AuthTime)
		}
		end := s.now().Add(20 * time.Minute)
		if p := sign(auth.VerifiedByPlugin{NotAfter: end}); !p.ExpiresAt.Equal(end) {
			t.Errorf("ends %s, not %s", p.ExpiresAt, end)
		}
		if p := sign(auth.VerifiedByPlugin{NotAfter: s.now().Add(9000 * time.Hour)}); p.ExpiresAt.After(s.now().Add(24 * time.Hour)) {
			t.Errorf("ends %s", p.ExpiresAt)
		}
		rows := w.wantRows(func() { sign(auth.VerifiedByPlugin{AMR: []string{"mfa"}, Assures: true, ACR: "urn:x"}) }, "oauth.login.success", "auth.login.success")
		for _, r := range rows {
			if r.Metadata["plugin"] != "relyra" || r.Metadata["aal"] != "aal2" || r.Action == "oauth.login.success" && r.Metadata["acr"] != "urn:x" {
				t.Errorf("%s: %v", r.Action, r.Metadata)
			}
		}
	})
}

// The end of the session at the provider binds the session that a second factor completes, too; its proof is of now.
func TestMinted_secondFactorKeepsTheEnd(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		ada := w.person("ada@example.org", has{totp: true})
		w.linked(ada.id, "s1")
		end := s.now().Add(15 * time.Minute)
		st := s.begin(auth.PluginBegun{})
		m := auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: "s1", State: st.State, Key: st.Key, NotAfter: end, AuthTime: s.now().Add(-2 * time.Minute)}
		token, id, err := s.HoldPluginSignIn(s.ctx(), m)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := s.SignInPlugin(s.ctx(), auth.PluginArrival{Flow: token, Cookie: func(string) string { return st.Key }})
		if err != nil || out.SignedIn.Pending == nil {
			t.Fatalf("%+v %v", out, err)
		}
		w.advance(3 * time.Minute) // longer than the browser may take to follow the address
		if o := s.outcome(id); o.Status != mint.Pending || o.UserID != ada.id {
			t.Errorf("%+v", o)
		}
		in, err := ada.finish(out.SignedIn.Pending.Flow, "totp")
		if err != nil || in.Principal.AAL != principal.AAL2 || !in.Principal.ExpiresAt.Equal(end) || s.now().Sub(in.Principal.AuthTime) > time.Minute {
			t.Fatalf("%+v %v", in.Principal, err)
		}
		if o := s.outcome(id); o.Status != mint.SignedIn || o.SessionID != in.Principal.SessionID {
			t.Errorf("%+v", o)
		}
	})
}

// A proof that is not what the sign-in was begun for is refused, with a code, and written down.
func TestMinted_tooLittle(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		ada := w.member("ada@example.org", horse).Principal
		w.linked(ada.UserID, "s1")
		ago := func(d time.Duration) time.Time { return s.now().Add(-d) }
		two := []string{"pwd", "otp", "mfa"}
		for _, c := range []struct {
			what string
			b    auth.PluginBegun
			m    auth.VerifiedByPlugin
			want string
		}{
			{"fresh", auth.PluginBegun{MaxAge: 10 * time.Minute}, auth.VerifiedByPlugin{AuthTime: ago(9 * time.Minute)}, ""},
			{"old", auth.PluginBegun{MaxAge: 10 * time.Minute}, auth.VerifiedByPlugin{AuthTime: ago(12 * time.Minute)}, "proof_too_old"},
			{"of no time", auth.PluginBegun{MaxAge: 10 * time.Minute}, auth.VerifiedByPlugin{}, "proof_too_old"},
			{"two factors", auth.PluginBegun{RequiredAAL: "aal2"}, auth.VerifiedByPlugin{AMR: two, Assures: true}, ""},
			{"one", auth.PluginBegun{RequiredAAL: "aal2"}, auth.VerifiedByPlugin{AMR: []string{"pwd"}, Assures: true}, "proof_too_weak"},
			{"two, not believed", auth.PluginBegun{RequiredAAL: "aal2"}, auth.VerifiedByPlugin{AMR: two}, "proof_too_weak"},
			{"a session that has ended", auth.PluginBegun{}, auth.VerifiedByPlugin{NotAfter: s.now()}, "proof_expired"},
		} {
			c.m.Subject = "s1"
			st := s.begin(c.b)
			if c.want == "" {
				if _, _, err := s.answer(st, c.m, principal.Principal{}); err != nil {
					t.Errorf("%s: %v", c.what, err)
				}
				continue
			}
			rows := w.wantRows(func() {
				if _, _, err := s.answer(st, c.m, principal.Principal{}); code(err) != c.want {
					t.Errorf("%s: %v", c.what, err)
				}
			}, "oauth.login.failure/"+c.want)
			if m := rows[0].Metadata; m["provider"] != "relyra/okta" || m["stage"] != "assurance" || m["plugin"] != "relyra" || m["purpose"] != "sign_in" {
				t.Errorf("%v", m)
			}
		}
		if _, err := s.BeginPluginSignIn(s.ctx(), auth.PluginBegun{Plugin: "relyra", Provider: "okta", RequiredAAL: "aal9"}, time.Minute); code(err) != "invalid_aal" {
			t.Errorf("%v", err)
		}
	})
}

// No plugin signs in an administrator of Sigra, linked or not, unless it may; the rule holds where one becomes an administrator in between.
func TestMinted_administrator(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		root := w.member("root@example.org", horse).Principal
		administers := func(on bool) {
			t.Helper()
			if err := w.db.Tx(w.ctx(), func(ctx context.Context, tx *store.Tx) error {
				_, err := w.accounts.SetAdministrator(ctx, tx, root.UserID, on)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		administers(true)
		two := auth.VerifiedByPlugin{Subject: "s1", UserID: root.UserID, Email: "root@example.org", EmailVerified: true, AMR: []string{"mfa"}, Assures: true}
		if _, _, err := s.answer(s.begin(auth.PluginBegun{}), two, principal.Principal{}); code(err) != "identity_not_linked" {
			t.Errorf("by the id of the account: %v", err)
		}
		two.UserID = uuid.Nil
		if out, _, err := s.answer(s.begin(auth.PluginBegun{}), two, principal.Principal{}); err != nil || out.Link == nil {
			t.Errorf("by the address: %+v %v", out, err)
		}
		w.linked(root.UserID, "s1")
		var o mint.Outcome
		w.wantRows(func() {
			var err error
			if _, o, err = s.answer(s.begin(auth.PluginBegun{}), two, principal.Principal{}); code(err) != "administrator_elsewhere" {
				t.Errorf("linked: %v", err)
			}
		}, "auth.login.failure/administrator")
		if o.Status != mint.Refused || o.Reason != "administrator_elsewhere" {
			t.Errorf("%+v", o)
		}
		two.Administrators = true
		if out, _, err := s.answer(s.begin(auth.PluginBegun{}), two, principal.Principal{}); err != nil || !out.SignedIn.Principal.Administrator || out.SignedIn.Principal.AAL != principal.AAL2 {
			t.Errorf("where the block says so: %+v %v", out, err)
		}

		// Between the first factor and the second.
		ada := w.person("ada@example.org", has{totp: true})
		w.linked(ada.id, "s2")
		out, _, err := s.answer(s.begin(auth.PluginBegun{}), auth.VerifiedByPlugin{Subject: "s2"}, principal.Principal{})
		if err != nil || out.SignedIn.Pending == nil {
			t.Fatalf("%+v %v", out, err)
		}
		root.UserID = ada.id
		administers(true)
		if _, err := ada.finish(out.SignedIn.Pending.Flow, "totp"); code(err) != "administrator_elsewhere" {
			t.Errorf("an administrator by now: %v", err)
		}
	})
}

// A name and attributes that the plugin tells are the account's: the name of one that it makes, the attributes as they were said last.
func TestMinted_profile(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		m := auth.VerifiedByPlugin{Subject: "s1", Email: "new@example.org", EmailVerified: true, SignUp: true, Display: " Ada\n Lovelace ", Attributes: map[string]any{"department": "R&D", "level": float64(3)}}
		out, o, err := s.answer(s.begin(auth.PluginBegun{}), m, principal.Principal{})
		if err != nil || out.SignedIn.Principal.Display != "Ada Lovelace" || !o.AccountCreated || o.Status != mint.SignedIn {
			t.Fatalf("%+v %+v %v", out.SignedIn.Principal, o, err)
		}
		id := out.SignedIn.Principal.UserID
		if p, err := w.sessions.Find(w.ctx(), out.SignedIn.Principal.SessionID); err != nil || p.Display != "Ada Lovelace" {
			t.Errorf("%+v %v", p, err)
		}
		public := func() (got map[string]any) {
			t.Helper()
			have, err := w.Metadata.Get(w.ctx(), w.db, id, metadata.Public)
			if err == nil {
				err = json.Unmarshal(have.Value, &got)
			}
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := public()["relyra"].(map[string]any); got["department"] != "R&D" || got["level"] != float64(3) {
			t.Errorf("%v", got)
		}
		m.Attributes = map[string]any{"department": "Sales"}
		w.wantRows(func() {
			if _, _, err := s.answer(s.begin(auth.PluginBegun{}), m, principal.Principal{}); err != nil {
				t.Error(err)
			}
		}, "account.update", "oauth.login.success", "auth.login.success")
		if got := public()["relyra"].(map[string]any); got["department"] != "Sales" || len(got) != 1 {
			t.Errorf("%v", got)
		}
		// What the rules don't take is left out, and the row says so.
		m.Attributes = map[string]any{"much": string(make([]byte, 17<<10))}
		rows := w.wantRows(func() {
			if _, _, err := s.answer(s.begin(auth.PluginBegun{}), m, principal.Principal{}); err != nil {
				t.Error(err)
			}
		}, "oauth.login.success", "auth.login.success")
		if !slices.ContainsFunc(rows, func(r audit.Row) bool { return r.Metadata["attributes"] == "refused" }) || public()["relyra"].(map[string]any)["department"] != "Sales" {
			t.Errorf("%v", public())
		}
	})
}

// A login is linked to the account that is signed in, by whoever has just proved to be its owner, in the session that began it.
func TestMinted_link(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		ada, bob := w.member("ada@example.org", horse).Principal, w.member("bob@example.org", horse).Principal
		link := func(who principal.Principal, subject string) error {
			t.Helper()
			_, _, err := s.answer(s.begin(auth.PluginBegun{Purpose: auth.ToLink, SessionID: ada.SessionID}), auth.VerifiedByPlugin{Purpose: auth.ToLink, Subject: subject}, who)
			return err
		}
		for what, who := range map[string]principal.Principal{"nobody": {}, "somebody else": bob} {
			if err := link(who, "s1"); code(err) != "link_other_session" {
				t.Errorf("%s: %v", what, err)
			}
		}
		w.wantRows(func() {
			if err := link(ada, "s1"); err != nil {
				t.Error(err)
			}
		}, "oauth.link.success")
		if err := link(ada, "s1"); err != nil {
			t.Errorf("once more: %v", err)
		}
		w.linked(bob.UserID, "s2")
		if err := link(ada, "s2"); code(err) != "identity_linked_elsewhere" {
			t.Errorf("another's login: %v", err)
		}
		out, o, err := s.answer(s.begin(auth.PluginBegun{}), auth.VerifiedByPlugin{Subject: "s1"}, principal.Principal{})
		if err != nil || out.SignedIn.Principal.UserID != ada.UserID || o.Status != mint.SignedIn {
			t.Errorf("%+v %v", out, err)
		}

		// Purposes are not exchanged, and nothing that is for a session begins elsewhere.
		st := s.begin(auth.PluginBegun{})
		if _, _, err := s.answer(st, auth.VerifiedByPlugin{Purpose: auth.ToLink, Subject: "s9"}, ada); code(err) != "state_invalid" {
			t.Errorf("a state for something else: %v", err)
		}
		for _, p := range []auth.Purpose{auth.ToLink, auth.ToStepUp, auth.ToTest} {
			if _, _, err := s.HoldPluginSignIn(s.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: "s9", Purpose: p}); code(err) != "state_invalid" {
				t.Errorf("%s without a state: %v", p, err)
			}
		}

		// The proof of the account must be fresh, at the beginning and at the end.
		slow := s.begin(auth.PluginBegun{Purpose: auth.ToLink, SessionID: ada.SessionID})
		w.advance(6 * time.Minute)
		if _, o, err := s.answer(slow, auth.VerifiedByPlugin{Purpose: auth.ToLink, Subject: "s3"}, ada); code(err) != "step_up_required" || o.Status != mint.Refused {
			t.Errorf("%+v %v", o, err)
		}
		if _, err := s.BeginPluginSignIn(s.ctx(), auth.PluginBegun{Plugin: "relyra", Provider: "okta", Purpose: auth.ToLink, SessionID: ada.SessionID}, time.Minute); code(err) != "step_up_required" {
			t.Errorf("%v", err)
		}
		if _, err := s.BeginPluginSignIn(s.ctx(), auth.PluginBegun{Plugin: "relyra", Provider: "okta", Purpose: auth.ToLink, SessionID: uuid.New()}, time.Minute); code(err) != "session_not_found" {
			t.Errorf("no session: %v", err)
		}
	})
}

// A linked login proves anew who is signed in: never for more than it shows, never for somebody else, and never with an old proof.
func TestMinted_stepUp(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		ada, bob := w.member("ada@example.org", horse).Principal, w.member("bob@example.org", horse).Principal
		w.linked(ada.UserID, "s1")
		w.linked(bob.UserID, "s2")
		w.advance(10 * time.Minute)
		step := func(m auth.VerifiedByPlugin) (auth.Federated, mint.Outcome, error) {
			t.Helper()
			m.Purpose = auth.ToStepUp
			return s.answer(s.begin(auth.PluginBegun{Purpose: auth.ToStepUp, SessionID: ada.SessionID}), m, ada)
		}
		now := s.now()
		for what, c := range map[string]struct {
			m    auth.VerifiedByPlugin
			want string
		}{
			"an old proof":        {auth.VerifiedByPlugin{Subject: "s1", AuthTime: now.Add(-10 * time.Minute)}, "proof_too_old"},
			"one of no time":      {auth.VerifiedByPlugin{Subject: "s1"}, "proof_too_old"},
			"another's login":     {auth.VerifiedByPlugin{Subject: "s2", AuthTime: now}, "identity_not_linked"},
			"a login of nobody's": {auth.VerifiedByPlugin{Subject: "s3", AuthTime: now, Email: "ada@example.org", EmailVerified: true}, "identity_not_linked"},
		} {
			if _, _, err := step(c.m); code(err) != c.want {
				t.Errorf("%s: %v", what, err)
			}
		}
		var out auth.Federated
		w.wantRows(func() {
			var err error
			var o mint.Outcome
			out, o, err = step(auth.VerifiedByPlugin{Subject: "s1", AuthTime: now, AMR: []string{"pwd"}})
			if err != nil || o.Status != mint.SteppedUp || o.SessionID != ada.SessionID {
				t.Fatalf("%+v %v", o, err)
			}
		}, "auth.step_up.success")
		p := out.SteppedUp.Principal
		if p.AAL != "aal1" || !p.AuthTime.Equal(now) || p.SessionID != ada.SessionID || !w.resolves(out.SteppedUp.Token) {
			t.Errorf("%+v", p)
		}
		if _, _, err := step(auth.VerifiedByPlugin{Subject: "s1", AuthTime: now}); code(err) != "unauthenticated" {
			t.Errorf("with the token of before: %v", err)
		}
		ada = p
		end := now.Add(30 * time.Minute)
		if out, _, err := step(auth.VerifiedByPlugin{Subject: "s1", AuthTime: now, AMR: []string{"mfa"}, Assures: true, NotAfter: end}); err != nil || out.SteppedUp.Principal.AAL != "aal2" || !out.SteppedUp.Principal.ExpiresAt.Equal(end) {
			t.Errorf("two factors: %+v %v", out, err)
		}

		// Who has a second factor here shows nothing less.
		eve := w.person("eve@example.org", has{totp: true})
		w.linked(eve.id, "s4")
		in, err := eve.finish(eve.pending().Flow, "totp")
		if err != nil {
			t.Fatal(err)
		}
		ada = in.Principal
		w.wantRows(func() {
			if _, _, err := step(auth.VerifiedByPlugin{Subject: "s4", AuthTime: s.now(), AMR: []string{"mfa"}}); code(err) != "proof_too_weak" {
				t.Errorf("%v", err)
			}
		}, "auth.step_up.failure/proof_too_weak")
	})
}

// A test is judged like a sign-in and changes nothing: gates are told that it is none.
func TestMinted_test(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		ada := w.member("ada@example.org", horse).Principal
		w.linked(ada.UserID, "s1")
		var asks []gate.Ask
		var answer gate.Answer
		w.gates.Set(map[gate.Question][]gate.Gate{gate.Login: {gateFunc(func(_ context.Context, a gate.Ask) (gate.Answer, error) {
			asks = append(asks, a)
			return answer, nil
		})}})
		try := func(m auth.VerifiedByPlugin) (o mint.Outcome) {
			t.Helper()
			m.Purpose = auth.ToTest
			st := s.begin(auth.PluginBegun{Purpose: auth.ToTest})
			w.wantRows(func() {
				out, got, err := s.answer(st, m, principal.Principal{})
				if err != nil || !out.Tested || out.SignedIn.Token != "" {
					t.Errorf("%+v %v", out, err)
				}
				o = got
			})
			return o
		}
		if o := try(auth.VerifiedByPlugin{Subject: "s1"}); o.Status != mint.Tested || o.Reason != "sign_in" || o.UserID != ada.UserID || o.SessionID != uuid.Nil {
			t.Errorf("%+v", o)
		}
		if len(asks) != 1 || !asks[0].DryRun {
			t.Errorf("%+v", asks)
		}
		if o := try(auth.VerifiedByPlugin{Subject: "s2", Email: "new@example.org", EmailVerified: true, SignUp: true}); o.Status != mint.Tested || o.Reason != "create" {
			t.Errorf("%+v", o)
		}
		if o := try(auth.VerifiedByPlugin{Subject: "s2"}); o.Status != mint.Refused || o.Reason != "refuse_sign_up" {
			t.Errorf("%+v", o)
		}
		answer = gate.Answer{Decision: gate.Deny, By: "g"}
		if o := try(auth.VerifiedByPlugin{Subject: "s1"}); o.Status != mint.Refused || o.Reason != "gate_denied" {
			t.Errorf("%+v", o)
		}
	})
}

// What nobody goes on with has expired; what was told is forgotten after a day.
func TestMinted_outcome(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		s := sso{w}
		_, id, err := s.HoldPluginSignIn(s.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: "s1"})
		if err != nil {
			t.Fatal(err)
		}
		if o := s.outcome(id); o.Status != mint.Pending {
			t.Errorf("%+v", o)
		}
		w.advance(3 * time.Minute)
		if o := s.outcome(id); o.Status != mint.Expired {
			t.Errorf("%+v", o)
		}
		w.advance(mint.Keep)
		if _, err := s.OutcomeOfPlugin(s.ctx(), "relyra", id); code(err) != "mint_not_found" {
			t.Errorf("%v", err)
		}
		if n, err := w.Mints.Clean(w.ctx()); n != 1 || err != nil {
			t.Errorf("%d %v", n, err)
		}
	})
}

// Gates that are asked about a sign-in learn what is known of the browser, and by what it is begun; an allowance under a condition that nobody
// here can meet is none.
func TestLogin_gateIsTold(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{trusted: true})
		var got gate.Ask
		var answer gate.Answer
		w.gates.Set(map[gate.Question][]gate.Gate{gate.Login: {gateFunc(func(_ context.Context, a gate.Ask) (gate.Answer, error) {
			got = a
			return answer, nil
		})}})
		if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: ada.email, Password: ada.pw, Device: ada.browser}); err != nil {
			t.Fatal(err)
		}
		if d := got.Device; d == nil || d.ID == "" || !d.Known || !d.Trusted || got.DryRun || got.Context["new_network"] != false {
			t.Errorf("%+v %+v", got, d)
		}
		if _, err := w.SignIn(w.from("203.0.113.77"), auth.Credentials{Email: ada.email, Password: ada.pw}); err != nil {
			t.Fatal(err)
		}
		if d := got.Device; d == nil || d.ID != "" || d.Known || d.Trusted || got.Context["new_network"] != true {
			t.Errorf("elsewhere: %+v %+v", got, d)
		}
		answer = gate.Answer{By: "g", Revision: "7", Explain: "flag@7", Obligations: []gate.Obligation{{Name: "watermark"}}}
		rows := w.wantRows(func() {
			if _, err := w.signIn(ada.email, ada.pw); code(err) != "obligation_unmet" {
				t.Errorf("%v", err)
			}
		}, "auth.login.failure/gate_obligation")
		if m := rows[0].Metadata; m["gate"] != "g" || m["gate_revision"] != "7" || m["gate_explain"] != "flag@7" {
			t.Errorf("%v", m)
		}
	})
}
