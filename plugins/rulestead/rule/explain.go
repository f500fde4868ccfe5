package rule

import (
	"fmt"
	"time"
)

// Explain tells, line by line, how a flag gets its value.
func (s *Snapshot) Explain(key string, a Attributes, now time.Time) (Result, []string) {
	f, ok := s.flags[key]
	result, _ := s.Evaluate(key, a, now)
	if !ok {
		return result, []string{"there is no flag " + key}
	}
	lines := []string{fmt.Sprintf("flag %s, version %d", key, s.Version)}
	if !f.enabled {
		return result, append(lines, "it is off: "+f.off.String())
	}
	for i := range f.prerequisites {
		p := &f.prerequisites[i]
		o, reason, _ := p.flag.evaluate(a, now)
		lines = append(lines, fmt.Sprintf("prerequisite %s is %s (%s), needed %s: %v", p.flag.key, o.compare, reason, p.want, o.compare == p.want))
		if o.compare != p.want {
			return result, append(lines, "so it has its off value: "+f.off.String())
		}
	}
	for i := range f.targets {
		t := &f.targets[i]
		v := a.Attribute(t.attribute)
		hit := v.kind == Text && t.values[v.text]
		lines = append(lines, fmt.Sprintf("target by %s: %v", t.attribute, hit))
		if hit {
			return result, append(lines, "value: "+t.outcome.String())
		}
	}
	for i := range f.rules {
		r := &f.rules[i]
		lines = append(lines, "rule "+r.name+":")
		r.explain(a, now, &lines)
		if o, _ := r.evaluate(a, now); o != nil {
			return result, append(lines, "  it applies: "+o.String())
		}
		lines = append(lines, "  it does not apply")
	}
	return result, append(lines, "no rule applies, so it has its default: "+f.fallback.String())
}

func (r *rule) explain(a Attributes, now time.Time, lines *[]string) {
	say := func(format string, args ...any) { *lines = append(*lines, "  "+fmt.Sprintf(format, args...)) }
	if !r.from.IsZero() || !r.until.IsZero() {
		say("from %s until %s, and it is %s: %v", stamp(r.from), stamp(r.until), stamp(now), r.during(now))
	}
	if r.when != nil {
		r.when.explain(a, 1, lines)
	}
	if r.below >= buckets && len(r.split) == 0 {
		return
	}
	by := a.Attribute(r.by)
	if by.kind != Text {
		say("no bucket: %s is missing or no text", r.by)
		return
	}
	if r.below < buckets {
		if r.hash == sha256Hash {
			say("bucket %d by %s, needed below %d", Bucket(r.salt, by.text), r.by, r.below)
		} else {
			say("by %s, in %d percent by Unleash's hash: %v", r.by, r.below/100, r.hash.inShare(r.salt, by.text, r.below))
		}
	}
	if len(r.split) > 0 {
		if r.holdout > 0 {
			say("holdout bucket %d by %s, kept out below %d", HoldoutBucket(r.salt, by.text), r.by, r.holdout)
		}
		say("position %d of %d by %s", r.hash.position(r.salt, by.text, r.total), r.total, r.by)
	}
}

// String is for explanations.
func (o *outcome) String() string {
	if o.variant != "" {
		return fmt.Sprintf("%s (%s)", o.variant, o.value)
	}
	return string(o.value)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "ever"
	}
	return t.UTC().Format(time.RFC3339)
}
