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

// The types of values.
const (
	BooleanType = "boolean"
	StringType  = "string"
	NumberType  = "number"
	JSONType    = "json" // an object or a list
)

// Flag is one decision. In a flag with variants, every value in it is the name of a variant.
type Flag struct {
	Kind          string                     `json:"kind"`
	Type          string                     `json:"type,omitempty"` // boolean, string, number or json; empty: as the default is
	Description   string                     `json:"description,omitempty"`
	Owner         string                     `json:"owner"`               // whom to ask about it
	ReviewBy      string                     `json:"review_by"`           // the day by which it is looked at again: "2027-06-30"
	Permanent     bool                       `json:"permanent,omitempty"` // it is meant to stay: giving everybody the same value does not make it stale
	Archived      bool                       `json:"archived,omitempty"`  // it is kept to be read, and is to everybody who asks as if it weren't there
	Enabled       bool                       `json:"enabled"`
	Variants      map[string]json.RawMessage `json:"variants,omitempty"`
	Off           json.RawMessage            `json:"off"`     // the value while it is not enabled, and when a prerequisite is not met
	Default       json.RawMessage            `json:"default"` // the value when no rule applies
	Prerequisites []Prerequisite             `json:"prerequisites,omitempty"`
	Targets       []Target                   `json:"targets,omitempty"`
	Rules         []Rule                     `json:"rules,omitempty"`
	Salt          string                     `json:"salt,omitempty"` // of its buckets; empty: its key
	Gate          *Gate                      `json:"gate,omitempty"`
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

// Rule gives a value, or one of several, to those for whom its condition is true, between two times, as far as they fall into its share.
type Rule struct {
	Name       string          `json:"name,omitempty"`
	When       *Condition      `json:"when,omitempty"`       // absent: always
	From       *time.Time      `json:"from,omitempty"`       // the first moment
	Until      *time.Time      `json:"until,omitempty"`      // the first moment that is too late
	Percentage *float64        `json:"percentage,omitempty"` // in steps of 0.01; absent: all
	By         string          `json:"by,omitempty"`         // the attribute that shares are cut by; empty: user.id
	Salt       *string         `json:"salt,omitempty"`       // of its buckets; absent: the flag's
	Hash       string          `json:"hash,omitempty"`       // sha256, unleash or flagd; empty: sha256
	Value      json.RawMessage `json:"value,omitempty"`
	Split      []Share         `json:"split,omitempty"`   // instead of value
	Holdout    float64         `json:"holdout,omitempty"` // percent of those in the split who are kept out of it and get its first value
}

// Share is a part of a split: as many of the subjects as its weight is of all weights.
type Share struct {
	Weight int64           `json:"weight"`
	Value  json.RawMessage `json:"value"`
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

// Parse reads definitions. Members that there are not or that are there twice, and anything behind the object, are errors: a typing
// mistake must not leave a rule out.
func Parse(r io.Reader) (Definitions, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return Definitions{}, fmt.Errorf("read definitions: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var out Definitions
	if err := d.Decode(&out); err != nil {
		return Definitions{}, fmt.Errorf("read definitions: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Definitions{}, errors.New("read definitions: there is something behind the object")
	}
	if err := once(json.NewDecoder(bytes.NewReader(text)), ""); err != nil {
		return Definitions{}, fmt.Errorf("read definitions: %w", err)
	}
	return out, nil
}

// once finds members that an object has twice: encoding/json takes the last one and says nothing.
func once(d *json.Decoder, at string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, is := t.(json.Delim)
	if !is {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; d.More(); i++ {
		where := fmt.Sprintf("%s/%d", at, i)
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := t.(string)
			if where = at + "/" + name; seen[name] {
				return fmt.Errorf("%s is there twice", where)
			}
			seen[name] = true
		}
		if err := once(d, where); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
