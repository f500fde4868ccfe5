package federation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func (w *world) tx(t testing.TB, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := w.db.Tx(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// person makes an account.
func person(t testing.TB, db *store.DB) uuid.UUID {
	t.Helper()
	accounts, err := account.New(account.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	var a account.Account
	if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		a, _, err = accounts.Create(ctx, tx, account.NewAccount{Email: uuid.NewString() + "@example.org", Status: account.Active})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func (w *world) link(t testing.TB, id uuid.UUID, c federation.Claims) (i federation.Identity, made bool, err error) {
	t.Helper()
	err = w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		i, made, err = w.Link(ctx, tx, id, c)
		return err
	})
	return i, made, err
}

func who(subject string) federation.Claims {
	return federation.Claims{Provider: "example", Issuer: "https://id.example.com", Subject: subject, Email: "ada@example.org"}
}

func TestIdentity_life(t *testing.T) {
	each(t, func(t *testing.T, w *world, _ *federationtest.Provider) {
		ada, bob := person(t, w.db), person(t, w.db)
		if _, err := w.Find(t.Context(), w.db, who("1")); !errors.Is(err, federation.ErrNotLinked) {
			t.Fatal(err)
		}
		i, made, err := w.link(t, ada, who("1"))
		if err != nil || !made || i.AccountID != ada || i.Provider != "example" || i.Issuer != "https://id.example.com" || i.Subject != "1" || i.Email != "ada@example.org" || i.CreatedAt.IsZero() || !i.LastUsedAt.IsZero() {
			t.Fatalf("%+v %v %v", i, made, err)
		}
		if again, made, err := w.link(t, ada, who("1")); err != nil || made || again != i {
			t.Errorf("%+v %v %v", again, made, err)
		}
		if _, _, err := w.link(t, bob, who("1")); !errors.Is(err, federation.ErrLinkedElsewhere) {
			t.Errorf("one login for two accounts: %v", err)
		}
		if got, err := w.Find(t.Context(), w.db, who("1")); err != nil || got != i {
			t.Errorf("%+v %v", got, err)
		}
		// The same subject elsewhere is somebody else.
		for _, c := range []federation.Claims{
			{Provider: "another", Issuer: "https://id.example.com", Subject: "1"}, {Provider: "example", Issuer: "https://id.example.com/", Subject: "1"},
			{Provider: "example", Issuer: "https://id.example.com", Subject: "1 "}, {Provider: "example", Issuer: "https://id.example.com", Subject: "01"}, {Provider: "Example", Issuer: "https://id.example.com", Subject: "1"},
		} {
			if _, err := w.Find(t.Context(), w.db, c); !errors.Is(err, federation.ErrNotLinked) {
				t.Errorf("%+v is taken for another: %v", c, err)
			}
		}
		w.tx(t, func(ctx context.Context, tx *store.Tx) error { return w.Touch(ctx, tx, i.ID) })
		j, _, err := w.link(t, ada, federation.Claims{Provider: "another", Subject: "1"})
		if err != nil {
			t.Fatal(err)
		}
		list, err := w.List(t.Context(), w.db, ada)
		if err != nil || len(list) != 2 || list[0].ID != i.ID || list[0].LastUsedAt.IsZero() || list[1] != j || list[1].Email != "" {
			t.Errorf("%+v %v", list, err)
		}
		if n, err := w.Count(t.Context(), w.db, ada); n != 2 || err != nil {
			t.Errorf("%d %v", n, err)
		}
		// Nobody takes from another's account.
		err = w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { _, err := w.Unlink(ctx, tx, bob, i.ID); return err })
		if !errors.Is(err, federation.ErrNotLinked) {
			t.Error(err)
		}
		w.tx(t, func(ctx context.Context, tx *store.Tx) error {
			gone, err := w.Unlink(ctx, tx, ada, i.ID)
			if gone.Provider != "example" || gone.Subject != "1" {
				t.Errorf("%+v", gone)
			}
			return err
		})
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return w.Touch(ctx, tx, i.ID) }); !errors.Is(err, federation.ErrNotLinked) {
			t.Errorf("an unlinked login can still be used: %v", err)
		}
		if _, made, err := w.link(t, bob, who("1")); err != nil || !made {
			t.Errorf("an unlinked login can't be linked again: %v", err)
		}
		for _, c := range []federation.Claims{{}, {Provider: "example"}, {Subject: "1"}, who(strings.Repeat("s", 256))} {
			if _, _, err := w.link(t, ada, c); err == nil {
				t.Errorf("%+v was linked", c)
			}
		}
		if _, _, err := w.link(t, uuid.Nil, who("2")); err == nil {
			t.Error("nobody has a login")
		}
	})
}

func TestIdentity_erase(t *testing.T) {
	each(t, func(t *testing.T, w *world, p *federationtest.Provider) {
		ada, bob := person(t, w.db), person(t, w.db)
		for i := range 3 {
			if _, _, err := w.link(t, ada, who(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := w.link(t, bob, who("b")); err != nil {
			t.Fatal(err)
		}
		b, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.Link, AccountID: ada})
		if err != nil {
			t.Fatal(err)
		}
		w.tx(t, func(ctx context.Context, tx *store.Tx) error {
			n, err := w.Erase(ctx, tx, ada)
			if n != 3 {
				t.Errorf("%d logins", n)
			}
			return err
		})
		if n, _ := w.Count(t.Context(), w.db, ada); n != 0 {
			t.Errorf("%d are left", n)
		}
		if n, _ := w.Count(t.Context(), w.db, bob); n != 1 {
			t.Error("somebody else's went too")
		}
		_, err = w.Finish(t.Context(), p.Approve(t, b))
		refused(t, err, "state_invalid", "state", "unknown")
	})
}

func TestIdentity_atMostSoMany(t *testing.T) {
	each(t, func(t *testing.T, w *world, _ *federationtest.Provider) {
		ada := person(t, w.db)
		for i := range federation.MaxIdentities {
			if _, _, err := w.link(t, ada, who(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := w.link(t, ada, who("one more")); !errors.Is(err, federation.ErrTooMany) {
			t.Error(err)
		}
		if _, made, err := w.link(t, ada, who("0")); err != nil || made {
			t.Errorf("one that is there: %v", err)
		}
	})
}

// Two accounts link one login at the same moment, on two nodes, again and again: it is one's.
func TestRace_oneLoginOneAccount(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			p := federationtest.New(t)
			root := keyring.NewRoot()
			var nodes []*world
			for range 2 {
				db := storetest.Dial(t, d.URL)
				ring, err := keyring.Open(t.Context(), keyring.Config{DB: db, Root: root})
				if err != nil {
					t.Fatal(err)
				}
				nodes = append(nodes, newWorld(t, db, ring, p.Directory(t)))
			}
			people := []uuid.UUID{person(t, nodes[0].db), person(t, nodes[0].db)}
			for round := range 5 {
				var wg sync.WaitGroup
				var made, there, elsewhere atomic.Int64
				for i := range 20 {
					wg.Go(func() {
						w := nodes[i%2]
						err := w.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
							_, m, err := w.Link(ctx, tx, people[i/2%2], who(fmt.Sprint(round)))
							if err == nil && m {
								tx.AfterCommit(func() { made.Add(1) })
							} else if err == nil {
								tx.AfterCommit(func() { there.Add(1) })
							}
							return err
						})
						if errors.Is(err, federation.ErrLinkedElsewhere) {
							elsewhere.Add(1)
						} else if err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if made.Load() != 1 || there.Load() != 9 || elsewhere.Load() != 10 {
					t.Errorf("made %d times, was there %d times, was another's %d times", made.Load(), there.Load(), elsewhere.Load())
				}
			}
		})
	}
}
