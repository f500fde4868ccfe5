package rule

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Limits of definitions.
const (
	maxFlags    = 10_000
	maxSegments = 10_000
	maxDepth    = 20   // of conditions, and of segments in segments
	maxWork     = 1000 // evaluations for one flag, its prerequisites included
)

var keyPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)

// Questions are those that a gate flag can answer.
var Questions = []string{"registration", "login", "session.step_up", "member.add", "token.issue", "route"}

// Snapshot is compiled definitions. It never changes, so any number of goroutines may use it.
type Snapshot struct {
	Version int64
	flags   map[string]*flag
	gates   map[string][]*flag // by question, by key
}

type flag struct {
	key           string
	about         About
	enabled       bool
	gate          *Gate
	salt          string
	off, fallback json.RawMessage
	prerequisites []prerequisite
	targets       []target
	rules         []rule
}

type prerequisite struct {
	flag *flag
	want json.RawMessage
}

type target struct {
	attribute string
	values    map[string]bool
	value     json.RawMessage
}

type rule struct {
	name        string
	when        node // nil: always
	from, until time.Time
	below       uint64 // buckets; 10000: all
	by          string
	value       json.RawMessage
}

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
	for _, key := range keys {
		c.flag(key, d.Flags[key])
	}
	for _, key := range keys {
		c.prerequisites(key, d.Flags[key])
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
		return nil, fmt.Errorf("a name is letters, digits, dots, hyphens and underscores, at most 128")
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

func (c *compiler) flag(key string, d Flag) {
	f := &flag{key: key, enabled: d.Enabled, gate: d.Gate, off: d.Off, fallback: d.Default, salt: d.Salt}
	if f.salt == "" {
		f.salt = key
	}
	f.about = About{Key: key, Kind: d.Kind, Owner: d.Owner, ReviewBy: d.ReviewBy, Enabled: d.Enabled, Rules: len(d.Rules)}
	if d.Gate != nil {
		f.about.Question = d.Gate.Question
	}
	at := "flag " + key
	switch {
	case !keyPattern.MatchString(key):
		c.mistake(at, errors.New("a key is letters, digits, dots, hyphens and underscores, at most 128"))
	case !slices.Contains(kinds, d.Kind):
		c.mistake(at, fmt.Errorf("kind is one of %v", kinds))
	case d.Owner == "":
		c.mistake(at, errors.New("owner says whom to ask about the flag"))
	case len(d.Off) == 0 || len(d.Default) == 0:
		c.mistake(at, errors.New("off and default are both needed"))
	}
	if _, err := time.Parse(time.DateOnly, d.ReviewBy); err != nil {
		c.mistake(at, errors.New("review_by is a day such as 2027-06-30"))
	}
	if d.Gate != nil && !slices.Contains(Questions, d.Gate.Question) {
		c.mistake(at, fmt.Errorf("a gate's question is one of %v", Questions))
	}
	c.value(at+", off", f, d.Off, d.Default)
	c.value(at+", default", f, d.Default, d.Default)
	for i, t := range d.Targets {
		where := fmt.Sprintf("%s, target %d", at, i+1)
		if t.Attribute == "" || len(t.Values) == 0 {
			c.mistake(where, errors.New("a target needs an attribute and values"))
		}
		c.value(where, f, t.Value, d.Default)
		set := map[string]bool{}
		for _, v := range t.Values {
			set[v] = true
		}
		f.targets = append(f.targets, target{t.Attribute, set, t.Value})
	}
	for i, r := range d.Rules {
		where := fmt.Sprintf("%s, rule %d", at, i+1)
		c.value(where, f, r.Value, d.Default)
		f.rules = append(f.rules, c.rule(where, r, i))
	}
	c.out.flags[key] = f
	if f.gate != nil {
		c.out.gates[f.gate.Question] = append(c.out.gates[f.gate.Question], f)
	}
}

func (c *compiler) rule(where string, d Rule, i int) rule {
	r := rule{name: d.Name, below: 10_000, by: d.By, value: d.Value}
	if r.name == "" {
		r.name = strconv.Itoa(i + 1)
	}
	if r.by == "" {
		r.by = "user.id"
	}
	if d.From != nil {
		r.from = *d.From
	}
	if d.Until != nil {
		r.until = *d.Until
	}
	if p := d.Percentage; p != nil {
		steps := math.Round(*p * 100)
		if *p < 0 || *p > 100 || math.Abs(*p*100-steps) > 1e-6 {
			c.mistake(where, errors.New("percentage is 0 to 100 in steps of 0.01"))
		} else {
			r.below = uint64(steps)
		}
	}
	if d.When != nil {
		n, err := c.condition(*d.When, nil, 0)
		if err != nil {
			c.mistake(where, err)
		}
		r.when = n
	}
	return r
}

// value checks that a flag's values are of one type, and a gate's are answers.
func (c *compiler) value(where string, f *flag, v, like json.RawMessage) {
	var x, y any
	if json.Unmarshal(v, &x) != nil || json.Unmarshal(like, &y) != nil {
		c.mistake(where, errors.New("the value is missing"))
		return
	}
	if f.gate != nil {
		if s, _ := x.(string); s != Allow && s != Deny && s != StepUp {
			c.mistake(where, fmt.Errorf("a gate's value is %q, %q or %q, not %s", Allow, Deny, StepUp, v))
		}
		return
	}
	if fmt.Sprintf("%T", x) != fmt.Sprintf("%T", y) {
		c.mistake(where, fmt.Errorf("the value %s is of another type than the default %s", v, like))
	}
}

func (c *compiler) prerequisites(key string, d Flag) {
	f := c.out.flags[key]
	for _, p := range d.Prerequisites {
		on, ok := c.out.flags[p.Flag]
		switch {
		case !ok:
			c.mistake("flag "+key, fmt.Errorf("there is no flag %q to depend on", p.Flag))
			continue
		case f.gate != nil && on.gate != nil && same(on.fallback, json.RawMessage(`"allow"`)):
			c.mistake("flag "+key, fmt.Errorf("a gate must not depend on %q, whose default is to allow", p.Flag))
		}
		f.prerequisites = append(f.prerequisites, prerequisite{on, p.Value})
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

// Bucket is the bucket of a subject, 0 to 9999.
func Bucket(salt, subject string) uint64 {
	var buf [256]byte
	b := append(buf[:0], "rulestead/v1\n"...)
	b = append(b, salt...)
	b = append(b, '\n')
	b = append(b, subject...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8]) % 10_000
}
