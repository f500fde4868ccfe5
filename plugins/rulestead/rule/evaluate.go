package rule

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The values of a gate flag.
const (
	Allow  = "allow"
	Deny   = "deny"
	StepUp = "step_up"
)

// The reasons of results.
const (
	ReasonOff          = "off"
	ReasonPrerequisite = "prerequisite"
	ReasonTarget       = "target"
	ReasonRule         = "rule"
	ReasonDefault      = "default"
	ReasonNotFound     = "flag_not_found"
)

// Result is a decision.
type Result struct {
	Flag   string          `json:"flag"`
	Value  json.RawMessage `json:"value"`
	Reason string          `json:"reason"`
	Rule   string          `json:"rule,omitempty"` // the name of the rule, or the flag of a prerequisite
}

// Evaluate decides one flag. found is false where there is no such flag.
func (s *Snapshot) Evaluate(key string, a Attributes, now time.Time) (r Result, found bool) {
	f, ok := s.flags[key]
	if !ok {
		return Result{Flag: key, Reason: ReasonNotFound}, false
	}
	return f.evaluate(a, now), true
}

func (f *flag) evaluate(a Attributes, now time.Time) Result {
	if !f.enabled {
		return Result{f.key, f.off, ReasonOff, ""}
	}
	for i := range f.prerequisites {
		p := &f.prerequisites[i]
		if r := p.flag.evaluate(a, now); !same(r.Value, p.want) {
			return Result{f.key, f.off, ReasonPrerequisite, p.flag.key}
		}
	}
	for i := range f.targets {
		t := &f.targets[i]
		if v := a.Attribute(t.attribute); v.kind == Text && t.values[v.text] {
			return Result{f.key, t.value, ReasonTarget, t.attribute}
		}
	}
	for i := range f.rules {
		if r := &f.rules[i]; r.applies(f, a, now) {
			return Result{f.key, r.value, ReasonRule, r.name}
		}
	}
	return Result{f.key, f.fallback, ReasonDefault, ""}
}

func (r *rule) applies(f *flag, a Attributes, now time.Time) bool {
	if !r.from.IsZero() && now.Before(r.from) || !r.until.IsZero() && !now.Before(r.until) {
		return false
	}
	if r.when != nil && r.when.eval(a) != yes {
		return false
	}
	if r.below >= 10_000 {
		return true
	}
	by := a.Attribute(r.by)
	return by.kind == Text && Bucket(f.salt, by.text) < r.below // who can't be told apart is in no share
}

// Keys are the keys of all flags, in order.
func (s *Snapshot) Keys() []string { return slices.Sorted(maps.Keys(s.flags)) }

// About is what a list shows of a flag.
type About struct {
	Key      string `json:"key"`
	Kind     string `json:"kind"`
	Owner    string `json:"owner"`
	ReviewBy string `json:"review_by"`
	Enabled  bool   `json:"enabled"`
	Question string `json:"gate,omitempty"` // that it answers; empty: none
	Rules    int    `json:"rules"`
}

// Flags lists all flags, by key.
func (s *Snapshot) Flags() []About {
	out := make([]About, 0, len(s.flags))
	for _, key := range s.Keys() {
		out = append(out, s.flags[key].about)
	}
	return out
}

// Gated reports whether any flag answers a question.
func (s *Snapshot) Gated(question string) bool { return len(s.gates[question]) > 0 }

// Decision is the answer to a gate's question: the strictest of all flags that answer it.
type Decision struct {
	Answer  string // Allow, Deny or StepUp
	Flag    string // the one that decided; empty: none answers this question
	Message string
	Result  Result
}

// Decide answers a question.
func (s *Snapshot) Decide(question string, a Attributes, now time.Time) Decision {
	out := Decision{Answer: Allow}
	for _, f := range s.gates[question] {
		r := f.evaluate(a, now)
		var answer string
		if json.Unmarshal(r.Value, &answer) != nil {
			answer = Deny // can't be: it was compiled
		}
		if out.Flag == "" || strictness(answer) > strictness(out.Answer) {
			out = Decision{Answer: answer, Flag: f.key, Message: f.gate.Message, Result: r}
		}
	}
	return out
}

func strictness(answer string) int { return slices.Index([]string{Allow, StepUp, Deny}, answer) }

// Explain tells, line by line, how a flag gets its value.
func (s *Snapshot) Explain(key string, a Attributes, now time.Time) (Result, []string) {
	f, ok := s.flags[key]
	if !ok {
		return Result{Flag: key, Reason: ReasonNotFound}, []string{"there is no flag " + key}
	}
	result := f.evaluate(a, now)
	lines := []string{fmt.Sprintf("flag %s, version %d", key, s.Version)}
	if !f.enabled {
		return result, append(lines, "it is off: "+string(f.off))
	}
	for _, p := range f.prerequisites {
		r := p.flag.evaluate(a, now)
		lines = append(lines, fmt.Sprintf("prerequisite %s is %s, needed %s", p.flag.key, r.Value, p.want))
	}
	if result.Reason == ReasonPrerequisite {
		return result, append(lines, "so it has its off value: "+string(f.off))
	}
	for _, t := range f.targets {
		v := a.Attribute(t.attribute)
		hit := v.kind == Text && t.values[v.text]
		lines = append(lines, fmt.Sprintf("target by %s: %v", t.attribute, hit))
		if hit {
			return result, append(lines, "value: "+string(t.value))
		}
	}
	for i := range f.rules {
		r := &f.rules[i]
		lines = append(lines, "rule "+r.name+":")
		if !r.from.IsZero() || !r.until.IsZero() {
			lines = append(lines, fmt.Sprintf("  between %s and %s: %v", stamp(r.from), stamp(r.until), (r.from.IsZero() || !now.Before(r.from)) && (r.until.IsZero() || now.Before(r.until))))
		}
		if r.when != nil {
			r.when.explain(a, 1, &lines)
		}
		if r.below < 10_000 {
			by := a.Attribute(r.by)
			if by.kind == Text {
				lines = append(lines, fmt.Sprintf("  bucket %d by %s, needed below %d", Bucket(f.salt, by.text), r.by, r.below))
			} else {
				lines = append(lines, fmt.Sprintf("  no bucket: %s is missing", r.by))
			}
		}
		if r.applies(f, a, now) {
			return result, append(lines, "  it applies: "+string(r.value))
		}
		lines = append(lines, "  it does not apply")
	}
	return result, append(lines, "no rule applies, so it has its default: "+string(f.fallback))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "ever"
	}
	return t.UTC().Format(time.RFC3339)
}
