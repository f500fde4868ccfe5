package threadline_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs f on a fresh database of either kind. Without a Postgres server the test fails: half of it would be missing.
func each(t *testing.T, f func(t *testing.T, at pluginsdk.Location)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, plugintest.SQLiteAt(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, postgres(t))
	})
}

func postgres(t testing.TB) pluginsdk.Location {
	t.Helper()
	if os.Getenv(plugintest.PostgresEnv) == "" {
		t.Fatalf("%s is not set: run the tests by `make quick PKG=./plugins/...`, which makes a server for them", plugintest.PostgresEnv)
	}
	at, _ := plugintest.PostgresAt(t)
	return at
}

// run starts Threadline on a database.
func run(t testing.TB, at pluginsdk.Location) *plugintest.Running {
	t.Helper()
	return plugintest.Start(t, threadline.New(), plugintest.Config{Storage: &at})
}

// People beside plugintest.Ada and plugintest.Root.
var bob = &pluginsdk.Principal{Kind: "user", UserID: "0195a4c5-0000-7000-8000-000000000b0b", SessionID: "0195a4c5-0000-7000-8000-00000000b0b5", Email: "bob@example.com"}

func user(p *pluginsdk.Principal) pluginsdk.Ref { return pluginsdk.Ref{Type: "user", ID: p.UserID} }

// event is a row with everything in it, n seconds after the epoch; change makes it another.
func event(n int, change func(*pluginsdk.AuditRow)) pluginsdk.AuditRow {
	r := pluginsdk.AuditRow{
		ID: uuid.Must(uuid.NewV7()).String(), OccurredAt: plugintest.Epoch.Add(time.Duration(n) * time.Second), Action: "auth.login.success",
		Category: "authentication", CRUD: "c", Outcome: "success", Actor: user(plugintest.Ada), Targets: []pluginsdk.Ref{user(plugintest.Ada)},
		SessionID: plugintest.Ada.SessionID, RequestID: fmt.Sprintf("req-%d", n), IP: "192.0.2.7", UserAgent: "curl/8.0", AuthMethod: "pwd",
		Position: fmt.Sprintf("%020d", n),
	}
	if change != nil {
		change(&r)
	}
	return r
}

// must delivers rows and wants them taken so.
func must(t testing.TB, r *plugintest.Running, inserted, duplicate, conflict, refused int, rows ...pluginsdk.AuditRow) pluginsdk.RecordResponse {
	t.Helper()
	rec, err := r.Record(t.Context(), rows...)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Inserted != inserted || rec.Duplicate != duplicate || rec.Conflict != conflict || len(rec.Refused) != refused {
		t.Fatalf("%d rows: %+v, want %d inserted, %d duplicate, %d in conflict, %d refused", len(rows), rec, inserted, duplicate, conflict, refused)
	}
	return rec
}

// answer is what an API call gave.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func get(t testing.TB, r *plugintest.Running, who *pluginsdk.Principal, target string) answer {
	t.Helper()
	return do(t, r, who, http.MethodGet, target)
}

func do(t testing.TB, r *plugintest.Running, who *pluginsdk.Principal, method, target string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://sigra"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.Client(who).Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// page is a page of a timeline as the API gives it.
type page struct {
	Entries    []threadline.Entry
	Next, Prev string
}

func (p page) ids() []string {
	out := make([]string, len(p.Entries))
	for i, e := range p.Entries {
		out[i] = e.AuditID
	}
	return out
}

// timeline asks for a page; pairs are the query's parameters.
func timeline(t testing.TB, r *plugintest.Running, who *pluginsdk.Principal, pairs ...string) page {
	t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	a := get(t, r, who, "/threadline/v1/timeline?"+q.Encode())
	if a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", q.Encode(), a.status, a.body)
	}
	var p page
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// walk reads all pages of a timeline, forwards.
func walk(t testing.TB, r *plugintest.Running, who *pluginsdk.Principal, pairs ...string) []threadline.Entry {
	t.Helper()
	var out []threadline.Entry
	for at := ""; ; {
		p := timeline(t, r, who, append([]string{"after", at}, pairs...)...)
		out = append(out, p.Entries...)
		if at = p.Next; at == "" {
			return out
		}
	}
}

// status is the projection's, as an administrator sees it.
func status(t testing.TB, r *plugintest.Running) (st threadline.Status) {
	t.Helper()
	a := get(t, r, plugintest.Root, "/threadline/v1/status")
	if err := json.Unmarshal(a.body, &st); err != nil || a.status != http.StatusOK {
		t.Fatalf("status: %d %s: %v", a.status, a.body, err)
	}
	return st
}
