package rule_test

import (
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
		"or a split":                `{"flags": {"f": {` + good + `, "rules": [{"value": true, "split": [{"weight": 1, "value": true}]}]}}}`,
		"all weights":               `{"flags": {"f": {` + good + `, "rules": [{"split": [{"weight": 0, "value": true}]}]}}}`,
		"whole numbers from 0":      `{"flags": {"f": {` + good + `, "rules": [{"split": [{"weight": -1, "value": true}]}]}}}`,
		"holdout is":                `{"flags": {"f": {` + good + `, "rules": [{"value": true, "holdout": 5}]}}}`,
		"hash is one of":            `{"flags": {"f": {` + good + `, "rules": [{"value": true, "hash": "md5"}]}}}`,
		"no percentages":            `{"flags": {"f": {` + good + `, "rules": [{"value": true, "hash": "flagd", "percentage": 5}]}}}`,
		"ends before":               `{"flags": {"f": {` + good + `, "rules": [{"value": true, "from": "2027-01-02T00:00:00Z", "until": "2027-01-01T00:00:00Z"}]}}}`,
		"no variant":                `{"flags": {"f": {` + good + `, "variants": {"a": true}}}}`,
		"is archived":               `{"flags": {"g": {` + good + `, "archived": true}, "f": {` + good + `, "prerequisites": [{"flag": "g", "value": true}]}}}`,
		"prerequisite g: the value": `{"flags": {"g": {` + good + `}, "f": {` + good + `, "prerequisites": [{"flag": "g", "value": "true"}]}}}`,
		"type is one of":            `{"flags": {"f": {` + good + `, "type": "float"}}}`,
		"both texts and numbers":    `{"flags": {"f": {` + good + `, "rules": [{"when": {"attribute": "x", "operator": "in", "value": [1, "1"]}, "value": true}]}}}`,
		"texts and numbers":         `{"flags": {"f": {` + good + `, "rules": [{"when": {"attribute": "x", "operator": "not_in", "value": [null]}, "value": true}]}}}`,
		"no version such as":        `{"flags": {"f": {` + good + `, "rules": [{"when": {"attribute": "x", "operator": "semver_gt", "value": "1.2"}, "value": true}]}}}`,
		"the value is missing":      `{"flags": {"f": {` + good + `, "rules": [{"when": {"attribute": "x", "operator": "not_equals", "value": null}, "value": true}]}}}`,
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
	for _, text := range []string{``, `[]`, `{"flag": {}}`, `{"flags": {}} {}`, `{"flags": {"f": {"rulez": []}}}`, `{"flags": {"f": {"enabled": false, "enabled": true}}}`, `{"flags": {"f": {}, "f": {}}}`} {
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
