package auth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// administrator is a person who administers Sigra.
func (w *world) administrator(email string, h has) *person {
	w.t.Helper()
	p := w.person(email, h)
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE account SET administrator = TRUE WHERE id = $1`, p.id)
		return err
	})
	return p
}

// What an administrator has under way comes to nothing when what it rests on is gone before its transaction: the session, its token, the
// right, the account, the freshness of the proof.
func TestAdministrator_underWay(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		changes := map[string]func(ctx context.Context, by *person, to uuid.UUID) error{
			"create": func(ctx context.Context, by *person, _ uuid.UUID) error {
				_, _, err := w.CreateUser(ctx, flow.User(by.id), administration.NewUser{Email: "made-by-" + by.email, Administrator: true})
				return err
			},
			"reset link": func(ctx context.Context, by *person, to uuid.UUID) error {
				_, err := w.ResetLink(ctx, flow.User(by.id), to)
				return err
			},
			"own reset link": func(ctx context.Context, by *person, _ uuid.UUID) error {
				_, err := w.ResetLink(ctx, flow.User(by.id), by.id)
				return err
			},
			"disable": func(ctx context.Context, by *person, to uuid.UUID) error { return w.Disable(ctx, flow.User(by.id), to) },
			"enable":  func(ctx context.Context, by *person, to uuid.UUID) error { return w.Enable(ctx, flow.User(by.id), to) },
			"delete":  func(ctx context.Context, by *person, to uuid.UUID) error { return w.Delete(ctx, flow.User(by.id), to) },
			"reset factors": func(ctx context.Context, by *person, to uuid.UUID) error {
				return w.ResetFactors(ctx, flow.User(by.id), to)
			},
			"unlock": func(ctx context.Context, by *person, to uuid.UUID) error { return w.Unlock(ctx, flow.User(by.id), to) },
			"username": func(ctx context.Context, by *person, to uuid.UUID) error {
				return w.SetUsername(ctx, flow.User(by.id), to, "")
			},
			"sign out": func(ctx context.Context, by *person, to uuid.UUID) error {
				_, err := w.RevokeSessions(ctx, flow.User(by.id), "", to)
				return err
			},
			"metadata": func(ctx context.Context, by *person, to uuid.UUID) error {
				_, err := w.Administration.ChangeMetadata(ctx, flow.User(by.id), to, metadata.Change{Scope: metadata.Public, Merge: []byte(`{"a":1}`)})
				return err
			},
		}
		ends := map[string]struct {
			end  func(p *person, who principal.Principal)
			want string
		}{
			"revoked": {func(p *person, who principal.Principal) {
				w.ok(w.sessions.Revoke(w.ctx(), operator, "", p.id, who.SessionID))
			}, "unauthenticated"},
			"renewed": {func(_ *person, who principal.Principal) {
				w.tx(func(ctx context.Context, tx *store.Tx) error { _, err := w.sessions.Rotate(ctx, tx, who); return err })
			}, "unauthenticated"},
			"disabled": {func(p *person, _ principal.Principal) { w.ok(w.Disable(w.ctx(), operator, p.id)) }, "unauthenticated"},
			"deleted":  {func(p *person, _ principal.Principal) { w.ok(w.Delete(w.ctx(), operator, p.id)) }, "unauthenticated"},
			"no administrator any more": {func(p *person, _ principal.Principal) {
				w.tx(func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.Exec(ctx, `UPDATE account SET administrator = FALSE WHERE id = $1`, p.id)
					return err
				})
			}, "administrator_required"},
			"an old proof": {func(p *person, who principal.Principal) {
				w.tx(func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.Exec(ctx, `UPDATE session SET auth_time = $2 WHERE id = $1`, who.SessionID, w.Kit.Now().Add(-6*time.Minute))
					return err
				})
			}, "step_up_required"},
		}
		for what, change := range changes {
			for how, e := range ends {
				name := strings.NewReplacer(" ", "-").Replace(what + "-" + how)
				by, to := w.administrator(name+"@example.org", has{totp: true}), w.person("of-"+name+"@example.org", has{totp: true})
				who := by.fresh()
				w.ok(w.Administration.Check(w.ctx(), who, true)) // when the request begins
				ctx := w.Administration.Guard(w.ctx(), who, true)
				e.end(by, who)
				at := since(t)
				if err := change(ctx, by, to.id); code(err) != e.want {
					t.Errorf("%s, %s: %v", what, how, err)
				}
				if rows := w.actions(at); len(rows) > 0 {
					t.Errorf("%s, %s: %v", what, how, rows)
				}
				if m := w.purposes(at); len(m) > 0 {
					t.Errorf("%s, %s: mails %v", what, how, m)
				}
			}
		}
	})
}

// What touches accounts wants both factors of an administrator, shown a moment ago; who runs the installation has shown none and is not asked.
func TestAdministrator_factors(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		one, two, nobody := w.administrator("one@example.org", has{}), w.administrator("two@example.org", has{totp: true}), w.person("nobody@example.org", has{totp: true})
		for _, c := range []struct {
			name      string
			who       principal.Principal
			sensitive bool
			want      string
		}{
			{"both factors, now", two.fresh(), true, "ok"},
			{"both factors, long ago", two.session(principal.AAL2, 6*time.Minute, "pwd", "otp", "mfa").Principal, true, "step_up_required"},
			{"both factors, long ago, to read", two.session(principal.AAL2, 6*time.Minute, "pwd", "otp", "mfa").Principal, false, "ok"},
			{"a trusted browser", two.session(principal.AAL1, 0, "pwd").Principal, true, "step_up_required"},
			{"no second factor", one.session(principal.AAL1, 0, "pwd").Principal, true, "administrator_second_factor"},
			{"no second factor, to read", one.session(principal.AAL1, 0, "pwd").Principal, false, "ok"},
			{"no administrator", nobody.fresh(), false, "administrator_required"},
			{"an operator", principal.Principal{Kind: principal.Operator}, true, "ok"},
			{"the application", principal.Principal{Kind: principal.Application}, true, "ok"},
		} {
			if err := w.Administration.Check(w.ctx(), c.who, c.sensitive); code(err) != c.want {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

// Everything means everything: whoever ends it leaves no session, no sign-in under way, no link, no code, no trusted browser. The way back to an
// earlier address stays, and so does the session that asked.
func TestEnd_everything(t *testing.T) {
	each(t, options{settings: flow.Settings{MagicLinks: true, TrustFor: 30 * 24 * time.Hour}}, func(t *testing.T, w *world) {
		for how, end := range map[string]func(p *person, who principal.Principal) error{
			"by an administrator": func(p *person, _ principal.Principal) error {
				_, err := w.RevokeSessions(w.ctx(), operator, "", p.id)
				return err
			},
			"elsewhere": func(p *person, who principal.Principal) error {
				_, err := w.SignOutElsewhere(w.ctx(), who)
				return err
			},
			"disabled and enabled": func(p *person, _ principal.Principal) error {
				w.ok(w.Disable(w.ctx(), operator, p.id))
				return w.Enable(w.ctx(), operator, p.id)
			},
			"a new password": func(p *person, who principal.Principal) error {
				_, err := w.ChangePassword(w.ctx(), who, horse, unicorn)
				return err
			},
		} {
			p := w.person(strings.ReplaceAll(how, " ", "-")+"@example.org", has{totp: true, known: true})
			in, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: p.pending().Flow, Factor: p.show(factor.TOTP, ""), Trust: true, Device: p.browser})
			w.ok(err)
			p.browser = in.Device
			who, other := p.fresh(), p.fresh()
			elsewhere, err := w.SignIn(w.ctx(), auth.Credentials{Email: p.email, Password: p.pw})
			w.ok(err)
			_, err = w.RequestMagicLink(w.ctx(), p.email)
			w.ok(err)
			_, err = w.RequestReset(w.ctx(), p.email)
			w.ok(err)
			if _, err := w.RequestEmailChange(w.ctx(), who, "next-"+p.email); err != nil {
				t.Fatal(err)
			}
			if n := w.count(`SELECT count(*) FROM onetime WHERE account_id = $1 AND spent_at IS NULL`, p.id); n < 5 {
				t.Fatalf("%d under way", n)
			}
			w.ok(end(p, who))
			if n := w.count(`SELECT count(*) FROM onetime WHERE account_id = $1 AND spent_at IS NULL AND purpose <> 'email_change_undo'`, p.id); n != 0 {
				t.Errorf("%s: %d links, codes and sign-ins are left", how, n)
			}
			if n := w.count(`SELECT count(*) FROM onetime WHERE account_id = $1 AND spent_at IS NULL AND purpose = 'email_change_undo'`, p.id); n != 1 {
				t.Errorf("%s: the way back is gone", how)
			}
			if n := w.count(`SELECT count(*) FROM device WHERE account_id = $1 AND trusted_until IS NOT NULL`, p.id); n != 0 {
				t.Errorf("%s: %d trusted browsers", how, n)
			}
			if _, err := w.PendingSignIn(w.ctx(), elsewhere.Pending.Flow); code(err) != "sign_in_expired" {
				t.Errorf("%s: a sign-in under way goes on: %v", how, err)
			}
			if _, err := w.sessions.Find(w.ctx(), other.SessionID); code(err) != "session_not_found" {
				t.Errorf("%s: another session lives", how)
			}
			_, err = w.sessions.Find(w.ctx(), who.SessionID)
			if keeps := how == "elsewhere" || how == "a new password"; keeps != (err == nil) {
				t.Errorf("%s: the session that asked: %v", how, err)
			}
		}
	})
}

// Where administrators must have a second factor, one without adds it in the middle of the next sign-in, and a session that has shown one factor
// administers nothing; other people are not asked.
func TestAdministrator_mustHaveTwo(t *testing.T) {
	each(t, options{settings: flow.Settings{RequireOfAdministrators: true}}, func(t *testing.T, w *world) {
		w.ok(w.sessions.Configure(session.Settings{AdministratorsAAL2: true}))
		root, two, ada := w.administrator("root@example.org", has{}), w.administrator("two@example.org", has{totp: true}), w.person("ada@example.org", has{})
		if in, err := root.signIn(); err != nil || in.Pending == nil || !in.Pending.Enroll {
			t.Errorf("an administrator without a second factor: %+v, %v", in, err)
		}
		if in, err := ada.signIn(); err != nil || in.Token == "" {
			t.Errorf("somebody else: %+v, %v", in, err)
		}
		one := root.session(principal.AAL1, 0, "pwd")
		if p, err := w.sessions.Resolve(w.ctx(), one.Token); err != nil || p.Administrator || !p.AdministratorWithheld {
			t.Errorf("%+v, %v", p, err)
		}
		if err := w.Administration.Check(w.ctx(), one.Principal, false); code(err) != "administrator_second_factor" {
			t.Errorf("to read, with one factor and none to add: %v", err)
		}
		trusted := two.session(principal.AAL1, 0, "pwd")
		if err := w.Administration.Check(w.ctx(), trusted.Principal, false); code(err) != "step_up_required" {
			t.Errorf("to read, from a trusted browser: %v", err)
		}
		both := two.session(principal.AAL2, 0, "pwd", "otp", "mfa")
		if p, err := w.sessions.Resolve(w.ctx(), both.Token); err != nil || !p.Administrator || p.AdministratorWithheld {
			t.Errorf("%+v, %v", p, err)
		}
		if err := w.RemoveTOTP(w.ctx(), both.Principal); code(err) != "second_factor_required" {
			t.Errorf("the last one goes: %v", err)
		}
	})
}
