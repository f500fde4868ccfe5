package org_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Every list is one range of one index, on both databases: none sorts or looks at a whole table.
func TestPlans_useIndexes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		big := crowd(t, w, 400, 2000)
		now, some := time.Now(), uuid.Must(uuid.NewV7())
		for _, q := range []struct {
			text string
			args []any
		}{
			{org.ListOrganizationsSQL, []any{[]byte("org 1"), uuid.Nil, []byte("org 2"), 51}},
			{org.ListMembersSQL, []any{big, some, 51}},
			{org.ListBelongingsSQL, []any{some, uuid.Nil, 51}},
			{org.ListInvitationsSQL, []any{big, uuid.Nil, 51}},
			{org.LastActiveSQL, []any{some}},
			{`SELECT id FROM invitation WHERE email = $1 AND expires_at > $2 ORDER BY id LIMIT $3`, []any{"x@example.org", now, 10}},
			{`SELECT organization_id FROM organization_domain WHERE domain = $1 AND verified_at IS NOT NULL`, []any{"example.org"}},
		} {
			plan := explain(t, db, q.text, q.args)
			if wholeTable(db, plan) || !strings.Contains(q.text, "last_active_at DESC") && !strings.Contains(q.text, "email") && sorts(plan) {
				t.Errorf("%s\n%s", q.text, plan)
			}
		}
		// Walking a list by its cursors gives everybody once.
		seen, cursor := map[uuid.UUID]bool{}, ""
		for {
			page, err := w.Members(t.Context(), big, org.MemberFilter{Cursor: cursor, Limit: 200})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page.Members {
				seen[m.AccountID] = true
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(seen) != 2000 {
			t.Errorf("%d of 2000 members are listed", len(seen))
		}
		names, cursor := []string{}, ""
		for {
			page, err := w.List(t.Context(), org.Filter{Query: "ORG 1", Cursor: cursor, Limit: 7})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Organizations {
				names = append(names, o.Name)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(names) != 111 || names[0] != "Org 1" { // 1, 10…19, 100…199
			t.Errorf("%d organizations are found: %v", len(names), names)
		}
		found, err := w.Members(t.Context(), big, org.MemberFilter{Query: "P1999@"})
		if err != nil || len(found.Members) != 1 {
			t.Errorf("found %d members, %v", len(found.Members), err)
		}
	})
}

// crowd fills the tables with many organizations, one of which has all people as its members.
func crowd(t *testing.T, w *world, organizations, people int) uuid.UUID {
	t.Helper()
	var big uuid.UUID
	now := time.Now().UTC()
	w.must(func(ctx context.Context, tx *store.Tx) error {
		for i := range organizations {
			id := uuid.Must(uuid.NewV7())
			if i == 0 {
				big = id
			}
			name := fmt.Sprintf("Org %d", i)
			if _, err := tx.Exec(ctx, `INSERT INTO organization (id, slug, name, name_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`,
				id, fmt.Sprintf("org-%d", i), name, []byte(strings.ToLower(name)), now); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO invitation (id, organization_id, email, role, kind, token_hash, created_at, sent_at, expires_at) VALUES ($1, $2, $3, 'r', 'member', $4, $5, $5, $5)`,
				uuid.Must(uuid.NewV7()), id, fmt.Sprintf("i%d@example.org", i), []byte(name), now); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO organization_domain (organization_id, domain, challenge, created_at, verified_at) VALUES ($1, $2, 'x', $3, $3)`,
				id, fmt.Sprintf("d%d.example", i), now); err != nil {
				return err
			}
		}
		for i := range people {
			a := uuid.Must(uuid.NewV7())
			if _, err := tx.Exec(ctx, `INSERT INTO account (id, email, status, created_at, updated_at) VALUES ($1, $2, 'active', $3, $3)`, a, fmt.Sprintf("p%d@example.org", i), now); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO membership (id, organization_id, account_id, role, kind, status, owner, via, created_at, updated_at)
				VALUES ($1, $2, $3, 'r', 'member', 'active', FALSE, 'direct', $4, $4)`, uuid.Must(uuid.NewV7()), big, a, now); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `ANALYZE`)
		return err
	})
	return big
}

func sorts(plan string) bool {
	return strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "Sort")
}

func wholeTable(db *store.DB, plan string) bool {
	if db.Dialect() == store.SQLite {
		for _, line := range strings.Split(plan, "\n") {
			if strings.HasPrefix(line, "SCAN ") && line != "SCAN m" && !strings.Contains(line, "SUBQUERY") {
				return true
			}
		}
		return false
	}
	return strings.Contains(plan, "Seq Scan")
}

func explain(t *testing.T, db *store.DB, query string, args []any) string {
	t.Helper()
	prefix := "EXPLAIN "
	if db.Dialect() == store.SQLite {
		prefix = "EXPLAIN QUERY PLAN "
	}
	var b strings.Builder
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		b.Reset()
		if db.Dialect() == store.Postgres { // a small table is cheaper to read whole; what counts is that it need not be
			for _, way := range []string{"seqscan", "bitmapscan"} {
				if _, err := tx.Exec(ctx, "SET LOCAL enable_"+way+" = off"); err != nil {
					return err
				}
			}
		}
		rows, err := tx.Query(ctx, prefix+query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if db.Dialect() == store.SQLite {
				var x, y, z int
				err = rows.Scan(&x, &y, &z, &line)
			} else {
				err = rows.Scan(&line)
			}
			if err != nil {
				return err
			}
			b.WriteString(line + "\n")
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
