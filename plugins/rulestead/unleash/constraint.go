package unleash

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/semver"
)

// compileAll makes the comparisons, once. One that can't be made never holds.
func compileAll(cs []Constraint) {
	for i := range cs {
		cs[i].holds = compile(cs[i])
	}
}

func never(string) bool { return false }

func compile(c Constraint) func(string) bool {
	switch c.Operator {
	case "IN", "NOT_IN":
		return func(v string) bool { return slices.Contains(c.Values, v) }
	case "STR_STARTS_WITH":
		return texts(c, strings.HasPrefix)
	case "STR_ENDS_WITH":
		return texts(c, strings.HasSuffix)
	case "STR_CONTAINS":
		return texts(c, strings.Contains)
	case "NUM_EQ", "NUM_GT", "NUM_GTE", "NUM_LT", "NUM_LTE":
		want, err := strconv.ParseFloat(strings.TrimSpace(c.Value), 64)
		if err != nil {
			return never
		}
		return func(v string) bool {
			is, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			return err == nil && order(strings.TrimPrefix(c.Operator, "NUM_"), compareFloat(is, want))
		}
	case "SEMVER_EQ", "SEMVER_GT", "SEMVER_GTE", "SEMVER_LT", "SEMVER_LTE":
		want, ok := semver.Parse(c.Value)
		if !ok {
			return never
		}
		return func(v string) bool {
			is, ok := semver.Parse(v)
			return ok && order(strings.TrimPrefix(c.Operator, "SEMVER_"), semver.Compare(is, want))
		}
	case "DATE_AFTER", "DATE_BEFORE":
		want, err := time.Parse(time.RFC3339, c.Value)
		if err != nil {
			return never
		}
		return func(v string) bool {
			at, err := time.Parse(time.RFC3339, v)
			return err == nil && (c.Operator == "DATE_AFTER" && at.After(want) || c.Operator == "DATE_BEFORE" && at.Before(want))
		}
	case "REGEX":
		text := c.Value
		if c.CaseInsensitive {
			text = "(?i)" + text
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return never
		}
		return re.MatchString
	case "IN_CIDR":
		nets, _ := networks(c.Values)
		return func(v string) bool { return inNetworks(nets, v) }
	}
	return nil // unknown: does not hold, not even inverted
}

func texts(c Constraint, has func(s, part string) bool) func(string) bool {
	values := slices.Clone(c.Values)
	if c.CaseInsensitive {
		for i := range values {
			values[i] = strings.ToLower(values[i])
		}
	}
	return func(v string) bool {
		if c.CaseInsensitive {
			v = strings.ToLower(v)
		}
		return slices.ContainsFunc(values, func(part string) bool { return has(v, part) })
	}
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func order(operator string, c int) bool {
	switch operator {
	case "EQ":
		return c == 0
	case "GT":
		return c > 0
	case "GTE":
		return c >= 0
	case "LT":
		return c < 0
	}
	return c <= 0
}

// networks reads addresses and networks; bad are those that are neither.
func networks(list []string) (out []netip.Prefix, bad []string) {
	for _, s := range list {
		s = strings.TrimSpace(s)
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked())
		} else if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
			out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
		} else {
			bad = append(bad, s)
		}
	}
	return out, bad
}

func inNetworks(nets []netip.Prefix, v string) bool {
	ip, err := netip.ParseAddr(v)
	return err == nil && slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(ip.Unmap().WithZone("")) })
}

// check reports whether a constraint holds. A value that is missing is in no list, so that NOT_IN holds for it.
func (c *Constraint) check(x *evaluation) bool {
	v, ok := x.context.member(c.ContextName, x.now)
	hit := c.holds != nil && ok && c.holds(v)
	if c.Operator == "NOT_IN" {
		hit = !hit
	}
	out := c.holds != nil && hit != c.Inverted
	x.say("constraint %s %s %s: %v (it is %s)", c.ContextName, c.name(), c.operand(), out, shown(v, ok))
	return out
}

func (c *Constraint) name() string {
	if c.Inverted {
		return "not " + c.Operator
	}
	return c.Operator
}

func (c *Constraint) operand() string {
	if c.Values != nil {
		return strconv.Quote(strings.Join(c.Values, ", "))
	}
	return strconv.Quote(c.Value)
}

func shown(v string, ok bool) string {
	if !ok {
		return "missing"
	}
	return strconv.Quote(v)
}
