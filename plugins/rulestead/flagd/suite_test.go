package flagd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cucumber/godog"

	"github.com/sigra-auth/sigra/plugins/rulestead/flagd"
	"github.com/sigra-auth/sigra/plugins/rulestead/internal/suite"
)

// TestSuite is flagd's evaluator suite, once with each of fractional's formulas.
func TestSuite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(suite.Dir(t, "flagd"), "evaluator")
	text, err := os.ReadFile(filepath.Join(dir, "flags", "testkit-flags.json"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := flagd.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tags      string
		scenarios int
		options   flagd.Options
	}{{"~@fractional-v1", 120, flagd.Options{}}, {"@fractional-v1", 15, flagd.Options{FirstFractional: true}}} {
		ran := 0
		var out bytes.Buffer
		status := godog.TestSuite{
			ScenarioInitializer: func(sc *godog.ScenarioContext) {
				ran++
				(&scenario{d: d, options: c.options, context: flagd.Context{}}).steps(sc)
			},
			Options: &godog.Options{Format: "progress", Output: &out, Paths: []string{filepath.Join(dir, "gherkin")}, Tags: c.tags, Strict: true, NoColors: true},
		}.Run()
		if status != 0 || ran < c.scenarios {
			t.Errorf("%s: status %d after %d scenarios\n%s", c.tags, status, ran, out.String())
		}
	}
}

type scenario struct {
	d        *flagd.Definitions
	options  flagd.Options
	context  flagd.Context
	key      string
	kind     string
	fallback string
	result   flagd.Result
}

func (s *scenario) steps(sc *godog.ScenarioContext) {
	sc.Step(`^an evaluator$`, func() {})
	sc.Step(`^a (\w+)-flag with key "([^"]*)" and a fallback value "(.*)"$`, func(kind, key, fallback string) {
		s.kind, s.key, s.fallback = map[string]string{"Boolean": "boolean", "String": "string", "Integer": "number", "Float": "number", "Object": "object"}[kind], key, fallback
	})
	sc.Step(`^a context containing a key "([^"]*)", with type "([^"]*)" and with value "(.*)"$`, func(key, kind, value string) (err error) {
		s.context[key] = value
		if kind == "Integer" || kind == "Float" {
			s.context[key], err = strconv.ParseFloat(value, 64)
		}
		return err
	})
	sc.Step(`^a context containing a targeting key with value "(.*)"$`, func(value string) { s.context["targetingKey"] = value })
	sc.Step(`^a context containing a nested property with outer key "([^"]*)" and inner key "([^"]*)", with value "(.*)"$`, func(outer, inner, value string) {
		s.context[outer] = map[string]any{inner: value}
	})
	sc.Step(`^the flag was evaluated with details$`, func() {
		s.result = s.d.Evaluate(s.key, s.kind, s.context, time.Now(), s.options)
	})
	sc.Step(`^the resolved details value should be "(.*)"$`, s.valueIs)
	sc.Step(`^the reason should be "([^"]*)"$`, func(want string) error { return same(s.result.Reason, want) })
	sc.Step(`^the error-code should be "([^"]*)"$`, func(want string) error { return same(s.result.Code, want) })
	sc.Step(`^the resolved metadata is empty$`, func() error { return same(len(s.result.Metadata), 0) })
	sc.Step(`^the resolved metadata should contain$`, func(_ context.Context, table *godog.Table) error {
		for _, row := range table.Rows[1:] {
			if got := fmt.Sprint(s.result.Metadata[row.Cells[0].Value]); got != row.Cells[2].Value {
				return fmt.Errorf("%s is %s", row.Cells[0].Value, got)
			}
		}
		return same(len(s.result.Metadata), len(table.Rows)-1)
	})
}

// valueIs compares what the caller has in the end.
func (s *scenario) valueIs(want string) error {
	want = strings.ReplaceAll(want, `\"`, `"`)
	is := s.result.Value
	if is == nil {
		is = json.RawMessage(strings.ReplaceAll(s.fallback, `\"`, `"`))
		if s.kind == "string" {
			is, _ = json.Marshal(s.fallback)
		}
	}
	if s.kind == "string" {
		var text string
		if err := json.Unmarshal(is, &text); err != nil {
			return err
		}
		return same(text, want)
	}
	var a, b any
	if json.Unmarshal(is, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !reflect.DeepEqual(a, b) {
		return fmt.Errorf("it is %s, want %s", is, want)
	}
	return nil
}

func same(got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("it is %v, want %v", got, want)
	}
	return nil
}
