package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Definitions are everything there is to decide by, in the form that is exported, applied and kept as history.
type Definitions struct {
	Segments map[string]Condition `json:"segments,omitempty"`
	Flags    map[string]Flag      `json:"flags"`
}

// The kinds of flags.
var kinds = []string{"release", "experiment", "kill_switch", "permission", "remote_config", "operational", "migration"}

// Flag is one decision.
type Flag struct {
	Kind          string          `json:"kind"`
	Description   string          `json:"description,omitempty"`
	Owner         string          `json:"owner"`     // whom to ask about it
	ReviewBy      string          `json:"review_by"` // the day by which it is looked at again: "2027-06-30"
	Enabled       bool            `json:"enabled"`
	Off           json.RawMessage `json:"off"`     // the value while it is not enabled, and when a prerequisite is not met
	Default       json.RawMessage `json:"default"` // the value when no rule applies
	Prerequisites []Prerequisite  `json:"prerequisites,omitempty"`
	Targets       []Target        `json:"targets,omitempty"`
	Rules         []Rule          `json:"rules,omitempty"`
	Salt          string          `json:"salt,omitempty"` // of its buckets; empty: its key
	Gate          *Gate           `json:"gate,omitempty"`
}

// Gate makes a flag answer a question that Sigra asks before an action. Its values are "allow", "deny" and "step_up".
type Gate struct {
	Question string `json:"question"` // registration, login, session.step_up, member.add, token.issue, route
	Message  string `json:"message,omitempty"`
}

// Prerequisite is a value that another flag must have.
type Prerequisite struct {
	Flag  string          `json:"flag"`
	Value json.RawMessage `json:"value"`
}

// Target gives a value to those whose attribute is listed.
type Target struct {
	Attribute string          `json:"attribute"`
	Values    []string        `json:"values"`
	Value     json.RawMessage `json:"value"`
}

// Rule gives a value to those for whom its condition is true, between two times, as far as they fall into its share.
type Rule struct {
	Name       string          `json:"name,omitempty"`
	When       *Condition      `json:"when,omitempty"` // absent: always
	From       *time.Time      `json:"from,omitempty"`
	Until      *time.Time      `json:"until,omitempty"`
	Percentage *float64        `json:"percentage,omitempty"` // in steps of 0.01; absent: all
	By         string          `json:"by,omitempty"`         // the attribute that a share is cut by; empty: user.id
	Value      json.RawMessage `json:"value"`
}

// Condition is one of its members.
type Condition struct {
	All     []Condition `json:"all,omitempty"`
	Any     []Condition `json:"any,omitempty"`
	Not     *Condition  `json:"not,omitempty"`
	Segment string      `json:"segment,omitempty"`
	*Clause
}

// Clause compares an attribute.
type Clause struct {
	Attribute string          `json:"attribute,omitempty"`
	Operator  string          `json:"operator,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
}

// Parse reads definitions. Members that there are not, and anything behind the object, are errors: a typing mistake must not
// leave a rule out.
func Parse(r io.Reader) (Definitions, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var out Definitions
	if err := d.Decode(&out); err != nil {
		return Definitions{}, fmt.Errorf("read definitions: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Definitions{}, errors.New("read definitions: there is something behind the object")
	}
	return out, nil
}

// same compares two JSON values.
func same(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
