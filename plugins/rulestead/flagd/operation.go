package flagd

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// at evaluates an argument; one that isn't there is null.
func at(args []expression, i int, x *run) any {
	if i >= len(args) {
		return nil
	}
	return args[i](x)
}

func all(args []expression, x *run) []any {
	out := make([]any, len(args))
	for i, e := range args {
		out[i] = e(x)
	}
	return out
}

func two(f func(a, b any) any) operation {
	return func(args []expression, _ []any) expression {
		return func(x *run) any { return f(at(args, 0, x), at(args, 1, x)) }
	}
}

func fold(f func(numbers []float64) float64) operation {
	return func(args []expression, _ []any) expression {
		return func(x *run) any {
			numbers := make([]float64, len(args))
			for i, e := range args {
				numbers[i] = number(e(x))
			}
			return f(numbers)
		}
	}
}

// between is < and <=, which may have three arguments.
func between(holds func(a, b any) bool) operation {
	return func(args []expression, _ []any) expression {
		return func(x *run) any {
			a, b := at(args, 0, x), at(args, 1, x)
			return holds(a, b) && (len(args) < 3 || holds(b, args[2](x)))
		}
	}
}

func ifs(args []expression, _ []any) expression {
	return func(x *run) any {
		i := 0
		for ; i+1 < len(args); i += 2 {
			if truthy(args[i](x)) {
				return args[i+1](x)
			}
		}
		if i < len(args) {
			return args[i](x)
		}
		return nil
	}
}

// until gives the first argument for which truthy is stop, or the last.
func until(stop bool) operation {
	return func(args []expression, _ []any) expression {
		return func(x *run) (v any) {
			for _, e := range args {
				if v = e(x); truthy(v) == stop {
					return v
				}
			}
			return v
		}
	}
}

// operations are JSONLogic's and flagd's.
var operations = map[string]operation{
	"var": variable, "missing": missing, "missing_some": missingSome, "if": ifs, "?:": ifs,
	"==":  two(func(a, b any) any { return equal(a, b) }),
	"!=":  two(func(a, b any) any { return !equal(a, b) }),
	"===": two(func(a, b any) any { return identical(a, b) }),
	"!==": two(func(a, b any) any { return !identical(a, b) }),
	"!":   two(func(a, _ any) any { return !truthy(a) }),
	"!!":  two(func(a, _ any) any { return truthy(a) }),
	"or":  until(true), "and": until(false),
	"<": between(less), "<=": between(lessOrEqual),
	">":   two(func(a, b any) any { return less(b, a) }),
	">=":  two(func(a, b any) any { return lessOrEqual(b, a) }),
	"%":   two(func(a, b any) any { return math.Mod(number(a), number(b)) }),
	"/":   two(func(a, b any) any { return number(a) / number(b) }),
	"max": fold(func(n []float64) float64 { return slices.Max(append(n, math.Inf(-1))) }),
	"min": fold(func(n []float64) float64 { return slices.Min(append(n, math.Inf(1))) }),
	"+": fold(func(n []float64) (sum float64) {
		for _, v := range n {
			sum += v
		}
		return sum
	}),
	"*": fold(func(n []float64) float64 {
		product := 1.0
		for _, v := range n {
			product *= v
		}
		return product
	}),
	"-": fold(func(n []float64) float64 {
		switch len(n) {
		case 0:
			return math.NaN()
		case 1:
			return -n[0]
		}
		return n[0] - n[1]
	}),
	"map": each(func(out []any, _, v any) ([]any, bool) { return append(out, v), true }, func(out []any, _ int) any { return out }),
	"filter": each(func(out []any, element, v any) ([]any, bool) {
		if truthy(v) {
			out = append(out, element)
		}
		return out, true
	}, func(out []any, _ int) any { return out }),
	"all":    each(unlessIs(false), func(out []any, n int) any { return n > 0 && len(out) == 0 }),
	"some":   each(unlessIs(true), func(out []any, _ int) any { return len(out) > 0 }),
	"none":   each(unlessIs(true), func(out []any, _ int) any { return len(out) == 0 }),
	"reduce": reduce, "merge": merge, "in": two(in), "cat": cat, "substr": substr,
	"fractional": fractional, "sem_ver": semVer, "starts_with": affix(strings.HasPrefix), "ends_with": affix(strings.HasSuffix),
}

// variable reads data by a path. An empty path is all of it.
func variable(args []expression, _ []any) expression {
	return func(x *run) any {
		path := at(args, 0, x)
		if v := lookup(x.data, path); v != nil {
			return v
		}
		return at(args, 1, x)
	}
}

func lookup(data, path any) any {
	if path == nil || path == "" {
		return data
	}
	name := text(path)
	if m, ok := data.(map[string]any); ok {
		if v, ok := m[name]; ok { // a name with dots in it
			return v
		}
	}
	for part := range strings.SplitSeq(name, ".") {
		switch d := data.(type) {
		case map[string]any:
			data = d[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(d) {
				return nil
			}
			data = d[i]
		default:
			return nil
		}
	}
	return data
}

func absent(x *run, names []any) []any {
	out := []any{}
	for _, n := range names {
		if v := lookup(x.data, n); v == nil || v == "" {
			out = append(out, n)
		}
	}
	return out
}

func missing(args []expression, _ []any) expression {
	return func(x *run) any {
		names := all(args, x)
		if len(names) > 0 {
			if list, ok := names[0].([]any); ok {
				names = list
			}
		}
		return absent(x, names)
	}
}

func missingSome(args []expression, _ []any) expression {
	return func(x *run) any {
		names, _ := at(args, 1, x).([]any)
		gone := absent(x, names)
		if float64(len(names)-len(gone)) >= number(at(args, 0, x)) {
			return []any{}
		}
		return gone
	}
}

// each evaluates its second argument for every element of its first.
func each(add func(out []any, element, v any) ([]any, bool), end func(out []any, n int) any) operation {
	return func(args []expression, _ []any) expression {
		return func(x *run) any {
			elements, _ := at(args, 0, x).([]any)
			out := []any{}
			for _, e := range elements {
				if x.steps++; len(args) < 2 || x.steps > maxSteps {
					x.exceeded = x.steps > maxSteps
					break
				}
				var more bool
				if out, more = add(out, e, x.call(args[1], e)); !more {
					break
				}
			}
			return end(out, len(elements))
		}
	}
}

// unlessIs stops, with something in the list, at the first result whose truth is so.
func unlessIs(truth bool) func([]any, any, any) ([]any, bool) {
	return func(out []any, _, v any) ([]any, bool) {
		if truthy(v) == truth {
			return append(out, true), false
		}
		return out, true
	}
}

func reduce(args []expression, _ []any) expression {
	return func(x *run) any {
		elements, _ := at(args, 0, x).([]any)
		sum := at(args, 2, x)
		for _, e := range elements {
			if len(args) < 2 || !x.step(1) {
				break
			}
			sum = x.call(args[1], map[string]any{"current": e, "accumulator": sum})
		}
		return sum
	}
}

func merge(args []expression, _ []any) expression {
	return func(x *run) any {
		out := []any{}
		for _, v := range all(args, x) {
			if list, ok := v.([]any); ok {
				out = append(out, list...)
			} else {
				out = append(out, v)
			}
		}
		if !x.step(len(out)) {
			return nil
		}
		return out
	}
}

func in(a, b any) any {
	switch list := b.(type) {
	case string:
		s, ok := a.(string)
		return ok && strings.Contains(list, s)
	case []any:
		return slices.ContainsFunc(list, func(e any) bool { return identical(a, e) })
	}
	return false
}

func cat(args []expression, _ []any) expression {
	return func(x *run) any {
		var out strings.Builder
		for _, v := range all(args, x) {
			if v != nil {
				out.WriteString(text(v))
			}
			if out.Len() > 1<<16 {
				x.exceeded = true
				return nil
			}
		}
		return out.String()
	}
}

func substr(args []expression, _ []any) expression {
	return func(x *run) any {
		s := []rune(text(at(args, 0, x)))
		clamp := func(n float64) int {
			if math.IsNaN(n) {
				return 0
			}
			return int(max(0, min(n, float64(len(s)))))
		}
		from := number(at(args, 1, x))
		if from < 0 {
			from += float64(len(s))
		}
		begin, end := clamp(from), len(s)
		if len(args) > 2 {
			if n := number(args[2](x)); n < 0 {
				end = clamp(float64(len(s)) + n)
			} else {
				end = clamp(float64(begin) + n)
			}
		}
		return string(s[begin:max(begin, end)])
	}
}
