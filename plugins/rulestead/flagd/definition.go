package flagd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Definitions are flags and what they share.
type Definitions struct {
	flags      map[string]*flag
	evaluators map[string]any
	metadata   map[string]any
}

type flag struct {
	State          string                     `json:"state"`
	Variants       map[string]json.RawMessage `json:"variants"`
	DefaultVariant *string                    `json:"defaultVariant"`
	Targeting      any                        `json:"targeting"`
	Metadata       map[string]any             `json:"metadata"`
	Key            string                     `json:"key"` // in a list of flags
	compiled       expression                 // nil: no targeting
	mistake        error                      // why its targeting can't be evaluated
}

type document struct {
	Flags      json.RawMessage `json:"flags"`
	Evaluators map[string]any  `json:"$evaluators"`
	Metadata   map[string]any  `json:"metadata"`
}

const maxFlags = 10_000

// ErrNoFlags is a document without flags. It may be a targeting alone, which Check knows.
var ErrNoFlags = errors.New("there are no flags")

// Parse reads a document of flags, an object of them or a list. A flag whose targeting can't be read is one that can't be evaluated;
// the others can. Check is stricter.
func Parse(r io.Reader) (*Definitions, error) {
	var doc document
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return nil, fmt.Errorf("read flagd's definitions: %w", err)
	}
	d := &Definitions{flags: map[string]*flag{}, evaluators: doc.Evaluators, metadata: doc.Metadata}
	if len(doc.Flags) == 0 {
		return nil, fmt.Errorf("read flagd's definitions: %w", ErrNoFlags)
	}
	var list []*flag
	if err := json.Unmarshal(doc.Flags, &list); err == nil {
		for _, f := range list {
			if f == nil || f.Key == "" {
				return nil, errors.New("read flagd's definitions: a flag of a list has no key")
			}
			d.flags[f.Key] = f
		}
	} else if err := json.Unmarshal(doc.Flags, &d.flags); err != nil {
		return nil, fmt.Errorf("read flagd's definitions: %w", err)
	}
	if len(d.flags) > maxFlags {
		return nil, fmt.Errorf("read flagd's definitions: there may be %d flags", maxFlags)
	}
	read := &reader{evaluators: d.evaluators, compiled: map[string]expression{}}
	for key, f := range d.flags {
		if f == nil {
			return nil, fmt.Errorf("read flagd's definitions: flag %s is null", key)
		}
		if rules, ok := f.Targeting.(map[string]any); f.Targeting != nil && (!ok || len(rules) > 0) {
			f.compiled, f.mistake = read.compile(f.Targeting, 0)
		}
	}
	return d, nil
}

// Keys are the keys of the flags, in order.
func (d *Definitions) Keys() []string { return slices.Sorted(maps.Keys(d.flags)) }
