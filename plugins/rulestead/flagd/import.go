package flagd

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/sigra-auth/sigra/plugins/rulestead/murmur3"
	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// Import says a document in Rulestead's rules: everybody keeps their part of a fractional. Notes say where the meaning differs; the
// error names, a line each, what can't be said and has to be written anew. The document has to pass Check.
func (d *Definitions) Import(owner, reviewBy string) (out rule.Definitions, notes []string, err error) {
	im := &importer{d: d, out: rule.Definitions{Flags: map[string]rule.Flag{}, Segments: map[string]rule.Condition{}}}
	for _, key := range d.Keys() {
		im.at = "flag " + key
		im.out.Flags[key] = im.flag(key, d.flags[key], owner, reviewBy)
	}
	if len(im.errs) == 0 {
		if _, err := rule.Compile(0, im.out); err != nil {
			im.errs = append(im.errs, err)
		}
	}
	if len(im.errs) > 0 {
		return rule.Definitions{}, im.notes, errors.Join(im.errs...)
	}
	return im.out, im.notes, nil
}

type importer struct {
	d      *Definitions
	out    rule.Definitions
	at     string
	key    string   // of the flag
	def    string   // its default variant
	within []string // evaluators that are being said
	rules  []rule.Rule
	notes  []string
	errs   []error
}

func (im *importer) refuse(format string, args ...any) {
	im.errs = append(im.errs, fmt.Errorf("%s: %s", im.at, fmt.Sprintf(format, args...)))
}

func (im *importer) note(format string, args ...any) {
	if n := im.at + ": " + fmt.Sprintf(format, args...); !slices.Contains(im.notes, n) {
		im.notes = append(im.notes, n)
	}
}

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what was read from JSON
	}
	return b
}

func (im *importer) flag(key string, f *flag, owner, reviewBy string) rule.Flag {
	out := rule.Flag{Kind: "release", Owner: owner, ReviewBy: reviewBy, Enabled: f.State != "DISABLED", Variants: maps.Clone(f.Variants)}
	if s, ok := f.Metadata["description"].(string); ok {
		out.Description = s
	}
	if f.DefaultVariant == nil {
		im.refuse("it has no default variant, and the caller's default has no place in rules")
		return out
	}
	out.Off, out.Default = raw(*f.DefaultVariant), raw(*f.DefaultVariant)
	if !out.Enabled {
		im.note("while it is off, the default variant counts and not the caller's default")
	}
	im.key, im.def, im.rules = key, *f.DefaultVariant, nil
	if rules, ok := f.Targeting.(map[string]any); ok && len(rules) > 0 {
		im.branch(f.Targeting, nil)
	}
	out.Rules = im.rules
	return out
}

func both(a *rule.Condition, b rule.Condition) *rule.Condition {
	switch {
	case a == nil:
		return &b
	case a.All != nil:
		return &rule.Condition{All: append(slices.Clone(a.All), b)}
	}
	return &rule.Condition{All: []rule.Condition{*a, b}}
}

// branch makes rules of an expression that gives a variant. For those of whom when is true they decide, whatever the value.
func (im *importer) branch(v any, when *rule.Condition) {
	give := func(variant string) { im.rules = append(im.rules, rule.Rule{When: when, Value: raw(variant)}) }
	switch v := v.(type) {
	case nil:
		give(im.def)
	case string:
		give(v)
	case bool, float64:
		give(text(v))
	case map[string]any:
		if args, ok := v["if"].([]any); ok && len(v) == 1 {
			i := 0
			for ; i+1 < len(args); i += 2 {
				im.branch(args[i+1], both(when, im.condition(args[i], true)))
			}
			if i < len(args) {
				im.branch(args[i], when)
			} else {
				give(im.def)
			}
			return
		}
		if args, ok := v["fractional"].([]any); ok && len(v) == 1 {
			give(im.fractional(args, when)) // to those who have nothing to go by
			return
		}
		im.refuse("a rule gives variants by if and fractional, and not by %s", raw(v))
	default:
		im.refuse("%s is no variant", raw(v))
	}
}

// fractional makes a rule with a split, and says who gets what without an attribute to go by: the default, or what cat makes of the
// texts alone.
func (im *importer) fractional(args []any, when *rule.Condition) string {
	salt, cat := im.key, false
	r := rule.Rule{When: when, Hash: "flagd", By: "user.id", Salt: &salt}
	if len(args) > 0 {
		if _, list := args[0].([]any); !list {
			var ok bool
			if salt, r.By, ok = im.goesBy(args[0]); !ok {
				im.refuse("a fractional goes by an attribute, with texts before it: %s", raw(args[0]))
			}
			cat, args = objectOf(args[0])["cat"] != nil, args[1:]
		}
	}
	names, total := []string{}, uint64(0)
	for _, a := range args {
		share, _ := a.([]any)
		weight := 1.0
		name, ok := "", len(share) > 0
		if ok {
			name, ok = share[0].(string)
		}
		if len(share) > 1 {
			n, number := share[1].(float64)
			weight, ok = n, ok && number
		}
		if !ok || weight > math.MaxInt32 {
			im.refuse("a share of a fractional is the name of a variant and a number: %s", raw(a))
			continue
		}
		r.Split = append(r.Split, rule.Share{Weight: int64(max(0, weight)), Value: raw(name)})
		names, total = append(names, name), total+uint64(max(0, weight))
	}
	im.rules = append(im.rules, r)
	if position := int64(uint64(murmur3.Sum32(salt, 0)) * total >> 32); cat {
		for i, s := range r.Split {
			if position -= s.Weight; position < 0 {
				return names[i]
			}
		}
	}
	return im.def
}

// goesBy reads {"var": …}, or {"cat": […]} of texts and the flag's key before one.
func (im *importer) goesBy(v any) (salt, by string, ok bool) {
	if name, ok := variableName(v); ok {
		return "", attribute(name), true
	}
	parts, _ := objectOf(v)["cat"].([]any)
	for i, p := range parts {
		name, is := variableName(p)
		s, isText := p.(string)
		switch {
		case is && name == "$flagd.flagKey":
			salt += im.key
		case is && i == len(parts)-1:
			return salt, attribute(name), true
		case isText:
			salt += s
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// variableName is the name in {"var": NAME} or {"var": [NAME]}.
func variableName(v any) (string, bool) {
	m := objectOf(v)
	if len(m) != 1 {
		return "", false
	}
	arg := m["var"]
	if list, ok := arg.([]any); ok && len(list) == 1 {
		arg = list[0]
	}
	s, ok := arg.(string)
	return s, ok && s != ""
}

// attribute is Sigra's name of a member of the context.
func attribute(name string) string {
	if name == "targetingKey" {
		return "user.id"
	}
	return name
}
