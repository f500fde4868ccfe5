package rule

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Limits of definitions.
const (
	maxFlags    = 10_000
	maxSegments = 10_000
	maxDepth    = 20   // of conditions, and of segments in segments
	maxWork     = 1000 // evaluations for one flag, its prerequisites included
)

var keyPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)

var errKey = errors.New("a key is letters, digits, dots, hyphens and underscores, at most 128")

// Compile checks definitions and makes a snapshot. The error names every mistake, one line each.
func Compile(version int64, d Definitions) (*Snapshot, error) {
	c := &compiler{d: d, segments: map[string]node{}, out: &Snapshot{Version: version, flags: map[string]*flag{}, gates: map[string][]*flag{}}}
	if len(d.Flags) > maxFlags || len(d.Segments) > maxSegments {
		return nil, fmt.Errorf("there may be %d flags and %d segments", maxFlags, maxSegments)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Segments)) {
		if _, err := c.segment(name, nil); err != nil {
			c.mistake("segment "+name, err)
		}
	}
	keys := slices.Sorted(maps.Keys(d.Flags))
	about := map[string]*About{}
	c.out.about = make([]About, len(keys))
	for i, key := range keys {
		about[key] = &c.out.about[i]
		f := c.flag(key, d.Flags[key])
		*about[key] = f.about
		if d.Flags[key].Archived {
			continue
		}
		c.out.flags[key] = f.flag
		if f.gate != nil {
			c.out.gates[f.gate.Question] = append(c.out.gates[f.gate.Question], f.flag)
		}
	}
	for _, key := range keys {
		c.prerequisites(key, d.Flags[key], about)
	}
	cost := map[string]int{}
	for _, key := range keys {
		if err := c.work(key, cost, nil); err != nil {
			c.mistake("flag "+key, err)
			break
		}
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return c.out, nil
}

type compiler struct {
	d        Definitions
	segments map[string]node
	out      *Snapshot
	errs     []error
}

func (c *compiler) mistake(where string, err error) {
	if len(c.errs) < 20 {
		c.errs = append(c.errs, fmt.Errorf("%s: %w", where, err))
	}
}

func (c *compiler) segment(name string, within []string) (node, error) {
	if n, ok := c.segments[name]; ok {
		return n, nil
	}
	def, ok := c.d.Segments[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no segment %q", name)
	case slices.Contains(within, name):
		return nil, fmt.Errorf("segments go in a circle: %v", append(within, name))
	case len(within) > maxDepth:
		return nil, fmt.Errorf("segments are nested deeper than %d", maxDepth)
	case !keyPattern.MatchString(name):
		return nil, errKey
	}
	n, err := c.condition(def, append(within, name), 0)
	if err == nil {
		c.segments[name] = n
	}
	return n, err
}

func (c *compiler) condition(d Condition, within []string, depth int) (node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("conditions are nested deeper than %d", maxDepth)
	}
	given := 0
	for _, has := range []bool{d.All != nil, d.Any != nil, d.Not != nil, d.Segment != "", d.Clause != nil} {
		if has {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("a condition is one of: all, any, not, segment, or attribute with operator and value")
	}
	list := func(ds []Condition) ([]node, error) {
		if len(ds) == 0 {
			return nil, errors.New("an empty list of conditions decides nothing")
		}
		out := make([]node, len(ds))
		for i, d := range ds {
			n, err := c.condition(d, within, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = n
		}
		return out, nil
	}
	switch {
	case d.All != nil:
		l, err := list(d.All)
		return allOf(l), err
	case d.Any != nil:
		l, err := list(d.Any)
		return anyOf(l), err
	case d.Not != nil:
		n, err := c.condition(*d.Not, within, depth+1)
		return notOf{n}, err
	case d.Segment != "":
		n, err := c.segment(d.Segment, within)
		return segmentOf{d.Segment, n}, err
	}
	return compileClause(*d.Clause)
}

func (c *compiler) prerequisites(key string, d Flag, about map[string]*About) {
	f := c.out.flags[key]
	if f == nil { // archived
		return
	}
	for _, p := range d.Prerequisites {
		on, ok := c.out.flags[p.Flag]
		switch {
		case !ok && about[p.Flag] != nil:
			c.mistake("flag "+key, fmt.Errorf("the flag %q that it depends on is archived", p.Flag))
			continue
		case !ok:
			c.mistake("flag "+key, fmt.Errorf("there is no flag %q to depend on", p.Flag))
			continue
		case f.gate != nil && on.gate != nil && on.fallback.answer == Allow:
			c.mistake("flag "+key, fmt.Errorf("a gate must not depend on %q, whose default is to allow", p.Flag))
		}
		o, err := reader{c.d.Flags[p.Flag]}.outcome(p.Value)
		if err != nil {
			c.mistake("flag "+key+", prerequisite "+p.Flag, err)
		}
		f.prerequisites = append(f.prerequisites, prerequisite{on, o.compare})
		about[p.Flag].NeededBy = append(about[p.Flag].NeededBy, key)
	}
}

// work counts how many flags are evaluated for one, and refuses circles.
func (c *compiler) work(key string, cost map[string]int, within []string) error {
	if _, done := cost[key]; done {
		return nil
	}
	if slices.Contains(within, key) {
		return fmt.Errorf("prerequisites go in a circle: %v", append(within, key))
	}
	n := 1
	for _, p := range c.d.Flags[key].Prerequisites {
		if err := c.work(p.Flag, cost, append(within, key)); err != nil {
			return err
		}
		n += cost[p.Flag]
	}
	if n > maxWork {
		return fmt.Errorf("its prerequisites, and theirs, come to more than %d evaluations", maxWork)
	}
	cost[key] = n
	return nil
}
