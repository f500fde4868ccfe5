package threadline_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// The model: timelines as a filter over a slice, with none of the plugin's code.

// small pools, so that filters meet something.
var (
	people   = []string{plugintest.Ada.UserID, bob.UserID, plugintest.Root.UserID}
	sessions = []string{"", "s1", "s2", "s3"}
	ips      = []string{"", "192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1", "::ffff:192.0.2.1", "not an address"}
	networks = []string{"192.0.2.1", "192.0.2.0/24", "192.0.2.128/25", "0.0.0.0/0", "2001:db8::/32", "::/0"}
	orgs     = []string{"", "o1", "o2"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomRow is a row that n numbers make.
func randomRow(r *rand.Rand) pluginsdk.AuditRow {
	refs := []pluginsdk.Ref{{Type: "anonymous"}, {Type: "system"}, {Type: "operator", ID: "root"}, {Type: "organization", ID: "o1"}, {Type: "plugin", ID: "p"},
		{Type: "session", ID: "s1"}, {Type: "service_account", ID: plugintest.Ada.UserID}}
	for _, p := range people {
		refs = append(refs, pluginsdk.Ref{Type: "user", ID: p, Display: "d"}, pluginsdk.Ref{Type: "user", ID: p})
	}
	a := pick(r, plugintest.Catalogue())
	return event(r.IntN(60), func(row *pluginsdk.AuditRow) {
		row.Action, row.Category, row.CRUD, row.Outcome = a.Action, a.Category, a.CRUD, a.Outcome
		row.Actor, row.Targets = pick(r, refs), nil
		row.Actor.Role = ""
		for range r.IntN(4) {
			row.Targets = append(row.Targets, pick(r, refs))
		}
		if r.IntN(4) == 0 {
			imp := pick(r, refs)
			row.Impersonator = &imp
		}
		row.SessionID, row.RequestID, row.CorrelationID = pick(r, sessions), pick(r, sessions), pick(r, sessions)
		row.IP, row.OrganizationID = pick(r, ips), pick(r, orgs)
	})
}

// seen is a row as somebody sees it; nil when not at all. nil is an administrator.
func seen(row pluginsdk.AuditRow, who *pluginsdk.Principal) *pluginsdk.AuditRow {
	if who.Administrator {
		return &row
	}
	me := func(r pluginsdk.Ref) bool { return r.Type == "user" && r.ID == who.UserID }
	behind, linked := row.Actor, me(row.Actor)
	if row.Impersonator != nil {
		behind, linked = *row.Impersonator, linked || me(*row.Impersonator)
	}
	for _, t := range row.Targets {
		linked = linked || me(t)
	}
	if !linked {
		return nil
	}
	if me(behind) || behind.Type == "anonymous" || behind.Type == "system" {
		return &row
	}
	row.IP, row.SessionID, row.RequestID, row.CorrelationID, row.UserAgent, row.AuthMethod, row.Metadata = "", "", "", "", "", "", nil
	if !me(row.Actor) {
		row.Actor = pluginsdk.Ref{Type: row.Actor.Type}
	}
	if row.Impersonator != nil && !me(*row.Impersonator) {
		row.Impersonator = &pluginsdk.Ref{Type: row.Impersonator.Type}
	}
	row.Targets = slices.DeleteFunc(slices.Clone(row.Targets), func(t pluginsdk.Ref) bool {
		return !me(t) && slices.Contains([]string{"user", "service_account", "operator", "plugin"}, t.Type)
	})
	return &row
}

// matches applies the API's parameters to a row as it is seen.
func matches(row *pluginsdk.AuditRow, q map[string]string) bool {
	named := func(param string, rel string) bool {
		v := q[param]
		if v == "" {
			return true
		}
		is := func(r pluginsdk.Ref) bool { return r.ID != "" && r.Type+":"+r.ID == v }
		did := is(row.Actor) || (row.Impersonator != nil && is(*row.Impersonator))
		done := slices.ContainsFunc(row.Targets, is)
		return rel != "done" && did || rel != "did" && done
	}
	same := func(param, value string) bool { return q[param] == "" || q[param] == value }
	if !named("actor", "did") || !named("target", "done") || !named("about", q["relation"]) ||
		!same("organization", row.OrganizationID) || !same("session", row.SessionID) || !same("request", row.RequestID) ||
		!same("correlation", row.CorrelationID) || !same("action", row.Action) || !same("category", row.Category) || !same("outcome", row.Outcome) ||
		!strings.HasPrefix(row.Action, q["action_prefix"]) {
		return false
	}
	if q["ip"] != "" {
		a, err := netip.ParseAddr(row.IP)
		if err != nil {
			return false
		}
		p, err := netip.ParsePrefix(q["ip"])
		if err != nil {
			p = netip.PrefixFrom(netip.MustParseAddr(q["ip"]), netip.MustParseAddr(q["ip"]).BitLen())
		}
		if !p.Contains(a.Unmap()) && !(p == netip.MustParsePrefix("::/0")) {
			return false
		}
	}
	at := func(param string) time.Time { t, _ := time.Parse(time.RFC3339, q[param]); return t }
	when := row.OccurredAt.Truncate(time.Microsecond)
	return (q["from"] == "" || !when.Before(at("from"))) && (q["to"] == "" || when.Before(at("to")))
}

// answerOf is the model's timeline.
func answerOf(rows []pluginsdk.AuditRow, who *pluginsdk.Principal, q map[string]string) []pluginsdk.AuditRow {
	var out []pluginsdk.AuditRow
	for _, row := range rows {
		if s := seen(row, who); s != nil && matches(s, q) {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b pluginsdk.AuditRow) int {
		c := cmpOr(a.OccurredAt.Compare(b.OccurredAt), strings.Compare(a.ID, b.ID))
		if q["order"] != "asc" {
			c = -c
		}
		return c
	})
	return out
}

func drawQuery(rt *rapid.T) map[string]string {
	refs := []string{"organization:o1", "session:s1", "operator:root", "plugin:p", "service_account:" + plugintest.Ada.UserID, "user:nobody"}
	for _, p := range people {
		refs = append(refs, "user:"+p, "user:"+p)
	}
	var actions, categories []string
	for _, a := range plugintest.Catalogue() {
		actions, categories = append(actions, a.Action), append(categories, a.Category)
	}
	when := func() string {
		return plugintest.Epoch.Truncate(time.Second).Add(time.Duration(rapid.IntRange(0, 61).Draw(rt, "second")) * time.Second).Format(time.RFC3339)
	}
	q := map[string]string{"order": rapid.SampledFrom([]string{"asc", "desc"}).Draw(rt, "order")}
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"actor", "target", "about", "relation", "organization", "session", "request", "correlation",
		"action", "action_prefix", "category", "outcome", "ip", "from", "to"}), 0, 4, func(s string) string { return s }).Draw(rt, "params") {
		switch p {
		case "actor", "target", "about":
			q[p] = rapid.SampledFrom(refs).Draw(rt, p)
		case "relation":
			q[p] = rapid.SampledFrom([]string{"did", "done"}).Draw(rt, p)
		case "organization":
			q[p] = rapid.SampledFrom(orgs[1:]).Draw(rt, p)
		case "session", "request", "correlation":
			q[p] = rapid.SampledFrom(sessions[1:]).Draw(rt, p)
		case "action":
			q[p] = rapid.SampledFrom(actions).Draw(rt, p)
		case "action_prefix":
			q[p] = rapid.SampledFrom([]string{"auth.", "a", "mfa.", "session.revoke", "zzz"}).Draw(rt, p)
		case "category":
			q[p] = rapid.SampledFrom(categories).Draw(rt, p)
		case "outcome":
			q[p] = rapid.SampledFrom([]string{"success", "failure", "error"}).Draw(rt, p)
		case "ip":
			q[p] = rapid.SampledFrom(networks).Draw(rt, p)
		case "from", "to":
			q[p] = when()
		}
	}
	if q["about"] == "" {
		delete(q, "relation")
	}
	if q["to"] != "" && q["from"] >= q["to"] {
		delete(q, "to")
	}
	return q
}

// TestQueries_asTheModelSays asks random questions as an administrator and as two users, and reads the answers forwards
// and backwards.
func TestQueries_asTheModelSays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
		rows := make([]pluginsdk.AuditRow, 150)
		for i := range rows {
			rows[i] = randomRow(rnd)
		}
		must(t, r, len(rows), 0, 0, 0, rows...)
		rapid.Check(t, func(rt *rapid.T) {
			who := rapid.SampledFrom([]*pluginsdk.Principal{plugintest.Ada, bob, plugintest.Root}).Draw(rt, "who")
			q := drawQuery(rt)
			want := answerOf(rows, who, q)
			pairs := []string{"limit", fmt.Sprint(rapid.SampledFrom([]int{9, 50, 200}).Draw(rt, "limit"))}
			for k, v := range q {
				pairs = append(pairs, k, v)
			}
			var ids []string
			for _, row := range want {
				ids = append(ids, row.ID)
			}
			got := walk(t, r, who, pairs...)
			if diff := cmp.Diff(ids, page{Entries: got}.ids()); len(ids)+len(got) > 0 && diff != "" {
				rt.Fatalf("%v:\n%s", q, diff)
			}
			for i, e := range got {
				w := want[i]
				if e.IP != w.IP || e.SessionID != w.SessionID || e.Actor.ID != w.Actor.ID || len(e.Targets) != len(w.Targets) || e.RequestID != w.RequestID {
					rt.Fatalf("entry %d is %+v, want %+v", i, e, w)
				}
			}
			if len(got) > 0 {
				checkBackwards(t, r, who, ids, pairs)
			}
		})
	})
}

// checkBackwards reads from the last page to the first.
func checkBackwards(t testing.TB, r *plugintest.Running, who *pluginsdk.Principal, want, pairs []string) {
	t.Helper()
	var last page
	for at := ""; ; at = last.Next {
		last = timeline(t, r, who, append([]string{"after", at}, pairs...)...)
		if last.Next == "" {
			break
		}
	}
	got := last.ids()
	for p := last; p.Prev != ""; {
		p = timeline(t, r, who, append([]string{"before", p.Prev}, pairs...)...)
		if p.Next == "" {
			t.Fatal("a page before another has no next page")
		}
		got = append(p.ids(), got...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("backwards:\n%s", diff)
	}
}

// TestPaging_staysPutWhileRowsArrive: whoever pages through a timeline sees every entry that was there when they began,
// once and in order, whatever arrives before, between and behind meanwhile.
func TestPaging_staysPutWhileRowsArrive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		rnd := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test
		batch := func(n int) []pluginsdk.AuditRow {
			out := make([]pluginsdk.AuditRow, n)
			for i := range out {
				out[i] = event(rnd.IntN(10), nil) // many at the same instant
			}
			return out
		}
		there := batch(150)
		must(t, r, 150, 0, 0, 0, there...)
		stop := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			for range 100 { // an end, so that a slow reader is not outrun for ever
				select {
				case <-stop:
					return
				default:
					if _, err := r.Record(t.Context(), batch(5)...); err != nil {
						t.Errorf("record: %v", err)
						return
					}
				}
			}
		})
		old := map[string]bool{}
		for _, row := range there {
			old[row.ID] = true
		}
		check := func(what string, got []string, pairs ...string) {
			unique := map[string]bool{}
			for _, id := range got {
				if unique[id] {
					t.Errorf("%s: %s twice", what, id)
				}
				unique[id] = true
			}
			var kept []string
			for _, id := range got {
				if old[id] {
					kept = append(kept, id)
				}
			}
			want := []string{}
			for _, row := range answerOf(there, plugintest.Root, map[string]string{"order": pairs[1]}) {
				want = append(want, row.ID)
			}
			if diff := cmp.Diff(want, kept); diff != "" {
				t.Errorf("%s: what was there at the beginning is not what was read:\n%s", what, diff)
			}
		}
		for _, order := range []string{"asc", "desc"} {
			for _, who := range []*pluginsdk.Principal{plugintest.Root, plugintest.Ada} {
				pairs := []string{"order", order, "limit", "23"}
				var forwards []string
				var last page
				for at := ""; ; at = last.Next {
					last = timeline(t, r, who, append([]string{"after", at}, pairs...)...)
					forwards = append(forwards, last.ids()...)
					if last.Next == "" || len(forwards) > 5000 {
						break
					}
				}
				check("forwards "+order, forwards, pairs...)
				backwards := last.ids()
				for p := last; p.Prev != ""; {
					p = timeline(t, r, who, append([]string{"before", p.Prev}, pairs...)...)
					backwards = append(p.ids(), backwards...)
				}
				check("backwards "+order, backwards, pairs...)
			}
		}
		close(stop)
		group.Wait()
	})
}
