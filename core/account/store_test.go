package account_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func each(t *testing.T, f func(t *testing.T, db *store.DB, s *account.Store)) {
	t.Parallel()
	storetest.Each(t, []store.Source{account.Migrations}, func(t *testing.T, db *store.DB) {
		s, err := account.New(account.Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		f(t, db, s)
	})
}

func tx(t *testing.T, db *store.DB, f func(ctx context.Context, tx *store.Tx) error) error {
	t.Helper()
	return db.Tx(t.Context(), f)
}

func create(t *testing.T, db *store.DB, s *account.Store, n account.NewAccount) account.Account {
	t.Helper()
	var a account.Account
	err := tx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		var made bool
		a, made, err = s.Create(ctx, tx, n)
		if err == nil && !made {
			err = errors.New("the address was taken")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCreate_oneAccountPerAddress(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, s *account.Store) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		made, ids := 0, map[uuid.UUID]bool{}
		for range 20 {
			wg.Go(func() {
				err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					a, ok, err := s.Create(ctx, tx, account.NewAccount{Email: "ada@example.org", Status: account.Unconfirmed})
					if err != nil {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					ids[a.ID] = true
					if ok {
						made++
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made != 1 || len(ids) != 1 {
			t.Fatalf("%d accounts made, %d different ones seen; want one", made, len(ids))
		}
	})
}

func TestErase_keepsTheIdAndFreesTheAddress(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, s *account.Store) {
		a := create(t, db, s, account.NewAccount{Email: "ada@example.org", Status: account.Active, Administrator: true})
		for i, want := range []bool{true, false} {
			if err := tx(t, db, func(ctx context.Context, tx *store.Tx) error {
				ok, err := s.Erase(ctx, tx, a.ID)
				if ok != want {
					t.Errorf("erase number %d reports %v", i+1, ok)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Get(t.Context(), a.ID)
		if err != nil || got.Email != "" || got.Status != account.Deleted || got.Administrator || got.DeletedAt.IsZero() || !got.ConfirmedAt.IsZero() {
			t.Fatalf("after erasing: %+v, %v", got, err)
		}
		if _, err := s.FindByEmail(t.Context(), "ada@example.org"); !account.IsNotFound(err) {
			t.Fatalf("the address is still found: %v", err)
		}
		if b := create(t, db, s, account.NewAccount{Email: "ada@example.org", Status: account.Unconfirmed}); b.ID == a.ID {
			t.Fatal("the id was given out again")
		}
	})
}

func TestStatus_transitions(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, s *account.Store) {
		type step struct {
			name    string
			do      func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error)
			changed bool
			kind    fault.Kind // when it fails
			fails   bool
			after   account.Status
		}
		disable, enable := s.Disable, s.Enable
		for name, c := range map[string]struct {
			from  account.Status
			steps []step
		}{
			"active": {account.Active, []step{
				{"enable", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return enable(ctx, tx, id) }, false, 0, false, account.Active},
				{"disable", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return disable(ctx, tx, id) }, true, 0, false, account.Disabled},
				{"disable again", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return disable(ctx, tx, id) }, false, 0, false, account.Disabled},
				{"activate", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return s.Activate(ctx, tx, id) }, false, 0, false, account.Disabled},
				{"enable", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return enable(ctx, tx, id) }, true, 0, false, account.Active},
				{"erase", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return s.Erase(ctx, tx, id) }, true, 0, false, account.Deleted},
				{"enable", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return enable(ctx, tx, id) }, false, fault.Conflict, true, account.Deleted},
				{"disable", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return disable(ctx, tx, id) }, false, fault.Conflict, true, account.Deleted},
			}},
			"unconfirmed": {account.Unconfirmed, []step{
				{"disable", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return disable(ctx, tx, id) }, true, 0, false, account.Disabled},
				{"enable", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return enable(ctx, tx, id) }, true, 0, false, account.Unconfirmed},
				{"activate", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return s.Activate(ctx, tx, id) }, true, 0, false, account.Active},
				{"activate again", func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) { return s.Activate(ctx, tx, id) }, false, 0, false, account.Active},
			}},
		} {
			a := create(t, db, s, account.NewAccount{Email: name + "@example.org", Status: c.from})
			for i, st := range c.steps {
				var changed bool
				err := tx(t, db, func(ctx context.Context, tx *store.Tx) (err error) { changed, err = st.do(ctx, tx, a.ID); return err })
				if (err != nil) != st.fails || st.fails && fault.KindOf(err) != st.kind || changed != st.changed {
					t.Fatalf("%s, step %d, %s: changed %v, %v", name, i, st.name, changed, err)
				}
				if now, err := s.Get(t.Context(), a.ID); err != nil || now.Status != st.after {
					t.Fatalf("%s, step %d, %s: status %s, %v; want %s", name, i, st.name, now.Status, err, st.after)
				}
			}
		}
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, s *account.Store) {
		var all []account.Account
		for i := range 25 {
			all = append(all, create(t, db, s, account.NewAccount{Email: fmt.Sprintf("user%02d_x%%@example.org", i), Status: account.Active, Administrator: i == 3}))
		}
		if err := tx(t, db, func(ctx context.Context, tx *store.Tx) error { _, err := s.Erase(ctx, tx, all[7].ID); return err }); err != nil {
			t.Fatal(err)
		}
		var seen []account.Account
		f := account.Filter{Limit: 10}
		for pages := 1; ; pages++ {
			p, err := s.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, p.Accounts...)
			if pages == 1 { // somebody joins meanwhile: no shift
				create(t, db, s, account.NewAccount{Email: "late@example.org", Status: account.Active})
			}
			if f.Cursor = p.Next; p.Next == "" {
				break
			}
		}
		if len(seen) != 24 {
			t.Fatalf("%d accounts over the pages, want 24", len(seen))
		}
		for i := 1; i < len(seen); i++ {
			if seen[i-1].ID.String() <= seen[i].ID.String() {
				t.Fatal("not newest first")
			}
		}
		for name, c := range map[string]struct {
			f    account.Filter
			want int
		}{
			"part": {account.Filter{Query: "USER0"}, 9}, "wildcards are letters": {account.Filter{Query: "%@"}, 24}, "underscore is a letter": {account.Filter{Query: "user0_"}, 0},
			"bang": {account.Filter{Query: "!"}, 0}, "id": {account.Filter{Query: all[4].ID.String()}, 1}, "deleted": {account.Filter{Status: account.Deleted}, 1},
			"administrators": {account.Filter{Administrator: true}, 1}, "NUL": {account.Filter{Query: "user\x000\xff1"}, 1}, "huge": {account.Filter{Query: string(make([]byte, 1<<20))}, 25},
			"quotes": {account.Filter{Query: "' OR 1=1 --"}, 0},
		} {
			p, err := s.List(t.Context(), c.f)
			if err != nil || len(p.Accounts) != c.want {
				t.Errorf("%s: %d accounts, %v; want %d", name, len(p.Accounts), err, c.want)
			}
		}
		for _, f := range []account.Filter{{Cursor: "x"}, {Status: "gone"}} {
			if _, err := s.List(t.Context(), f); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%+v: %v, want it refused", f, err)
			}
		}
		many, err := s.GetMany(t.Context(), []uuid.UUID{all[0].ID, uuid.New(), all[7].ID})
		if err != nil || len(many) != 2 {
			t.Fatalf("GetMany: %d, %v", len(many), err)
		}
	})
}

func TestCreate_clockBetweenMicroseconds(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *account.Store) {
		s, err := account.New(account.Config{DB: db, Now: func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 123456789, time.FixedZone("x", 3600)) }})
		if err != nil {
			t.Fatal(err)
		}
		a := create(t, db, s, account.NewAccount{Email: "ada@example.org", Status: account.Active})
		if b, err := s.Get(t.Context(), a.ID); err != nil || !b.CreatedAt.Equal(time.Date(2030, 1, 2, 2, 4, 5, 123456000, time.UTC)) || b.CreatedAt != a.CreatedAt {
			t.Fatalf("created at %s and %s, %v", a.CreatedAt, b.CreatedAt, err)
		}
	})
}

func username(t *testing.T, s string) account.Username {
	t.Helper()
	u, err := account.ParseUsername(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// However many choose a name at once, in whatever case, one has it.
func TestSetUsername_race(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, s *account.Store) {
		const many = 100
		var ids []uuid.UUID
		for i := range many {
			ids = append(ids, create(t, db, s, account.NewAccount{Email: fmt.Sprintf("u%d@example.org", i), Status: account.Active}).ID)
		}
		names := []account.Username{username(t, "Straße"), username(t, "STRASSE"), username(t, "strasse")}
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i, id := range ids {
			wg.Go(func() {
				err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return s.SetUsername(ctx, tx, id, names[i%len(names)]) })
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, account.ErrUsernameTaken) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var have int
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM account WHERE username_key = 'strasse'`).Scan(&have); err != nil || won != 1 || have != 1 {
			t.Fatalf("%d won, %d have it, %v; want one", won, have, err)
		}
	})
}

func TestSetUsername(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, s *account.Store) {
		ada := create(t, db, s, account.NewAccount{Email: "ada@example.org", Status: account.Active})
		bob := create(t, db, s, account.NewAccount{Email: "bob@example.org", Status: account.Active})
		set := func(id uuid.UUID, u account.Username) error {
			return tx(t, db, func(ctx context.Context, tx *store.Tx) error { return s.SetUsername(ctx, tx, id, u) })
		}
		for i, c := range []struct {
			id   uuid.UUID
			name account.Username
			want error
		}{
			{ada.ID, username(t, "Countess"), nil},
			{bob.ID, username(t, "COUNTESS"), account.ErrUsernameTaken},
			{ada.ID, username(t, "CountesS"), nil}, // another case of one's own
			{bob.ID, account.Username{}, nil},      // two without one
			{ada.ID, account.Username{}, nil},
			{bob.ID, username(t, "countess"), nil}, // free again
			{ada.ID, username(t, "ada"), nil},
			{uuid.New(), username(t, "eve"), account.ErrNotFound},
		} {
			if err := set(c.id, c.name); !errors.Is(err, c.want) {
				t.Fatalf("step %d: %v, want %v", i, err, c.want)
			}
		}
		got, err := s.FindByUsername(t.Context(), " cOUNTess ")
		if err != nil || got.ID != bob.ID || got.Username != "countess" {
			t.Fatalf("found %+v, %v", got, err)
		}
		if p, err := s.List(t.Context(), account.Filter{Query: "OUNT"}); err != nil || len(p.Accounts) != 1 || p.Accounts[0].ID != bob.ID {
			t.Fatalf("listed %+v, %v", p, err)
		}
		if err := tx(t, db, func(ctx context.Context, tx *store.Tx) error { _, err := s.Erase(ctx, tx, bob.ID); return err }); err != nil {
			t.Fatal(err)
		}
		if gone, err := s.Get(t.Context(), bob.ID); err != nil || gone.Username != "" {
			t.Fatalf("erased: %+v, %v", gone, err)
		}
		if err := set(bob.ID, username(t, "bob")); fault.KindOf(err) != fault.Conflict {
			t.Fatalf("a name for a deleted account: %v", err)
		}
		if err := set(ada.ID, username(t, "countess")); err != nil {
			t.Fatal(err)
		}
	})
}
