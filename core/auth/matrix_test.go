package auth_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Every first factor, in every state that an account can be in, comes to what the model says: who gets a session, at
// which assurance, who is asked for what, who is refused, and what is written down.
func TestMatrix_everyFirstFactorInEveryState(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		m := newMatrix(t, db)
		for i, f := range firsts {
			for j, s := range states {
				if possible(f, s) {
					m.run(t, i, j, f, s)
				}
			}
		}
	})
}

// matrix is one database with a world for each configuration that the states need.
type matrix struct {
	base   *world
	worlds map[flow.Settings]*world
	gates  sync.Map // address → func() gate.Answer
}

func newMatrix(t *testing.T, db *store.DB) *matrix {
	return &matrix{base: newWorld(t, db, options{failures: noFailureLimit}), worlds: map[flow.Settings]*world{}}
}

func (m *matrix) world(t *testing.T, f first, s state) *world {
	set := flow.Settings{RequireSecondFactor: s.policy, Suspicious: s.suspecting, SuspiciousStepUp: s.suspecting, DeferConfirmation: f.made}
	w := m.worlds[set]
	if w == nil {
		w = m.base.second(options{settings: set, failures: noFailureLimit})
		w.gates.Set(map[gate.Question][]gate.Gate{gate.Login: {gateFunc(func(_ context.Context, a gate.Ask) (gate.Answer, error) {
			if f, ok := m.gates.Load(a.Principal.Email); ok {
				return f.(func() gate.Answer)(), nil
			}
			return gate.Answer{}, nil
		})}})
		m.worlds[set] = w
	}
	w.t = t
	return w
}

// attempt is a first factor that is right and at hand, and who has it.
type attempt struct {
	*person
	show func(ctx context.Context, browser string) (auth.SignedIn, error)
}

func (m *matrix) run(t *testing.T, i, j int, f first, s state) {
	w := m.world(t, f, s)
	name := fmt.Sprintf("%s, %s", f.name, s.name)
	email := fmt.Sprintf("m%d.%d@example.org", i, j)
	a := prepare(w, f, s, email)
	ctx, browser := w.ctx(), a.browser
	if s.stranger {
		ctx, browser = w.from("198.51.100.9"), ""
	}
	if s.when == before {
		a.change(t, s.change)
	}
	var noise []string // the rows of the change itself
	m.gates.Store(email, func() gate.Answer {
		if s.when == atGate {
			at := since(t)
			a.change(t, s.change)
			noise = w.actions(at)
		}
		return gate.Answer{Decision: s.gate, Reason: "not_today", By: "plugin.test", RequiredAAL: principal.AAL2}
	})
	want := model(f, s)
	at := since(t)
	in, err := a.show(ctx, browser)
	if a.id == uuid.Nil {
		made, err := w.accounts.FindByEmail(w.ctx(), email)
		if err != nil {
			t.Fatal(name, err)
		}
		a.id = made.ID
	}
	if !judge(t, w, name, a.person, in, err, want, without(w.actions(at), noise)) || len(want.ask) == 0 {
		return
	}
	m.gates.Delete(email) // it was asked; nobody asks it again
	method := want.ask[(i+j)%len(want.ask)]
	if s.when == between {
		a.change(t, s.change)
	}
	sf := auth.SecondFactor{Flow: in.Pending.Flow, Device: browser}
	var then error
	if sf.Factor, then = factorFor(a.person, w, want, s, in.Pending.Flow, method); then != nil {
		if got := code(then); got != "sign_in_expired" || s.when != between {
			t.Errorf("%s, then %s: it could not begin: %v", name, method, then)
		}
	}
	at = since(t)
	in, err = w.FinishSignIn(ctx, sf)
	judge(t, w, name+", then "+method, a.person, in, err, modelFinish(f, s, want, method), w.actions(at))
	if want.enroll && err == nil && len(in.Codes) != 10 {
		t.Errorf("%s: %d recovery codes with the first factor", name, len(in.Codes))
	}
	if _, err := w.FinishSignIn(ctx, sf); code(err) != "sign_in_expired" {
		t.Errorf("%s, once more: %v", name, err)
	}
}

// judge compares what came with what must.
func judge(t *testing.T, w *world, name string, p *person, in auth.SignedIn, err error, want outcome, rows []string) (same bool) {
	t.Helper()
	same = true
	wrong := func(format string, args ...any) {
		t.Helper()
		same = false
		t.Errorf(name+": "+format, args...)
	}
	slices.Sort(want.rows)
	if got := code(err); got != want.code {
		wrong("%s (%v), want %s", got, err, want.code)
		return same
	}
	if !slices.Equal(rows, want.rows) {
		wrong("rows\n got %v\nwant %v", rows, want.rows)
	}
	switch {
	case err != nil:
		if in.Token != "" || in.Pending != nil {
			wrong("refused, and given %+v", in)
		}
	case want.ask != nil:
		if in.Token != "" || in.Principal.UserID != uuid.Nil || in.Pending == nil {
			wrong("not asked: %+v", in)
			return same
		}
		left := in.Pending.ExpiresAt.Sub(w.now())
		if !slices.Equal(in.Pending.Methods, want.ask) || in.Pending.Enroll != want.enroll || left <= 4*time.Minute || left > 5*time.Minute {
			wrong("asked for %+v, want %v, enroll %v", in.Pending, want.ask, want.enroll)
		}
	default:
		got, err := w.sessions.Resolve(w.ctx(), in.Token)
		if err != nil || in.Pending != nil || got.UserID != p.id || got.AAL != want.aal || !slices.Equal(got.AMR, want.amr) || w.now().Sub(got.AuthTime) > time.Minute {
			wrong("session %+v, pending %+v, %v; want %s %v", got, in.Pending, err, want.aal, want.amr)
		}
		if spared := w.count(`SELECT count(*) FROM audit_log WHERE session_id = $1 AND CAST(metadata AS TEXT) LIKE '%trusted_device%'`, got.SessionID) > 0; spared != want.spared {
			wrong("the row says trusted_device: %v", spared)
		}
		return same
	}
	// None but the sessions that a change needed.
	if n := w.count(`SELECT count(*) FROM session WHERE account_id = $1 AND amr NOT LIKE '%test%'`, p.id); n != 0 {
		wrong("%d sessions", n)
	}
	return same
}

// without takes away, once each, what the change in the middle wrote.
func without(rows, noise []string) []string {
	out := slices.Clone(rows)
	for _, r := range noise {
		if i := slices.Index(out, r); i >= 0 {
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

// change has something happen to the account, by its owner elsewhere or by an administrator.
func (p *person) change(t *testing.T, c change) {
	t.Helper()
	w := p.w
	var err error
	owner := func() principal.Principal { return p.session(principal.AAL2, 0, "test").Principal }
	switch c {
	case disabled:
		err = w.Disable(w.ctx(), operator, p.id)
	case newPassword:
		_, err = w.ChangePassword(w.ctx(), owner(), p.pw, "yet another good secret")
	case factorsReset:
		err = w.ResetFactors(w.ctx(), operator, p.id)
	case factorAdded:
		who := owner()
		e, berr := w.BeginTOTP(w.ctx(), who)
		if berr != nil {
			t.Fatal(berr)
		}
		_, err = w.ConfirmTOTP(w.ctx(), who, w.next(newApp(e.Secret.Reveal())))
	}
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
}

// factorFor makes the second factor, or the new one. What can't be begun any more gives a factor that was right before.
func factorFor(p *person, w *world, asked outcome, s state, flow, method string) (factor.Proof, error) {
	f := factor.Proof{Method: method}
	switch {
	case asked.enroll && method == factor.TOTP:
		e, err := w.PendingTOTP(w.ctx(), flow)
		if err != nil {
			return f, err
		}
		f.Code = w.next(newApp(e.Secret.Reveal()))
	case method == factor.Passkey:
		c, err := w.PendingPasskey(w.ctx(), flow)
		if err != nil {
			return f, err
		}
		if f.Ceremony = c.Token; !asked.enroll {
			f.Credential = p.device.Get(c.Options)
			return f, nil
		}
		f.Credential, err = passkeytest.New(w.t, base).Create(c.Options)
		return f, err
	default:
		return p.show(method, flow), nil
	}
	return f, nil
}

// prepare makes the account and has the first factor ready.
func prepare(w *world, f first, s state, email string) attempt {
	w.t.Helper()
	h := s.has
	switch {
	case f.made:
		p := &person{w: w, email: email, pw: horse}
		return attempt{p, func(ctx context.Context, browser string) (auth.SignedIn, error) {
			r, err := w.Register(ctx, auth.Registration{Email: email, Password: horse, Device: browser})
			if err != nil || r.SignedIn == nil {
				return auth.SignedIn{}, err
			}
			return *r.SignedIn, nil
		}}
	case f.owner:
		return prepareConfirmation(w, f, h, email)
	}
	h.passkey, h.unproved, h.login = h.passkey || f.passkey, f.passkey && !f.both, f.vouched
	p := w.person(email, h)
	a := attempt{person: p}
	switch f.name {
	case "password":
		a.show = func(ctx context.Context, browser string) (auth.SignedIn, error) {
			return w.SignIn(ctx, auth.Credentials{Email: email, Password: horse, Device: browser})
		}
	case "passkey", "passkey not relied upon":
		a.show = func(ctx context.Context, browser string) (auth.SignedIn, error) {
			c, err := w.BeginPasskeySignIn(ctx)
			if err != nil {
				return auth.SignedIn{}, err
			}
			return w.SignInPasskey(ctx, auth.PasskeySignIn{Ceremony: c.Token, Credential: p.device.Get(c.Options), Device: browser})
		}
	case "federated login":
		a.show = func(ctx context.Context, browser string) (auth.SignedIn, error) {
			out, err := w.SignInFederated(ctx, p.claims, true, browser)
			return out.SignedIn, err
		}
	case "administrator's link":
		token, err := w.ResetLink(w.ctx(), operator, p.id)
		if err != nil {
			w.t.Fatal(err)
		}
		a.show = p.setsPassword(auth.NewPassword{Token: token})
	case "reset link", "reset code":
		at := since(w.t)
		r, err := w.RequestReset(w.ctx(), email)
		if err != nil {
			w.t.Fatal(err)
		}
		token, digits := w.secrets(at, mail.PasswordReset)
		n := auth.NewPassword{Token: token}
		if f.name == "reset code" {
			n = auth.NewPassword{Flow: r.Flow, Code: digits}
		}
		a.show = p.setsPassword(n)
	default:
		m := magicLink(w, email)
		if f.name == "magic link approved elsewhere" {
			if err := w.ApproveMagicLink(w.ctx(), m.token, m.number); err != nil {
				w.t.Fatal(err)
			}
		}
		a.show = func(ctx context.Context, browser string) (auth.SignedIn, error) {
			in := auth.MagicLink{Token: m.token, Device: browser}
			switch f.name {
			case "magic link's code":
				in = auth.MagicLink{Flow: m.flow, Code: m.code, Device: browser}
			case "magic link approved elsewhere":
				in = auth.MagicLink{Flow: m.flow, Device: browser}
			}
			return w.SignInMagicLink(ctx, in)
		}
	}
	return a
}

func (p *person) setsPassword(n auth.NewPassword) func(context.Context, string) (auth.SignedIn, error) {
	return func(ctx context.Context, browser string) (auth.SignedIn, error) {
		n.Password, n.Device = staple, browser
		in, err := p.w.SetPassword(ctx, n)
		if err == nil {
			p.pw = staple
		}
		return in, err
	}
}

// mailedLink is what a request for a magic link brought, in the browser and in the mail.
type mailedLink struct{ flow, number, token, code string }

func magicLink(w *world, email string) mailedLink {
	w.t.Helper()
	at := since(w.t)
	r, err := w.RequestMagicLink(w.ctx(), email)
	if err != nil {
		w.t.Fatal(err)
	}
	m := mailedLink{flow: r.Flow, number: r.Number}
	m.token, m.code = w.secrets(at, mail.MagicLink)
	return m
}

func prepareConfirmation(w *world, f first, h has, email string) attempt {
	w.t.Helper()
	at := since(w.t)
	r := w.register(email, horse)
	token, digits := w.secrets(at, mail.ConfirmEmail)
	made, err := w.accounts.FindByEmail(w.ctx(), email)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &person{w: w, id: made.ID, email: email, pw: horse}
	p.give(h)
	c := auth.Confirmation{Flow: r.Flow, Code: digits}
	switch f.name {
	case "confirmation link":
		c = auth.Confirmation{Token: token, Flow: r.Flow}
	case "confirmation link and password":
		c = auth.Confirmation{Token: token, Password: horse}
	}
	return attempt{p, func(ctx context.Context, browser string) (auth.SignedIn, error) {
		c.Device = browser
		return w.Confirm(ctx, c)
	}}
}
