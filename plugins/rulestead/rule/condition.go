package rule

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// truth is true, false or unknown.
type truth uint8

const (
	unknown truth = iota
	no
	yes
)

func of(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

// String is for explanations.
func (t truth) String() string { return [...]string{"unknown", "false", "true"}[t] }

// node is a compiled condition.
type node interface {
	eval(a Attributes) truth
	// explain writes down what was found, one line a clause.
	explain(a Attributes, depth int, out *[]string) truth
}

type allOf []node

func (n allOf) eval(a Attributes) truth {
	out := yes
	for _, c := range n {
		switch c.eval(a) {
		case no:
			return no
		case unknown:
			out = unknown
		}
	}
	return out
}

func (n allOf) explain(a Attributes, depth int, out *[]string) truth {
	return group("all of", n, a, depth, out, n.eval)
}

type anyOf []node

func (n anyOf) eval(a Attributes) truth {
	out := no
	for _, c := range n {
		switch c.eval(a) {
		case yes:
			return yes
		case unknown:
			out = unknown
		}
	}
	return out
}

func (n anyOf) explain(a Attributes, depth int, out *[]string) truth {
	return group("any of", n, a, depth, out, n.eval)
}

func group(name string, members []node, a Attributes, depth int, out *[]string, eval func(Attributes) truth) truth {
	t := eval(a)
	*out = append(*out, fmt.Sprintf("%s%s: %s", strings.Repeat("  ", depth), name, t))
	for _, m := range members {
		m.explain(a, depth+1, out)
	}
	return t
}

type notOf struct{ of node }

func (n notOf) eval(a Attributes) truth { return n.of.eval(a).not() }

func (n notOf) explain(a Attributes, depth int, out *[]string) truth {
	t := n.eval(a)
	*out = append(*out, fmt.Sprintf("%snot: %s", strings.Repeat("  ", depth), t))
	n.of.explain(a, depth+1, out)
	return t
}

type segmentOf struct {
	name string
	of   node
}

func (n segmentOf) eval(a Attributes) truth { return n.of.eval(a) }

func (n segmentOf) explain(a Attributes, depth int, out *[]string) truth {
	t := n.of.eval(a)
	*out = append(*out, fmt.Sprintf("%sin segment %s: %s", strings.Repeat("  ", depth), n.name, t))
	n.of.explain(a, depth+1, out)
	return t
}

// clause is a compiled comparison.
type clause struct {
	attribute string
	operator  string
	value     string // as written, for explanations
	test      func(v Value) truth
}

func (c *clause) eval(a Attributes) truth { return c.test(a.Attribute(c.attribute)) }

func (c *clause) explain(a Attributes, depth int, out *[]string) truth {
	v := a.Attribute(c.attribute)
	t := c.test(v)
	is := "missing"
	switch v.kind {
	case Text:
		is = fmt.Sprintf("%q", v.text)
	case Number:
		is = fmt.Sprint(v.num)
	case Bool:
		is = fmt.Sprint(v.yes)
	case List:
		is = fmt.Sprintf("%q", v.list)
	}
	*out = append(*out, fmt.Sprintf("%s%s %s %s: %s (it is %s)", strings.Repeat("  ", depth), c.attribute, c.operator, c.value, t, is))
	return t
}

// compileClause makes the comparison, and finds operands that the operator can't take.
func compileClause(c Clause) (*clause, error) {
	out := &clause{attribute: c.Attribute, operator: c.Operator, value: string(c.Value)}
	if c.Attribute == "" || c.Operator == "" {
		return nil, fmt.Errorf("a clause needs an attribute and an operator")
	}
	positive, negated := c.Operator, false
	switch c.Operator {
	case "not_equals", "not_in", "not_contains", "not_matches":
		positive, negated = strings.TrimPrefix(c.Operator, "not_"), true
	}
	test, err := operator(positive, c.Value)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.Attribute, c.Operator, err)
	}
	if out.test = test; negated {
		out.test = func(v Value) truth { return test(v).not() }
	}
	return out, nil
}

func operator(name string, raw json.RawMessage) (func(Value) truth, error) {
	switch name {
	case "exists":
		want, err := operand[bool](raw)
		return func(v Value) truth { return of((v.kind != Missing) == want) }, err
	case "equals":
		return equals(raw)
	case "in":
		list, err := operand[[]string](raw)
		set := map[string]bool{}
		for _, s := range list {
			set[s] = true
		}
		return func(v Value) truth {
			switch v.kind {
			case Text:
				return of(set[v.text])
			case List: // one of them is enough
				for _, s := range v.list {
					if set[s] {
						return yes
					}
				}
				return no
			}
			return unknown
		}, err
	case "contains":
		want, err := operand[string](raw)
		return func(v Value) truth {
			switch v.kind {
			case Text:
				return of(strings.Contains(v.text, want))
			case List:
				for _, s := range v.list {
					if s == want {
						return yes
					}
				}
				return no
			}
			return unknown
		}, err
	case "starts_with", "ends_with":
		want, err := operand[string](raw)
		has := strings.HasPrefix
		if name == "ends_with" {
			has = strings.HasSuffix
		}
		return ofText(func(s string) bool { return has(s, want) }), err
	case "matches":
		want, err := operand[string](raw)
		if err != nil {
			return nil, err
		}
		re, err := regexp.Compile(want)
		if err != nil {
			return nil, err
		}
		return ofText(re.MatchString), nil
	case "gt", "gte", "lt", "lte":
		want, err := operand[float64](raw)
		return func(v Value) truth {
			if v.kind != Number {
				return unknown
			}
			switch name {
			case "gt":
				return of(v.num > want)
			case "gte":
				return of(v.num >= want)
			case "lt":
				return of(v.num < want)
			}
			return of(v.num <= want)
		}, err
	case "before", "after":
		want, err := operand[time.Time](raw)
		return func(v Value) truth {
			at, err := time.Parse(time.RFC3339, v.text)
			if v.kind != Text || err != nil {
				return unknown
			}
			if name == "before" {
				return of(at.Before(want))
			}
			return of(at.After(want))
		}, err
	case "in_network":
		return inNetwork(raw)
	}
	return nil, fmt.Errorf("there is no such operator")
}

func equals(raw json.RawMessage) (func(Value) truth, error) {
	want, err := operand[any](raw)
	if err != nil {
		return nil, err
	}
	w := ValueOf(want)
	if w.kind == Missing || w.kind == List {
		return nil, fmt.Errorf("the value must be a text, a number or a truth value")
	}
	return func(v Value) truth {
		if v.kind != w.kind {
			return unknown
		}
		switch v.kind {
		case Text:
			return of(v.text == w.text)
		case Number:
			return of(v.num == w.num)
		}
		return of(v.yes == w.yes)
	}, nil
}

func inNetwork(raw json.RawMessage) (func(Value) truth, error) {
	list, err := operand[[]string](raw)
	if err != nil {
		return nil, err
	}
	var prefixes []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no network such as 192.0.2.0/24", s)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return func(v Value) truth {
		ip, err := netip.ParseAddr(v.text)
		if v.kind != Text || err != nil {
			return unknown
		}
		ip = ip.Unmap().WithZone("")
		for _, p := range prefixes {
			if p.Contains(ip) {
				return yes
			}
		}
		return no
	}, nil
}

func ofText(test func(string) bool) func(Value) truth {
	return func(v Value) truth {
		if v.kind != Text {
			return unknown
		}
		return of(test(v.text))
	}
}

func operand[T any](raw json.RawMessage) (T, error) {
	var out T
	if len(raw) == 0 {
		return out, fmt.Errorf("the value is missing")
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("the value %s has the wrong type", raw)
	}
	return out, nil
}
