package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Every selective filter, and reading in commit order, must be served by an index on both databases: none may sort or
// look at the whole log.
func TestPlans_useIndexes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		id := uuid.Must(uuid.NewV7())
		err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i := range 3000 {
				e := login(fmt.Sprint("user-", i%1000))
				e.Action = audit.Catalogue()[i%80].Name
				if i == 7 {
					e.OrganizationID, e.SessionID = id, id
				}
				if _, err := l.Record(ctx, tx, e); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, `ANALYZE`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		for name, f := range map[string]audit.Filter{
			"actor": {ActorID: "user-7"}, "target": {TargetType: "user", TargetID: "user-7"}, "action": {Action: "passkey.rename"},
			"organization": {OrganizationID: id}, "session": {SessionID: id}, "request": {RequestID: "r"}, "ip": {IP: "192.0.2.1"},
			"none": {}, "range": {From: now.Add(-time.Second), To: now},
		} {
			query, args, err := audit.QueryText(f, 51)
			if err != nil {
				t.Fatal(err)
			}
			if plan := explain(t, db, query, args); wholeTable(db, plan) {
				t.Errorf("%s:\n%s\n%s", name, query, plan)
			}
		}
		p := commitlog.Position{Seq: 1000}
		if plan := explain(t, db, l.Commits().ReadText(), []any{p.Era, p.Tx, p.Seq, 500}); wholeTable(db, plan) || strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("read in commit order:\n%s", plan)
		}
	})
}

func wholeTable(db *store.DB, plan string) bool {
	if db.Dialect() == store.SQLite {
		return strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN a\n") || strings.Contains(plan, "SCAN audit_log\n")
	}
	return strings.Contains(plan, "Seq Scan on audit_log")
}

func explain(t *testing.T, db *store.DB, query string, args []any) string {
	t.Helper()
	prefix := "EXPLAIN "
	if db.Dialect() == store.SQLite {
		prefix = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.Query(t.Context(), prefix+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var line string
		if db.Dialect() == store.SQLite {
			var x, y, z int
			err = rows.Scan(&x, &y, &z, &line)
		} else {
			err = rows.Scan(&line)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
