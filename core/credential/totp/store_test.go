package totp_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

var sources = []store.Source{keyring.Migrations, account.Migrations, totp.Migrations}

const (
	period = int64(30)
	start  = int64(1_800_000_000) // the first second of a step
)

// world is a store with a clock set by hand.
type world struct {
	*totp.Store
	t    testing.TB
	db   *store.DB
	ring *keyring.Ring
	us   atomic.Int64
}

func (w *world) now() time.Time          { return time.UnixMicro(w.us.Load()).UTC() }
func (w *world) set(unix int64)          { w.us.Store(unix * 1e6) }
func (w *world) advance(d time.Duration) { w.us.Add(d.Microseconds()) }

func newWorld(t testing.TB, db *store.DB, root keyring.Secret, random io.Reader) *world {
	t.Helper()
	w := &world{t: t, db: db}
	w.set(start)
	var err error
	if w.ring, err = keyring.Open(context.Background(), keyring.Config{DB: db, Root: root}); err != nil {
		t.Fatal(err)
	}
	if random == nil { // the same in every run: no code is another step's by chance
		random = rand.NewChaCha8([32]byte{})
	}
	if w.Store, err = totp.New(totp.Config{DB: db, Sealer: w.ring, Now: w.now, Rand: random}); err != nil {
		t.Fatal(err)
	}
	return w
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, newWorld(t, db, keyring.NewRoot(), nil)) })
}

func (w *world) tx(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Tx(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

// accounts makes some.
func (w *world) accounts(n int) (ids []uuid.UUID) {
	w.t.Helper()
	accounts, err := account.New(account.Config{DB: w.db})
	if err != nil {
		w.t.Fatal(err)
	}
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		ids = nil
		for range n {
			a, _, err := accounts.Create(ctx, tx, account.NewAccount{Email: uuid.NewString() + "@example.org", Status: account.Active})
			if err != nil {
				return err
			}
			ids = append(ids, a.ID)
		}
		return nil
	})
	return ids
}

func (w *world) account() uuid.UUID { return w.accounts(1)[0] }

func (w *world) enroll(id uuid.UUID) (e totp.Enrollment, err error) {
	err = w.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		e, err = w.Enroll(ctx, tx, id, "ada@example.org", "Example")
		return err
	})
	return e, err
}

func (w *world) mustEnroll(id uuid.UUID) string {
	w.t.Helper()
	e, err := w.enroll(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e.Secret.Reveal()
}

func (w *world) confirm(id uuid.UUID, code string) (ok bool, err error) {
	err = w.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		ok, err = w.Confirm(ctx, tx, id, code)
		return err
	})
	return ok, err
}

// enrolled gives a secret confirmed long before now.
func (w *world) enrolled(id uuid.UUID) string {
	w.t.Helper()
	secret := w.mustEnroll(id)
	now := w.us.Load()
	w.advance(-time.Minute * 5)
	if ok, err := w.confirm(id, codeAt(w.t, secret, w.now().Unix()/period)); !ok || err != nil {
		w.t.Fatalf("confirm: %v, %v", ok, err)
	}
	w.us.Store(now)
	return secret
}

func (w *world) spend(id uuid.UUID, code string) (out totp.Outcome, err error) {
	err = w.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = w.Spend(ctx, tx, id, code)
		return err
	})
	return out, err
}

func (w *world) want(id uuid.UUID, code string, want totp.Outcome) {
	w.t.Helper()
	if out, err := w.spend(id, code); out != want || err != nil {
		w.t.Errorf("%v, %v; want %v", out, err, want)
	}
}

func codeAt(t testing.TB, secret string, step int64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrong is a code of none of the steps that could count.
func (w *world) wrong(secret string) string {
	for i := 0; ; i++ {
		code := fmt.Sprintf("%06d", i)
		fits := false
		for s := w.now().Unix()/period - 2; s <= w.now().Unix()/period+2; s++ {
			fits = fits || code == codeAt(w.t, secret, s)
		}
		if !fits {
			return code
		}
	}
}

func TestEnrollment_life(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, other := w.account(), w.account()
		now := func() int64 { return w.now().Unix() / period }
		if _, err := w.confirm(id, "123456"); !errors.Is(err, totp.ErrNotPending) {
			t.Fatalf("confirmed nothing: %v", err)
		}
		first := w.mustEnroll(id)
		w.want(id, codeAt(t, first, now()), totp.None) // not confirmed: not a factor
		secret := w.mustEnroll(id)
		if first == secret {
			t.Fatal("enrolled again, the secret is the same")
		}
		for name, code := range map[string]string{"wrong": w.wrong(secret), "the replaced secret's": codeAt(t, first, now()), "empty": "", "not a code": "abcdef"} {
			if ok, err := w.confirm(id, code); ok || err != nil {
				t.Errorf("%s code: %v, %v", name, ok, err)
			}
		}
		if e, ok, err := w.Pending(t.Context(), w.db, id, "ada@example.org", "Example"); !ok || err != nil || e.Secret.Reveal() != secret {
			t.Errorf("what waits can't be shown again: %v, %v", ok, err)
		}
		if _, err := w.confirm(other, codeAt(t, secret, now())); !errors.Is(err, totp.ErrNotPending) {
			t.Errorf("somebody else confirmed it: %v", err)
		}
		code := codeAt(t, secret, now())
		if ok, err := w.confirm(id, code); !ok || err != nil {
			t.Fatalf("confirm: %v, %v", ok, err)
		}
		w.want(id, code, totp.Replayed) // confirming has spent it
		w.want(other, code, totp.None)
		if _, ok, err := w.Pending(t.Context(), w.db, id, "ada@example.org", "Example"); ok || err != nil {
			t.Errorf("a secret in use is shown again: %v", err)
		}
		if _, err := w.confirm(id, code); !errors.Is(err, totp.ErrEnrolled) {
			t.Errorf("confirmed twice: %v", err)
		}
		if _, err := w.enroll(id); !errors.Is(err, totp.ErrEnrolled) {
			t.Errorf("enrolled over a confirmed one: %v", err)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			if ok, err := w.Cancel(ctx, tx, id); ok || err != nil {
				t.Errorf("cancelled a confirmed one: %v, %v", ok, err)
			}
			return nil
		})
		w.advance(30 * time.Second)
		w.want(id, codeAt(t, secret, now()), totp.Right)
		if a, ok, err := w.Find(t.Context(), w.db, id); !ok || err != nil || !a.LastSpentAt.Equal(w.now()) || !a.ConfirmedAt.Equal(w.now().Add(-30*time.Second)) {
			t.Errorf("Find = %+v, %v, %v", a, ok, err)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, want := range []bool{true, false} {
				if ok, err := w.Remove(ctx, tx, id); ok != want || err != nil {
					t.Errorf("Remove = %v, %v; want %v", ok, err, want)
				}
			}
			return nil
		})
		w.advance(30 * time.Second)
		w.want(id, codeAt(t, secret, now()), totp.None)
		if ok, err := w.Enrolled(t.Context(), w.db, id); ok || err != nil {
			t.Errorf("removed and still there: %v", err)
		}
	})
}

func TestEnrollment_expiresAndIsCancelled(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, erased, kept := w.account(), w.account(), w.account()
		now := func() int64 { return w.now().Unix() / period }
		confirmed := w.enrolled(kept)
		secret := w.mustEnroll(id)
		w.advance(totp.EnrollmentTTL)
		if _, err := w.confirm(id, codeAt(t, secret, now())); !errors.Is(err, totp.ErrNotPending) {
			t.Fatalf("confirmed after its end: %v", err)
		}
		if _, ok, err := w.Pending(t.Context(), w.db, id, "a", "b"); ok || err != nil {
			t.Fatalf("shown after its end: %v", err)
		}
		secret = w.mustEnroll(id)
		w.mustEnroll(erased)
		w.advance(totp.EnrollmentTTL - time.Microsecond)
		if n, err := w.Clean(t.Context()); n != 0 || err != nil {
			t.Fatalf("%d cleaned too early, %v", n, err)
		}
		if _, ok, err := w.Pending(t.Context(), w.db, id, "a", "b"); !ok || err != nil {
			t.Fatalf("gone before its end: %v", err)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, want := range []bool{true, false} {
				if ok, err := w.Cancel(ctx, tx, id); ok != want || err != nil {
					t.Errorf("Cancel = %v, %v; want %v", ok, err, want)
				}
			}
			return w.Erase(ctx, tx, erased)
		})
		if _, err := w.confirm(id, codeAt(t, secret, now())); !errors.Is(err, totp.ErrNotPending) {
			t.Fatalf("confirmed after it was cancelled: %v", err)
		}
		accounts := w.accounts(501)
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, id := range accounts {
				if _, err := w.Enroll(ctx, tx, id, "ada@example.org", "Example"); err != nil {
					return err
				}
			}
			return nil
		})
		w.advance(totp.EnrollmentTTL)
		if n, err := w.Clean(t.Context()); n != 501 || err != nil {
			t.Fatalf("%d cleaned, %v; want 501: the cancelled and the erased one were gone", n, err)
		}
		w.want(kept, codeAt(t, confirmed, now()), totp.Right)
		w.tx(func(ctx context.Context, tx *store.Tx) error { return w.Erase(ctx, tx, kept) })
		if ok, err := w.Enrolled(t.Context(), w.db, kept); ok || err != nil {
			t.Errorf("erased and still there: %v", err)
		}
	})
}

// The window is one step to each side: at both ends of a step, the codes of -2 … +2.
func TestSpend_windowEdges(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, at := range []struct {
			name string
			us   int64 // after the step's beginning
		}{{"first microsecond", 0}, {"last microsecond", 30_000_000 - 1}} {
			for off := int64(-2); off <= 2; off++ {
				id := w.account()
				w.us.Store(start*1e6 + at.us)
				secret := w.enrolled(id)
				code := codeAt(t, secret, start/period+off)
				want := totp.Right
				if off < -1 || off > 1 {
					want = totp.Wrong
				}
				if out, err := w.spend(id, code); out != want || err != nil {
					t.Errorf("%s, step %+d: %v, %v; want %v", at.name, off, out, err, want)
				}
			}
		}
	})
}

func TestSpend_eachStepOnceAndNeverBackwards(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.account()
		secret := w.enrolled(id)
		now := start / period
		w.want(id, w.wrong(secret), totp.Wrong)
		w.want(id, codeAt(t, secret, now-1), totp.Right)
		w.want(id, codeAt(t, secret, now-1), totp.Replayed)
		w.want(id, codeAt(t, secret, now+1), totp.Right)
		w.want(id, codeAt(t, secret, now), totp.Replayed) // never seen, but older than one that was
		w.want(id, codeAt(t, secret, now+1), totp.Replayed)

		// The clock is set back by an hour: nothing is taken twice, and nothing of that hour at all.
		w.set(start - 3600)
		w.want(id, codeAt(t, secret, now-120), totp.Replayed)
		w.set(start)
		w.want(id, codeAt(t, secret, now), totp.Replayed)
		w.want(id, codeAt(t, secret, now+1), totp.Replayed)
		w.set(start + period)
		w.want(id, codeAt(t, secret, now+2), totp.Right)
		// And forward by a year.
		w.set(start + 365*86400)
		w.want(id, codeAt(t, secret, now+2), totp.Wrong)
		w.want(id, codeAt(t, secret, now+365*86400/period), totp.Right)
	})
}

// What was typed may have spaces and dashes, and nothing else.
func TestSpend_typedCodes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.account()
		secret := w.enrolled(id)
		code := codeAt(t, secret, start/period)
		for _, typed := range []string{
			"", code[:5], code + "0", "0" + code, code + code, code[:3] + "." + code[3:], code + "\x00", "+" + code[1:], "\xff" + code, "１２３４５６",
			strings.Repeat("1", 1<<20),
		} {
			if out, err := w.spend(id, typed); out != totp.Wrong || err != nil {
				t.Errorf("%.20q: %v, %v", typed, out, err)
			}
		}
		w.want(id, "\u00a0"+code[:3]+" – "+code[3:]+"\r\n"+strings.Repeat(" ", 100), totp.Right)
	})
}

// Fifty at once, on two nodes: one of them gets in.
func TestRace_aCodeIsSpentOnce(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			root := keyring.NewRoot()
			nodes := []*world{newWorld(t, storetest.Dial(t, d.URL), root, nil), newWorld(t, storetest.Dial(t, d.URL), root, nil)}
			id := nodes[0].account()
			secret := nodes[0].mustEnroll(id)
			race := func(f func(w *world, i int) bool) {
				t.Helper()
				var won atomic.Int64
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() {
						if f(nodes[i%2], i) {
							won.Add(1)
						}
					})
				}
				wg.Wait()
				if won.Load() != 1 {
					t.Errorf("%d won", won.Load())
				}
			}
			race(func(w *world, _ int) bool {
				ok, err := w.confirm(id, codeAt(t, secret, start/period-1))
				if err != nil && !errors.Is(err, totp.ErrEnrolled) {
					t.Error(err)
				}
				return ok
			})
			spend := func(w *world, code string) bool {
				out, err := w.spend(id, code)
				if err != nil || out != totp.Right && out != totp.Replayed {
					t.Errorf("%v, %v", out, err)
				}
				return out == totp.Right
			}
			race(func(w *world, _ int) bool { return spend(w, codeAt(t, secret, start/period)) })
			race(func(w *world, _ int) bool { return spend(w, codeAt(t, secret, start/period+1)) })
		})
	}
}

// What lies in the table gives no code away, and can't be carried to another account.
func TestTable_secretIsSealed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, other := w.account(), w.account()
		secret, others := w.enrolled(id), w.enrolled(other)
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
		if err != nil || len(raw) != 20 {
			t.Fatalf("a secret of %d bytes, %v", len(raw), err)
		}
		sealed := func(id uuid.UUID) (b []byte) {
			t.Helper()
			if err := w.db.QueryRow(t.Context(), `SELECT secret FROM credential_totp WHERE account_id = $1`, id).Scan(&b); err != nil {
				t.Fatal(err)
			}
			return b
		}
		was := sealed(id)
		if len(was) != len(raw)+keyring.Overhead || bytes.Contains(was, raw) || bytes.Contains(was, []byte(secret)) {
			t.Errorf("the table holds the secret: %x", was)
		}

		if _, err := w.ring.Rotate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got, err := w.ring.Reseal(t.Context(), []part.SealedColumn{totp.Sealed}); err != nil || got != (keyring.Resealed{Seen: 2, Changed: 2}) {
			t.Fatalf("%+v, %v", got, err)
		}
		if bytes.Equal(was, sealed(id)) {
			t.Error("not sealed anew")
		}
		w.want(id, codeAt(t, secret, start/period), totp.Right)

		w.tx(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE credential_totp SET secret = $2 WHERE account_id = $1`, id, sealed(other))
			return err
		})
		if out, err := w.spend(id, codeAt(t, others, start/period+1)); out != totp.None || !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("another account's secret works here: %v, %v", out, err)
		}
	})
}
