package unleash

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/murmur3"
)

// Context is Unleash's: userId, sessionId, remoteAddress, environment, appName, currentTime, and properties.
type Context map[string]any

// member gives a member of the context, or one of its properties, as text.
func (c Context) member(name string, now time.Time) (string, bool) {
	v, ok := c[name]
	if !ok || v == nil || name == "properties" {
		properties, _ := c["properties"].(map[string]any)
		v = properties[name]
	}
	switch x := v.(type) {
	case nil:
		if name == "currentTime" {
			return now.UTC().Format(time.RFC3339Nano), true
		}
		return "", false
	case string:
		return x, true
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(x), true
	}
	return "", false
}

// Result is what a client would get.
type Result struct {
	Enabled bool
	Variant Chosen
	Path    []string // why, line by line
}

// Chosen is a variant as a client gets it.
type Chosen struct {
	Name           string          `json:"name"`
	Payload        json.RawMessage `json:"payload,omitempty"`
	Enabled        bool            `json:"enabled"`
	FeatureEnabled bool            `json:"feature_enabled"`
}

// Names are the features, in order.
func (d *Definitions) Names() []string { return slices.Sorted(maps.Keys(d.features)) }

// evaluation is one evaluation.
type evaluation struct {
	d       *Definitions
	context Context
	now     time.Time
	random  func(n int64) int64
	path    []string
	depth   int
}

func (x *evaluation) say(format string, args ...any) {
	x.path = append(x.path, strings.Repeat("  ", x.depth)+fmt.Sprintf(format, args...))
}

// Evaluate decides a feature. random gives a number from 0 to below n, for those who can't be told apart; found is false where there
// is no such feature.
func (d *Definitions) Evaluate(name string, c Context, now time.Time, random func(n int64) int64) (r Result, found bool) {
	x := &evaluation{d: d, context: c, now: now, random: random}
	_, found = d.features[name]
	r.Enabled, r.Variant = x.feature(name, true)
	r.Path = x.path
	return r, found
}

const disabled = "disabled"

func (x *evaluation) feature(name string, child bool) (bool, Chosen) {
	off := Chosen{Name: disabled}
	f, ok := x.d.features[name]
	if !ok {
		x.say("there is no feature %s", name)
		return false, off
	}
	if !f.Enabled {
		x.say("feature %s is off", name)
		return false, off
	}
	x.say("feature %s is on", name)
	x.depth++
	defer func() { x.depth-- }()
	if child && !x.dependencies(f) {
		return false, off
	}
	on, variants, group, stickiness := len(f.Strategies) == 0, f.Variants, f.Name, ""
	for i := range f.Strategies {
		s := &f.Strategies[i]
		if on = x.strategy(f, s); on {
			if len(s.Variants) > 0 {
				variants, group, stickiness = s.Variants, s.Parameters["groupId"], s.Parameters["stickiness"]
			}
			break
		}
	}
	if !on {
		x.say("no strategy applies")
		return false, off
	}
	v, ok := x.choose(variants, group, stickiness)
	if !ok {
		return true, Chosen{Name: disabled, FeatureEnabled: true}
	}
	x.say("variant %s", v.Name)
	return true, Chosen{Name: v.Name, Payload: v.Payload, Enabled: true, FeatureEnabled: true}
}

func (x *evaluation) dependencies(f *Feature) bool {
	for _, dep := range f.Dependencies {
		parent, ok := x.d.features[dep.Feature]
		if !ok || len(parent.Dependencies) > 0 {
			x.say("dependency %s is missing or has dependencies itself", dep.Feature)
			return false
		}
		on, v := x.feature(dep.Feature, false)
		holds := on
		switch {
		case dep.Enabled != nil && !*dep.Enabled:
			holds = !on
		case len(dep.Variants) > 0:
			holds = on && slices.Contains(dep.Variants, v.Name)
		}
		if x.say("dependency %s: %v", dep.Feature, holds); !holds {
			return false
		}
	}
	return true
}

func (x *evaluation) strategy(f *Feature, s *Strategy) bool {
	x.say("strategy %s:", s.Name)
	x.depth++
	defer func() { x.depth-- }()
	for _, id := range s.Segments {
		cs, ok := x.d.segments[id]
		if !ok {
			x.say("there is no segment %d", id)
			return false
		}
		if !x.all(cs) {
			return false
		}
	}
	if !x.all(s.Constraints) {
		return false
	}
	out := x.applies(f, s)
	x.say("applies: %v", out)
	return out
}

func (x *evaluation) all(cs []Constraint) bool {
	for i := range cs {
		if !cs[i].check(x) {
			return false
		}
	}
	return true
}

func (x *evaluation) applies(f *Feature, s *Strategy) bool {
	p := s.Parameters
	switch s.Name {
	case "default":
		return true
	case "userWithId":
		id, ok := x.context.member("userId", x.now)
		return ok && slices.Contains(list(p["userIds"]), id)
	case "remoteAddress":
		ip, _ := x.context.member("remoteAddress", x.now)
		nets, _ := networks(list(p["IPs"]))
		return inNetworks(nets, ip)
	case "gradualRolloutUserId":
		return x.rollout("userId", p["groupId"], percent(p["percentage"]))
	case "gradualRolloutSessionId":
		return x.rollout("sessionId", p["groupId"], percent(p["percentage"]))
	case "gradualRolloutRandom":
		return x.rollout("random", "", percent(p["percentage"]))
	case "flexibleRollout":
		group, stickiness := p["groupId"], p["stickiness"]
		if group == "" {
			group = f.Name
		}
		if stickiness == "" {
			stickiness = "default"
		}
		return x.rollout(stickiness, group, percent(p["rollout"]))
	}
	return false
}

func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func (x *evaluation) rollout(stickiness, group string, percent int) bool {
	var id string
	var ok bool
	switch stickiness {
	case "random":
	case "default":
		if id, ok = x.context.member("userId", x.now); !ok {
			id, ok = x.context.member("sessionId", x.now)
		}
	default:
		if id, ok = x.context.member(stickiness, x.now); !ok {
			x.say("%s is missing", stickiness)
			return false
		}
	}
	at := int(x.random(100)) + 1
	if ok && id != "" {
		at = int(murmur3.Sum32(group+":"+id, 0)%100) + 1
	}
	x.say("at %d by %s, needed up to %d", at, stickiness, percent)
	return at <= percent
}

// variantSeed makes who gets which variant independent of who is in a rollout.
const variantSeed = 86028157

func (x *evaluation) choose(variants []Variant, group, stickiness string) (Variant, bool) {
	var total int64
	for _, v := range variants {
		total += v.Weight
	}
	if total <= 0 {
		return Variant{}, false
	}
	for _, v := range variants {
		for _, o := range v.Overrides {
			if is, ok := x.context.member(o.ContextName, x.now); ok && slices.Contains(o.Values, is) {
				return v, true
			}
		}
	}
	by := []string{cmp.Or(variants[0].Stickiness, stickiness)}
	if by[0] == "" || by[0] == "default" {
		by = []string{"userId", "sessionId", "remoteAddress"}
	}
	at := x.random(total) + 1
	for _, name := range by {
		if id, ok := x.context.member(name, x.now); ok && id != "" && name != "random" {
			at = int64(murmur3.Sum32(group+":"+id, variantSeed))%total + 1
			break
		}
	}
	for _, v := range variants {
		if at -= v.Weight; at <= 0 {
			return v, true
		}
	}
	return Variant{}, false
}
