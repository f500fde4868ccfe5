package flagd

import (
	"fmt"
	"strings"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// condition says what is true for the same people: of an expression, or, where holds is false, of its negation. JSONLogic knows true and
// false only, so that what is missing satisfies a negation; that is said with exists.
func (im *importer) condition(v any, holds bool) rule.Condition {
	m := objectOf(v)
	if len(m) != 1 {
		im.refuse("a condition is an operation, not %s", raw(v))
		return rule.Condition{}
	}
	for name, arg := range m {
		args, isList := arg.([]any)
		if !isList {
			args = []any{arg}
		}
		switch {
		case name == "$ref":
			return im.reference(arg, holds)
		case name == "!" && len(args) == 1:
			return im.condition(args[0], !holds)
		case name == "!!" && len(args) == 1 && objectOf(args[0])["var"] == nil:
			return im.condition(args[0], holds)
		case (name == "and" || name == "or") && len(args) > 0:
			list := make([]rule.Condition, len(args))
			for i, a := range args {
				list[i] = im.condition(a, holds)
			}
			if (name == "and") == holds {
				return rule.Condition{All: list}
			}
			return rule.Condition{Any: list}
		case name == "!=" || name == "!==":
			return im.comparison("==", args, !holds, v)
		}
		return im.comparison(name, args, holds, v)
	}
	return rule.Condition{}
}

func (im *importer) reference(arg any, holds bool) rule.Condition {
	name, _ := arg.(string)
	def, ok := im.d.evaluators[name]
	for _, w := range im.within {
		ok = ok && w != name
	}
	if !ok {
		im.refuse("there is no evaluator %q, or it goes in a circle", name)
		return rule.Condition{}
	}
	im.within = append(im.within, name)
	defer func() { im.within = im.within[:len(im.within)-1] }()
	segment := name
	if !holds {
		segment = "not-" + name
	}
	if _, done := im.out.Segments[segment]; !done {
		im.out.Segments[segment] = im.condition(def, holds)
	}
	return rule.Condition{Segment: segment}
}

// comparison says an operation between an attribute and a literal.
func (im *importer) comparison(name string, args []any, holds bool, whole any) rule.Condition {
	by, ok := "", false
	at := 0 // of the attribute
	for i, a := range args {
		if n, is := variableName(a); is && !ok {
			by, at, ok = attribute(n), i, true
		}
	}
	if !ok || len(args) < 2 || strings.HasPrefix(by, "$flagd.") {
		im.refuse("a comparison is between an attribute and a literal, not %s", raw(whole))
		return rule.Condition{}
	}
	literal := args[len(args)-1]
	if at == len(args)-1 {
		literal = args[0]
	}
	clause := func(operator string, value any) rule.Condition {
		return rule.Condition{Clause: &rule.Clause{Attribute: by, Operator: operator, Value: raw(value)}}
	}
	var one rule.Condition
	_, isText := literal.(string)
	list, isList := literal.([]any)
	switch {
	case (name == "==" || name == "===") && len(args) == 2 && literal == nil:
		return clause("exists", !holds)
	case (name == "==" || name == "===") && len(args) == 2 && !composite(literal):
		if name == "==" && !isText {
			im.note("%s is compared with %s by its type too", by, raw(literal))
		}
		one = clause("equals", literal)
	case name == "in" && at == 0 && isList && len(args) == 2:
		one = clause("in", append([]any{}, list...))
	case name == "in" && at == 1 && isText && len(args) == 2:
		one = clause("contains", literal)
	case (name == "starts_with" || name == "ends_with") && at == 0 && isText && len(args) == 2:
		one = clause(name, literal)
	case name == "sem_ver" && at == 0 && len(args) == 3:
		one, ok = im.semVer(args, clause)
	case order[name] != "" && len(args) == 2:
		if at == 1 {
			name = mirrored[name]
		}
		_, ok = literal.(float64)
		one = clause(order[name], literal)
	default:
		ok = false
	}
	if !ok {
		im.refuse("there is no operator that says %s", raw(whole))
		return rule.Condition{}
	}
	if holds {
		return one
	}
	return rule.Condition{Any: []rule.Condition{clause("exists", false), {Not: &one}}}
}

var (
	order    = map[string]string{"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
	mirrored = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}
)

func (im *importer) semVer(args []any, clause func(string, any) rule.Condition) (rule.Condition, bool) {
	name, _ := args[1].(string)
	v, ok := version(args[2])
	if !ok {
		return rule.Condition{}, false
	}
	im.note("a version has three numbers and no v")
	full := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		full += "-" + v.Pre
	}
	between := func(from, to string) rule.Condition { // -0 comes before everything else of a version
		return rule.Condition{All: []rule.Condition{clause("semver_gte", from+"-0"), clause("semver_lt", to+"-0")}}
	}
	switch name {
	case "=":
		return clause("semver_equals", full), true
	case "!=": // null, and so not true, for what is no version
		return clause("not_semver_equals", full), true
	case "<", "<=", ">", ">=":
		return clause("semver_"+order[name], full), true
	case "^":
		return between(fmt.Sprintf("%d.0.0", v.Major), fmt.Sprintf("%d.0.0", v.Major+1)), true
	case "~":
		return between(fmt.Sprintf("%d.%d.0", v.Major, v.Minor), fmt.Sprintf("%d.%d.0", v.Major, v.Minor+1)), true
	}
	return rule.Condition{}, false
}
