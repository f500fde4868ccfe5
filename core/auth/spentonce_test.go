package auth_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// single is a thing that is good for one use.
type single struct {
	name string
	// ready makes the thing and gives what uses it on a node; i tells the requests of one moment apart.
	ready func(n *nodes, email string) func(w *world, i int) error
	// late is what all requests but one are told, one of these codes. "ok": they succeed, but without the thing.
	late []string
	// once is the audit row that there is exactly one of afterwards.
	once     string
	sessions int // that began
}

// nodes are two services over one database, each with connections of its own.
type nodes struct {
	*world
	other    *world
	provider *federationtest.Provider
}

// parallel is how many requests use a thing at the same moment, half of them on either node.
const parallel = 100

// Of a hundred requests at the same moment, on two nodes, one uses up whatever is good for one use.
func TestOnce_everySingleUse(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			n := newNodes(t, d.URL)
			for i, s := range singles {
				t.Run(s.name, func(t *testing.T) {
					n.t, n.other.t = t, t
					n.raced(s, fmt.Sprintf("once%d@example.org", i))
				})
			}
			n.t = t
			n.leftNothingOut()
		})
	}
}

func newNodes(t *testing.T, url string) *nodes {
	n := &nodes{provider: federationtest.New(t)}
	o := options{failures: noFailureLimit, factors: noFailureLimit}
	n.world = newWorld(t, storetest.Dial(t, url), o)
	o.root, o.clock = n.root, n.skew
	n.other = newWorld(t, storetest.Dial(t, url), o)
	for _, w := range []*world{n.world, n.other} {
		w.Logins.Use(n.provider.Directory(t))
	}
	return n
}

func (n *nodes) raced(s single, email string) {
	n.t.Helper()
	use := s.ready(n, email)
	before, at := n.count(`SELECT count(*) FROM session`), since(n.t)
	got := tally(parallel, func(i int) error { return use([]*world{n.world, n.other}[i%2], i) })
	want := 1
	if slices.Contains(s.late, "ok") {
		want = parallel
	}
	if got["ok"] != want {
		n.t.Errorf("%d of %d succeeded: %v", got["ok"], parallel, got)
	}
	for c := range got {
		if c != "ok" && !slices.Contains(s.late, c) {
			n.t.Errorf("%d were told %s, not %v", got[c], c, s.late)
		}
	}
	if began := n.count(`SELECT count(*) FROM session`) - before; began != s.sessions {
		n.t.Errorf("%d sessions began, not %d", began, s.sessions)
	}
	rows := 0
	for _, a := range n.actions(at) {
		if a == s.once {
			rows++
		}
	}
	if rows != 1 {
		n.t.Errorf("%d rows %s", rows, s.once)
	}
}

// leftNothingOut checks that something of every kind was used up: what the flows keep in onetime, every ceremony, and
// whatever other table of the database has a column that says so.
func (n *nodes) leftNothingOut() {
	n.t.Helper()
	var purposes []string
	files, err := filepath.Glob("../flow/*.go")
	if err != nil {
		n.t.Fatal(err)
	}
	named := regexp.MustCompile(`onetime\.Purpose\s*=\s*"(\w+)"`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			purposes = append(purposes, m[1])
		}
	}
	slices.Sort(purposes)
	ceremonies := []string{"login", "register", "second_factor", "step_up"}
	for query, want := range map[string][]string{
		`SELECT DISTINCT purpose FROM onetime WHERE spent_at IS NOT NULL`:                     purposes,
		`SELECT DISTINCT purpose FROM credential_passkey_ceremony WHERE spent_at IS NOT NULL`: ceremonies,
		`SELECT DISTINCT 'state' FROM federation_state WHERE spent_at IS NOT NULL`:            {"state"},
		`SELECT 'puzzle' FROM ratelimit_spent`:                                                {"puzzle"},
	} {
		if got := n.strings(query); !slices.Equal(got, want) {
			n.t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	columns := `SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'spent_at'`
	if n.db.Dialect() == store.Postgres {
		columns = `SELECT table_name::text FROM information_schema.columns WHERE column_name = 'spent_at' AND table_schema = current_schema()`
	}
	if got, want := n.strings(columns), []string{"credential_passkey_ceremony", "federation_state", "onetime"}; !slices.Equal(got, want) {
		n.t.Errorf("tables of things that are used once: %v, looked at %v", got, want)
	}
}

// strings reads a column, sorted.
func (w *world) strings(query string) []string {
	w.t.Helper()
	rows, err := w.db.Query(w.ctx(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

var (
	lateLink   = []string{"invalid_or_expired"}
	lateFactor = []string{"wrong_factor"}
	lateKey    = []string{"passkey_refused"}
)

const (
	signedIn  = "auth.login.success"
	confirmed = "auth.confirmation.success"
	newSecret = "auth.password_reset.success"
	steppedUp = "auth.step_up.success"
	challenge = "mfa.challenge.success"
)

var singles = []single{
	{"confirmation link", func(n *nodes, email string) func(*world, int) error {
		flow, token, _ := n.signsUp(email)
		return confirms(auth.Confirmation{Token: token, Flow: flow})
	}, lateLink, confirmed, 1},
	{"confirmation link and password", func(n *nodes, email string) func(*world, int) error {
		_, token, _ := n.signsUp(email)
		return confirms(auth.Confirmation{Token: token, Password: horse})
	}, lateLink, confirmed, 1},
	{"confirmation code", func(n *nodes, email string) func(*world, int) error {
		flow, _, digits := n.signsUp(email)
		return confirms(auth.Confirmation{Flow: flow, Code: digits})
	}, lateLink, confirmed, 1},
	{"sign-up, by its link and its code", func(n *nodes, email string) func(*world, int) error {
		flow, token, digits := n.signsUp(email)
		return func(w *world, i int) error {
			c := []auth.Confirmation{{Flow: flow, Code: digits}, {Token: token, Flow: flow}, {Token: token, Password: horse}}[i%3]
			return confirms(c)(w, i)
		}
	}, lateLink, confirmed, 1},
	{"sign-up that is sent again", func(n *nodes, email string) func(*world, int) error {
		flow, _, _ := n.signsUp(email)
		return func(w *world, _ int) error { _, err := w.ResendConfirmation(w.ctx(), flow); return err }
	}, lateLink, "auth.confirmation_request/asked_again", 0},

	{"reset link", func(n *nodes, email string) func(*world, int) error {
		_, token, _ := n.asksReset(n.person(email, has{}))
		return setsPassword(auth.NewPassword{Token: token, Password: staple})
	}, lateLink, newSecret, 1},
	{"reset code", func(n *nodes, email string) func(*world, int) error {
		flow, _, digits := n.asksReset(n.person(email, has{}))
		return setsPassword(auth.NewPassword{Flow: flow, Code: digits, Password: staple})
	}, lateLink, newSecret, 1},
	{"administrator's link", func(n *nodes, email string) func(*world, int) error {
		token, err := n.ResetLink(n.ctx(), operator, n.person(email, has{}).id)
		if err != nil {
			n.t.Fatal(err)
		}
		return setsPassword(auth.NewPassword{Token: token, Password: staple})
	}, lateLink, newSecret, 1},

	{"magic link", func(n *nodes, email string) func(*world, int) error {
		n.person(email, has{})
		return opens(auth.MagicLink{Token: magicLink(n.world, email).token})
	}, lateLink, signedIn, 1},
	{"magic link's code", func(n *nodes, email string) func(*world, int) error {
		n.person(email, has{})
		m := magicLink(n.world, email)
		return opens(auth.MagicLink{Flow: m.flow, Code: m.code})
	}, lateLink, signedIn, 1},
	{"magic link's approval", func(n *nodes, email string) func(*world, int) error {
		n.person(email, has{})
		m := magicLink(n.world, email)
		return func(w *world, _ int) error { return w.ApproveMagicLink(w.ctx(), m.token, m.number) }
	}, lateLink, "auth.magic_link_approve", 0},
	{"magic link's wrong number", func(n *nodes, email string) func(*world, int) error {
		n.person(email, has{})
		m := magicLink(n.world, email)
		return but("wrong_number", func(w *world, _ int) error { return w.ApproveMagicLink(w.ctx(), m.token, m.number+"0") })
	}, lateLink, "auth.magic_link_verify.failure/wrong_number", 0},
	{"magic link approved elsewhere", func(n *nodes, email string) func(*world, int) error {
		n.person(email, has{})
		m := magicLink(n.world, email)
		if err := n.ApproveMagicLink(n.ctx(), m.token, m.number); err != nil {
			n.t.Fatal(err)
		}
		return opens(auth.MagicLink{Flow: m.flow})
	}, lateLink, signedIn, 1},

	{"pending sign-in", func(n *nodes, email string) func(*world, int) error {
		p := n.person(email, has{totp: true})
		flow := p.pending().Flow
		return finishes(func(i int) auth.SecondFactor {
			return auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.RecoveryCode, Code: p.codes[i%len(p.codes)]}}
		})
	}, []string{"sign_in_expired", "wrong_factor"}, "mfa.recovery_code.used", 1},
	{"code of an app, as second factor", func(n *nodes, email string) func(*world, int) error {
		return n.person(email, has{totp: true}).inEveryFlow(factor.TOTP)
	}, lateFactor, challenge, 1},
	{"code of an app, to step up", func(n *nodes, email string) func(*world, int) error {
		return n.person(email, has{totp: true}).stepsUp(factor.TOTP)
	}, lateFactor, steppedUp, 0},
	{"first code of an app", func(n *nodes, email string) func(*world, int) error {
		sessions := n.person(email, has{}).sessions(principal.AAL2, "pwd", "otp", "mfa")
		e, err := n.BeginTOTP(n.ctx(), sessions[0])
		if err != nil {
			n.t.Fatal(err)
		}
		first := n.next(newApp(e.Secret.Reveal()))
		return func(w *world, i int) error { _, err := w.ConfirmTOTP(w.ctx(), sessions[i], first); return err }
	}, []string{"totp_enrolled"}, "mfa.enrollment.complete", 0},
	{"recovery code, as second factor", func(n *nodes, email string) func(*world, int) error {
		return n.person(email, has{totp: true}).inEveryFlow(factor.RecoveryCode)
	}, lateFactor, challenge, 1},
	{"recovery code, to step up", func(n *nodes, email string) func(*world, int) error {
		return n.person(email, has{totp: true}).stepsUp(factor.RecoveryCode)
	}, lateFactor, steppedUp, 0},
	{"code by mail, to step up", func(n *nodes, email string) func(*world, int) error {
		p := n.person(email, has{login: true})
		n.tx(func(ctx context.Context, tx *store.Tx) error { return n.passwords.Erase(ctx, tx, p.id) })
		return p.stepsUp(factor.Mail)
	}, lateFactor, steppedUp, 0},

	{"ceremony of a sign-in", func(n *nodes, email string) func(*world, int) error {
		p := n.person(email, has{passkey: true})
		c, err := n.BeginPasskeySignIn(n.ctx())
		if err != nil {
			n.t.Fatal(err)
		}
		in := auth.PasskeySignIn{Ceremony: c.Token, Credential: p.device.Get(c.Options)}
		return func(w *world, _ int) error { _, err := w.SignInPasskey(w.ctx(), in); return err }
	}, lateKey, signedIn, 1},
	{"ceremony of a second factor", func(n *nodes, email string) func(*world, int) error {
		return n.person(email, has{passkey: true, asks: true}).inEveryFlow(factor.Passkey)
	}, lateKey, challenge, 1},
	{"ceremony of a step-up", func(n *nodes, email string) func(*world, int) error {
		return n.person(email, has{passkey: true}).stepsUp(factor.Passkey)
	}, lateKey, steppedUp, 0},
	{"ceremony of a registration", func(n *nodes, email string) func(*world, int) error {
		who := n.person(email, has{}).fresh()
		c, err := n.BeginPasskey(n.ctx(), who, false)
		if err != nil {
			n.t.Fatal(err)
		}
		f := factor.Proof{Ceremony: c.Token, Credential: must(n.t)(passkeytest.New(n.t, base).Create(c.Options))}
		return func(w *world, _ int) error { return w.AddPasskey(w.ctx(), who, f, "") }
	}, lateKey, "passkey.register.success", 0},

	{"login elsewhere that waits to be linked", func(n *nodes, email string) func(*world, int) error {
		n.person(email, has{})
		held, err := n.SignInFederated(n.ctx(), federation.Claims{Provider: "example", Issuer: "https://example.net", Subject: email, Email: email, EmailVerified: true}, true, "")
		if err != nil || held.Link == nil {
			n.t.Fatalf("%+v, %v", held, err)
		}
		return func(w *world, _ int) error {
			_, err := w.SignIn(w.ctx(), auth.Credentials{Email: email, Password: horse, Link: held.Link.Flow})
			return err
		}
	}, []string{"ok"}, "oauth.link.success", parallel},
	{"state of a federated sign-in", func(n *nodes, email string) func(*world, int) error {
		n.provider.SetUser(federationtest.User{"sub": email, "email": email, "email_verified": true})
		begun, err := n.Logins.Begin(n.ctx(), federation.Request{Provider: "example", Purpose: federation.SignIn})
		if err != nil {
			n.t.Fatal(err)
		}
		back := n.provider.Approve(n.t, begun)
		return func(w *world, _ int) error {
			r, err := w.Logins.Finish(w.ctx(), back)
			if err == nil {
				_, err = w.SignInFederated(w.ctx(), r.Claims, true, "")
			}
			return err
		}
	}, []string{"state_invalid"}, "auth.register.success", 1},
	{"sign-in that a plugin began", func(n *nodes, email string) func(*world, int) error {
		st, err := n.BeginPluginSignIn(n.ctx(), auth.PluginBegun{Plugin: "relyra", Provider: "okta"}, auth.DefaultPluginState)
		if err != nil {
			n.t.Fatal(err)
		}
		n.linked(n.person(email, has{}).id, email)
		return func(w *world, _ int) error {
			flow, _, err := w.HoldPluginSignIn(w.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: email, State: st.State, Key: st.Key})
			if err == nil {
				_, _, err = w.SignInPlugin(w.ctx(), auth.PluginArrival{Flow: flow, Cookie: func(string) string { return st.Key }})
			}
			return err
		}
	}, []string{"state_invalid"}, signedIn, 1},
	{"sign-in that a plugin verified", func(n *nodes, email string) func(*world, int) error {
		n.linked(n.person(email, has{}).id, email)
		flow, _, err := n.HoldPluginSignIn(n.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: email})
		if err != nil {
			n.t.Fatal(err)
		}
		return func(w *world, _ int) error { _, _, err := w.goOn(w.ctx(), flow); return err }
	}, []string{"sign_in_expired"}, signedIn, 1},

	{"change of address, by its link", func(n *nodes, email string) func(*world, int) error {
		flow, token, _ := n.asksEmailChange(n.person(email, has{}))
		return changesEmail(selfservice.EmailChange{Token: token, Flow: flow})
	}, lateLink, "account.email_change.confirm", 0},
	{"change of address, by its code", func(n *nodes, email string) func(*world, int) error {
		flow, _, digits := n.asksEmailChange(n.person(email, has{}))
		return changesEmail(selfservice.EmailChange{Flow: flow, Code: digits})
	}, lateLink, "account.email_change.confirm", 0},
	{"change of address, undone", func(n *nodes, email string) func(*world, int) error {
		p, at := n.person(email, has{}), since(n.t)
		if err := p.changesEmail(p.fresh(), "new-"+email); err != nil {
			n.t.Fatal(err)
		}
		undo, _ := n.secrets(at, mail.EmailChanged)
		n.tx(func(ctx context.Context, tx *store.Tx) error {
			_, err := n.sessions.RevokeAllIn(ctx, tx, p.id, uuid.Nil)
			return err
		})
		return func(w *world, _ int) error { return w.UndoEmailChange(w.ctx(), undo) }
	}, lateLink, "account.email_change.undo", 0},

	{"proof of work", func(n *nodes, email string) func(*world, int) error {
		n.person(email, has{})
		slowed := map[*world]*world{n.world: n.slowed(n.world), n.other: n.slowed(n.other)}
		wrong := func(w *world, p ratelimit.Proof) error {
			_, err := slowed[w].SignIn(w.ctx(), auth.Credentials{Email: email, Password: staple, Proof: p})
			return err
		}
		if err := wrong(n.world, ratelimit.Proof{}); code(err) != "invalid_credentials" {
			n.t.Fatal(err)
		}
		proof := n.solves(wrong(n.other, ratelimit.Proof{}))
		n.advance(time.Second)
		return but("invalid_credentials", func(w *world, _ int) error { return wrong(w, proof) })
	}, []string{"proof_of_work_invalid", "too_many_attempts"}, "auth.login.failure/wrong_password", 0},
	{"session that is signed out of", func(n *nodes, email string) func(*world, int) error {
		token := n.person(email, has{}).session(principal.AAL1, 0).Token
		return func(w *world, _ int) error { return w.SignOut(w.ctx(), token) }
	}, []string{"unauthenticated"}, "auth.logout", -1},
}

// but takes an answer for the one that the thing is good for.
func but(answer string, f func(*world, int) error) func(*world, int) error {
	return func(w *world, i int) error {
		if err := f(w, i); code(err) != answer {
			if err == nil {
				w.t.Errorf("it succeeded, where %s is the best there is", answer)
			}
			return err
		}
		return nil
	}
}

func confirms(c auth.Confirmation) func(*world, int) error {
	return func(w *world, _ int) error { _, err := w.Confirm(w.ctx(), c); return err }
}

func setsPassword(p auth.NewPassword) func(*world, int) error {
	return func(w *world, _ int) error { _, err := w.SetPassword(w.ctx(), p); return err }
}

func opens(m auth.MagicLink) func(*world, int) error {
	return func(w *world, _ int) error { _, err := w.SignInMagicLink(w.ctx(), m); return err }
}

func finishes(f func(i int) auth.SecondFactor) func(*world, int) error {
	return func(w *world, i int) error { _, err := w.FinishSignIn(w.ctx(), f(i)); return err }
}

func changesEmail(c selfservice.EmailChange) func(*world, int) error {
	return func(w *world, _ int) error { return w.ConfirmEmailChange(w.ctx(), principal.Principal{}, c) }
}

// inEveryFlow shows one and the same factor in as many sign-ins as there are requests.
func (p *person) inEveryFlow(method string) func(*world, int) error {
	p.w.t.Helper()
	var flows []string
	for range parallel {
		flows = append(flows, p.pending().Flow)
	}
	f := p.show(method, flows[0])
	return finishes(func(i int) auth.SecondFactor { return auth.SecondFactor{Flow: flows[i], Factor: f} })
}

func (p *person) stepsUp(method string) func(*world, int) error {
	p.w.t.Helper()
	sessions := p.sessions(principal.AAL1, "fed")
	f := p.stepUp(sessions[0], method)
	return func(w *world, i int) error { _, err := w.StepUp(w.ctx(), sessions[i], f); return err }
}

// sessions are as many of the person's as there are attempts: one that is renewed ends what else was begun with its token.
func (p *person) sessions(aal string, amr ...string) (out []principal.Principal) {
	p.w.t.Helper()
	for range parallel {
		out = append(out, p.session(aal, 0, amr...).Principal)
	}
	return out
}

// signsUp registers, and gives the flow and what was mailed.
func (w *world) signsUp(email string) (flow, token, digits string) {
	w.t.Helper()
	at := since(w.t)
	flow = w.register(email, horse).Flow
	token, digits = w.secrets(at, mail.ConfirmEmail)
	return flow, token, digits
}

func (w *world) asksReset(p *person) (flow, token, digits string) {
	w.t.Helper()
	at := since(w.t)
	r, err := w.RequestReset(w.ctx(), p.email)
	if err != nil {
		w.t.Fatal(err)
	}
	token, digits = w.secrets(at, mail.PasswordReset)
	return r.Flow, token, digits
}

// asksEmailChange asks for the address new-….
func (w *world) asksEmailChange(p *person) (flow, token, digits string) {
	w.t.Helper()
	at := since(w.t)
	r, err := w.RequestEmailChange(w.ctx(), p.fresh(), "new-"+p.email)
	if err != nil {
		w.t.Fatal(err)
	}
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := w.sessions.RevokeAllIn(ctx, tx, p.id, uuid.Nil)
		return err
	})
	token, digits = w.secrets(at, mail.EmailChangeConfirm)
	return r, token, digits
}

// slowed is a node where the first failure already asks for a proof of work.
func (n *nodes) slowed(w *world) *world {
	n.t.Helper()
	puzzles, err := ratelimit.NewPuzzles(ratelimit.PuzzleConfig{Marks: w.Ring, Difficulty: ratelimit.MinDifficulty, Max: ratelimit.MinDifficulty, Now: w.now})
	if err != nil {
		n.t.Fatal(err)
	}
	b, err := ratelimit.NewBackoff(ratelimit.BackoffConfig{
		Name: "sign_in_slowed", After: ratelimit.Quota{Count: 1, Per: time.Hour}, First: time.Millisecond, Longest: time.Millisecond, Verifier: puzzles, Now: w.now,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return w.second(options{backoff: b})
}

// solves does what a refusal asks for.
func (n *nodes) solves(err error) ratelimit.Proof {
	n.t.Helper()
	var d *ratelimit.Demand
	if !errors.As(err, &d) {
		n.t.Fatal(err)
	}
	solution, err := ratelimit.Solve(n.ctx(), d.Challenge.Puzzle, d.Challenge.Difficulty)
	if err != nil {
		n.t.Fatal(err)
	}
	return ratelimit.Proof{Challenge: d.Challenge.Puzzle, Solution: solution}
}
