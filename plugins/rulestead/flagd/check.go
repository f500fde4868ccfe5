package flagd

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Check holds a document against flagd's published schemas: flagd.json, or flags.json where the document names that one. A document
// that is a targeting alone is held against targeting.json. The error names every mistake with its place, one a line.
func Check(text []byte) error {
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("the document is no JSON object: %w", err)
	}
	c := &checker{}
	schema, _ := doc["$schema"].(string)
	flags, has := doc["flags"]
	for name := range doc {
		if _, ok := operations[name]; ok && !has && len(doc) == 1 {
			c.rule("targeting", doc)
			return errors.Join(c.errs...)
		}
	}
	switch flags := flags.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(flags)) {
			c.want(key != "", "flags", "a key is empty")
			c.flag("flag "+key, flags[key])
		}
	case []any:
		c.want(!strings.HasSuffix(schema, "flags.json"), "flags", "by flags.json it is an object")
		for i, f := range flags {
			key, _ := objectOf(f)["key"].(string)
			c.want(key != "", fmt.Sprintf("flag %d", i+1), "it has no key")
			c.flag("flag "+key, f)
		}
	default:
		c.mistake("flags", "they are an object or a list")
	}
	if e, ok := doc["$evaluators"]; ok {
		evaluators, is := e.(map[string]any)
		c.want(is, "$evaluators", "they are an object")
		for _, name := range slices.Sorted(maps.Keys(evaluators)) {
			c.targeting("evaluator "+name, evaluators[name])
		}
	}
	if m, ok := doc["metadata"]; ok {
		c.metadata("metadata", m)
	}
	return errors.Join(c.errs...)
}

type checker struct{ errs []error }

func (c *checker) mistake(where, format string, args ...any) {
	if len(c.errs) < 20 {
		c.errs = append(c.errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
	}
}

func (c *checker) want(ok bool, where, format string, args ...any) {
	if !ok {
		c.mistake(where, format, args...)
	}
}

func objectOf(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func (c *checker) flag(where string, v any) {
	f, ok := v.(map[string]any)
	if !ok {
		c.mistake(where, "a flag is an object")
		return
	}
	c.want(f["state"] == "ENABLED" || f["state"] == "DISABLED", where, "state is ENABLED or DISABLED")
	variants := objectOf(f["variants"])
	c.want(len(variants) > 0, where, "variants are an object with at least one")
	kinds := map[string]bool{}
	for name, v := range variants {
		c.want(name != "", where, "a variant has no name")
		raw, _ := json.Marshal(v)
		kinds[kindOf(raw)] = true
		_, list := v.([]any)
		c.want(v != nil && !list, where, "variant %s is neither a truth value, a text, a number nor an object", name)
	}
	c.want(len(kinds) <= 1, where, "the variants are of several types")
	switch d := f["defaultVariant"].(type) {
	case nil:
	case string:
	default:
		c.mistake(where, "defaultVariant is the name of a variant or null, not %v", d)
	}
	if t, ok := f["targeting"]; ok {
		c.targeting(where+", targeting", t)
	}
	if m, ok := f["metadata"]; ok {
		c.metadata(where+", metadata", m)
	}
}

func (c *checker) metadata(where string, v any) {
	m, ok := v.(map[string]any)
	c.want(ok, where, "it is an object")
	for name, v := range m {
		c.want(v != nil && !composite(v), where, "%s is neither a text, a number nor a truth value", name)
	}
}

func (c *checker) targeting(where string, v any) {
	if m, ok := v.(map[string]any); ok && len(m) == 0 {
		return
	}
	c.rule(where, v)
}

// argument is a rule, a reference or a value.
func (c *checker) argument(where string, v any) {
	if _, ok := v.(map[string]any); ok {
		c.rule(where, v)
	}
}

// arity is how many arguments an operation takes; the most is none: any number.
var arity = map[string][2]int{
	"missing": {0, 0}, "missing_some": {2, 2}, "substr": {2, 3}, "<": {2, 3}, "<=": {2, 3}, "if": {1, 0}, "==": {2, 2}, "===": {2, 2}, "!=": {2, 2}, "!==": {2, 2}, ">": {2, 2}, ">=": {2, 2},
	"%": {2, 2}, "/": {2, 2}, "map": {2, 2}, "filter": {2, 2}, "all": {2, 2}, "none": {2, 2}, "some": {2, 2}, "in": {2, 2}, "reduce": {3, 3}, "*": {2, 0}, "!": {1, 1}, "!!": {1, 1},
	"or": {1, 0}, "and": {1, 0}, "+": {1, 0}, "-": {1, 0}, "max": {1, 0}, "min": {1, 0}, "merge": {1, 0}, "cat": {1, 0},
	"starts_with": {2, 2}, "ends_with": {2, 2}, "sem_ver": {3, 3}, "fractional": {1, 0},
}

func (c *checker) rule(where string, v any) {
	m, ok := v.(map[string]any)
	if !ok || len(m) > 1 {
		c.mistake(where, "a rule is an object with one operation")
		return
	}
	for name, args := range m {
		where := where + "/" + name
		switch name {
		case "$ref":
			_, ok := args.(string)
			c.want(ok, where, "a reference is the name of an evaluator")
			return
		case "var":
			c.variable(where, args)
			return
		}
		limits, ok := arity[name]
		if !ok {
			c.mistake(where, "there is no operation %q", name)
			return
		}
		list, isList := args.([]any)
		if !isList && (name == "!" || name == "!!") {
			list, isList = []any{args}, true
		}
		c.want(isList, where, "its arguments are a list")
		c.want(len(list) >= limits[0] && (limits[1] == 0 || len(list) <= limits[1]), where, "there are %d arguments", len(list))
		switch name {
		case "missing":
			c.names(where, list)
		case "missing_some":
			if len(list) == 2 {
				_, number := list[0].(float64)
				names, ok := list[1].([]any)
				c.want(number && ok, where, "its arguments are a number and a list")
				c.names(where, names)
			}
		case "starts_with", "ends_with":
			for _, a := range list {
				if _, text := a.(string); !text {
					c.rule(where, a)
				}
			}
		case "sem_ver":
			c.semVer(where, list)
		case "fractional":
			c.fractional(where, list)
		default:
			for _, a := range list {
				c.argument(where, a)
			}
		}
	}
}

func (c *checker) names(where string, list []any) {
	for _, n := range list {
		_, ok := n.(string)
		c.want(ok, where, "a name is a text, not %v", n)
	}
}

func (c *checker) variable(where string, v any) {
	switch v := v.(type) {
	case string:
		c.want(!strings.HasPrefix(v, "$flagd.") || v == "$flagd.timestamp" || v == "$flagd.flagKey", where, "flagd gives $flagd.timestamp and $flagd.flagKey, not %s", v)
	case []any:
		c.want(len(v) > 0, where, "it has no name")
		for i, e := range v {
			_, text := e.(string)
			c.want(!composite(e) && (i > 0 || text), where, "it has a name and a default, not %v", e)
		}
	}
}

// fullVersion is a version as the schema has it: three numbers and no v.
var fullVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+([-+].*)?$`)

func (c *checker) semVer(where string, list []any) {
	for i, a := range list {
		text, _ := a.(string)
		switch m := objectOf(a); {
		case i == 1:
			c.want(comparisons[text] != nil, where, "there is no comparison %v", a)
		case m != nil:
			_, ok := m["var"]
			c.want(ok, where, "a version is a text or a var")
			c.rule(where, a)
		default:
			_, ok := version(text)
			c.want(ok && fullVersion.MatchString(text), where, "%v is no version such as 1.2.3", a)
		}
	}
}

func (c *checker) fractional(where string, list []any) {
	if len(list) > 0 {
		if _, ok := list[0].([]any); !ok {
			c.want(objectOf(list[0]) != nil, where, "what it goes by is a rule, not %v", list[0])
			c.argument(where, list[0])
			list = list[1:]
		}
	}
	for _, s := range list {
		share, _ := s.([]any)
		c.want(len(share) == 1 || len(share) == 2, where, "a share is a list of a variant and a weight")
		for i, a := range share {
			n, isNumber := a.(float64)
			c.want(i == 0 || objectOf(a) != nil || isNumber && n >= 0 && n == math.Trunc(n), where, "a weight is a whole number from 0, or a rule, not %v", a)
			c.argument(where, a)
		}
	}
}
