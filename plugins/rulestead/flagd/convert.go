package flagd

import (
	"math"
	"strconv"
	"strings"
)

// truthy is JSONLogic's: an empty list is false, "0" is true.
func truthy(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case float64:
		return x != 0 && !math.IsNaN(x)
	case string:
		return x != ""
	case []any:
		return len(x) > 0
	}
	return true
}

// number converts as JavaScript's Number does.
func number(v any) float64 {
	switch x := v.(type) {
	case nil:
		return 0
	case bool:
		if x {
			return 1
		}
		return 0
	case float64:
		return x
	case string:
		s := strings.TrimSpace(x)
		if s == "" {
			return 0
		}
		if strings.ContainsAny(s, "_xXpPnN") || strings.ContainsAny(s, "iI") && !strings.HasSuffix(s, "Infinity") { // what Go reads and JavaScript does not
			return math.NaN()
		}
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return math.NaN()
		}
		return n
	case []any:
		switch len(x) {
		case 0:
			return 0
		case 1:
			return number(text(x[0]))
		}
	}
	return math.NaN()
}

// maxText is how much text one value can become. A list of lists that are the same one twice would become more than there is room for.
const maxText = 1 << 16

// text converts as JavaScript's String does.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	room := maxText
	return textWithin(v, &room)
}

func textWithin(v any, room *int) string {
	var out string
	switch x := v.(type) {
	case nil:
		out = "null"
	case bool:
		out = strconv.FormatBool(x)
	case float64:
		out = digits(x)
	case string:
		out = x
	case []any:
		var b strings.Builder
		for i, e := range x {
			if *room <= 0 {
				break
			}
			if *room--; i > 0 {
				b.WriteByte(',')
			}
			if e != nil {
				b.WriteString(textWithin(e, room))
			}
		}
		return b.String()
	default:
		out = "[object Object]"
	}
	*room -= len(out)
	return out
}

func digits(n float64) string {
	switch {
	case math.IsNaN(n):
		return "NaN"
	case math.IsInf(n, 0):
		return map[bool]string{true: "Infinity", false: "-Infinity"}[n > 0]
	case n == 0:
		return "0"
	case math.Abs(n) < 1e21 && math.Abs(n) >= 1e-6:
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(n, 'e', -1, 64), "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}

// identical is JavaScript's ===; objects and lists are never the same as others.
func identical(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case float64:
		y, ok := b.(float64)
		return ok && x == y
	case string:
		y, ok := b.(string)
		return ok && x == y
	}
	return false
}

// equal is JavaScript's ==.
func equal(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	_, x := a.(string)
	_, y := b.(string)
	switch {
	case composite(a) && composite(b):
		return false
	case composite(a) && y, x && composite(b), x && y:
		return text(a) == text(b)
	}
	return number(a) == number(b)
}

func composite(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}

// less is JavaScript's <: texts by their characters, everything else as numbers.
func less(a, b any) bool {
	x, ok := a.(string)
	y, also := b.(string)
	if ok && also {
		return x < y
	}
	return number(a) < number(b)
}

func lessOrEqual(a, b any) bool {
	x, ok := a.(string)
	y, also := b.(string)
	if ok && also {
		return x <= y
	}
	return number(a) <= number(b)
}
