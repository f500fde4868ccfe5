package unleash

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// Import says the definitions in Rulestead's rules: everybody keeps their group. Notes say where the meaning differs for what a
// context may hold; the error names, a line each, what can't be said and has to be written anew.
func (d *Definitions) Import(owner, reviewBy string) (out rule.Definitions, notes []string, err error) {
	im := &importer{d: d, out: rule.Definitions{Flags: map[string]rule.Flag{}, Segments: map[string]rule.Condition{}}}
	for _, name := range d.Names() {
		f := d.features[name]
		im.at = "feature " + name
		kind := map[string]string{"experiment": "experiment", "kill-switch": "kill_switch", "permission": "permission", "operational": "operational"}[f.Type]
		if kind == "" {
			kind = "release"
		}
		im.out.Flags[name] = im.flag(f, rule.Flag{Kind: kind, Description: f.Description, Owner: owner, ReviewBy: reviewBy, Enabled: f.Enabled})
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
	d     *Definitions
	out   rule.Definitions
	at    string // what is being imported
	notes []string
	errs  []error
}

func (im *importer) refuse(format string, args ...any) {
	im.errs = append(im.errs, fmt.Errorf("%s: %s", im.at, fmt.Sprintf(format, args...)))
}

func (im *importer) note(format string, args ...any) {
	if n := im.at + ": " + fmt.Sprintf(format, args...); !slices.Contains(im.notes, n) {
		im.notes = append(im.notes, n)
	}
}

// The names of what a feature with variants gives besides them: to those for whom it is off, and on without a variant.
const offName, plainName = "off", disabled

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, booleans and raw JSON
	}
	return b
}

func (im *importer) flag(f *Feature, out rule.Flag) rule.Flag {
	varied := len(f.Variants) > 0
	for _, s := range f.Strategies {
		varied = varied || len(s.Variants) > 0
	}
	on := raw(true)
	if out.Off = raw(false); varied {
		out.Type, out.Off, on = rule.JSONType, raw(offName), raw(plainName)
		out.Variants = map[string]json.RawMessage{offName: raw(map[string]any{"enabled": false}), plainName: raw(map[string]any{"enabled": true})}
	}
	out.Default = out.Off
	for _, dep := range f.Dependencies {
		if p, ok := im.prerequisite(dep); ok {
			out.Prerequisites = append(out.Prerequisites, p)
		}
	}
	strategies := f.Strategies
	if len(strategies) == 0 {
		strategies = []Strategy{{Name: "default"}}
	}
	for i := range strategies {
		s := &strategies[i]
		r, group, ok := im.strategy(f, s)
		if !ok {
			continue
		}
		r.Name = fmt.Sprintf("%d %s", i+1, s.Name)
		variants, by, splitGroup := f.Variants, "", f.Name
		if len(s.Variants) > 0 {
			variants, by, splitGroup = s.Variants, s.Parameters["stickiness"], s.Parameters["groupId"]
		}
		if len(variants) == 0 {
			r.Value = on
			out.Rules = append(out.Rules, r)
			if r.Percentage != nil && byDefault(s.Parameters["stickiness"], s) {
				out.Rules = append(out.Rules, bySession(r))
			}
			continue
		}
		if variants[0].Stickiness != "" {
			by = variants[0].Stickiness
		}
		if r.Percentage != nil && (group != splitGroup || im.attribute(by) != r.By) {
			im.refuse("strategy %s: the rollout goes by %s in group %q, its variants by %s in group %q", s.Name, r.By, group, im.attribute(by), splitGroup)
		}
		r.By, r.Hash, r.Salt = im.attribute(by), "unleash", &splitGroup
		for _, v := range variants {
			im.variant(&out, v)
			for _, o := range v.Overrides {
				one := r
				one.Name, one.Value = r.Name+", override of "+v.Name, raw(v.Name)
				one.When = and(r.When, rule.Condition{Clause: &rule.Clause{Attribute: im.attribute(o.ContextName), Operator: "in", Value: raw(o.Values)}})
				out.Rules = append(out.Rules, one)
			}
			r.Split = append(r.Split, rule.Share{Weight: v.Weight, Value: raw(v.Name)})
		}
		im.note("who has no %s gets a variant at random there, and none here", r.By)
		if out.Rules = append(out.Rules, r); by == "" || by == "default" {
			out.Rules = append(out.Rules, bySession(r))
		}
	}
	return out
}

func byDefault(stickiness string, s *Strategy) bool {
	return s.Name == "flexibleRollout" && (stickiness == "" || stickiness == "default")
}

// bySession is a rule for those who have no user id: they go by their session.
func bySession(r rule.Rule) rule.Rule {
	r.Name, r.By, r.When = r.Name+", by session", "session.id", and(r.When, exists("user.id", false))
	return r
}

func (im *importer) variant(out *rule.Flag, v Variant) {
	value := map[string]any{"enabled": true, "variant": v.Name}
	if v.Payload != nil {
		value["payload"] = v.Payload
	}
	text := raw(value)
	if has, ok := out.Variants[v.Name]; ok && string(has) != string(text) {
		im.refuse("there are several variants %q with different payloads, or one with a name that is taken", v.Name)
	}
	out.Variants[v.Name] = text
}

func (im *importer) prerequisite(dep Dependency) (rule.Prerequisite, bool) {
	parent, ok := im.d.features[dep.Feature]
	if !ok || len(parent.Dependencies) > 0 {
		im.refuse("the dependency %s is missing or has dependencies itself, so the feature is never on", dep.Feature)
		return rule.Prerequisite{}, false
	}
	varied := len(parent.Variants) > 0
	for _, s := range parent.Strategies {
		varied = varied || len(s.Variants) > 0
	}
	off := dep.Enabled != nil && !*dep.Enabled
	switch {
	case off && varied:
		return rule.Prerequisite{Flag: dep.Feature, Value: raw(offName)}, true
	case off || len(dep.Variants) == 0 && !varied:
		return rule.Prerequisite{Flag: dep.Feature, Value: raw(!off)}, true
	case len(dep.Variants) == 1 && varied:
		return rule.Prerequisite{Flag: dep.Feature, Value: raw(dep.Variants[0])}, true
	case len(dep.Variants) == 1 && dep.Variants[0] == disabled:
		return rule.Prerequisite{Flag: dep.Feature, Value: raw(true)}, true
	}
	im.refuse("the dependency %s may have one of several values, and a prerequisite has one", dep.Feature)
	return rule.Prerequisite{}, false
}

func and(a *rule.Condition, b rule.Condition) *rule.Condition {
	switch {
	case a == nil:
		return &b
	case a.All != nil:
		return &rule.Condition{All: append(slices.Clone(a.All), b)}
	}
	return &rule.Condition{All: []rule.Condition{*a, b}}
}

func exists(attribute string, want bool) rule.Condition {
	return rule.Condition{Clause: &rule.Clause{Attribute: attribute, Operator: "exists", Value: raw(want)}}
}

// strategy makes a rule of one, without its value. ok is false where it never applies, or can't be said.
func (im *importer) strategy(f *Feature, s *Strategy) (r rule.Rule, group string, ok bool) {
	for i := range s.Constraints {
		im.constraint(&r, &s.Constraints[i], true)
	}
	for _, id := range s.Segments {
		cs, known := im.d.segments[id]
		if !known {
			im.note("strategy %s has a segment %d that there is not, so it never applies and is left out", s.Name, id)
			return r, "", false
		}
		if len(cs) == 0 {
			continue
		}
		name := "segment-" + strconv.Itoa(id)
		var whole rule.Rule
		for i := range cs {
			im.constraint(&whole, &cs[i], false)
		}
		if whole.When != nil {
			im.out.Segments[name] = *whole.When
		}
		r.When = and(r.When, rule.Condition{Segment: name})
	}
	p := s.Parameters
	share := func(by, group, percentage string) (rule.Rule, string, bool) {
		n := float64(percent(percentage))
		switch {
		case n < 100:
			r.By, r.Hash, r.Salt, r.Percentage = im.attribute(by), "unleash", &group, &n
		case by != "default": // who doesn't have it is not in, at 100 percent either
			r.When = and(r.When, exists(im.attribute(by), true))
		}
		return r, group, true
	}
	switch s.Name {
	case "default":
		return r, "", true
	case "userWithId":
		r.When = and(r.When, rule.Condition{Clause: &rule.Clause{Attribute: "user.id", Operator: "in", Value: raw(append([]string{}, list(p["userIds"])...))}})
		return r, "", true
	case "remoteAddress":
		r.When = and(r.When, im.networks("remoteAddress", list(p["IPs"])))
		return r, "", true
	case "gradualRolloutUserId":
		return share("userId", p["groupId"], p["percentage"])
	case "gradualRolloutSessionId":
		return share("sessionId", p["groupId"], p["percentage"])
	case "flexibleRollout":
		if group = p["groupId"]; group == "" {
			group = f.Name
		}
		if p["stickiness"] == "random" {
			break
		}
		by := p["stickiness"]
		if by == "" {
			by = "default"
		}
		return share(by, group, p["rollout"])
	}
	im.refuse("strategy %s can't be said in rules: it is at random, or not one of Unleash's own", s.Name)
	return r, "", false
}

// attribute is Sigra's name of a member of the context.
func (im *importer) attribute(name string) string {
	switch name {
	case "", "default":
		im.note("default stickiness goes by user or session, and not at random for those who have neither")
		return "user.id"
	case "userId":
		return "user.id"
	case "sessionId":
		return "session.id"
	case "remoteAddress":
		return "ip"
	}
	return name
}

// constraint adds a constraint to what a rule needs.
func (im *importer) constraint(r *rule.Rule, c *Constraint, windows bool) {
	if c.holds == nil {
		im.refuse("there is no operator %s", c.Operator)
		return
	}
	if c.ContextName == "currentTime" {
		at, err := time.Parse(time.RFC3339, c.Value)
		switch {
		case err != nil || !windows || c.Inverted:
			im.refuse("a time that is compared in a segment, inverted, or not as a date can't be said: give rules a from and an until")
		case c.Operator == "DATE_AFTER" && (r.From == nil || !at.Before(*r.From)):
			at = at.Add(1) // from is the first moment that counts
			r.From = &at
		case c.Operator == "DATE_BEFORE" && (r.Until == nil || at.Before(*r.Until)):
			r.Until = &at
		}
		return
	}
	one, ok := im.condition(c)
	if !ok {
		return
	}
	if negative := c.Operator == "NOT_IN"; negative != c.Inverted { // it holds for what is missing
		positive := one
		one = rule.Condition{Any: []rule.Condition{exists(im.attribute(c.ContextName), false), {Not: &positive}}}
	}
	r.When = and(r.When, one)
}

// condition is what a constraint compares, not inverted.
func (im *importer) condition(c *Constraint) (rule.Condition, bool) {
	name := im.attribute(c.ContextName)
	clause := func(operator string, value any) rule.Condition {
		return rule.Condition{Clause: &rule.Clause{Attribute: name, Operator: operator, Value: raw(value)}}
	}
	operator, suffix, _ := strings.Cut(c.Operator, "_")
	switch {
	case c.Operator == "IN" || c.Operator == "NOT_IN":
		return clause("in", append([]string{}, c.Values...)), true
	case operator == "STR":
		to := strings.ToLower(suffix)
		var any []rule.Condition
		for _, v := range c.Values {
			if c.CaseInsensitive {
				any = append(any, clause("matches", caseless(to, v)))
			} else {
				any = append(any, clause(to, v))
			}
		}
		if len(any) == 0 {
			return clause("in", []string{}), true
		}
		return rule.Condition{Any: any}, true
	case operator == "NUM":
		n, err := strconv.ParseFloat(strings.TrimSpace(c.Value), 64)
		if err != nil {
			break
		}
		im.note("%s has to be a number, and no text of one", name)
		return clause(comparison(suffix), n), true
	case operator == "SEMVER":
		return clause("semver_"+comparison(suffix), c.Value), true
	case operator == "DATE":
		return clause(strings.ToLower(suffix), c.Value), true
	case operator == "REGEX" && c.CaseInsensitive:
		return clause("matches", "(?i)"+c.Value), true
	case operator == "REGEX":
		return clause("matches", c.Value), true
	case c.Operator == "IN_CIDR":
		return im.networks(c.ContextName, c.Values), true
	}
	im.refuse("the constraint on %s has a value that %s can't take: %q", c.ContextName, c.Operator, c.Value)
	return rule.Condition{}, false
}

func comparison(suffix string) string {
	if suffix == "EQ" {
		return "equals"
	}
	return strings.ToLower(suffix)
}

// caseless is a regular expression for a text in any case.
func caseless(operator, v string) string {
	quoted := regexp.QuoteMeta(v)
	switch operator {
	case "starts_with":
		quoted = "^" + quoted
	case "ends_with":
		quoted += "$"
	}
	return "(?is)" + quoted
}

func (im *importer) networks(name string, values []string) rule.Condition {
	nets, bad := networks(values)
	if len(bad) > 0 {
		im.note("what is no address or network is left out: %s", strings.Join(bad, ", "))
	}
	texts := []string{}
	for _, n := range nets {
		texts = append(texts, n.String())
	}
	return rule.Condition{Clause: &rule.Clause{Attribute: im.attribute(name), Operator: "in_network", Value: raw(texts)}}
}
