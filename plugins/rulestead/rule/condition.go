package rule

import (
	"fmt"
	"strings"
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
	case Other:
		is = "of a type that can't be compared"
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
	positive, negated := strings.CutPrefix(c.Operator, "not_")
	test, err := operator(positive, c.Value)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.Attribute, c.Operator, err)
	}
	if out.test = test; negated {
		out.test = func(v Value) truth { return test(v).not() }
	}
	return out, nil
}
