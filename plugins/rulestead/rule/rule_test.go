package rule_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func compile(t testing.TB, definitions string) *rule.Snapshot {
	t.Helper()
	d, err := rule.Parse(strings.NewReader(definitions))
	if err != nil {
		t.Fatal(err)
	}
	s, err := rule.Compile(1, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// flagged is a boolean flag with one rule.
func flagged(when string) string {
	return `{"flags": {"f": {"kind": "release", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": false, "default": false,
		"rules": [{"when": ` + when + `, "value": true}]}}}`
}

// TestOperators holds each operator against a value that fits, one that doesn't, and one of another type.
func TestOperators(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		operator, operand string
		fits, fails       any
	}{
		{"equals", `"a"`, "a", "b"}, {"equals", `1`, 1.0, 2.0}, {"equals", `true`, true, false}, {"not_equals", `"a"`, "b", "a"},
		{"in", `["a","b"]`, "b", "c"}, {"in", `["a"]`, []string{"x", "a"}, []string{"x"}}, {"not_in", `["a"]`, "b", "a"},
		{"contains", `"b"`, "abc", "xyz"}, {"contains", `"b"`, []string{"b"}, []string{"bb"}}, {"not_contains", `"b"`, "xyz", "abc"},
		{"starts_with", `"a"`, "ab", "ba"}, {"ends_with", `"a"`, "ba", "ab"}, {"matches", `"^a+$"`, "aaa", "ab"}, {"not_matches", `"^a+$"`, "ab", "aaa"},
		{"gt", `1`, 1.5, 1.0}, {"gte", `1`, 1.0, 0.5}, {"lt", `1`, 0.5, 1.0}, {"lte", `1`, 1.0, 1.5},
		{"before", `"2026-01-01T00:00:00Z"`, "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"}, {"after", `"2026-01-01T00:00:00Z"`, "2026-01-01T01:30:00+01:00", "2026-01-01T00:30:00+01:00"},
		{"in_network", `["192.0.2.0/24","2001:db8::/32"]`, "::ffff:192.0.2.9", "198.51.100.1"}, {"exists", `true`, "x", nil}, {"exists", `false`, nil, "x"},
	} {
		s := compile(t, flagged(fmt.Sprintf(`{"attribute": "x", "operator": %q, "value": %s}`, c.operator, c.operand)))
		not := compile(t, flagged(fmt.Sprintf(`{"not": {"attribute": "x", "operator": %q, "value": %s}}`, c.operator, c.operand)))
		value := func(s *rule.Snapshot, x any) string {
			a := rule.Map{}
			if x != nil {
				a["x"] = x
			}
			r, _ := s.Evaluate("f", a, noon)
			return string(r.Value)
		}
		if got := value(s, c.fits); got != "true" {
			t.Errorf("%s %s of %v: %s", c.operator, c.operand, c.fits, got)
		}
		if got := value(s, c.fails); got != "false" {
			t.Errorf("%s %s of %v: %s", c.operator, c.operand, c.fails, got)
		}
		if got := value(not, c.fails); got != "true" {
			t.Errorf("not %s %s of %v: %s", c.operator, c.operand, c.fails, got)
		}
		if c.operator == "exists" {
			continue
		}
		// Missing, null and of another type: neither the operator nor its negation applies.
		for _, x := range []any{nil, map[string]any{}, []any{1.0}, "", []string{}} {
			if value(s, x) != "false" || value(not, x) != "false" {
				t.Errorf("%s %s of %v: %s, negated %s", c.operator, c.operand, x, value(s, x), value(not, x))
			}
		}
		wrong := any(true)
		if c.operand == "true" {
			wrong = "true"
		}
		if value(s, wrong) != "false" || value(not, wrong) != "false" {
			t.Errorf("%s %s of %v (another type): %s, negated %s", c.operator, c.operand, wrong, value(s, wrong), value(not, wrong))
		}
	}
}

// TestBucket holds the buckets that docs/rules.md publishes: nobody may change groups with a release.
func TestBucket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		salt, subject string
		want          uint64
	}{{"new-login", "ada", 8790}, {"new-login", "grace", 1184}, {"new-login", "Zoë", 7228}, {"other", "ada", 6371}} {
		if got := rule.Bucket(c.salt, c.subject); got != c.want {
			t.Errorf("%s/%s: %d, want %d", c.salt, c.subject, got, c.want)
		}
	}
}

// TestPercentage_keeps: whoever is in at a share stays in at a larger one.
func TestPercentage_keeps(t *testing.T) {
	t.Parallel()
	at := func(p float64) *rule.Snapshot {
		return compile(t, fmt.Sprintf(`{"flags": {"f": {"kind": "release", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": false, "default": false,
			"rules": [{"percentage": %g, "value": true}]}}}`, p))
	}
	ten, twenty, in := at(10), at(20), 0
	for i := range 10_000 {
		a := rule.Map{"user.id": fmt.Sprint("user", i)}
		x, _ := ten.Evaluate("f", a, noon)
		y, _ := twenty.Evaluate("f", a, noon)
		if string(x.Value) == "true" {
			in++
			if string(y.Value) != "true" {
				t.Fatalf("user%d is in at 10 %% and not at 20 %%", i)
			}
		}
	}
	if in < 850 || in > 1150 {
		t.Errorf("%d of 10000 are in at 10 %%", in)
	}
	if r, _ := at(99.99).Evaluate("f", rule.Map{}, noon); string(r.Value) != "false" {
		t.Error("nobody in particular is in a share")
	}
}

// TestDecide: of several flags that answer a question the strictest decides; off and default are answers like others.
func TestDecide(t *testing.T) {
	t.Parallel()
	s := compile(t, `{
		"segments": {"acme": {"attribute": "organization.id", "operator": "equals", "value": "acme"}},
		"flags": {
			"a": {"kind": "permission", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "allow", "default": "allow", "gate": {"question": "login", "message": "Not from here."},
				"rules": [{"name": "acme outside", "when": {"all": [{"segment": "acme"}, {"attribute": "ip", "operator": "in_network", "value": ["198.51.100.0/24"]}]}, "value": "deny"}]},
			"b": {"kind": "permission", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "allow", "default": "allow", "gate": {"question": "login"},
				"rules": [{"when": {"segment": "acme"}, "value": "step_up"}]}
		}}`)
	for _, c := range []struct {
		a          rule.Map
		want, flag string
	}{
		{rule.Map{}, "allow", "a"},
		{rule.Map{"organization.id": "acme"}, "step_up", "b"},
		{rule.Map{"organization.id": "acme", "ip": "198.51.100.7"}, "deny", "a"},
		{rule.Map{"organization.id": "other", "ip": "198.51.100.7"}, "allow", "a"},
	} {
		if d := s.Decide("login", c.a, noon); d.Answer != c.want || d.Flag != c.flag {
			t.Errorf("%v: %+v", c.a, d)
		}
	}
	if d := s.Decide("route", rule.Map{}, noon); d.Answer != "allow" || d.Flag != "" || s.Gated("route") {
		t.Errorf("nothing answers: %+v", d)
	}
	_, lines := s.Explain("a", rule.Map{"organization.id": "acme", "ip": "198.51.100.7"}, noon)
	if text := strings.Join(lines, "\n"); !strings.Contains(text, "in segment acme: true") || !strings.Contains(text, `it applies: "deny"`) {
		t.Error(text)
	}
}

// TestCompile_refuses names each mistake and its place.
func TestCompile_refuses(t *testing.T) {
	t.Parallel()
	good := `"kind": "release", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": false, "default": false`
	for want, text := range map[string]string{
		"there is no flag":          `{"flags": {"f": {` + good + `, "prerequisites": [{"flag": "g", "value": true}]}}}`,
		"in a circle":               `{"flags": {"f": {` + good + `, "prerequisites": [{"flag": "g", "value": true}]}, "g": {` + good + `, "prerequisites": [{"flag": "f", "value": true}]}}}`,
		"segments go in a circle":   `{"segments": {"a": {"segment": "b"}, "b": {"not": {"segment": "a"}}}, "flags": {}}`,
		"no segment":                `{"flags": {"f": {` + good + `, "rules": [{"when": {"segment": "a"}, "value": true}]}}}`,
		"another type":              `{"flags": {"f": {` + good + `, "rules": [{"value": "true"}]}}}`,
		"review_by":                 `{"flags": {"f": {"kind": "release", "owner": "ada", "review_by": "soon", "enabled": true, "off": false, "default": false}}}`,
		"kind is one of":            `{"flags": {"f": {"kind": "odd", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": false, "default": false}}}`,
		"steps of 0.01":             `{"flags": {"f": {` + good + `, "rules": [{"percentage": 0.005, "value": true}]}}}`,
		"no such operator":          `{"flags": {"f": {` + good + `, "rules": [{"when": {"attribute": "x", "operator": "like", "value": 1}, "value": true}]}}}`,
		"wrong type":                `{"flags": {"f": {` + good + `, "rules": [{"when": {"attribute": "x", "operator": "gt", "value": "1"}, "value": true}]}}}`,
		"error parsing regexp":      `{"flags": {"f": {` + good + `, "rules": [{"when": {"attribute": "x", "operator": "matches", "value": "("}, "value": true}]}}}`,
		"a condition is one of":     `{"flags": {"f": {` + good + `, "rules": [{"when": {}, "value": true}]}}}`,
		"decides nothing":           `{"flags": {"f": {` + good + `, "rules": [{"when": {"any": []}, "value": true}]}}}`,
		"a gate's value":            `{"flags": {"f": {` + good + `, "gate": {"question": "login"}}}}`,
		"a gate's question":         `{"flags": {"f": {"kind": "permission", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "allow", "default": "allow", "gate": {"question": "logout"}}}}`,
		"whose default is to allow": `{"flags": {"f": {"kind": "permission", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "deny", "default": "deny", "gate": {"question": "login"}, "prerequisites": [{"flag": "g", "value": "allow"}]}, "g": {"kind": "permission", "owner": "ada", "review_by": "2027-01-01", "enabled": true, "off": "allow", "default": "allow", "gate": {"question": "login"}}}}`,
	} {
		d, err := rule.Parse(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if _, err := rule.Compile(1, d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	for _, text := range []string{``, `[]`, `{"flag": {}}`, `{"flags": {}} {}`, `{"flags": {"f": {"rulez": []}}}`} {
		if _, err := rule.Parse(strings.NewReader(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// TestEvaluate_total: whatever the attributes are, there is an answer, and Explain's is the same.
func TestEvaluate_total(t *testing.T) {
	t.Parallel()
	s := compile(t, flagged(`{"any": [{"attribute": "a", "operator": "gt", "value": 3}, {"not": {"attribute": "b", "operator": "in", "value": ["x"]}}]}`))
	rapid.Check(t, func(t *rapid.T) {
		a := rule.Map{}
		for _, k := range []string{"a", "b"} {
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				a[k] = rapid.String().Draw(t, "text")
			case 1:
				a[k] = rapid.Float64().Draw(t, "number")
			case 2:
				a[k] = rapid.Bool().Draw(t, "bool")
			case 3:
				a[k] = rapid.SliceOf(rapid.String()).Draw(t, "list")
			}
		}
		r, found := s.Evaluate("f", a, noon)
		e, lines := s.Explain("f", a, noon)
		if !found || string(r.Value) != string(e.Value) || r.Reason != e.Reason || len(lines) < 2 {
			t.Fatalf("%+v %+v %v", r, e, lines)
		}
	})
}

// FuzzParse: no definitions make the compiler fail or run away, and what compiles can be decided.
func FuzzParse(f *testing.F) {
	f.Add(flagged(`{"attribute": "x", "operator": "equals", "value": "a"}`))
	f.Add(`{"segments": {"a": {"not": {"segment": "a"}}}, "flags": {}}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := rule.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		s, err := rule.Compile(1, d)
		if err != nil {
			return
		}
		for _, key := range s.Keys() {
			if r, ok := s.Evaluate(key, rule.Map{}, noon); !ok || !json.Valid(r.Value) {
				t.Fatalf("%s: %+v", key, r)
			}
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	s := compile(b, flagged(`{"attribute": "user.email_domain", "operator": "equals", "value": "example.com"}`))
	var a rule.Attributes = fixed{rule.TextOf("example.com")}
	b.ReportAllocs()
	for b.Loop() {
		s.Evaluate("f", a, noon)
	}
}

type fixed struct{ v rule.Value }

func (f fixed) Attribute(string) rule.Value { return f.v }
