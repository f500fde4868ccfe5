package auth_test

import (
	"slices"
	"testing"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Every way in which a method can end leaves exactly the rows that the table says, and every row says who and whence.
func TestAudit_methodByMethod(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		s := newStage(t, db)
		for i, a := range acts {
			w, do := s.prepare(t, i, a)
			at := since(t)
			_, err := do()
			if got := code(err); got != a.wanted() {
				t.Errorf("%s: %s, want %s", a.method, got, a.wanted())
			}
			if got := w.actions(at); !slices.Equal(got, a.rows) {
				t.Errorf("%s: rows\n got %v\nwant %v", a.method, got, a.rows)
			}
		}
		rows, _ := s.base.rows(nil)
		for _, r := range rows {
			checkRow(t, r)
		}
	})
}

// checkRow holds what every row of these flows must say, and must not.
func checkRow(t *testing.T, r audit.Row) {
	t.Helper()
	if a, ok := audit.Lookup(r.Action); !ok || r.Outcome != a.Outcome {
		t.Errorf("%s: outcome %s, the catalogue says %s", r.Action, r.Outcome, a.Outcome)
	}
	if r.RequestID != "req-1" || r.IP == "" || r.UserAgent != "test/1" || r.Actor.Type == "" {
		t.Errorf("%s lacks who and whence: %+v", r.Action, r)
	}
	nobody := r.Action == "oauth.login.failure" || r.Action == "auth.register.failure" && r.Reason == "gate_denied" // nobody here is known yet
	if len(r.Targets) == 0 && !nobody {
		t.Errorf("%s lacks whom it is about: %+v", r.Action, r)
	}
	if r.Action == "auth.login.success" && (r.SessionID.String() == "" || r.AuthMethod == "" || r.Metadata["method"] == nil) {
		t.Errorf("%s lacks its session or method: %+v", r.Action, r)
	}
}
