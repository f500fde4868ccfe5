package rule

import (
	"math"
	"strings"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds of values.
const (
	Missing Kind = iota // or null, or empty
	Text
	Number
	Bool
	List  // of texts
	Other // there is something, and no operator but exists takes it
)

// Value is what an attribute is. Its zero value is missing.
type Value struct {
	kind Kind
	text string
	num  float64
	yes  bool
	list []string
}

// Kind is its type.
func (v Value) Kind() Kind { return v.kind }

// TextOf makes a text; the empty text is missing.
func TextOf(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{kind: Text, text: s}
}

// NumberOf makes a number; what is no number can't be compared.
func NumberOf(n float64) Value {
	if math.IsNaN(n) {
		return Value{kind: Other}
	}
	return Value{kind: Number, num: n}
}

// BoolOf makes a truth value.
func BoolOf(b bool) Value { return Value{kind: Bool, yes: b} }

// ListOf makes a list; an empty one is missing.
func ListOf(l []string) Value {
	if len(l) == 0 {
		return Value{}
	}
	return Value{kind: List, list: l}
}

// ValueOf makes a value of what JSON gives.
func ValueOf(v any) Value {
	switch x := v.(type) {
	case nil:
		return Value{}
	case string:
		return TextOf(x)
	case float64:
		return NumberOf(x)
	case bool:
		return BoolOf(x)
	case []string:
		return ListOf(x)
	case []any:
		list := make([]string, 0, len(x))
		for _, e := range x {
			s, ok := e.(string)
			if !ok {
				return Value{kind: Other}
			}
			list = append(list, s)
		}
		return ListOf(list)
	}
	return Value{kind: Other}
}

// Attributes is what is known of who and what a decision is about.
type Attributes interface {
	// Attribute gives an attribute by its name, such as "user.id".
	Attribute(name string) Value
}

// Map is attributes from a JSON object. "user.id" is its member of that name, or else the member id of its member user.
type Map map[string]any

// Attribute implements Attributes.
func (m Map) Attribute(name string) Value { return ValueOf(Within(m, name)) }

// Within finds what a path of names leads to in an object; nil is nothing.
func Within(object map[string]any, path string) any {
	if v, ok := object[path]; ok {
		return v
	}
	name, rest, ok := strings.Cut(path, ".")
	inner, is := object[name].(map[string]any)
	if !ok || !is {
		return nil
	}
	return Within(inner, rest)
}
