package flagd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/flagd"
	"github.com/sigra-auth/sigra/plugins/rulestead/internal/suite"
	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

func parse(t *testing.T, text string) *flagd.Definitions {
	t.Helper()
	d, err := flagd.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestImport imports each flag of flagd's suite that can be said in rules, and has the same decided by both for many contexts.
func TestImport(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(suite.Dir(t, "flagd"), "evaluator", "flags", "testkit-flags.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Flags      map[string]json.RawMessage `json:"flags"`
		Evaluators json.RawMessage            `json:"$evaluators"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var contexts []flagd.Context
	for i := range 40 {
		email := []string{"ballmer@macrosoft.com", "jobs@orange.com", ""}[i%3]
		contexts = append(contexts, flagd.Context{
			"targetingKey": fmt.Sprint("Zoë-", i), "user": map[string]any{"name": fmt.Sprint("name", i)}, "email": email,
			"version": []any{"2.0.0", "3.0.1", "1.9.0", "2.1.0-rc.1", nil, "none", "3.1.0"}[i%7], "id": []any{"abcdef", "uvwxyz", "abcxyz", nil, 5.0}[i%5],
		})
	}
	contexts = append(contexts, flagd.Context{}, flagd.Context{"targetingKey": "5c3d8535-f81a-4478-a6d3-afaa4d51199e"})
	imported := 0
	for key, f := range doc.Flags {
		one, _ := json.Marshal(map[string]any{"flags": map[string]any{key: f}, "$evaluators": doc.Evaluators})
		d, err := flagd.Parse(bytes.NewReader(one))
		if err != nil {
			t.Fatal(key, err)
		}
		definitions, _, err := d.Import("ada", "2027-01-01")
		if err != nil {
			continue // TestImport_refuses has why
		}
		s, err := rule.Compile(1, definitions)
		if err != nil {
			t.Fatal(key, err)
		}
		imported++
		for _, c := range contexts {
			a := rule.Map{}
			for name, v := range c {
				a[name] = v
			}
			if id, ok := c["targetingKey"]; ok {
				a["user.id"] = id
			}
			want := d.Evaluate(key, "", c, time.Now(), flagd.Options{})
			got, _ := s.Evaluate(key, a, time.Now())
			if want.Reason != flagd.Disabled && want.Code == "" && got.Variant != want.Variant {
				_, path := s.Explain(key, a, time.Now())
				t.Errorf("%s of %v: %s, want %s\n%q", key, c, got.Variant, want.Variant, path)
				break
			}
		}
	}
	if imported < 37 {
		t.Errorf("%d of %d flags can be imported", imported, len(doc.Flags))
	}
}

// TestImport_refuses: what can't be said is named with its flag.
func TestImport_refuses(t *testing.T) {
	t.Parallel()
	for targeting, want := range map[string]string{
		`{"reduce": [[1], {"var": "current"}, 0]}`:                             "flag f: a rule gives variants by if and fractional",
		`{"if": [{"==": [{"var": "a"}, {"var": "b"}]}, "on"]}`:                 "",
		`{"if": [{">": [{"var": "$flagd.timestamp"}, 5]}, "on"]}`:              "an attribute and a literal",
		`{"if": [{"$ref": "none"}, "on"]}`:                                     `there is no evaluator "none"`,
		`{"fractional": [{"cat": [{"var": "a"}, {"var": "b"}]}, ["on", 1]]}`:   "a fractional goes by an attribute",
		`{"fractional": [["on", {"+": [1, 2]}]]}`:                              "a share of a fractional",
		`{"if": [{"some": [{"var": "a"}, {"==": [{"var": ""}, 1]}]}, "on"]}`:   "there is no operator that says",
		`{"if": [{"sem_ver": [{"var": "version"}, "===", "1.0.0"]}, "on"]}`:    "there is no operator that says",
		`{"if": [{"!": [{"in": [{"var": "a"}, ["x"]]}]}, "off", "none-such"]}`: `there is no variant "none-such"`,
	} {
		d := parse(t, `{"flags": {"f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off", "targeting": `+targeting+`}}}`)
		_, _, err := d.Import("ada", "2027-01-01")
		if want == "" {
			want = "there is no operator that says"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", targeting, want, err)
		}
	}
}

// TestEvaluate_bounded: what would take more than there is time or room for ends with an error.
func TestEvaluate_bounded(t *testing.T) {
	t.Parallel()
	var refs []string
	for i := range 60 {
		refs = append(refs, fmt.Sprintf(`"e%d": [{"$ref": "e%d"}, {"$ref": "e%d"}]`, i, i+1, i+1))
	}
	refs = append(refs, `"e60": {"cat": ["a"]}`)
	many := strings.Repeat("1,", 200) + "1"
	for name, targeting := range map[string]string{
		"doubling evaluators": `{"cat": [{"$ref": "e0"}]}`,
		"loops in loops":      `{"map": [[` + many + `], {"map": [[` + many + `], {"map": [[` + many + `], 1]}]}]}`,
		"doubling lists":      `{"cat": [{"reduce": [[` + many + `], [{"var": "accumulator"}, {"var": "accumulator"}], "ab"]}]}`,
		"doubling text":       `{"reduce": [[` + many + `], {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "ab"]}`,
	} {
		d := parse(t, `{"flags": {"f": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on", "targeting": `+targeting+`}}, "$evaluators": {`+strings.Join(refs, ",")+`}}`)
		began := time.Now()
		r := d.Evaluate("f", "", flagd.Context{}, time.Now(), flagd.Options{})
		if r.Reason != flagd.Failed || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %s %s after %s", name, r.Reason, r.Code, time.Since(began))
		}
	}
	circle := parse(t, `{"flags": {"f": {"state": "ENABLED", "variants": {"on": true}, "targeting": {"$ref": "a"}}}, "$evaluators": {"a": {"!": {"$ref": "b"}}, "b": {"!": {"$ref": "a"}}}}`)
	if r := circle.Evaluate("f", "", nil, time.Now(), flagd.Options{}); r.Code != flagd.ParseError {
		t.Errorf("%+v", r)
	}
}

// TestOperations holds JSONLogic's operations against what its documentation and JavaScript give.
func TestOperations(t *testing.T) {
	t.Parallel()
	for targeting, want := range map[string]string{
		`{"==": [1, "1"]}`: "true", `{"===": [1, "1"]}`: "false", `{"==": [null, 0]}`: "false", `{"!=": [{"var": "none"}, "a"]}`: "true", `{"==": [[], 0]}`: "true", `{"==": ["a", ["a"]]}`: "true",
		`{"!!": [[]]}`: "false", `{"!!": ["0"]}`: "true", `{"!": [""]}`: "true", `{"or": [false, 0, "a"]}`: "a", `{"and": [true, "a", 3]}`: "3",
		`{"<": [1, 2, 3]}`: "true", `{"<": [1, 4, 3]}`: "false", `{"<=": [1, 1, 3]}`: "true", `{">": ["b", "a"]}`: "true", `{">": ["10", 9]}`: "true", `{"<": ["x", 1]}`: "false",
		`{"+": ["3.14"]}`: "3.14", `{"+": [2, 2, 2]}`: "6", `{"-": [2]}`: "-2", `{"-": [4, 2]}`: "2", `{"*": [2, 3]}`: "6", `{"/": [1, 4]}`: "0.25", `{"%": [101, 2]}`: "1", `{"max": [1, 3, 2]}`: "3", `{"min": [1, 3, 2]}`: "1",
		`{"cat": [{"map": [{"var": "integers"}, {"*": [{"var": ""}, 2]}]}]}`: "2,4,6", `{"cat": [{"filter": [{"var": "integers"}, {"%": [{"var": ""}, 2]}]}]}`: "1,3",
		`{"reduce": [{"var": "integers"}, {"+": [{"var": "current"}, {"var": "accumulator"}]}, 0]}`: "6",
		`{"all": [{"var": "integers"}, {">": [{"var": ""}, 0]}]}`:                                   "true", `{"all": [[], true]}`: "false", `{"some": [{"var": "integers"}, {"==": [{"var": ""}, 3]}]}`: "true", `{"none": [{"var": "integers"}, {"==": [{"var": ""}, 3]}]}`: "false",
		`{"cat": [{"merge": [1, [2, 3]]}]}`: "1,2,3", `{"in": ["Spring", "Springfield"]}`: "true", `{"in": [2, {"var": "integers"}]}`: "true", `{"in": ["2", {"var": "integers"}]}`: "false",
		`{"substr": ["jsonlogic", 4]}`: "logic", `{"substr": ["jsonlogic", -5]}`: "logic", `{"substr": ["jsonlogic", 1, 3]}`: "son", `{"substr": ["jsonlogic", 4, -2]}`: "log",
		`{"var": ["none", 26]}`: "26", `{"var": "integers.1"}`: "2", `{"cat": [{"missing": ["a", "integers"]}]}`: "a", `{"cat": [{"missing_some": [1, ["a", "integers"]]}]}`: "", `{"cat": [{"missing_some": [2, ["a", "integers"]]}]}`: "a",
		`{"if": [false, "a", true, "b", "c"]}`: "b", `{"var": "$flagd.flagKey"}`: "f", `{"cat": [1e21, " ", 1e-7, " ", 0.1]}`: "1e+21 1e-7 0.1",
	} {
		variants, _ := json.Marshal(map[string]string{want: "it"})
		d := parse(t, `{"flags": {"f": {"state": "ENABLED", "variants": `+string(variants)+`, "targeting": `+targeting+`}}}`)
		r := d.Evaluate("f", "string", flagd.Context{"integers": []any{1.0, 2.0, 3.0}}, time.Now(), flagd.Options{})
		if r.Variant != want || r.Reason != flagd.TargetingMatch {
			t.Errorf("%s: %s, want %s: %q", targeting, r.Variant, want, r.Path)
		}
	}
}

// FuzzParse: whatever is read can be checked, decided and imported without failing.
func FuzzParse(f *testing.F) {
	f.Add(`{"flags": {"f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off", "targeting": {"if": [{"and": [{"$ref": "e"}, {"!": {"in": ["a", {"var": "b"}]}}]}, {"fractional": [["on", 1], ["off", 2]]}, null]}}}, "$evaluators": {"e": {"sem_ver": [{"var": "v"}, "^", "1.0.0"]}}}`, `{"targetingKey": "ada", "v": "1.2.3"}`)
	f.Add(`{"flags": [{"key": "f", "state": "DISABLED", "variants": {"a": {}}, "targeting": {"reduce": [{"var": ""}, {"merge": [{"var": "accumulator"}, [1]]}, []]}}]}`, `{}`)
	f.Fuzz(func(t *testing.T, text, context string) {
		_ = flagd.Check([]byte(text))
		d, err := flagd.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		var c flagd.Context
		_ = json.Unmarshal([]byte(context), &c)
		for _, key := range d.Keys() {
			d.Evaluate(key, "", c, time.Unix(0, 0), flagd.Options{})
			d.Evaluate(key, "string", c, time.Unix(0, 0), flagd.Options{FirstFractional: true})
		}
		_, _, _ = d.Import("ada", "2027-01-01")
	})
}
