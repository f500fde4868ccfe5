package rule_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

var soak = flag.Bool("soak", false, "run the heavy proofs at full size")

const head = `"kind": "release", "owner": "ada", "review_by": "2027-01-01", "enabled": true`

// evaluate gives "value reason rule", and holds Explain against it.
func evaluate(t *testing.T, s *rule.Snapshot, key string, a rule.Map, now time.Time) string {
	t.Helper()
	r, _ := s.Evaluate(key, a, now)
	e, lines := s.Explain(key, a, now)
	if string(e.Value) != string(r.Value) || e.Reason != r.Reason || e.Rule != r.Rule || e.Variant != r.Variant || len(lines) == 0 {
		t.Errorf("evaluated %+v, explained %+v by %q", r, e, lines)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Value, r.Reason, r.Rule))
}

// TestBuckets holds what docs/rules.md publishes: nobody may change groups with a release.
func TestBuckets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		salt, subject         string
		share, split, holdout uint64
	}{
		{"new-login", "ada", 8790, 7928, 8131}, {"new-login", "grace", 1184, 5563, 5709}, {"new-login", "Zoë", 7228, 8375, 2348}, {"other", "ada", 6371, 5831, 4349},
	} {
		if a, b, d := rule.Bucket(c.salt, c.subject), rule.SplitBucket(c.salt, c.subject), rule.HoldoutBucket(c.salt, c.subject); a != c.share || b != c.split || d != c.holdout {
			t.Errorf("%s/%s: %d, %d, %d; want %d, %d, %d", c.salt, c.subject, a, b, d, c.share, c.split, c.holdout)
		}
	}
}

// TestOrder: prerequisites before targets before rules before the default, and in each the first that applies.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := compile(t, `{
		"segments": {
			"staff": {"attribute": "user.email_domain", "operator": "equals", "value": "example.com"},
			"outside": {"not": {"segment": "staff"}},
			"abroad": {"all": [{"segment": "outside"}, {"any": [{"attribute": "country", "operator": "not_in", "value": ["NO"]}, {"attribute": "vpn", "operator": "equals", "value": true}]}]}},
		"flags": {
			"base": {`+head+`, "off": "no", "default": "yes", "targets": [{"attribute": "user.id", "values": ["eve"], "value": "no"}]},
			"middle": {`+head+`, "off": 0, "default": 1, "prerequisites": [{"flag": "base", "value": "yes"}]},
			"f": {`+head+`, "off": {"a": 0}, "default": {"a": 1}, "prerequisites": [{"flag": "middle", "value": 1.0}, {"flag": "base", "value": "yes"}],
				"targets": [{"attribute": "user.id", "values": ["ada", "eve"], "value": {"a": 2}}],
				"rules": [
					{"name": "window", "from": "2026-12-01T00:00:00Z", "until": "2026-12-02T00:00:00Z", "value": {"a": 3}},
					{"name": "staff", "when": {"segment": "staff"}, "value": {"a": 4}},
					{"when": {"segment": "abroad"}, "value": {"a": 5}}]}}}`)
	december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		a    rule.Map
		at   time.Time
		want string
	}{
		{rule.Map{}, noon, `{"a": 1} default`},
		{rule.Map{"user": map[string]any{"id": "ada"}}, noon, `{"a": 2} target user.id`},
		{rule.Map{"user.id": "eve"}, noon, `{"a": 0} prerequisite middle`},
		{rule.Map{"user.id": "ada"}, december, `{"a": 2} target user.id`},
		{rule.Map{"user.email_domain": "example.com"}, december, `{"a": 3} rule window`},
		{rule.Map{"user.email_domain": "example.com"}, december.Add(24 * time.Hour), `{"a": 4} rule staff`},
		{rule.Map{"user.email_domain": "example.com"}, december.Add(-1), `{"a": 4} rule staff`},
		{rule.Map{"user.email_domain": "example.org", "country": "SE"}, noon, `{"a": 5} rule 3`},
		{rule.Map{"user.email_domain": "example.org", "country": "NO", "vpn": true}, noon, `{"a": 5} rule 3`},
		{rule.Map{"user.email_domain": "example.org", "country": "NO"}, noon, `{"a": 1} default`},
		{rule.Map{"user.email_domain": "example.org"}, noon, `{"a": 1} default`}, // a country that is not known is not abroad
		{rule.Map{"country": "SE"}, noon, `{"a": 1} default`},                    // and who may be staff is not outside
	} {
		if got := evaluate(t, s, "f", c.a, c.at); got != c.want {
			t.Errorf("%v at %s: %s, want %s", c.a, c.at, got, c.want)
		}
	}
	if got := evaluate(t, s, "none", nil, noon); got != "flag_not_found" {
		t.Error(got)
	}
	if f := s.Flags(); f[0].Key != "base" || strings.Join(f[0].NeededBy, " ") != "f middle" || f[0].Type != "string" || f[1].Type != "json" {
		t.Errorf("%+v", f)
	}
}

// TestVariants: with variants, every value is a name; splits and holdouts come out as their weights, and independently of the share.
func TestVariants(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"flags": {
		"f": {"kind": "experiment", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "type": "json", "off": "control", "default": "control",
			"variants": {"control": {"color": "red"}, "b": {"color": "green"}, "c": []},
			"rules": [{"name": "half", "percentage": 50, "split": [{"weight": 1, "value": "control"}, {"weight": 1, "value": "b"}, {"weight": 2, "value": "c"}], "holdout": 10}]},
		"child": {`+head+`, "off": false, "default": true, "prerequisites": [{"flag": "f", "value": "c"}]},
		"gone": {`+head+`, "archived": true, "off": false, "default": true}}}`)
	count := map[string]int{}
	for i := range 10_000 {
		a := rule.Map{"user.id": fmt.Sprint("user", i)}
		r, _ := s.Evaluate("f", a, noon)
		count[r.Reason+" "+r.Variant]++
		if child, _ := s.Evaluate("child", a, noon); (string(child.Value) == "true") != (r.Variant == "c") {
			t.Fatalf("%+v of %+v", child, r)
		}
	}
	for what, want := range map[string]int{"default control": 5000, "holdout control": 500, "split control": 1125, "split b": 1125, "split c": 2250} {
		if got := count[what]; got < want-want/7 || got > want+want/7 {
			t.Errorf("%s: %d of 10000, want about %d", what, got, want)
		}
	}
	if got := evaluate(t, s, "f", rule.Map{}, noon); got != `{"color": "red"} default` {
		t.Error(got)
	}
	if _, found := s.Evaluate("gone", nil, noon); found || len(s.Keys()) != 2 || len(s.Flags()) != 3 {
		t.Error("an archived flag is evaluated, or not listed")
	}
}

// TestStale: a flag is looked at again when its day is past, or when everybody gets the same from it.
func TestStale(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"flags": {
		"all": {`+head+`, "off": false, "default": true, "rules": [{"percentage": 10, "value": true}]},
		"meant": {`+head+`, "permanent": true, "off": false, "default": true, "rules": [{"value": true}]},
		"some": {`+head+`, "off": false, "default": false, "rules": [{"percentage": 10, "value": true}]}}}`)
	for key, want := range map[string]string{"all": "it gives everybody the same value", "meant": "", "some": ""} {
		for _, f := range s.Flags() {
			if f.Key == key && f.Stale(noon) != want {
				t.Errorf("%s: %q", key, f.Stale(noon))
			}
			if late := f.Stale(time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)); late != "its review was due on 2027-01-01" {
				t.Errorf("%s: %q", key, late)
			}
		}
	}
}

// TestSwap: while versions are swapped under readers, each answer is of one version, and nobody sees an earlier one again.
func TestSwap(t *testing.T) {
	t.Parallel()
	swaps := int64(1000)
	if *soak {
		swaps = 10_000
	}
	var flags []string
	for i := range 3 {
		flags = append(flags, fmt.Sprintf(`"f%d": {%s, "off": 0, "default": 0}`, i, head))
	}
	d, err := rule.Parse(strings.NewReader(`{"flags": {` + strings.Join(flags, ",") + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	var at atomic.Pointer[rule.Snapshot]
	publish := func(n int64) {
		next := rule.Definitions{Flags: map[string]rule.Flag{}}
		for key, f := range d.Flags {
			f.Default = json.RawMessage(fmt.Sprint(n))
			next.Flags[key] = f
		}
		s, err := rule.Compile(n, next)
		if err != nil {
			t.Error(err)
		}
		at.Store(s)
	}
	publish(1)
	var readers sync.WaitGroup
	var done atomic.Bool
	for range 8 {
		readers.Go(func() {
			var last int64
			for !done.Load() {
				s := at.Load()
				if s.Version < last {
					t.Errorf("version %d after %d", s.Version, last)
				}
				last = s.Version
				for _, key := range []string{"f0", "f1", "f2"} {
					if r, ok := s.Evaluate(key, rule.Map{}, noon); !ok || string(r.Value) != fmt.Sprint(last) {
						t.Errorf("%s of version %d is %s", key, last, r.Value)
						return
					}
				}
			}
		})
	}
	for n := range swaps {
		publish(n + 2)
	}
	done.Store(true)
	readers.Wait()
}
