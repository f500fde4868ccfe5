package flagd

import (
	"math"

	"github.com/sigra-auth/sigra/plugins/rulestead/murmur3"
	"github.com/sigra-auth/sigra/plugins/rulestead/semver"
)

// fractional gives each a part of the variants, by a hash. Without a first argument that is no list, it goes by the flag's key and the
// targeting key.
func fractional(args []expression, literal []any) expression {
	by := func(x *run) any {
		if key, ok := x.key.(string); ok {
			return x.flag + key
		}
		return nil
	}
	if len(literal) > 0 {
		if _, list := literal[0].([]any); !list {
			by, args, literal = args[0], args[1:], literal[1:]
		}
	}
	return func(x *run) any {
		id, ok := by(x).(string)
		if !ok {
			return nil
		}
		names, weights := make([]any, len(args)), make([]uint64, len(args))
		var total uint64
		for i, e := range args {
			share, ok := e(x).([]any)
			if !ok || len(share) == 0 {
				return nil
			}
			weight := 1.0
			if len(share) > 1 {
				if weight, ok = share[1].(float64); !ok || math.IsNaN(weight) {
					return nil
				}
			}
			names[i], weights[i] = share[0], uint64(max(0, min(weight, math.MaxInt32)))
			total += weights[i]
		}
		if total == 0 || total > math.MaxInt32 {
			return nil
		}
		hash := murmur3.Sum32(id, 0)
		if x.first {
			return firstFormula(hash, names, weights, total)
		}
		position := uint64(hash) * total >> 32
		for i, w := range weights {
			if position < w {
				return names[i]
			}
			position -= w
		}
		return nil
	}
}

// firstFormula is what flagd had before: percent of the hash as a signed number without its sign.
func firstFormula(hash uint32, names []any, weights []uint64, total uint64) any {
	percent := math.Abs(float64(int32(hash))) / math.MaxInt32 * 100
	var end float64
	for i, w := range weights {
		if end += float64(w) * 100 / float64(total); percent < end {
			return names[i]
		}
	}
	return names[len(names)-1]
}

// comparisons are sem_ver's.
var comparisons = map[string]func(a, b semver.Version) bool{
	"=":  func(a, b semver.Version) bool { return semver.Compare(a, b) == 0 },
	"!=": func(a, b semver.Version) bool { return semver.Compare(a, b) != 0 },
	"<":  func(a, b semver.Version) bool { return semver.Compare(a, b) < 0 },
	"<=": func(a, b semver.Version) bool { return semver.Compare(a, b) <= 0 },
	">":  func(a, b semver.Version) bool { return semver.Compare(a, b) > 0 },
	">=": func(a, b semver.Version) bool { return semver.Compare(a, b) >= 0 },
	"~":  func(a, b semver.Version) bool { return a.Major == b.Major && a.Minor == b.Minor },
	"^":  func(a, b semver.Version) bool { return a.Major == b.Major },
}

func semVer(args []expression, _ []any) expression {
	return func(x *run) any {
		if len(args) != 3 {
			return nil
		}
		a, ok := version(args[0](x))
		b, also := version(args[2](x))
		name, _ := args[1](x).(string)
		holds := comparisons[name]
		if !ok || !also || holds == nil {
			return nil
		}
		return holds(a, b)
	}
}

func version(v any) (semver.Version, bool) {
	switch v := v.(type) {
	case string:
		return semver.ParseLoose(v)
	case float64:
		return semver.ParseLoose(digits(v))
	}
	return semver.Version{}, false
}

// affix is starts_with or ends_with: null, and not false, where it can't be said.
func affix(has func(s, part string) bool) operation {
	return func(args []expression, _ []any) expression {
		return func(x *run) any {
			if len(args) != 2 {
				return nil
			}
			s, ok := args[0](x).(string)
			part, also := args[1](x).(string)
			if !ok || !also {
				return nil
			}
			return has(s, part)
		}
	}
}
