package rule

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Questions are those that a gate flag can answer.
var Questions = []string{"registration", "login", "session.step_up", "member.add", "token.issue", "route"}

// Snapshot is compiled definitions. It never changes, so any number of goroutines may use it.
type Snapshot struct {
	Version int64
	flags   map[string]*flag
	gates   map[string][]*flag // by question, by key
	about   []About            // by key, archived ones included
}

// flag is a compiled flag.
type flag struct {
	key           string
	enabled       bool
	gate          *Gate
	salt          string
	off, fallback outcome
	prerequisites []prerequisite
	targets       []target
	rules         []rule
}

// outcome is a value as it is given, and as it is compared with what a prerequisite needs.
type outcome struct {
	value   json.RawMessage
	variant string
	compare string // the variant's name, or the value in one spelling
	answer  string // of a gate
}

type prerequisite struct {
	flag *flag
	want string
}

type target struct {
	attribute string
	values    map[string]bool
	outcome   outcome
}

type rule struct {
	name        string
	when        node // nil: always
	from, until time.Time
	below       uint64 // buckets; 10000: all
	by, salt    string
	hash        hash
	outcome     outcome
	split       []share // instead of the outcome
	total       uint64  // of the split's weights
	holdout     uint64  // buckets
}

type share struct {
	upTo    uint64 // the weights up to this one
	outcome outcome
}

// Keys are the keys of all flags that are not archived, in order.
func (s *Snapshot) Keys() []string { return slices.Sorted(maps.Keys(s.flags)) }

// About is what a list shows of a flag.
type About struct {
	Key       string   `json:"key"`
	Kind      string   `json:"kind"`
	Type      string   `json:"type"`
	Owner     string   `json:"owner"`
	ReviewBy  string   `json:"review_by"`
	Enabled   bool     `json:"enabled"`
	Archived  bool     `json:"archived,omitempty"`
	Question  string   `json:"gate,omitempty"` // that it answers; empty: none
	Rules     int      `json:"rules"`
	NeededBy  []string `json:"needed_by,omitempty"` // the flags that have it as a prerequisite
	permanent bool
	constant  bool // everybody gets the same value
}

// Flags lists all flags, archived ones too, by key.
func (s *Snapshot) Flags() []About { return s.about }

// Stale says why a flag should be looked at: its day is past, or it decides nothing any more. Empty: nothing is wrong with it.
func (a About) Stale(now time.Time) string {
	day, err := time.Parse(time.DateOnly, a.ReviewBy)
	switch {
	case a.Archived:
		return ""
	case err == nil && !now.Before(day.AddDate(0, 0, 1)):
		return "its review was due on " + a.ReviewBy
	case a.constant && a.Enabled && !a.permanent && a.Question == "" && len(a.NeededBy) == 0:
		return "it gives everybody the same value"
	}
	return ""
}

// Gated reports whether any flag answers a question.
func (s *Snapshot) Gated(question string) bool { return len(s.gates[question]) > 0 }

// Off says what a flag's value is while it is off, for people, and whether it is on now.
func (s *Snapshot) Off(key string) (off string, enabled bool) {
	f, ok := s.flags[key]
	if !ok {
		return "", false
	}
	return f.off.String(), f.enabled
}
