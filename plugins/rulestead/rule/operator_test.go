package rule_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// operators are all of them: the kinds of attributes that each takes, one that fits the operand and one that doesn't. "parsed" is
// text of a certain form.
var operators = []struct {
	operator, operand string
	takes             []string
	fits, fails       any
}{
	{"equals", `"a"`, []string{"text"}, "a", "b"}, {"not_equals", `"a"`, []string{"text"}, "b", "a"},
	{"equals", `1`, []string{"number"}, 1.0, 2.0}, {"not_equals", `1`, []string{"number"}, 2.0, 1.0},
	{"equals", `true`, []string{"bool"}, true, false}, {"not_equals", `true`, []string{"bool"}, false, true},
	{"in", `["a","b"]`, []string{"text", "list"}, "b", "c"}, {"in", `["a"]`, []string{"text", "list"}, []string{"x", "a"}, []string{"x"}},
	{"not_in", `["a"]`, []string{"text", "list"}, "b", "a"}, {"not_in", `["a"]`, []string{"text", "list"}, []any{"x"}, []any{"x", "a"}},
	{"in", `[1,2]`, []string{"number"}, 2.0, 3.0}, {"not_in", `[1,2]`, []string{"number"}, 3.0, 2.0},
	{"contains", `"b"`, []string{"text", "list"}, "abc", "xyz"}, {"contains", `"b"`, []string{"text", "list"}, []string{"b"}, []string{"bb"}}, {"not_contains", `"b"`, []string{"text", "list"}, "xyz", "abc"},
	{"starts_with", `"a"`, []string{"text"}, "ab", "ba"}, {"ends_with", `"a"`, []string{"text"}, "ba", "ab"},
	{"not_starts_with", `"a"`, []string{"text"}, "ba", "ab"}, {"not_ends_with", `"a"`, []string{"text"}, "ab", "ba"},
	{"matches", `"^a+$"`, []string{"text"}, "aaa", "ab"}, {"not_matches", `"^a+$"`, []string{"text"}, "ab", "aaa"},
	{"gt", `1`, []string{"number"}, 1.5, 1.0}, {"gte", `1`, []string{"number"}, 1.0, 0.5}, {"lt", `1`, []string{"number"}, 0.5, 1.0}, {"lte", `1`, []string{"number"}, 1.0, 1.5},
	{"before", `"2026-01-01T00:00:00Z"`, []string{"parsed"}, "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"},
	{"after", `"2026-01-01T00:00:00Z"`, []string{"parsed"}, "2026-01-01T01:30:00+01:00", "2026-01-01T00:30:00+01:00"},
	{"semver_equals", `"1.2.3"`, []string{"parsed"}, "1.2.3+build", "1.2.3-rc.1"}, {"not_semver_equals", `"1.2.3"`, []string{"parsed"}, "1.2.4", "1.2.3"},
	{"semver_gt", `"1.2.3"`, []string{"parsed"}, "1.10.0", "1.2.3"}, {"semver_gte", `"1.2.3"`, []string{"parsed"}, "1.2.3", "1.2.3-rc.1"},
	{"semver_lt", `"2.0.0"`, []string{"parsed"}, "2.0.0-rc.1", "2.0.0"}, {"semver_lte", `"2.0.0"`, []string{"parsed"}, "2.0.0", "2.0.1"},
	{"in_network", `["192.0.2.0/24","2001:db8::/32"]`, []string{"parsed"}, "::ffff:192.0.2.9", "198.51.100.1"},
	{"not_in_network", `["192.0.2.0/24"]`, []string{"parsed"}, "198.51.100.1", "192.0.2.1"},
}

// attribute draws an attribute of a kind; "parsed" is drawn as text that has no form.
var attribute = map[string]*rapid.Generator[any]{
	"text":   rapid.OneOf(rapid.Just[any]("a"), rapid.Just[any]("1"), rapid.Just[any]("true"), rapid.Map(rapid.StringN(1, 20, -1), func(s string) any { return "~" + s })),
	"number": rapid.OneOf(rapid.Just[any](1.0), rapid.Map(rapid.Float64(), func(f float64) any { return f })),
	"bool":   rapid.Map(rapid.Bool(), func(b bool) any { return b }),
	"list":   rapid.Map(rapid.SliceOfN(rapid.String(), 1, 3), func(l []string) any { return l }),
	"none":   rapid.SampledFrom([]any{nil, "", []string{}, []any{}, map[string]any{"a": "a"}, []any{1.0}, []any{"a", nil}, math.NaN(), 7}),
}

// TestOperators: each operator takes what fits and refuses what doesn't, and whatever is missing, null or of another type satisfies
// neither it nor its negation, however that is written. That is what keeps a rule from letting somebody in by what is not known.
func TestOperators(t *testing.T) {
	t.Parallel()
	for _, c := range operators {
		text := fmt.Sprintf(`{"attribute": "x", "operator": %q, "value": %s}`, c.operator, c.operand)
		plain, not := compile(t, flagged(text)), compile(t, flagged(`{"not": `+text+`}`))
		twice, nested := compile(t, flagged(`{"not": {"not": `+text+`}}`)), compile(t, flagged(`{"not": {"any": [{"all": [`+text+`]}]}}`))
		value := func(s *rule.Snapshot, a rule.Map) bool {
			r, _ := s.Evaluate("f", a, noon)
			return string(r.Value) == "true"
		}
		for x, want := range map[*any]bool{&c.fits: true, &c.fails: false} {
			a := rule.Map{"x": *x}
			if value(plain, a) != want || value(twice, a) != want || value(not, a) == want || value(nested, a) == want {
				t.Errorf("%s %s of %v: %v, not %v, not not %v, nested %v", c.operator, c.operand, *x, value(plain, a), value(not, a), value(twice, a), value(nested, a))
			}
		}
		rapid.Check(t, func(t *rapid.T) {
			kind := rapid.SampledFrom([]string{"missing", "none", "text", "number", "bool", "list"}).Draw(t, "kind")
			if slices.Contains(c.takes, kind) {
				t.Skip("it takes these")
			}
			a := rule.Map{}
			if kind != "missing" {
				a["x"] = attribute[kind].Draw(t, "x")
			}
			if value(plain, a) || value(not, a) || value(twice, a) || value(nested, a) {
				t.Fatalf("%s %s of %#v: %v, not %v", c.operator, c.operand, a["x"], value(plain, a), value(not, a))
			}
		})
	}
	for _, c := range []struct {
		operand string
		x       any
		want    string
	}{{"true", "x", "true"}, {"true", nil, "false"}, {"true", "", "false"}, {"true", map[string]any{}, "true"}, {"false", nil, "true"}, {"false", 0.0, "false"}, {"false", false, "false"}} {
		s := compile(t, flagged(`{"attribute": "x", "operator": "exists", "value": `+c.operand+`}`))
		if r, _ := s.Evaluate("f", rule.Map{"x": c.x}, noon); string(r.Value) != c.want {
			t.Errorf("exists %s of %#v: %s", c.operand, c.x, r.Value)
		}
	}
}
