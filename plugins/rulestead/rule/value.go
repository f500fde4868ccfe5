package rule

// Kind is the type of a Value.
type Kind uint8

// The kinds of values.
const (
	Missing Kind = iota
	Text
	Number
	Bool
	List // of texts
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

// NumberOf makes a number.
func NumberOf(n float64) Value { return Value{kind: Number, num: n} }

// BoolOf makes a truth value.
func BoolOf(b bool) Value { return Value{kind: Bool, yes: b} }

// ListOf makes a list; an empty one is missing.
func ListOf(l []string) Value {
	if len(l) == 0 {
		return Value{}
	}
	return Value{kind: List, list: l}
}

// ValueOf makes a value of what JSON gives; whatever is no text, number, truth value or list of texts is missing.
func ValueOf(v any) Value {
	switch x := v.(type) {
	case string:
		return TextOf(x)
	case float64:
		return NumberOf(x)
	case bool:
		return BoolOf(x)
	case []string:
		return ListOf(x)
	case []any:
		var list []string
		for _, e := range x {
			s, ok := e.(string)
			if !ok {
				return Value{}
			}
			list = append(list, s)
		}
		return ListOf(list)
	}
	return Value{}
}

// Attributes is what is known of who and what a decision is about.
type Attributes interface {
	// Attribute gives an attribute by its name, such as "user.id".
	Attribute(name string) Value
}

// Map is attributes from a map.
type Map map[string]any

// Attribute implements Attributes.
func (m Map) Attribute(name string) Value { return ValueOf(m[name]) }
