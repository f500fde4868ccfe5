package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// described is a compiled flag with what lists show of it.
type described struct {
	*flag
	about About
}

func (c *compiler) flag(key string, d Flag) described {
	f := &flag{key: key, enabled: d.Enabled, gate: d.Gate, salt: d.Salt}
	if f.salt == "" {
		f.salt = key
	}
	at := "flag " + key
	switch {
	case !keyPattern.MatchString(key):
		c.mistake(at, errKey)
	case !slices.Contains(kinds, d.Kind):
		c.mistake(at, fmt.Errorf("kind is one of %v", kinds))
	case d.Owner == "":
		c.mistake(at, errors.New("owner says whom to ask about the flag"))
	case len(d.Off) == 0 || len(d.Default) == 0:
		c.mistake(at, errors.New("off and default are both needed"))
	case d.Gate != nil && !slices.Contains(Questions, d.Gate.Question):
		c.mistake(at, fmt.Errorf("a gate's question is one of %v", Questions))
	case d.Gate != nil && d.Variants != nil:
		c.mistake(at, errors.New("a gate has no variants: its values are answers"))
	}
	if _, err := time.Parse(time.DateOnly, d.ReviewBy); err != nil {
		c.mistake(at, errors.New("review_by is a day such as 2027-06-30"))
	}
	read := reader{d}
	if err := read.variants(); err != nil {
		c.mistake(at, err)
	}
	values := map[string]bool{}
	outcome := func(where string, raw json.RawMessage) outcome {
		o, err := read.outcome(raw)
		if err != nil {
			c.mistake(at+where, err)
		}
		values[o.compare] = true
		return o
	}
	f.fallback = outcome(", default", d.Default)
	if f.off = outcome(", off", d.Off); len(d.Rules)+len(d.Targets) > 0 {
		values = map[string]bool{f.fallback.compare: true} // the off value is nobody's while it is on
	}
	for i, t := range d.Targets {
		where := fmt.Sprintf(", target %d", i+1)
		if t.Attribute == "" || len(t.Values) == 0 {
			c.mistake(at+where, errors.New("a target needs an attribute and values"))
		}
		set := make(map[string]bool, len(t.Values))
		for _, v := range t.Values {
			set[v] = true
		}
		f.targets = append(f.targets, target{t.Attribute, set, outcome(where, t.Value)})
	}
	for i, r := range d.Rules {
		f.rules = append(f.rules, c.rule(at, i, r, f, outcome))
	}
	about := About{Key: key, Kind: d.Kind, Type: read.typeName(), Owner: d.Owner, ReviewBy: d.ReviewBy, Enabled: d.Enabled, Archived: d.Archived, Rules: len(d.Rules), permanent: d.Permanent,
		constant: len(d.Prerequisites) == 0 && len(d.Rules)+len(d.Targets) > 0 && len(values) == 1}
	if d.Gate != nil {
		about.Question = d.Gate.Question
	}
	return described{f, about}
}

func (c *compiler) rule(at string, i int, d Rule, f *flag, outcome func(string, json.RawMessage) outcome) rule {
	r := rule{name: d.Name, below: buckets, by: d.By, salt: f.salt}
	for _, or := range []struct {
		s *string
		v string
	}{{&r.name, strconv.Itoa(i + 1)}, {&r.by, "user.id"}} {
		if *or.s == "" {
			*or.s = or.v
		}
	}
	where := fmt.Sprintf(", rule %d", i+1)
	mistake := func(text string) { c.mistake(at+where, errors.New(text)) }
	if d.Salt != nil {
		r.salt = *d.Salt
	}
	if d.From != nil {
		r.from = *d.From
	}
	if d.Until != nil {
		if r.until = *d.Until; d.From != nil && !d.From.Before(*d.Until) {
			mistake("it ends before it begins")
		}
	}
	var ok bool
	if r.hash, ok = hashes[d.Hash]; !ok {
		mistake("hash is one of sha256, unleash, flagd")
	}
	if d.Percentage != nil {
		if r.below, ok = steps(*d.Percentage); !ok {
			mistake("percentage is 0 to 100 in steps of 0.01")
		}
		switch {
		case r.hash == unleashHash && r.below%100 != 0:
			mistake("with Unleash's hash, a percentage is a whole number")
		case r.hash == flagdHash:
			mistake("with flagd's hash there are splits, and no percentages")
		}
	}
	if r.holdout, ok = steps(d.Holdout); !ok || d.Holdout > 0 && (len(d.Split) == 0 || r.hash != sha256Hash) {
		mistake("holdout is 0 to 100 in steps of 0.01, in a rule with a split and no hash of its own")
	}
	switch {
	case (len(d.Value) > 0) == (len(d.Split) > 0):
		mistake("a rule has either a value or a split")
	case len(d.Value) > 0:
		r.outcome = outcome(where, d.Value)
	}
	for _, s := range d.Split {
		if s.Weight < 0 || s.Weight > math.MaxInt32 || r.total+uint64(s.Weight) > math.MaxInt32 {
			mistake("weights are whole numbers from 0, and all of a split come to at most 2147483647")
			break
		}
		r.total += uint64(s.Weight)
		r.split = append(r.split, share{r.total, outcome(where, s.Value)})
	}
	if len(d.Split) > 0 && r.total == 0 {
		mistake("all weights of the split are 0")
	}
	if d.When != nil {
		n, err := c.condition(*d.When, nil, 0)
		if err != nil {
			c.mistake(at+where, err)
		}
		r.when = n
	}
	return r
}

// steps makes buckets of percent.
func steps(percent float64) (uint64, bool) {
	n := math.Round(percent * 100)
	if !(percent >= 0 && percent <= 100) || math.Abs(percent*100-n) > 1e-6 {
		return 0, false
	}
	return uint64(n), true
}

// reader reads a flag's values.
type reader struct{ d Flag }

// typeName is the type of a flag's values.
func (r reader) typeName() string {
	like := r.d.Default
	var name string
	switch {
	case r.d.Type != "":
		return r.d.Type
	case r.d.Variants != nil && json.Unmarshal(like, &name) == nil:
		like = r.d.Variants[name]
	}
	return typeOf(like)
}

func typeOf(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	switch v.(type) {
	case bool:
		return BooleanType
	case string:
		return StringType
	case float64:
		return NumberType
	case map[string]any, []any:
		return JSONType
	}
	return "" // null
}

// variants checks them and the type.
func (r reader) variants() error {
	is := r.typeName()
	switch {
	case r.d.Type != "" && !slices.Contains([]string{BooleanType, StringType, NumberType, JSONType}, r.d.Type):
		return errors.New("type is one of boolean, string, number, json")
	case r.d.Variants != nil && len(r.d.Variants) == 0:
		return errors.New("variants are none")
	}
	for _, name := range slices.Sorted(maps.Keys(r.d.Variants)) {
		if v := r.d.Variants[name]; typeOf(v) != is {
			return fmt.Errorf("variant %s: the value %s is of another type than %s", name, v, is)
		}
	}
	return nil
}

// outcome reads a value: its type is the flag's, a gate's is an answer, and with variants it is the name of one.
func (r reader) outcome(raw json.RawMessage) (outcome, error) {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return outcome{}, errors.New("the value is missing")
	}
	name, _ := v.(string)
	switch {
	case r.d.Gate != nil:
		if strictness(name) < 0 {
			return outcome{}, fmt.Errorf("a gate's value is %q, %q or %q, not %s", Allow, Deny, StepUp, raw)
		}
		return outcome{value: raw, answer: name, compare: name}, nil
	case r.d.Variants != nil:
		value, ok := r.d.Variants[name]
		if !ok {
			return outcome{}, fmt.Errorf("there is no variant %s", raw)
		}
		return outcome{value: value, variant: name, compare: name}, nil
	}
	if is := r.typeName(); typeOf(raw) != is || is == "" {
		return outcome{}, fmt.Errorf("the value %s is of another type than the flag's, %s", raw, is)
	}
	spelling, err := json.Marshal(v)
	return outcome{value: raw, compare: string(spelling)}, err
}
