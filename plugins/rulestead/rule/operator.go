package rule

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/semver"
)

// test compares an attribute with an operand that was read before.
type test func(Value) truth

// operator makes the comparison that an operator without "not_" does.
func operator(name string, raw json.RawMessage) (test, error) {
	switch name {
	case "exists":
		want, err := operand[bool](raw)
		return func(v Value) truth { return of((v.kind != Missing) == want) }, err
	case "equals":
		return equals(raw)
	case "in":
		return in(raw)
	case "contains":
		want, err := operand[string](raw)
		return func(v Value) truth {
			switch v.kind {
			case Text:
				return of(strings.Contains(v.text, want))
			case List:
				return of(slices.Contains(v.list, want))
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
		holds := orders[name]
		return func(v Value) truth {
			switch {
			case v.kind != Number:
				return unknown
			case v.num < want:
				return of(holds(-1))
			case v.num > want:
				return of(holds(1))
			}
			return of(v.num == want && holds(0))
		}, err
	case "before", "after":
		return when(name, raw)
	case "semver_equals", "semver_gt", "semver_gte", "semver_lt", "semver_lte":
		return version(name, raw)
	case "in_network":
		return inNetwork(raw)
	}
	return nil, fmt.Errorf("there is no such operator")
}

// orders are the comparisons by what a comparison of the two gives.
var orders = map[string]func(int) bool{
	"equals": func(c int) bool { return c == 0 }, "gt": func(c int) bool { return c > 0 }, "gte": func(c int) bool { return c >= 0 },
	"lt": func(c int) bool { return c < 0 }, "lte": func(c int) bool { return c <= 0 },
}

func equals(raw json.RawMessage) (test, error) {
	want, err := operand[any](raw)
	if err != nil {
		return nil, err
	}
	w := ValueOf(want)
	switch w.kind {
	case Text:
		return func(v Value) truth {
			if v.kind != Text {
				return unknown
			}
			return of(v.text == w.text)
		}, nil
	case Number:
		return func(v Value) truth {
			if v.kind != Number {
				return unknown
			}
			return of(v.num == w.num)
		}, nil
	case Bool:
		return func(v Value) truth {
			if v.kind != Bool {
				return unknown
			}
			return of(v.yes == w.yes)
		}, nil
	}
	return nil, fmt.Errorf("the value must be a text, a number or a truth value")
}

// in takes a list of texts, or one of numbers.
func in(raw json.RawMessage) (test, error) {
	list, err := operand[[]any](raw)
	if err != nil {
		return nil, err
	}
	texts, numbers := map[string]bool{}, map[float64]bool{}
	for _, e := range list {
		switch x := e.(type) {
		case string:
			texts[x] = true
		case float64:
			numbers[x] = true
		default:
			return nil, fmt.Errorf("the list has more in it than texts and numbers")
		}
	}
	if len(texts) > 0 && len(numbers) > 0 {
		return nil, fmt.Errorf("the list has both texts and numbers")
	}
	return func(v Value) truth {
		switch {
		case v.kind == Number && len(texts) == 0:
			return of(numbers[v.num])
		case v.kind == Text && len(numbers) == 0:
			return of(texts[v.text])
		case v.kind == List && len(numbers) == 0: // one of them is enough
			return of(slices.ContainsFunc(v.list, func(s string) bool { return texts[s] }))
		}
		return unknown
	}, nil
}

func when(name string, raw json.RawMessage) (test, error) {
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
}

func version(name string, raw json.RawMessage) (test, error) {
	text, err := operand[string](raw)
	if err != nil {
		return nil, err
	}
	want, ok := semver.Parse(text)
	if !ok {
		return nil, fmt.Errorf("%q is no version such as 1.2.3", text)
	}
	holds := orders[strings.TrimPrefix(name, "semver_")]
	return func(v Value) truth {
		is, ok := semver.Parse(v.text)
		if v.kind != Text || !ok {
			return unknown
		}
		return of(holds(semver.Compare(is, want)))
	}, nil
}

func inNetwork(raw json.RawMessage) (test, error) {
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
		return of(slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) }))
	}, nil
}

func ofText(holds func(string) bool) test {
	return func(v Value) truth {
		if v.kind != Text {
			return unknown
		}
		return of(holds(v.text))
	}
}

// operand reads what an attribute is compared with. null is none: encoding/json would make nothing of it, without a word.
func operand[T any](raw json.RawMessage) (T, error) {
	var out T
	if len(raw) == 0 || string(raw) == "null" {
		return out, fmt.Errorf("the value is missing")
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("the value %s has the wrong type", raw)
	}
	return out, nil
}
