package accrue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// expected is what a sequence of the conformance data must come to.
type expected struct {
	Subscriptions map[string]struct {
		Status   string    `json:"status"`
		Seats    *int64    `json:"seats"`
		CancelAt time.Time `json:"cancel_at"`
	} `json:"subscriptions"`
	Decisions []struct {
		At       time.Time `json:"at"`
		Account  string    `json:"account"`
		Entitled bool      `json:"entitled"`
		Plan     *string   `json:"plan"`
		Seats    *int64    `json:"seats"`
		Features []string  `json:"features"`
		Until    time.Time `json:"until"`
	} `json:"decisions"`
	Accounts    map[string]string `json:"accounts"`
	NotAccounts map[string]string `json:"not_accounts"`
	Alerts      []string          `json:"alerts"`
	Stored      *int              `json:"stored_events"`
	Rows        *int              `json:"ledger_rows_for_event"`
	Orphans     *int              `json:"orphans"`
	Upcoming    []struct {
		At    time.Time `json:"at"`
		Seats int64     `json:"seats"`
	} `json:"upcoming"`
	Seats *struct {
		Limit     *int64 `json:"limit"`
		Used      *int64 `json:"used"`
		Over      *int64 `json:"over"`
		NewMember string `json:"new_member"`
	} `json:"seats"`
}

// differences lists what is other than it must be.
func (w expected) differences(got replayed) (out []string) {
	differ := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for id, s := range w.Subscriptions {
		if g, ok := got.Subscriptions[id]; !ok || g.Status != s.Status || s.Seats != nil && g.Seats != *s.Seats || !s.CancelAt.IsZero() && !g.CancelAt.Equal(s.CancelAt) {
			differ("subscription %s is %+v", id, g)
		}
	}
	if w.Subscriptions != nil && len(w.Subscriptions) == 0 && len(got.Subscriptions) > 0 {
		differ("there are subscriptions: %+v", got.Subscriptions)
	}
	for _, d := range w.Decisions {
		i := slices.IndexFunc(got.Decisions, func(g decisionResult) bool { return g.At.Equal(d.At) && g.Account == d.Account })
		if i < 0 {
			differ("no decision on %s at %s", d.Account, d.At)
			continue
		}
		g := got.Decisions[i]
		if g.Entitled != d.Entitled || d.Plan != nil && g.Plan != *d.Plan || d.Seats != nil && (g.Seats == nil || *g.Seats != *d.Seats) ||
			!d.Until.IsZero() && !g.Until.Equal(d.Until) {
			differ("decision on %s at %s: %+v", d.Account, d.At, g)
		}
		for _, f := range d.Features {
			if !slices.Contains(g.Features, f) {
				differ("feature %s is missing: %v", f, g.Features)
			}
		}
	}
	for c, a := range w.Accounts {
		if got.Accounts[c] != a {
			differ("customer %s is %q", c, got.Accounts[c])
		}
	}
	for c, a := range w.NotAccounts {
		if got.Accounts[c] == a {
			differ("customer %s took %q", c, a)
		}
	}
	for _, a := range w.Alerts {
		if !slices.Contains(got.Alerts, a) {
			differ("no alert %s: %v", a, got.Alerts)
		}
	}
	for name, x := range map[string]struct {
		want *int
		got  int
	}{"stored events": {w.Stored, got.StoredEvents}, "ledger rows": {w.Rows, got.LedgerRows}, "orphans": {w.Orphans, got.Orphans}} {
		if x.want != nil && *x.want != x.got {
			differ("%s: %d", name, x.got)
		}
	}
	for i, u := range w.Upcoming {
		if i >= len(got.Upcoming) || !got.Upcoming[i].At.Equal(u.At) || got.Upcoming[i].Seats != u.Seats {
			differ("upcoming: %+v", got.Upcoming)
		}
	}
	if s := w.Seats; s != nil {
		g := got.Seats
		if g == nil || s.Limit != nil && (g.Limit == nil || *g.Limit != *s.Limit) || s.Used != nil && g.Used != *s.Used || s.Over != nil && g.Over != *s.Over ||
			s.NewMember != "" && g.NewMember != s.NewMember {
			differ("seats: %+v", g)
		}
	}
	return out
}

// sequenceFile is one of conformance data.
type sequenceFile struct {
	config    *ledgerConfig
	sequences []sequence
	expect    []expected
	effects   [][]string // of the deliveries, as they come in the file; empty: not said
}

func readSequenceFile(t testing.TB, name string) (f sequenceFile) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if f.config, f.sequences, err = readSequences(b); err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Cases []struct {
			Expect     expected `json:"expect"`
			Deliveries []struct {
				Expect struct {
					Effect string `json:"effect"`
				} `json:"expect"`
			} `json:"deliveries"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	for _, c := range raw.Cases {
		f.expect = append(f.expect, c.Expect)
		var effects []string
		for _, d := range c.Deliveries {
			effects = append(effects, d.Expect.Effect)
		}
		f.effects = append(f.effects, effects)
	}
	return f
}

// permutations calls f with every order of n things.
func permutations(n int, f func([]int)) {
	order := make([]int, 0, n)
	var next func()
	next = func() {
		if len(order) == n {
			f(slices.Clone(order))
			return
		}
		for i := range n {
			if !slices.Contains(order, i) {
				order = append(order, i)
				next()
				order = order[:len(order)-1]
			}
		}
	}
	next()
}

func clearLedger(ctx context.Context, t testing.TB, r *replayer) {
	t.Helper()
	for _, table := range []string{"accrue_event", "accrue_subscription", "accrue_grant", "accrue_organization", "accrue_seat", "accrue_webhook", "accrue_link"} {
		if _, err := r.store.db.ExecContext(ctx, "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplay_sequences takes every history of the conformance data as it came, and then in every order, with each delivery made twice: at
// once, and again after all others.
func TestReplay_sequences(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r, closing, err := newReplayer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	if _, err := r.store.db.ExecContext(ctx, "PRAGMA synchronous = off"); err != nil {
		t.Fatal(err)
	}
	r.store.db.SetMaxOpenConns(1)
	for name, atLeast := range map[string]int{"stripe": 32, "paddle": 12} {
		f := readSequenceFile(t, "testdata/"+name+"/sequences.json")
		if len(f.sequences) < atLeast {
			t.Errorf("%s: only %d sequences", name, len(f.sequences))
		}
		for i, seq := range f.sequences {
			run := func(how string, s sequence) replayed {
				clearLedger(ctx, t, r)
				got, err := r.run(ctx, s, f.config)
				if err != nil {
					t.Fatalf("%s %s: %v", seq.ID, how, err)
				}
				if d := f.expect[i].differences(got); len(d) > 0 {
					t.Errorf("%s (%s) %s:\n\t%s", seq.ID, seq.Title, how, strings.Join(d, "\n\t"))
				}
				return got
			}
			got := run("as it came", seq)
			for n, want := range f.effects[i] {
				if d := got.Deliveries[n]; d.Result != "accept" || want != "" && d.Effect != want {
					t.Errorf("%s: delivery %d: %+v, want %s", seq.ID, n+1, d, want)
				}
			}
			permutations(len(seq.Deliveries), func(order []int) {
				s := seq
				s.Deliveries = nil
				for _, k := range order {
					s.Deliveries = append(s.Deliveries, seq.Deliveries[k], seq.Deliveries[k])
				}
				for _, k := range order {
					s.Deliveries = append(s.Deliveries, seq.Deliveries[k])
				}
				run(fmt.Sprint("in the order ", order), s)
			})
		}
	}
}

// TestOffline runs both commands as people do.
func TestOffline(t *testing.T) {
	t.Parallel()
	run := func(name string, arguments ...string) (string, error) {
		for _, c := range New().Manifest().Commands {
			if c.Name == name {
				var out bytes.Buffer
				err := c.Offline(t.Context(), &pluginsdk.CommandCall{Name: name, Arguments: arguments, Stdout: &out, JSON: true})
				return out.String(), err
			}
		}
		return "", os.ErrNotExist
	}
	signatures := "provider/testdata/stripe/signatures.json"
	out, err := run("webhook verify", "--provider", "stripe", signatures)
	if n := strings.Count(out, "\n"); err != nil || n < 42 || strings.Contains(out, `"differs":true`) || strings.Count(out, `"effect":"duplicate"`) != 2 {
		t.Errorf("%d verdicts: %v", n, err)
	}
	// With other settings nothing is genuine any more.
	settings := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(settings, []byte(`{"secrets": ["whsec_another"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err = run("webhook verify", "--provider", "stripe", "--settings", settings, "--at", "1795435200", signatures); err == nil || strings.Contains(out, `"result":"accept"`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = run("replay", "testdata/paddle/sequences.json"); err != nil || strings.Count(out, "\n") < 12 {
		t.Errorf("%v: %s", err, out)
	}
	history := filepath.Join(t.TempDir(), "events.json")
	if err := os.WriteFile(history, []byte(`[{"id": "e1", "type": "billing.subscription.created", "occurred_at": "2026-11-23T12:00:00Z",
		"data": {"subscription": "s1", "organization_id": "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11", "plan": "team", "seats": 3}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err = run("replay", history); err != nil || !strings.Contains(out, `"entitled":true`) || !strings.Contains(out, `"seats":3`) {
		t.Errorf("%v: %s", err, out)
	}
}
