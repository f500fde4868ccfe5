package httpapi_test

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/httpapi"
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

// Rows of 8 MB in all go out while the heap stays where it was: what is in memory is one page.
func TestExport_memory(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		const rows = 10_000
		bulk(t, e, rows)
		r := must2(http.NewRequestWithContext(t.Context(), "GET", e.URL+"/v1/audit/export", nil))(t)
		administrator(e, r.Header)
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		res := must2(e.Client().Do(r))(t)
		defer func() { _ = res.Body.Close() }()
		in := bufio.NewReader(res.Body)
		var most uint64
		n := 0
		for {
			_, err := in.ReadSlice('\n')
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n++; n%2000 == 0 {
				most = max(most, heap())
			}
		}
		if n < rows {
			t.Errorf("%d rows", n)
		}
		if most > before+4<<20 {
			t.Errorf("the heap grew from %d to %d bytes", before, most)
		}
	})
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
