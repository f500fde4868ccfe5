package apitoken_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/apitoken"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

var by = audit.Ref{Type: "operator", ID: "0/root"}

type world struct {
	t    *testing.T
	db   *store.DB
	log  *audit.Log
	skew atomic.Int64
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.skew.Load())) }
func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

func (w *world) node() *apitoken.Store {
	w.t.Helper()
	s, err := apitoken.New(apitoken.Config{DB: w.db, Audit: w.log, Now: w.now})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, []store.Source{audit.Migrations, apitoken.Migrations}, func(t *testing.T, db *store.DB) {
		log, err := audit.New(audit.Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		f(t, &world{t: t, db: db, log: log})
	})
}

// whose tells what a key is good for: the application's name, "over", or "none" for what is no key at all.
func whose(t *testing.T, s *apitoken.Store, token string) string {
	t.Helper()
	_, name, known, err := s.Application(t.Context(), token)
	switch {
	case !known && err == nil:
		return "none"
	case fault.KindOf(err) == fault.Unauthenticated:
		return "over"
	case err != nil:
		t.Fatal(err)
	}
	return name
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

// A key's whole life, on two nodes.
func TestApplicationKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := w.node(), w.node()
		k, token, err := one.Create(t.Context(), by, "shop", time.Time{})
		if err != nil || !strings.HasPrefix(token, "sigra_app_") || len(token) != 59 || !strings.HasSuffix(token, k.Hint) || strings.Contains(token, "=") {
			t.Fatalf("%+v %q %v", k, token, err)
		}
		for _, s := range []*apitoken.Store{one, two} {
			if got := whose(t, s, token); got != "shop" {
				t.Errorf("it is of %s", got)
			}
		}
		for _, bad := range []string{"", "sigra_app_", token[1:], token + "0", token[:58], token[:20] + "0" + token[21:], strings.ToUpper(token), "sigra_pat_" + token[10:], strings.Repeat("x", 59)} {
			if bad == token {
				continue
			}
			if got := whose(t, one, bad); got != "none" {
				t.Errorf("%q is of %s", bad, got)
			}
		}
		next, second, err := one.Rotate(t.Context(), by, k.ID, time.Hour)
		if err != nil || next.Name != "shop" || second == token {
			t.Fatalf("%+v %v", next, err)
		}
		w.advance(59 * time.Minute)
		if a, b := whose(t, two, token), whose(t, two, second); a != "shop" || b != "shop" {
			t.Errorf("during the overlap: %s and %s", a, b)
		}
		w.advance(2 * time.Minute)
		if a, b := whose(t, two, token), whose(t, two, second); a != "over" || b != "shop" {
			t.Errorf("after the overlap: %s and %s", a, b)
		}
		if _, _, err := one.Rotate(t.Context(), by, k.ID, 0); code(err) != "application_key_not_found" {
			t.Errorf("a key that is over is rotated: %v", err)
		}
		if err := one.Revoke(t.Context(), by, next.ID); err != nil {
			t.Fatal(err)
		}
		if got := whose(t, one, second); got != "over" {
			t.Errorf("revoked, where that happened: %s", got)
		}
		w.advance(time.Second)
		if got := whose(t, two, second); got != "over" {
			t.Errorf("revoked, elsewhere after a second: %s", got)
		}
		if err := one.Revoke(t.Context(), by, next.ID); code(err) != "application_key_not_found" {
			t.Errorf("revoked twice: %v", err)
		}
		if n, err := one.Clean(t.Context()); err != nil || n != 1 {
			t.Errorf("%d cleaned away, %v", n, err)
		}
		var rows string
		if err := w.db.QueryRow(t.Context(), `SELECT coalesce(min(action), '') || ' ' || count(*) FROM audit_log WHERE action LIKE 'admin.application_key.%'`).Scan(&rows); err != nil || rows != "admin.application_key.create 3" {
			t.Errorf("in the audit log: %s, %v", rows, err)
		}
	})
}

// Every limit at its edge, and at once.
func TestApplicationKeys_limits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.node()
		at := w.now().UTC().Truncate(time.Second)
		for name, c := range map[string]struct {
			name    string
			expires time.Time
			want    string
		}{
			"a name": {"Käse & Co", time.Time{}, ""}, "none": {"", time.Time{}, "invalid_name"}, "64": {strings.Repeat("ü", 64), time.Time{}, ""}, "65": {strings.Repeat("ü", 65), time.Time{}, "invalid_name"},
			"two lines": {"a\nb", time.Time{}, "invalid_name"}, "turned around": {"a\u202eb", time.Time{}, "invalid_name"},
			"in the past": {"x", at.Add(-time.Second), "invalid_expiry"}, "in ten years": {"x", at.Add(apitoken.MaxLife - time.Minute), ""}, "later": {"x", at.Add(apitoken.MaxLife + time.Minute), "invalid_expiry"},
		} {
			if _, _, err := s.Create(t.Context(), by, c.name, c.expires); code(err) != c.want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := s.Rotate(t.Context(), by, uuid.New(), apitoken.MaxOverlap+1); code(err) != "invalid_overlap" {
			t.Error(err)
		}
		_, short, err := s.Create(t.Context(), by, "short", at.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.advance(time.Hour + time.Second)
		if got := whose(t, s, short); got != "over" {
			t.Errorf("after its end: %s", got)
		}
		if _, err := s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		have, err := s.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for n := len(have); n < apitoken.MaxKeys-1; n++ {
			if _, _, err := s.Create(t.Context(), by, fmt.Sprint("application ", n), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		var made atomic.Int32
		for range 8 { // one is left
			wg.Go(func() {
				switch _, _, err := s.Create(t.Context(), by, "last", time.Time{}); code(err) {
				case "":
					made.Add(1)
				case "too_many_application_keys":
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if all, err := s.List(t.Context()); err != nil || made.Load() != 1 || len(all) != apitoken.MaxKeys {
			t.Errorf("%d made, %d there, %v", made.Load(), len(all), err)
		}
	})
}
