package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestExport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		e.record(3, "auth.logout")
		e.record(2, "session.revoke")
		a := e.do(administrator, "GET", "/v1/audit/export?action=auth.*", "")
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/x-ndjson" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		if d := a.Header.Get("Content-Disposition"); !regexp.MustCompile(`^attachment; filename="sigra-audit-\d{8}T\d{6}Z\.ndjson"$`).MatchString(d) {
			t.Errorf("Content-Disposition: %s", d)
		}
		if n := len(regexp.MustCompile(`"action":"auth.logout"`).FindAllString(a.body, -1)); n != 3 {
			t.Errorf("%d rows: %s", n, a.body)
		}
		a = e.do(theOperator, "GET", "/v1/audit/export?format=csv&action=session.*", "")
		r := csv.NewReader(bufio.NewReader(strings.NewReader(a.body)))
		rows, err := r.ReadAll()
		if err != nil || len(rows) != 3 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8; header=present" {
			t.Errorf("%v %d %v", err, len(rows), a.Header)
		}
		if a := e.do(administrator, "GET", "/v1/audit/export?action=passkey.*", ""); a.StatusCode != 200 || a.body != "" || a.Header.Get("Content-Disposition") == "" {
			t.Errorf("nothing to export: %d %v %s", a.StatusCode, a.Header, a.body)
		}
	})
}

func TestNotes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		e.do(administrator, "GET", "/v1/audit/export?format=csv", "")
		e.do(ordinary, "DELETE", "/v1/admin/users/"+e.user.Account.ID.String(), "")
		page := read[httpapi.AuditPage](t, e.do(administrator, "GET", "/v1/audit?action=admin.*", ""))
		if len(page.Rows) != 2 {
			t.Fatalf("%d rows", len(page.Rows))
		}
		if r := page.Rows[0]; r.Action != "admin.denied" || r.Actor.ID != e.user.Account.ID.String() || r.Metadata["operation"] != "delete-user" || r.Outcome != "failure" {
			t.Errorf("%+v", r)
		}
		if r := page.Rows[1]; r.Action != "admin.audit.export" || r.Actor.ID != e.admin.Account.ID.String() || r.Metadata["format"] != "csv" {
			t.Errorf("%+v", r)
		}
	})
}

// An export goes out as it is read: before a page of rows is asked for, the one before has left. So one page is in memory, however many
// rows there are.
func TestExport_memory(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			w := &counter{rows: map[int64]int{}}
			db := must2(store.Open(t.Context(), store.Config{URL: d.URL, Trace: func(query string) {
				if strings.Contains(query, "FROM audit_log") && strings.Contains(query, "LIMIT") {
					w.pages.Add(1)
				}
			}}))(t)
			t.Cleanup(func() { _ = db.Close() })
			e := newEnv(t, db, nil)
			bulk(t, e, 1700)
			w.pages.Store(0)
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/audit/export?action=auth.logout", nil)
			administrator(e, r.Header)
			e.Config.Handler.ServeHTTP(w, r)
			if want := map[int64]int{1: 500, 2: 500, 3: 500, 4: 200}; !maps.Equal(w.rows, want) || w.largest > 64<<10 {
				t.Errorf("rows that left after so many pages were read: %v, want %v; at most %d bytes at a time", w.rows, want, w.largest)
			}
		})
	}
}

// counter is a client that counts the rows it gets by how many pages had been read from the database by then.
type counter struct {
	pages   atomic.Int64
	rows    map[int64]int
	largest int
	header  http.Header
}

func (c *counter) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

func (c *counter) WriteHeader(int) {}

func (c *counter) Write(p []byte) (int, error) {
	c.rows[c.pages.Load()] += bytes.Count(p, []byte("\n"))
	c.largest = max(c.largest, len(p))
	return len(p), nil
}

func TestAudit_pages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		e.record(5, "auth.logout")
		var n int
		for cursor := ""; ; {
			page := read[httpapi.AuditPage](t, e.do(administrator, "GET", "/v1/audit?limit=2&action=auth.*&cursor="+cursor, ""))
			n += len(page.Rows)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if n != 5 {
			t.Errorf("%d rows", n)
		}
		own := read[httpapi.AuditPage](t, e.do(browser, "GET", "/v1/account/activity", ""))
		if len(own.Rows) != 5 || own.Rows[0].Actor.ID != e.user.Account.ID.String() {
			t.Errorf("activity: %+v", own)
		}
		if other := read[httpapi.AuditPage](t, e.do(administrator, "GET", "/v1/account/activity", "")); len(other.Rows) != 0 {
			t.Errorf("the administrator sees %d rows of somebody else as their own", len(other.Rows))
		}
	})
}
