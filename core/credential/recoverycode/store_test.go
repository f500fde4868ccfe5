package recoverycode_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/credential/recoverycode"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

var sources = []store.Source{keyring.Migrations, account.Migrations, recoverycode.Migrations}

type world struct {
	*recoverycode.Store
	t    testing.TB
	db   *store.DB
	ring *keyring.Ring
}

func newWorld(t testing.TB, db *store.DB, cfg keyring.Config, rc recoverycode.Config) *world {
	t.Helper()
	w := &world{t: t, db: db}
	var err error
	cfg.DB = db
	if w.ring, err = keyring.Open(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	rc.Keys = w.ring
	if w.Store, err = recoverycode.New(rc); err != nil {
		t.Fatal(err)
	}
	return w
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		f(t, newWorld(t, db, keyring.Config{Root: keyring.NewRoot()}, recoverycode.Config{}))
	})
}

// nodes gives two of them on each database.
func nodes(t *testing.T, f func(t *testing.T, nodes []*world)) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			root := keyring.Config{Root: keyring.NewRoot()}
			f(t, []*world{
				newWorld(t, storetest.Dial(t, d.URL), root, recoverycode.Config{}), newWorld(t, storetest.Dial(t, d.URL), root, recoverycode.Config{}),
			})
		})
	}
}

func (w *world) tx(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Tx(context.Background(), f); err != nil {
		w.t.Error(err)
	}
}

func (w *world) account() (id uuid.UUID) {
	w.t.Helper()
	accounts, err := account.New(account.Config{DB: w.db})
	if err != nil {
		w.t.Fatal(err)
	}
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		a, _, err := accounts.Create(ctx, tx, account.NewAccount{Email: uuid.NewString() + "@example.org", Status: account.Active})
		id = a.ID
		return err
	})
	return id
}

func (w *world) generate(id uuid.UUID) (codes []string) {
	w.t.Helper()
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) { codes, err = w.Generate(ctx, tx, id); return err })
	return codes
}

func (w *world) spend(id uuid.UUID, code string) (ok bool, remaining int) {
	w.t.Helper()
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		ok, remaining, err = w.Spend(ctx, tx, id, code)
		return err
	})
	return ok, remaining
}

func (w *world) want(id uuid.UUID, code string, wantOK bool, wantRemaining int) {
	w.t.Helper()
	if ok, n := w.spend(id, code); ok != wantOK || n != wantRemaining {
		w.t.Errorf("%.30q: %v, %d left; want %v, %d", code, ok, n, wantOK, wantRemaining)
	}
	if n, err := w.Remaining(context.Background(), w.db, id); n != wantRemaining || err != nil {
		w.t.Errorf("%d remain, %v; want %d", n, err, wantRemaining)
	}
}

func TestSpend_anyOrderEachOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, other := w.account(), w.account()
		w.want(id, "K7QM-2XVD-9RTA-4H01", false, 0)
		codes, others := w.generate(id), w.generate(other)
		form := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`)
		for i, c := range codes {
			if !form.MatchString(c) || slices.Index(codes, c) != i {
				t.Errorf("code %q", c)
			}
		}
		if len(codes) != recoverycode.Count {
			t.Fatalf("%d codes", len(codes))
		}
		for _, c := range []string{"", "K7QM-2XVD-9RTA-4H01", others[0], codes[0][:18], codes[0] + "0", codes[0] + codes[1], strings.Repeat("A", 1<<20), "\xff\x00"} {
			w.want(id, c, false, 10)
		}
		order := slices.Clone(codes)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for i, c := range order {
			typed := []string{c, strings.ToLower(c), strings.ReplaceAll(c, "-", " "), strings.NewReplacer("0", "O", "1", "l", "-", "").Replace(c)}[i%4]
			w.want(id, typed, true, 9-i)
			w.want(id, c, false, 9-i)
		}
		w.want(other, codes[3], false, 10)
		w.want(other, others[3], true, 9)
	})
}

func TestGenerate_replacesAll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.account()
		old := w.generate(id)
		w.want(id, old[0], true, 9)
		codes := w.generate(id)
		for _, c := range old {
			w.want(id, c, false, 10)
		}
		w.want(id, codes[9], true, 9)
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, want := range []bool{true, false} {
				if ok, err := w.Remove(ctx, tx, id); ok != want || err != nil {
					t.Errorf("Remove = %v, %v; want %v", ok, err, want)
				}
			}
			return nil
		})
		w.want(id, codes[0], false, 0)
	})
}

// Spending stands and falls with the transaction it is part of.
func TestSpend_rolledBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.account()
		code := w.generate(id)[4]
		err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if ok, n, err := w.Spend(ctx, tx, id, code); !ok || n != 9 || err != nil {
				t.Errorf("%v, %d, %v", ok, n, err)
			}
			if n, err := w.Remaining(ctx, tx, id); n != 9 || err != nil {
				t.Errorf("%d remain, %v", n, err)
			}
			return context.Canceled
		})
		if err == nil {
			t.Fatal("committed")
		}
		w.want(id, code, true, 9)
	})
}

// Codes on paper outlive new keys and a new root key.
func TestSpend_afterRotation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		first, second := keyring.NewRoot(), keyring.NewRoot()
		w := newWorld(t, db, keyring.Config{Root: first}, recoverycode.Config{})
		id := w.account()
		codes := w.generate(id)
		if _, err := w.ring.Rotate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		w.want(id, codes[0], true, 9)
		w = newWorld(t, db, keyring.Config{Root: second, OldRoots: []keyring.Secret{first}}, recoverycode.Config{})
		w.want(id, codes[1], true, 8)
		w = newWorld(t, db, keyring.Config{Root: second}, recoverycode.Config{})
		w.want(id, codes[2], true, 7)
	})
}

func race(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func TestRace_aCodeIsSpentOnce(t *testing.T) {
	nodes(t, func(t *testing.T, nodes []*world) {
		id := nodes[0].account()
		codes := nodes[0].generate(id)
		var won atomic.Int64
		race(50, func(i int) {
			if ok, n := nodes[i%2].spend(id, codes[0]); ok {
				won.Add(1)
			} else if n > 10 {
				t.Errorf("%d left", n)
			}
		})
		if won.Load() != 1 {
			t.Errorf("spent %d times", won.Load())
		}
		nodes[1].want(id, codes[0], false, 9)
		// Each of the others five times at once: each spends once, and no two are told the same number.
		var mu sync.Mutex
		var left []int
		race(45, func(i int) {
			if ok, n := nodes[i%2].spend(id, codes[1+i%9]); ok {
				mu.Lock()
				left = append(left, n)
				mu.Unlock()
			}
		})
		slices.Sort(left)
		if !slices.Equal(left, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Errorf("what was left: %v", left)
		}
	})
}

// An old code that is spent while new ones are made takes none of them away and brings none of its own back.
func TestRace_spendAndGenerate(t *testing.T) {
	nodes(t, func(t *testing.T, nodes []*world) {
		id := nodes[0].account()
		codes := nodes[0].generate(id)
		for range 20 {
			var next []string
			race(5, func(i int) {
				if i == 0 {
					next = nodes[0].generate(id)
				} else {
					nodes[i%2].spend(id, codes[i])
				}
			})
			nodes[0].want(id, codes[0], false, 10)
			codes = next
		}
		nodes[1].want(id, codes[0], true, 9)
	})
}

// What lies in the table gives no code away, and equal codes of two accounts can't be told to be equal.
func TestTable_holdsNoCode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		root := keyring.NewRoot()
		row := func() ([]string, []byte) {
			w := newWorld(t, db, keyring.Config{Root: root}, recoverycode.Config{Rand: rand.NewChaCha8([32]byte{})})
			id := w.account()
			codes := w.generate(id)
			var salt, macs []byte
			if err := db.QueryRow(t.Context(), `SELECT salt, macs FROM credential_recoverycode WHERE account_id = $1`, id).Scan(&salt, &macs); err != nil {
				t.Fatal(err)
			}
			if len(salt) != 16 || len(macs) != 320 {
				t.Fatalf("%d and %d bytes", len(salt), len(macs))
			}
			return codes, macs
		}
		codes, macs := row()
		again, others := row()
		if !slices.Equal(codes, again) {
			t.Fatal("not the same codes")
		}
		for mac := range slices.Chunk(macs, 32) {
			if bytes.Contains(others, mac) {
				t.Error("the same code looks the same in another account")
			}
		}
		for _, c := range codes {
			plain := strings.ReplaceAll(c, "-", "")
			sum := sha256.Sum256([]byte(plain))
			for _, b := range [][]byte{[]byte(c), []byte(plain), sum[:]} {
				if bytes.Contains(macs, b) {
					t.Errorf("the table holds %x", b)
				}
			}
		}
	})
}
