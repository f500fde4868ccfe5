package onetime_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

const purpose onetime.Purpose = "confirm_email"

type world struct {
	*onetime.Store
	db   *store.DB
	skew atomic.Int64
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.skew.Load())) }
func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

func (w *world) tx(t *testing.T, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := w.db.Tx(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func (w *world) issue(t *testing.T, r onetime.Request) (out onetime.Issued) {
	t.Helper()
	w.tx(t, func(ctx context.Context, tx *store.Tx) (err error) { out, err = w.Issue(ctx, tx, r); return err })
	return out
}

func (w *world) guess(t *testing.T, flow, code string) (g onetime.Grant, right bool, err error) {
	t.Helper()
	err = w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		g, right, err = w.Guess(ctx, tx, purpose, flow, code)
		return err
	})
	return g, right, err
}

func (w *world) spend(t *testing.T, g onetime.Grant) error {
	return w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return w.Spend(ctx, tx, g) })
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, []store.Source{keyring.Migrations, onetime.Migrations}, func(t *testing.T, db *store.DB) {
		ring, err := keyring.Open(t.Context(), keyring.Config{DB: db, Root: keyring.NewRoot()})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{db: db}
		if w.Store, err = onetime.New(onetime.Config{DB: db, Sealer: ring, Now: w.now}); err != nil {
			t.Fatal(err)
		}
		f(t, w)
	})
}

func full(id uuid.UUID) onetime.Request {
	return onetime.Request{Purpose: purpose, AccountID: id, TTL: time.Hour, Flow: true, Payload: []byte("the payload")}
}

func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestLink_spentOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := uuid.New()
		out := w.issue(t, full(id))
		for range 3 { // looking spends nothing
			g, err := w.Look(t.Context(), purpose, out.Link)
			if err != nil || g.AccountID != id || string(g.Payload) != "the payload" || !g.InFlow(out.Flow) || g.InFlow(out.Link) || g.InFlow("") {
				t.Fatalf("Look = %+v, %v", g, err)
			}
		}
		g, _ := w.Look(t.Context(), purpose, out.Link)
		if err := w.spend(t, g); err != nil {
			t.Fatal(err)
		}
		if err := w.spend(t, g); !errors.Is(err, onetime.ErrInvalid) {
			t.Fatalf("spent twice: %v", err)
		}
		if _, err := w.Look(t.Context(), purpose, out.Link); !errors.Is(err, onetime.ErrInvalid) {
			t.Fatalf("a spent link still leads somewhere: %v", err)
		}
		if _, _, err := w.guess(t, out.Flow, out.Code); !errors.Is(err, onetime.ErrInvalid) {
			t.Fatalf("the code of a spent link still works: %v", err)
		}
	})
}

// Whoever can write the table, and has no key, can't have one row answer with what was kept for another (ASVS 5.0 11.3.3).
func TestPayload_ofAnotherRow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		mine, theirs := full(uuid.New()), full(uuid.New())
		theirs.Payload = []byte("somebody else's")
		a, b := w.issue(t, mine), w.issue(t, theirs)
		w.tx(t, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE onetime SET payload = (SELECT payload FROM onetime WHERE id = $2) WHERE id = $1`, a.ID, b.ID)
			return err
		})
		if g, err := w.Look(t.Context(), purpose, a.Link); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("Look = %+v, %v", g, err)
		}
		if g, err := w.LookFlow(t.Context(), w.db, purpose, a.Flow); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("LookFlow = %+v, %v", g, err)
		}
		if g, _, err := w.guess(t, a.Flow, a.Code); !errors.Is(err, keyring.ErrSealed) {
			t.Errorf("Guess = %+v, %v", g, err)
		}
		if g, err := w.Look(t.Context(), purpose, b.Link); err != nil || string(g.Payload) != "somebody else's" {
			t.Errorf("the row that it was made for: %+v, %v", g, err)
		}
	})
}

func TestLink_foreign(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out := w.issue(t, full(uuid.New()))
		for name, link := range map[string]string{
			"empty": "", "the flow": out.Flow, "the code": out.Code, "short": out.Link[1:], "long": out.Link + "A", "padded": out.Link + "=", "other alphabet": strings.Repeat("/", 43),
			"NUL": "\x00" + out.Link[1:], "huge": strings.Repeat("A", 1<<20), "newline": out.Link[:42] + "\n", "made up": strings.Repeat("A", 43), "quote": "'" + out.Link[1:],
		} {
			if _, err := w.Look(t.Context(), purpose, link); !errors.Is(err, onetime.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.Look(t.Context(), "set_password", out.Link); !errors.Is(err, onetime.ErrInvalid) {
			t.Errorf("a link made for one thing looked at for another: %v", err)
		}
		w.advance(time.Hour + time.Second)
		if _, err := w.Look(t.Context(), purpose, out.Link); !errors.Is(err, onetime.ErrInvalid) {
			t.Errorf("expired: %v", err)
		}
		w.advance(-2 * time.Hour) // the clock was set back: it lives again, and no longer than it should
		if _, err := w.Look(t.Context(), purpose, out.Link); err != nil {
			t.Errorf("clock set back: %v", err)
		}
	})
}

func TestSpend_expiredBetweenLookAndSpend(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out := w.issue(t, full(uuid.New()))
		g, err := w.Look(t.Context(), purpose, out.Link)
		if err != nil {
			t.Fatal(err)
		}
		w.advance(2 * time.Hour)
		if err := w.spend(t, g); !errors.Is(err, onetime.ErrInvalid) {
			t.Fatalf("spent after its end: %v", err)
		}
	})
}

func TestCode_fiveGuesses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out := w.issue(t, full(uuid.New()))
		if len(out.Code) != 6 {
			t.Fatalf("code %q", out.Code)
		}
		for i := range 5 {
			if _, right, err := w.guess(t, out.Flow, wrong(out.Code)); right || err != nil {
				t.Fatalf("guess %d: %v, %v", i+1, right, err)
			}
		}
		if _, right, err := w.guess(t, out.Flow, out.Code); right || !errors.Is(err, onetime.ErrInvalid) {
			t.Fatalf("the right code after five wrong ones: %v, %v", right, err)
		}
		g, err := w.Look(t.Context(), purpose, out.Link)
		if err != nil {
			t.Fatalf("the link must still work: %v", err)
		}
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return w.Try(ctx, tx, g) }); !errors.Is(err, onetime.ErrInvalid) {
			t.Fatalf("attempts are counted apart: %v", err)
		}
		if err := w.spend(t, g); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCode_fifthGuessRight(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out := w.issue(t, full(uuid.New()))
		for range 4 {
			if _, _, err := w.guess(t, out.Flow, wrong(out.Code)); err != nil {
				t.Fatal(err)
			}
		}
		g, right, err := w.guess(t, out.Flow, " "+out.Code[:3]+" - "+out.Code[3:]+"\n")
		if !right || err != nil {
			t.Fatalf("the fifth guess: %v, %v", right, err)
		}
		if err := w.spend(t, g); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCode_onlyInItsFlow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a, b := w.issue(t, full(uuid.New())), w.issue(t, full(uuid.New()))
		if a.Code != b.Code {
			if _, right, err := w.guess(t, b.Flow, a.Code); right || err != nil {
				t.Errorf("a code worked in another flow: %v", err)
			}
		}
		for _, flow := range []string{"", a.Link, strings.Repeat("A", 43)} {
			if _, right, err := w.guess(t, flow, a.Code); right || !errors.Is(err, onetime.ErrInvalid) {
				t.Errorf("flow %q: %v, %v", flow, right, err)
			}
		}
		for _, code := range []string{"", "12345", "1234567", "12345a", "\x00\x00\x00\x00\x00\x00", "١٢٣٤٥٦", strings.Repeat("1", 1<<20)} {
			w := w
			c := w.issue(t, full(uuid.New()))
			if _, right, err := w.guess(t, c.Flow, code); right || err != nil {
				t.Errorf("code %.20q: %v, %v; want a wrong guess", code, right, err)
			}
		}
	})
}

func TestDecoy_behavesAlike(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		real, decoy := w.issue(t, full(uuid.New())), w.issue(t, full(uuid.Nil))
		if decoy.Link != "" || decoy.Code != "" || len(decoy.Flow) != len(real.Flow) {
			t.Fatalf("decoy %+v", decoy)
		}
		for i := range 7 {
			_, r1, e1 := w.guess(t, real.Flow, wrong(real.Code))
			_, r2, e2 := w.guess(t, decoy.Flow, "123456")
			if r1 != r2 || fmt.Sprint(e1) != fmt.Sprint(e2) {
				t.Fatalf("guess %d tells them apart: %v %v, %v %v", i+1, r1, e1, r2, e2)
			}
		}
	})
}

func TestRace_everythingSpendsOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const n = 100
		out := w.issue(t, full(uuid.New()))
		var spent, invalid atomic.Int64
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				g, err := w.Look(t.Context(), purpose, out.Link)
				if i%2 == 1 && err == nil {
					var right bool
					if g, right, err = w.guess(t, out.Flow, out.Code); err == nil && !right {
						t.Error("the right code was wrong")
					}
				}
				if err == nil {
					err = w.spend(t, g)
				}
				switch {
				case err == nil:
					spent.Add(1)
				case errors.Is(err, onetime.ErrInvalid):
					invalid.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if spent.Load() != 1 || invalid.Load() != n-1 {
			t.Fatalf("%d spent it, %d were refused", spent.Load(), invalid.Load())
		}
	})
}

func TestRace_parallelGuessesAreNoCheaper(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out := w.issue(t, full(uuid.New()))
		var judged atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, right, err := w.guess(t, out.Flow, wrong(out.Code)); err == nil && !right {
					judged.Add(1)
				}
			})
		}
		wg.Wait()
		if judged.Load() != onetime.DefaultAttempts {
			t.Fatalf("%d guesses were judged", judged.Load())
		}
	})
}

// What lies in the table gives nothing away: no secret, no payload, and no code that a million tries would find.
func TestTable_holdsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out := w.issue(t, full(uuid.New()))
		var link, flow, mac, payload []byte
		if err := w.db.QueryRow(t.Context(), `SELECT link_hash, flow_hash, code_mac, payload FROM onetime WHERE id = $1`, out.ID).Scan(&link, &flow, &mac, &payload); err != nil {
			t.Fatal(err)
		}
		row := bytes.Join([][]byte{link, flow, mac, payload}, nil)
		for _, s := range []string{out.Link, out.Flow, out.Code, "the payload"} {
			if bytes.Contains(row, []byte(s)) {
				t.Errorf("%q lies in the table", s)
			}
		}
	})
}

func TestForgetAndClean(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := uuid.New()
		a := w.issue(t, full(id))
		b := w.issue(t, onetime.Request{Purpose: "set_password", AccountID: id, TTL: time.Hour})
		c := w.issue(t, full(uuid.New()))
		w.tx(t, func(ctx context.Context, tx *store.Tx) error { return w.Forget(ctx, tx, id, purpose) })
		if _, err := w.Look(t.Context(), purpose, a.Link); !errors.Is(err, onetime.ErrInvalid) {
			t.Errorf("forgotten and still there: %v", err)
		}
		if _, err := w.Look(t.Context(), "set_password", b.Link); err != nil {
			t.Errorf("another purpose went too: %v", err)
		}
		w.tx(t, func(ctx context.Context, tx *store.Tx) error { return w.ForgetAll(ctx, tx, id) })
		if _, err := w.Look(t.Context(), "set_password", b.Link); !errors.Is(err, onetime.ErrInvalid) {
			t.Errorf("forgotten and still there: %v", err)
		}
		if _, err := w.Look(t.Context(), purpose, c.Link); err != nil {
			t.Errorf("somebody else's went too: %v", err)
		}
		w.tx(t, func(ctx context.Context, tx *store.Tx) error {
			for range 1200 {
				if _, err := w.Issue(ctx, tx, onetime.Request{Purpose: purpose, TTL: time.Minute}); err != nil {
					return err
				}
			}
			return nil
		})
		w.advance(2 * time.Minute)
		if n, err := w.Clean(t.Context()); n != 1200 || err != nil {
			t.Errorf("%d cleaned, %v; want 1200", n, err)
		}
		if _, err := w.Look(t.Context(), purpose, c.Link); err != nil {
			t.Errorf("one that has time left went too: %v", err)
		}
	})
}
