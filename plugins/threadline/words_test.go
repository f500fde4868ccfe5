package threadline_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestNames_areTheCatalogues(t *testing.T) {
	t.Parallel()
	var actions, categories []string
	for _, a := range plugintest.Catalogue() {
		actions, categories = append(actions, a.Action), append(categories, a.Category)
	}
	slices.Sort(categories)
	if got := slices.Compact(categories); !slices.Equal(got, threadline.Categories) {
		t.Errorf("the catalogue's categories are %v, the form has %v", got, threadline.Categories)
	}
	for action := range threadline.Titles {
		if !slices.Contains(actions, action) {
			t.Errorf("%s has a title and is not in the catalogue", action)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{
		"auth.login.success": "Signed in", "greeter.greeting.change": "Greeting change", "plain": "Plain", "x.": "X ", "": "", ".": " ", "é.über_all": "Über all",
		"a.\u202eb": "\uFFFDb",
	} {
		if got := threadline.Words(action); got != want {
			t.Errorf("%q: %q, want %q", action, got, want)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("auth.login.success")
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{threadline.Words(s), threadline.Plain(s), threadline.Browser(s)} {
			if utf8.ValidString(s) && !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\u202e\u2066\u200b") {
				t.Fatalf("%q became %q", s, got)
			}
		}
	})
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	for ua, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                                   "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0":                                                                    "Firefox on Android",
		"curl/8.14.1": "curl", "Go-http-client/1.1": "a Go program", "": "", "something/1": "",
	} {
		if got := threadline.Browser(ua); got != want {
			t.Errorf("%q: %q, want %q", ua, got, want)
		}
	}
}

// The hash of a row is stored for as long as its entry: if this test fails, every row that comes again would be taken
// for a conflict.
func TestContentHash_staysTheSame(t *testing.T) {
	t.Parallel()
	row := pluginsdk.AuditRow{
		ID: "0195a4c5-0000-7000-8000-000000000001", OccurredAt: time.Date(2026, 3, 14, 9, 26, 53, 589793000, time.UTC), Action: "auth.login.success",
		Category: "authentication", CRUD: "c", Outcome: "success", Reason: "r", Actor: pluginsdk.Ref{Type: "user", ID: "u", Role: "x", Display: "U"},
		Impersonator: &pluginsdk.Ref{Type: "user", ID: "i"}, Targets: []pluginsdk.Ref{{Type: "user", ID: "u"}}, OrganizationID: "o", SessionID: "s",
		RequestID: "q", CorrelationID: "c", IP: "192.0.2.7", UserAgent: "ua", AuthMethod: "pwd", Metadata: map[string]any{"b": 1.0, "a": []any{"x", nil}}, Position: "1",
	}
	const want = "b852859f427b3eefc00b3c0a77d686a65cad4ee6c3c990d3a25994a557060a70"
	got, err := threadline.ContentHash(row)
	if err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	for what, change := range map[string]func(*pluginsdk.AuditRow){
		"id": func(r *pluginsdk.AuditRow) { r.ID = "0195a4c5-0000-7000-8000-000000000002" }, "time": func(r *pluginsdk.AuditRow) { r.OccurredAt = r.OccurredAt.Add(time.Microsecond) },
		"action": func(r *pluginsdk.AuditRow) { r.Action += "x" }, "category": func(r *pluginsdk.AuditRow) { r.Category += "x" }, "crud": func(r *pluginsdk.AuditRow) { r.CRUD = "d" },
		"outcome": func(r *pluginsdk.AuditRow) { r.Outcome = "error" }, "reason": func(r *pluginsdk.AuditRow) { r.Reason = "" }, "actor type": func(r *pluginsdk.AuditRow) { r.Actor.Type = "x" },
		"actor id": func(r *pluginsdk.AuditRow) { r.Actor.ID = "x" }, "actor role": func(r *pluginsdk.AuditRow) { r.Actor.Role = "" }, "label": func(r *pluginsdk.AuditRow) { r.Actor.Display = "" },
		"impersonator": func(r *pluginsdk.AuditRow) { r.Impersonator = nil }, "targets": func(r *pluginsdk.AuditRow) { r.Targets = nil },
		"organization": func(r *pluginsdk.AuditRow) { r.OrganizationID = "" }, "session": func(r *pluginsdk.AuditRow) { r.SessionID = "" }, "request": func(r *pluginsdk.AuditRow) { r.RequestID = "" },
		"correlation": func(r *pluginsdk.AuditRow) { r.CorrelationID = "" }, "ip": func(r *pluginsdk.AuditRow) { r.IP = "" }, "ua": func(r *pluginsdk.AuditRow) { r.UserAgent = "" },
		"method": func(r *pluginsdk.AuditRow) { r.AuthMethod = "" }, "metadata": func(r *pluginsdk.AuditRow) { r.Metadata = map[string]any{"b": 1.0} },
		"a field's end moved": func(r *pluginsdk.AuditRow) { r.SessionID, r.RequestID = "sq", "" },
	} {
		other := row
		change(&other)
		if h, err := threadline.ContentHash(other); err != nil || h == want {
			t.Errorf("another %s, the same hash: %v", what, err)
		}
	}
	row.Position = "2"
	if h, _ := threadline.ContentHash(row); h != want {
		t.Error("the position counts")
	}
}
