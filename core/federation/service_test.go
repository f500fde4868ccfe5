package federation_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

var sources = []store.Source{keyring.Migrations, account.Migrations, federation.Migrations}

// world is a service on one database, with a clock of its own.
type world struct {
	*federation.Service
	db   *store.DB
	ring *keyring.Ring
	skew atomic.Int64
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.skew.Load())) }
func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

func newRing(t testing.TB, db *store.DB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Open(t.Context(), keyring.Config{DB: db, Root: keyring.NewRoot()})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newWorld(t testing.TB, db *store.DB, ring *keyring.Ring, d *federation.Directory) *world {
	t.Helper()
	w := &world{db: db, ring: ring}
	var err error
	if w.Service, err = federation.New(federation.Config{DB: db, Sealer: ring, Directory: d, Now: w.now}); err != nil {
		t.Fatal(err)
	}
	return w
}

// each runs a test on both databases with a provider called "example".
func each(t *testing.T, f func(t *testing.T, w *world, p *federationtest.Provider)) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		p := federationtest.New(t)
		f(t, newWorld(t, db, newRing(t, db), p.Directory(t)), p)
	})
}

func (w *world) begin(t testing.TB, name string) federation.Begun {
	t.Helper()
	b, err := w.Begin(t.Context(), federation.Request{Provider: name, Purpose: federation.SignIn, ReturnTo: "/back"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signIn goes all the way.
func (w *world) signIn(t testing.TB, p *federationtest.Provider, name string) (federation.Result, error) {
	t.Helper()
	b, err := w.Begin(t.Context(), federation.Request{Provider: name, Purpose: federation.SignIn, ReturnTo: "/back"})
	if err != nil {
		return federation.Result{}, err
	}
	return w.Finish(t.Context(), p.Approve(t, b))
}

// refused holds an error to its code, stage and reason, and to saying nothing that the provider wrote.
func refused(t testing.TB, err error, code, stage, reason string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("no fault: %v", err)
	}
	why, ok := federation.Explain(err)
	if f.Code != code || !ok || why.Stage != stage || why.Reason != reason {
		t.Errorf("got %s at %s: %s; want %s at %s: %s\n%v", f.Code, why.Stage, why.Reason, code, stage, reason, err)
	}
	if strings.Contains(f.Message, "the provider says") || strings.Contains(f.Message, "http") {
		t.Errorf("the message shows what the provider wrote: %s", f.Message)
	}
	want := map[string]fault.Kind{"provider_denied": fault.Denied, "provider_unavailable": fault.Unavailable, "provider_answer_invalid": fault.Unauthenticated, "state_invalid": fault.Unauthenticated}[code]
	if f.Kind != want || f.Kind == fault.Unavailable && f.RetryAfter <= 0 {
		t.Errorf("%s is of kind %s, retry after %s", code, f.Kind, f.RetryAfter)
	}
}

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		b := w.begin(t, "example")
		u, err := url.Parse(b.URL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if len(q.Get(name)) != 43 {
				t.Errorf("%s = %q", name, q.Get(name))
			}
		}
		if q.Get("redirect_uri") != federationtest.BaseURL+"/login/callback/example" || q.Get("scope") != "openid email profile" || q.Get("code_challenge_method") != "S256" ||
			q.Get("response_type") != "code" || q.Has("prompt") || q.Has("client_secret") {
			t.Errorf("%s", b.URL)
		}
		if until := b.ExpiresAt.Sub(w.now()); until > 10*time.Minute || until < 9*time.Minute {
			t.Errorf("good for %s", until)
		}
		r, err := w.Finish(t.Context(), p.Approve(t, b))
		if err != nil {
			t.Fatal(err)
		}
		c := r.Claims
		if r.Purpose != federation.SignIn || r.ReturnTo != "/back" || r.AccountID != uuid.Nil || !r.SignUp || r.Provider != "example" ||
			c.Provider != "example" || c.Issuer != p.URL || c.Subject != "248289761001" || c.Email != "ada@example.org" || !c.EmailVerified ||
			c.Name != "Ada Lovelace" || c.Picture != "https://example.org/ada.png" || c.Locale != "en-GB" || !c.AuthTime.IsZero() {
			t.Errorf("%+v", r)
		}
		if p.Hits("/userinfo") != 0 {
			t.Error("the API was asked for what the token says")
		}
	})
}

func TestLink_isKept(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		id := uuid.New()
		b, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.Link, AccountID: id, ReturnTo: "/account"})
		if err != nil {
			t.Fatal(err)
		}
		p.Set(federationtest.Hooks{Answer: func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }})
		r, err := w.Finish(t.Context(), p.Approve(t, b))
		refused(t, err, "provider_denied", "authorize", "access_denied")
		if r.Purpose != federation.Link || r.AccountID != id || r.ReturnTo != "/account" || r.Claims.Subject != "" {
			t.Errorf("%+v", r)
		}
	})
	for _, r := range []federation.Request{
		{Provider: "example"}, {Provider: "example", Purpose: "other"}, {Provider: "example", Purpose: federation.Link},
		{Provider: "example", Purpose: federation.SignIn, AccountID: uuid.New()}, {Provider: "example", Purpose: federation.SignIn, ReturnTo: strings.Repeat("x", 2049)},
	} {
		p := federationtest.New(t)
		db := storetest.Open(t, store.SQLite, sources...)
		if _, err := newWorld(t, db, newRing(t, db), p.Directory(t)).Begin(t.Context(), r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

// Whatever is wrong with a callback's state, the answer is the same; the audit row alone tells.
func TestState(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		fresh := func() federation.Callback { return p.Approve(t, w.begin(t, "example")) }
		other := fresh().Browser
		for reason, change := range map[string]func(*federation.Callback){
			"malformed":     func(c *federation.Callback) { c.State = "" },
			"malformed ":    func(c *federation.Callback) { c.State = strings.Repeat("A", 1<<20) },
			"malformed  ":   func(c *federation.Callback) { c.State = "\x00" + c.State[1:] },
			"unknown":       func(c *federation.Callback) { c.State = strings.Repeat("A", 43) },
			"no_browser":    func(c *federation.Callback) { c.Browser = "" },
			"no_browser ":   func(c *federation.Callback) { c.Browser += "=" },
			"other_browser": func(c *federation.Callback) { c.Browser = other },
		} {
			c := fresh()
			good := c
			change(&c)
			_, err := w.Finish(t.Context(), c)
			refused(t, err, "state_invalid", "state", strings.TrimSpace(reason))
			if _, err := w.Finish(t.Context(), good); err != nil { // nobody else can use it up
				t.Errorf("%s: the owner's own callback: %v", reason, err)
			}
		}
		c := fresh()
		if _, err := w.Finish(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		_, err := w.Finish(t.Context(), c)
		refused(t, err, "state_invalid", "state", "spent")

		c = fresh()
		w.advance(10*time.Minute - time.Second)
		if _, err := w.Finish(t.Context(), c); err != nil {
			t.Errorf("just in time: %v", err)
		}
		c = fresh()
		w.advance(10 * time.Minute)
		_, err = w.Finish(t.Context(), c)
		refused(t, err, "state_invalid", "state", "expired")

		var unknown *fault.Error
		c = fresh()
		c.Provider = "nobody"
		if _, err := w.Finish(t.Context(), c); !errors.As(err, &unknown) || unknown.Code != "provider_unknown" {
			t.Error(err)
		}
	})
}

// The provider fails: the state is gone all the same.
func TestState_isSpentByAnyAnswer(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		c := p.Approve(t, w.begin(t, "example"))
		bad := c
		bad.Code = "wrong"
		_, err := w.Finish(t.Context(), bad)
		refused(t, err, "provider_answer_invalid", "token", "invalid_grant")
		_, err = w.Finish(t.Context(), c)
		refused(t, err, "state_invalid", "state", "spent")
	})
}

// Two tabs sign in at once: one cookie serves both.
func TestBrowser_severalAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		first := w.begin(t, "example")
		second, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.SignIn, Browser: first.Browser})
		if err != nil || second.Browser != first.Browser {
			t.Fatalf("%v", err)
		}
		for _, b := range []federation.Begun{first, second} {
			if _, err := w.Finish(t.Context(), p.Approve(t, b)); err != nil {
				t.Error(err)
			}
		}
		third, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.SignIn, Browser: "chosen by somebody else"})
		if err != nil || len(third.Browser) != 43 || third.Browser == first.Browser {
			t.Errorf("%q %v", third.Browser, err)
		}
	})
}

// A hundred callbacks with one state, on two nodes: one gets in.
func TestRace_oneStateOneSignIn(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			p := federationtest.New(t)
			a, b := storetest.Dial(t, d.URL), storetest.Dial(t, d.URL)
			root := keyring.NewRoot()
			var nodes []*world
			for _, db := range []*store.DB{a, b} {
				ring, err := keyring.Open(t.Context(), keyring.Config{DB: db, Root: root})
				if err != nil {
					t.Fatal(err)
				}
				nodes = append(nodes, newWorld(t, db, ring, p.Directory(t)))
			}
			c := p.Approve(t, nodes[0].begin(t, "example"))
			var in, out atomic.Int64
			done := make(chan struct{})
			for i := range 100 {
				go func() {
					defer func() { done <- struct{}{} }()
					_, err := nodes[i%2].Finish(context.Background(), c)
					why, _ := federation.Explain(err)
					switch {
					case err == nil:
						in.Add(1)
					case errors.Is(err, federation.ErrState) && why.Reason == "spent":
						out.Add(1)
					default:
						t.Error(err)
					}
				}()
			}
			for range 100 {
				<-done
			}
			if in.Load() != 1 || out.Load() != 99 || p.Hits("/token") != 1 {
				t.Errorf("%d got in, %d did not, %d codes were exchanged", in.Load(), out.Load(), p.Hits("/token"))
			}
		})
	}
}

// What lies in the table gives nothing away.
func TestTable_holdsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		b := w.begin(t, "example")
		u, _ := url.Parse(b.URL)
		var state, browser, payload []byte
		if err := w.db.QueryRow(t.Context(), `SELECT state_hash, browser_hash, payload FROM federation_state`).Scan(&state, &browser, &payload); err != nil {
			t.Fatal(err)
		}
		row := string(state) + string(browser) + string(payload)
		for _, s := range []string{u.Query().Get("state"), u.Query().Get("nonce"), b.Browser, "/back", "verifier"} {
			if strings.Contains(row, s) {
				t.Errorf("%q lies in the table", s)
			}
		}
		if _, err := w.Finish(t.Context(), p.Approve(t, b)); err != nil {
			t.Fatal(err)
		}
		if err := w.db.QueryRow(t.Context(), `SELECT payload FROM federation_state`).Scan(&payload); err != nil || payload != nil {
			t.Errorf("a spent state keeps %d bytes (%v)", len(payload), err)
		}
	})
}

func TestKeys_rotatedUnderWay(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		b := w.begin(t, "example")
		if _, err := w.ring.Rotate(t.Context(), func(context.Context, *store.Tx, keyring.Key) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if r, err := w.ring.Reseal(t.Context(), []part.SealedColumn{federation.Sealed}); err != nil || r.Changed != 1 || r.Failed != 0 {
			t.Fatalf("%+v %v", r, err)
		}
		if _, err := w.Finish(t.Context(), p.Approve(t, b)); err != nil {
			t.Error(err)
		}
	})
}

func TestClean(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		for range 3 {
			w.begin(t, "example")
		}
		w.advance(5 * time.Minute)
		b := w.begin(t, "example")
		w.advance(6 * time.Minute)
		if n, err := w.Clean(t.Context()); n != 3 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := w.Finish(t.Context(), p.Approve(t, b)); err != nil {
			t.Error(err)
		}
	})
}

// The configuration changes while somebody is at the provider.
func TestUse(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		if got := w.Providers(); len(got) != 1 || got[0] != (federation.Provider{Name: "example", Title: "Example", SignUp: true}) {
			t.Errorf("%+v", got)
		}
		c := p.Approve(t, w.begin(t, "example"))
		w.Use(p.Directory(t, p.Config("other"), p.Config("example"))) // it is still there, and the same
		if _, err := w.Finish(t.Context(), c); err != nil {
			t.Error(err)
		}
		c = p.Approve(t, w.begin(t, "example"))
		elsewhere := federationtest.New(t)
		w.Use(p.Directory(t, elsewhere.Config("example")))
		_, err := w.Finish(t.Context(), c)
		refused(t, err, "state_invalid", "state", "provider_changed")
		c = elsewhere.Approve(t, w.begin(t, "example"))
		off := elsewhere.Config("example")
		off.Enabled = false
		w.Use(p.Directory(t, off))
		if _, err := w.Finish(t.Context(), c); !errors.Is(err, federation.ErrUnknown) || len(w.Providers()) != 0 {
			t.Error(err)
		}
		if _, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.SignIn}); !errors.Is(err, federation.ErrUnknown) {
			t.Error(err)
		}
	})
}
