package rule

import (
	"encoding/json"
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
	ReasonSplit        = "split"
	ReasonHoldout      = "holdout"
	ReasonDefault      = "default"
	ReasonNotFound     = "flag_not_found"
)

// Result is a decision.
type Result struct {
	Flag    string          `json:"flag"`
	Value   json.RawMessage `json:"value"`
	Variant string          `json:"variant,omitempty"` // its name, in a flag with variants
	Reason  string          `json:"reason"`
	Rule    string          `json:"rule,omitempty"` // the name of the rule, or the flag of a prerequisite
}

// Evaluate decides one flag. found is false where there is no such flag.
func (s *Snapshot) Evaluate(key string, a Attributes, now time.Time) (r Result, found bool) {
	f, ok := s.flags[key]
	if !ok {
		return Result{Flag: key, Reason: ReasonNotFound}, false
	}
	o, reason, by := f.evaluate(a, now)
	return Result{f.key, o.value, o.variant, reason, by}, true
}

func (f *flag) evaluate(a Attributes, now time.Time) (o *outcome, reason, by string) {
	if !f.enabled {
		return &f.off, ReasonOff, ""
	}
	for i := range f.prerequisites {
		p := &f.prerequisites[i]
		if o, _, _ := p.flag.evaluate(a, now); o.compare != p.want {
			return &f.off, ReasonPrerequisite, p.flag.key
		}
	}
	for i := range f.targets {
		t := &f.targets[i]
		if v := a.Attribute(t.attribute); v.kind == Text && t.values[v.text] {
			return &t.outcome, ReasonTarget, t.attribute
		}
	}
	for i := range f.rules {
		r := &f.rules[i]
		if o, reason := r.evaluate(a, now); o != nil {
			return o, reason, r.name
		}
	}
	return &f.fallback, ReasonDefault, ""
}

// evaluate gives what a rule gives; nil: it does not apply.
func (r *rule) evaluate(a Attributes, now time.Time) (*outcome, string) {
	if !r.during(now) || r.when != nil && r.when.eval(a) != yes {
		return nil, ""
	}
	if r.below >= buckets && len(r.split) == 0 {
		return &r.outcome, ReasonRule
	}
	by := a.Attribute(r.by)
	if by.kind != Text { // who can't be told apart is in no share
		return nil, ""
	}
	switch {
	case r.below < buckets && !r.hash.inShare(r.salt, by.text, r.below):
		return nil, ""
	case len(r.split) == 0:
		return &r.outcome, ReasonRule
	case r.holdout > 0 && HoldoutBucket(r.salt, by.text) < r.holdout:
		return &r.split[0].outcome, ReasonHoldout
	}
	at := r.hash.position(r.salt, by.text, r.total)
	for i := range r.split {
		if at < r.split[i].upTo {
			return &r.split[i].outcome, ReasonSplit
		}
	}
	return nil, "" // can't be: a position is below the total
}

func (r *rule) during(now time.Time) bool {
	return (r.from.IsZero() || !now.Before(r.from)) && (r.until.IsZero() || now.Before(r.until))
}

// Decision is the answer to a gate's question: the strictest of all flags that answer it.
type Decision struct {
	Answer  string // Allow, Deny or StepUp
	Flag    string // the one that decided; empty: none answers this question
	Message string
	Reason  string // of its result
}

// Decide answers a question.
func (s *Snapshot) Decide(question string, a Attributes, now time.Time) Decision {
	out := Decision{Answer: Allow}
	for _, f := range s.gates[question] {
		o, reason, _ := f.evaluate(a, now)
		if out.Flag == "" || strictness(o.answer) > strictness(out.Answer) {
			out = Decision{Answer: o.answer, Flag: f.key, Message: f.gate.Message, Reason: reason}
		}
	}
	return out
}

func strictness(answer string) int { return slices.Index([]string{Allow, StepUp, Deny}, answer) }
