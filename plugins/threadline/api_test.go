package threadline_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// Requests that can't be answered get a problem document that names what is wrong, and nothing of what is underneath.
func TestAPI_problems(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 600)
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		must(t, r, 1, 0, 0, 0, event(1, nil))
		for _, c := range []struct {
			who                    *pluginsdk.Principal
			method, target         string
			status                 int
			code, field, says, hdr string
		}{
			{nil, "GET", "/threadline/v1/timeline", 401, "unauthenticated", "", "Sign in", ""},
			{nil, "GET", "/threadline", 401, "unauthenticated", "", "Sign in", ""},
			{&pluginsdk.Principal{Kind: "user"}, "GET", "/threadline/v1/timeline", 401, "unauthenticated", "", "", ""},
			{&pluginsdk.Principal{Kind: "session", UserID: plugintest.Ada.UserID}, "GET", "/threadline/v1/timeline", 401, "unauthenticated", "", "", ""},
			{&pluginsdk.Principal{}, "GET", "/threadline/v1/entries/" + event(1, nil).ID, 401, "unauthenticated", "", "", ""},
			{plugintest.Ada, "GET", "/threadline/v1/status", 403, "administrator_required", "", "administrator", ""},
			{plugintest.Ada, "GET", "/threadline/v1/conflicts", 403, "administrator_required", "", "administrator", ""},
			{plugintest.Ada, "POST", "/threadline/v1/timeline", 405, "method_not_allowed", "", "only read", "GET, HEAD"},
			{plugintest.Ada, "DELETE", "/threadline/v1/entries/x", 405, "method_not_allowed", "", "only read", "GET, HEAD"},
			{plugintest.Ada, "PUT", "/threadline", 405, "method_not_allowed", "", "only read", "GET, HEAD"},
			{plugintest.Root, "GET", "/threadline/v1/", 404, "not_found", "", "nothing at this address", ""},
			{plugintest.Root, "GET", "/threadline/v1/actors/user", 404, "not_found", "", "", ""},
			{plugintest.Root, "GET", "/threadline/v1/entries/", 404, "not_found", "", "", ""},
			{plugintest.Root, "GET", "/threadline/v1/entries/1%27%20OR%201=1", 404, "not_found", "", "", ""},
			{plugintest.Root, "GET", "/threadline/v1/entries/0195a4c5-0000-7000-8000-0000000000ff", 404, "not_found", "", "no such entry", ""},
			{plugintest.Root, "GET", "/threadline/v1/actors/user/%00", 400, "invalid_parameter", "id", "NUL", ""},
			{plugintest.Root, "GET", "/threadline/v1/actors/%ff/x", 400, "invalid_parameter", "type", "UTF-8", ""},
			{plugintest.Root, "GET", "/threadline/v1/resources/user/" + long, 400, "invalid_parameter", "id", "600 bytes", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?action=%zz", 400, "invalid_parameter", "query", "well-formed", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?action=a;actor=b", 400, "invalid_parameter", "query", "well-formed", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?session=%ff", 400, "invalid_parameter", "session", "UTF-8", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?session=%00", 400, "invalid_parameter", "session", "NUL", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?" + long + "=1", 400, "invalid_parameter", long[:40] + "…", "no such parameter", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?%ff%00=1", 400, "invalid_parameter", "", "no such parameter", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?from=1e400", 400, "invalid_parameter", "from", "2026", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?from=292300-01-01", 400, "invalid_parameter", "from", "2026", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?after=" + strings.Repeat("_", 32), 400, "invalid_parameter", "after", "cursor", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?limit=99999999999999999999", 400, "invalid_parameter", "limit", "200", ""},
			{plugintest.Root, "GET", "/threadline/v1/timeline?ip=fe80::1%25%25", 200, "", "", "", ""},
			{plugintest.Root, "GET", "/threadline/v1/actors/user/a%2Fb%20%27%22", 200, "", "", "", ""},
			{plugintest.Root, "HEAD", "/threadline/v1/timeline", 200, "", "", "", ""},
		} {
			a := do(t, r, c.who, c.method, c.target)
			if a.status != c.status {
				t.Errorf("%s %.80s: %d %s, want %d", c.method, c.target, a.status, a.body, c.status)
				continue
			}
			if cc := a.header.Get("Cache-Control"); cc != "no-store" {
				t.Errorf("%s %.80s: Cache-Control %q", c.method, c.target, cc)
			}
			if c.status == http.StatusOK {
				continue
			}
			var p struct {
				Type, Title, Detail, Code, Field string
				Status                           int
			}
			if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %.80s: %q %s: %v", c.method, c.target, a.header.Get("Content-Type"), a.body, err)
			}
			if p.Type != "about:blank" || p.Title != http.StatusText(c.status) || p.Status != c.status || p.Code != c.code || p.Detail == "" ||
				!strings.Contains(p.Detail, c.says) || (c.field != "" && p.Field != c.field) || a.header.Get("Allow") != c.hdr {
				t.Errorf("%s %.80s: %s", c.method, c.target, a.body)
			}
			for _, leak := range []string{"SQL", "SELECT", "threadline_", "pq:", "ERROR", "goroutine", "panic"} {
				if strings.Contains(string(a.body), leak) {
					t.Errorf("%s %.80s shows its inside: %s", c.method, c.target, a.body)
				}
			}
		}
	})
}

// TestAuthorization is the table of who sees which entry how, by every way to it.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	ada, rob, root := user(plugintest.Ada), user(bob), user(plugintest.Root)
	secret := func(r *pluginsdk.AuditRow) {
		r.IP, r.UserAgent, r.SessionID, r.RequestID, r.CorrelationID, r.AuthMethod = "203.0.113.99", "SecretBrowser", "secret-session", "secret-request", "secret-correlation", "secret-method"
		r.Metadata = map[string]any{"secret-key": "secret-value"}
		if r.Actor.ID != plugintest.Ada.UserID {
			r.Actor.Display = "secret-label"
		}
	}
	rows := map[string]pluginsdk.AuditRow{}
	for name, change := range map[string]func(*pluginsdk.AuditRow){
		"ada herself":         func(r *pluginsdk.AuditRow) {},
		"bob himself":         func(r *pluginsdk.AuditRow) { r.Actor, r.Targets = rob, []pluginsdk.Ref{rob} },
		"root to ada":         func(r *pluginsdk.AuditRow) { r.Actor, r.Targets = root, []pluginsdk.Ref{ada}; secret(r) },
		"root to ada and bob": func(r *pluginsdk.AuditRow) { r.Actor, r.Targets = root, []pluginsdk.Ref{ada, rob}; secret(r) },
		"bob to ada":          func(r *pluginsdk.AuditRow) { r.Actor, r.Targets = rob, []pluginsdk.Ref{ada}; secret(r) },
		"bob as ada":          func(r *pluginsdk.AuditRow) { r.Impersonator = &rob; secret(r) },
		"anonymous to ada":    func(r *pluginsdk.AuditRow) { r.Actor = pluginsdk.Ref{Type: "anonymous"} },
		"nobody":              func(r *pluginsdk.AuditRow) { r.Actor, r.Targets = pluginsdk.Ref{Type: "system"}, nil },
		"a service, ada's id": func(r *pluginsdk.AuditRow) { r.Actor.Type, r.Targets = "service_account", nil },
		"operator to ada in org": func(r *pluginsdk.AuditRow) {
			r.Actor = pluginsdk.Ref{Type: "operator", ID: "root"}
			r.Targets = append(r.Targets, pluginsdk.Ref{Type: "organization", ID: "o9"})
		},
	} {
		rows[name] = event(len(rows), change)
	}
	const (
		none   = "not at all"
		whole  = "whole"
		masked = "masked"
	)
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		for _, row := range rows {
			must(t, r, 1, 0, 0, 0, row)
		}
		for _, c := range []struct{ name, ada, bob string }{
			{"ada herself", whole, none}, {"bob himself", none, whole}, {"root to ada", masked, none}, {"root to ada and bob", masked, masked},
			{"bob to ada", masked, whole}, {"bob as ada", masked, whole}, {"anonymous to ada", whole, none}, {"nobody", none, none},
			{"a service, ada's id", none, none}, {"operator to ada in org", masked, none},
		} {
			row := rows[c.name]
			for _, w := range []struct {
				who  *pluginsdk.Principal
				want string
			}{{plugintest.Ada, c.ada}, {bob, c.bob}, {plugintest.Root, whole}} {
				one := get(t, r, w.who, "/threadline/v1/entries/"+row.ID)
				html := get(t, r, w.who, "/threadline/entries/"+row.ID)
				if (w.want == none) != (one.status == http.StatusNotFound) || one.status != html.status {
					t.Errorf("%s: %s gets %d and the page %d, want it %s", c.name, w.who.Email, one.status, html.status, w.want)
				}
				// Every list, asked for in every way: found where it is to be seen, and not by what is hidden.
				ways := map[string]bool{ // whether a masked entry is found so
					"timeline": true, "actors/" + row.Actor.Type + "/" + row.Actor.ID: row.Actor.ID == w.who.UserID,
					"timeline?action=" + row.Action: true, "timeline?category=" + row.Category: true, "timeline?outcome=success": true,
					"timeline?session=" + row.SessionID: false, "timeline?request=" + row.RequestID: false, "timeline?ip=" + row.IP: false,
					"timeline?ip=0.0.0.0/0": false, "timeline?from=2026-01-01": true,
				}
				if row.CorrelationID != "" {
					ways["timeline?correlation="+row.CorrelationID] = false
				}
				if row.Impersonator != nil {
					ways["actors/user/"+row.Impersonator.ID] = false
				}
				for _, tg := range row.Targets {
					ways["resources/"+tg.Type+"/"+tg.ID] = tg.ID == w.who.UserID || tg.Type == "organization"
					ways["timeline?about="+url.QueryEscape(tg.Type+":"+tg.ID)] = tg.ID == w.who.UserID || tg.Type == "organization"
				}
				if row.Actor.ID == "" {
					delete(ways, "actors/"+row.Actor.Type+"/"+row.Actor.ID)
				}
				for way, maskedFound := range ways {
					a := get(t, r, w.who, "/threadline/v1/"+way)
					if a.status != http.StatusOK {
						t.Fatalf("%s: %d %s", way, a.status, a.body)
					}
					found := strings.Contains(string(a.body), row.ID)
					if want := w.want == whole || w.want == masked && maskedFound; found != want {
						t.Errorf("%s: %s by %s: found %v, want %v", c.name, w.who.Email, way, found, want)
					}
				}
				if w.want == masked {
					bodies := map[string][]byte{"the API": one.body, "the page": html.body}
					if w.who == plugintest.Ada { // bob has some of these in entries of his own
						bodies["the list"] = get(t, r, w.who, "/threadline?from=2026-01-01").body
					}
					for what, body := range bodies {
						for _, hidden := range []string{"203.0.113.99", "ecretBrowser", "secret-", row.Actor.Display, root.ID} {
							if hidden != "" && strings.Contains(string(body), hidden) {
								t.Errorf("%s: %s shows %s %q:\n%s", c.name, what, w.who.Email, hidden, body)
							}
						}
						if w.who == plugintest.Ada && what != "the list" && strings.Contains(string(body), bob.UserID) {
							t.Errorf("%s: %s shows bob to ada:\n%s", c.name, what, body)
						}
					}
				}
			}
		}
		// A service account sees what it did itself, and not what the user with the same id did.
		sa := &pluginsdk.Principal{Kind: "service_account", UserID: plugintest.Ada.UserID}
		if p := timeline(t, r, sa); len(p.Entries) != 1 || p.Entries[0].AuditID != rows["a service, ada's id"].ID {
			t.Errorf("the service account sees %+v", p.ids())
		}
		// The control socket's operator is an administrator without a user.
		if p := timeline(t, r, &pluginsdk.Principal{Kind: "operator", Administrator: true}); len(p.Entries) != len(rows) {
			t.Errorf("the operator sees %d of %d", len(p.Entries), len(rows))
		}
	})
}

func TestAPI_pages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		if a := get(t, r, plugintest.Root, "/threadline/v1/timeline"); string(a.body) != "{\"entries\":[]}\n" {
			t.Errorf("nothing is %s", a.body)
		}
		if st := status(t, r); st.LastIngested != nil || st.Entries != 0 {
			t.Errorf("nothing is %+v", st)
		}
		rows := plugintest.RowsFrom(0, 5)
		must(t, r, 5, 0, 0, 0, rows...)
		first := timeline(t, r, plugintest.Ada, "limit", "2")
		if first.Prev != "" || first.Next == "" || first.Entries[0].AuditID != rows[4].ID {
			t.Errorf("%+v", first)
		}
		// Nothing precedes the first entry yet; when something does, the same place finds it.
		second := timeline(t, r, plugintest.Ada, "limit", "2", "after", first.Next)
		head := timeline(t, r, plugintest.Ada, "limit", "2", "before", second.Prev)
		if head.Prev != "" || head.ids()[0] != rows[4].ID {
			t.Errorf("%+v", head)
		}
		if p := timeline(t, r, plugintest.Ada, "limit", "5"); p.Next != "" || len(p.Entries) != 5 {
			t.Errorf("a full last page: %+v", p)
		}
		var st threadline.Status
		if st = status(t, r); st.Entries != 5 || st.Position != rows[4].Position || !st.LastOccurred.Equal(rows[4].OccurredAt) {
			t.Errorf("%+v", st)
		}
	})
}
