package passkey_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

const (
	rpID    = "example.org"
	origin  = "https://id.example.org"
	related = "https://example.com"
)

func settings() passkey.Settings {
	return passkey.Settings{RPID: rpID, RPName: "Example", Origin: origin, RelatedOrigins: []string{related}}
}

var sources = []store.Source{account.Migrations, passkey.Migrations}

type world struct {
	*passkey.Store
	t        testing.TB
	db       *store.DB
	accounts *account.Store
	ada, bob passkey.User
	skew     atomic.Int64
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.skew.Load())) }
func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db}
	var err error
	if w.accounts, err = account.New(account.Config{DB: db}); err != nil {
		t.Fatal(err)
	}
	if w.Store, err = passkey.New(passkey.Config{DB: db, Settings: settings(), Now: w.now}); err != nil {
		t.Fatal(err)
	}
	w.ada, w.bob = w.person("ada@example.org"), w.person("bob@example.org")
	return w
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, newWorld(t, db)) })
}

func (w *world) configure(change func(*passkey.Settings)) {
	w.t.Helper()
	set := settings()
	change(&set)
	if err := w.Configure(set); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) person(email string) passkey.User {
	w.t.Helper()
	u := passkey.User{Name: email, DisplayName: email}
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		a, _, err := w.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
		u.ID = a.ID
		return err
	})
	return u
}

func (w *world) try(f func(ctx context.Context, tx *store.Tx) error) error {
	return w.db.Tx(context.Background(), f)
}

func (w *world) tx(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.try(f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) beginRegistration(u passkey.User, o passkey.RegistrationOptions) (c passkey.Ceremony, err error) {
	err = w.try(func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = w.BeginRegistration(ctx, tx, u, o)
		return err
	})
	return c, err
}

func (w *world) mustBeginRegistration(u passkey.User) passkey.Ceremony {
	w.t.Helper()
	c, err := w.beginRegistration(u, passkey.RegistrationOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) add(reg passkey.Registration, name string) (k passkey.Passkey, err error) {
	err = w.try(func(ctx context.Context, tx *store.Tx) (err error) { k, err = w.Add(ctx, tx, reg, name); return err })
	return k, err
}

// verify has a device answer a registration.
func (w *world) verify(u passkey.User, d *device, o passkey.RegistrationOptions) (passkey.Registration, error) {
	w.t.Helper()
	c, err := w.beginRegistration(u, o)
	if err != nil {
		return passkey.Registration{}, err
	}
	answer, err := d.Create(c.Options)
	if err != nil {
		return passkey.Registration{}, err
	}
	return w.VerifyRegistration(context.Background(), u.ID, c.Token, answer)
}

// register goes all the way.
func (w *world) register(u passkey.User, d *device) passkey.Passkey {
	w.t.Helper()
	reg, err := w.verify(u, d, passkey.RegistrationOptions{})
	if err != nil {
		w.t.Fatal(err, passkey.ReasonOf(err))
	}
	k, err := w.add(reg, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) beginLogin(o passkey.LoginOptions) (c passkey.Ceremony, err error) {
	err = w.try(func(ctx context.Context, tx *store.Tx) (err error) { c, err = w.BeginLogin(ctx, tx, o); return err })
	return c, err
}

var usernameless = passkey.LoginOptions{Purpose: passkey.PurposeLogin}

func second(u passkey.User) passkey.LoginOptions {
	return passkey.LoginOptions{Purpose: passkey.PurposeSecondFactor, AccountID: u.ID}
}

// assert has a device answer a login.
func (w *world) assert(d *device, o passkey.LoginOptions) (passkey.Assertion, error) {
	w.t.Helper()
	c, err := w.beginLogin(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.VerifyLogin(context.Background(), o.Purpose, o.AccountID, c.Token, d.Get(c.Options))
}

func (w *world) use(a passkey.Assertion) (u passkey.Used, err error) {
	err = w.try(func(ctx context.Context, tx *store.Tx) (err error) { u, err = w.Use(ctx, tx, a); return err })
	return u, err
}

// login goes all the way.
func (w *world) login(d *device, o passkey.LoginOptions) (passkey.Assertion, passkey.Used, error) {
	w.t.Helper()
	a, err := w.assert(d, o)
	if err != nil {
		return a, passkey.Used{}, err
	}
	u, err := w.use(a)
	return a, u, err
}

func (w *world) get(accountID, id uuid.UUID) passkey.Passkey {
	w.t.Helper()
	k, err := w.Get(context.Background(), w.db, accountID, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// refused wants ErrRefused, saying the same as always, for a reason of which nothing is said.
func refused(t *testing.T, what string, err error, want passkey.Reason) {
	t.Helper()
	if !errors.Is(err, passkey.ErrRefused) || passkey.ReasonOf(err) != want {
		t.Errorf("%s: %v (reason %q); want it refused for %q", what, err, passkey.ReasonOf(err), want)
	}
}
