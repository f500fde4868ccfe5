package rule_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// FuzzParse: no definitions make the compiler fail or run away, and what compiles can be decided, explained and written down again.
func FuzzParse(f *testing.F) {
	f.Add(flagged(`{"attribute": "x", "operator": "equals", "value": "a"}`))
	f.Add(`{"segments": {"a": {"not": {"segment": "a"}}}, "flags": {}}`)
	f.Add(`{"flags": {"f": {` + head + `, "variants": {"a": 1, "b": 2}, "off": "a", "default": "b", "rules": [{"percentage": 1.5, "split": [{"weight": 1, "value": "a"}], "hash": "flagd"}]}}}`)
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
			for _, a := range []rule.Map{{}, {"user.id": "ada", "x": "a"}} {
				r, ok := s.Evaluate(key, a, noon)
				if e, _ := s.Explain(key, a, noon); !ok || !json.Valid(r.Value) || string(e.Value) != string(r.Value) {
					t.Fatalf("%s: %+v %+v", key, r, e)
				}
			}
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if d, err = rule.Parse(strings.NewReader(string(again))); err == nil {
			_, err = rule.Compile(1, d)
		}
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

// BenchmarkEvaluate is a flag with one rule that applies.
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

// TestEvaluate_allocates: a flag with a rule, a share, a prerequisite and a target is decided without allocation.
func TestEvaluate_allocates(t *testing.T) {
	s := compile(t, `{"flags": {"base": {`+head+`, "off": false, "default": true}, "f": {`+head+`, "off": false, "default": false, "prerequisites": [{"flag": "base", "value": true}],
		"targets": [{"attribute": "user.id", "values": ["eve"], "value": false}],
		"rules": [{"when": {"all": [{"attribute": "x", "operator": "starts_with", "value": "a"}, {"not": {"attribute": "x", "operator": "semver_gt", "value": "1.0.0"}}]}, "value": true}, {"percentage": 50, "value": true}]}}}`)
	var a rule.Attributes = rule.Map{"user.id": "ada", "x": "1.0.0-rc.1"}
	if n := testing.AllocsPerRun(100, func() { s.Evaluate("f", a, noon) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
