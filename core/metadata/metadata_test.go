package metadata_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/metadata/schema"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// world is the store with one account.
type world struct {
	*metadata.Store
	t        *testing.T
	db       *store.DB
	accounts *account.Store
	id       uuid.UUID
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, []store.Source{account.Migrations, metadata.Migrations}, func(t *testing.T, db *store.DB) {
		w := &world{t: t, db: db}
		var err error
		if w.accounts, err = account.New(account.Config{DB: db}); err != nil {
			t.Fatal(err)
		}
		if w.Store, err = metadata.New(metadata.Config{DB: db}); err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			a, _, err := w.accounts.Create(ctx, tx, account.NewAccount{Email: "ada@example.org", Status: account.Active})
			w.id = a.ID
			return err
		}); err != nil {
			t.Fatal(err)
		}
		f(t, w)
	})
}

func (w *world) apply(c metadata.Change) (o metadata.Object, changed []string, err error) {
	err = w.db.Tx(w.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		if _, err = w.accounts.Lock(ctx, tx, w.id); err != nil {
			return err
		}
		o, changed, err = w.Apply(ctx, tx, w.id, c)
		return err
	})
	return o, changed, err
}

func at(v int64) *int64 { return &v }

func TestApply(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i, c := range []struct {
			change  metadata.Change
			value   string
			version int64
			changed string
			code    string
		}{
			{metadata.Change{Scope: metadata.User, Replace: []byte(` { "b": 1.50, "a": {"x": [1, "<&>"]} } `)}, `{"a":{"x":[1,"<&>"]},"b":1.50}`, 1, "[a b]", ""},
			{metadata.Change{Scope: metadata.User, Merge: []byte(`{"b":null,"a":{"y":true}}`), Version: at(1)}, `{"a":{"x":[1,"<&>"],"y":true}}`, 2, "[a b]", ""},
			{metadata.Change{Scope: metadata.User, Merge: []byte(`{"c":1}`), Version: at(1)}, "", 0, "", "metadata_changed"},
			{metadata.Change{Scope: metadata.User, Merge: []byte(`{"c":null}`), Version: at(2)}, `{"a":{"x":[1,"<&>"],"y":true}}`, 2, "[]", ""}, // changes nothing
			{metadata.Change{Scope: metadata.Public, Merge: []byte(`{"plan":"team"}`), Version: at(0)}, `{"plan":"team"}`, 1, "[plan]", ""},
			{metadata.Change{Scope: metadata.Private, Replace: []byte(`{}`)}, `{}`, 0, "[]", ""},
			{metadata.Change{Scope: metadata.User, Replace: []byte(`{}`)}, `{}`, 3, "[a]", ""},
			{metadata.Change{Scope: "secret", Replace: []byte(`{}`)}, "", 0, "", "invalid_scope"},
			{metadata.Change{Scope: metadata.User, Replace: []byte(`[]`)}, "", 0, "", "invalid_metadata"},
			{metadata.Change{Scope: metadata.User, Merge: []byte(`{"a":{"b":1,"b":2}}`)}, "", 0, "", "invalid_metadata"},
		} {
			o, changed, err := w.apply(c.change)
			if err != nil {
				if f := fault.From(err); f.Code != c.code {
					t.Fatalf("step %d: %v", i, err)
				}
				continue
			}
			if string(o.Value) != c.value || o.Version != c.version || fmt.Sprint(changed) != c.changed || c.code != "" {
				t.Fatalf("step %d: %s, version %d, changed %v", i, o.Value, o.Version, changed)
			}
			if got, err := w.Get(t.Context(), w.db, w.id, c.change.Scope); err != nil || string(got.Value) != c.value || got.Version != c.version || got.UpdatedAt.IsZero() != (c.version == 0) {
				t.Fatalf("step %d, read back: %+v, %v", i, got, err)
			}
		}
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return w.Erase(ctx, tx, w.id, metadata.User) }); err != nil {
			t.Fatal(err)
		}
		for scope, want := range map[metadata.Scope]string{metadata.User: `{}`, metadata.Public: `{"plan":"team"}`} {
			if got, err := w.Get(t.Context(), w.db, w.id, scope); err != nil || string(got.Value) != want {
				t.Fatalf("%s after erasing user: %s, %v", scope, got.Value, err)
			}
		}
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return w.Erase(ctx, tx, w.id) }); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Get(t.Context(), w.db, w.id, metadata.Public); err != nil || got.Version != 0 {
			t.Fatalf("public after erasing all: %+v, %v", got, err)
		}
	})
}

func TestApply_rules(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, err := schema.Compile([]byte(`{"properties":{"prefs":{"properties":{"theme":{"enum":["light","dark"]}}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.apply(metadata.Change{Scope: metadata.User, Replace: []byte(`{"prefs":{"theme":"pink"}}`)}); err != nil {
			t.Fatal(err)
		}
		w.SetRules(metadata.Rules{MaxBytes: 64, Schemas: map[metadata.Scope]*schema.Schema{metadata.User: s}})
		for i, c := range []struct {
			change metadata.Change
			field  string
			kind   fault.Kind
		}{
			{metadata.Change{Scope: metadata.User, Merge: []byte(`{"other":1}`)}, "user/prefs/theme", fault.Invalid}, // what stood there before counts now
			{metadata.Change{Scope: metadata.Public, Merge: []byte(`{"prefs":{"theme":"pink"}}`)}, "", 0},
			{metadata.Change{Scope: metadata.User, Merge: []byte(`{"prefs":{"theme":"dark"}}`)}, "", 0},
			{metadata.Change{Scope: metadata.User, Merge: []byte(`{"x":"` + strings.Repeat("y", 64) + `"}`)}, "user", fault.TooLarge},
			{metadata.Change{Scope: metadata.User, Replace: []byte(`{"x":"` + strings.Repeat("y", 56) + `"}`)}, "", 0},
			{metadata.Change{Scope: metadata.User, Replace: []byte(strings.Repeat(" ", 4096) + `{}`)}, "user", fault.TooLarge},
		} {
			_, _, err := w.apply(c.change)
			if (err != nil) != (c.field != "") || err != nil && (fault.KindOf(err) != c.kind || fault.From(err).Field != c.field || strings.Contains(err.Error(), "pink")) {
				t.Errorf("step %d: %v; want %q", i, err, c.field)
			}
		}
	})
}

// However many change what they saw, one does; and merges that don't say what they saw are all there in the end.
func TestApply_race(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const many = 100
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				_, _, err := w.apply(metadata.Change{Scope: metadata.Public, Replace: fmt.Appendf(nil, `{"n":%d}`, i), Version: at(0)})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, metadata.ErrVersion) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, _, err := w.apply(metadata.Change{Scope: metadata.User, Merge: fmt.Appendf(nil, `{"m%d":true}`, i)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		o, err := w.Get(t.Context(), w.db, w.id, metadata.User)
		if err != nil || won != 1 || o.Version != many || strings.Count(string(o.Value), "true") != many {
			t.Fatalf("%d won; %d members in version %d, %v", won, strings.Count(string(o.Value), "true"), o.Version, err)
		}
	})
}
