package unleash

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Definitions are features and segments.
type Definitions struct {
	features map[string]*Feature
	segments map[int][]Constraint
}

// Feature is a toggle.
type Feature struct {
	Name         string       `json:"name"`
	Description  string       `json:"description"`
	Type         string       `json:"type"`
	Enabled      bool         `json:"enabled"`
	Strategies   []Strategy   `json:"strategies"`
	Variants     []Variant    `json:"variants"`
	Dependencies []Dependency `json:"dependencies"`
}

// Strategy is one way to be enabled.
type Strategy struct {
	Name        string            `json:"name"`
	Parameters  map[string]string `json:"parameters"`
	Constraints []Constraint      `json:"constraints"`
	Segments    []int             `json:"segments"`
	Variants    []Variant         `json:"variants"`
}

// Constraint compares a member of the context.
type Constraint struct {
	ContextName     string   `json:"contextName"`
	Operator        string   `json:"operator"`
	Value           string   `json:"value"`
	Values          []string `json:"values"`
	Inverted        bool     `json:"inverted"`
	CaseInsensitive bool     `json:"caseInsensitive"`
	holds           func(value string) bool
}

// Variant is one of several that a feature has.
type Variant struct {
	Name       string          `json:"name"`
	Weight     int64           `json:"weight"`
	Stickiness string          `json:"stickiness"`
	Payload    json.RawMessage `json:"payload"`
	Overrides  []Override      `json:"overrides"`
}

// Override gives a variant to those listed.
type Override struct {
	ContextName string   `json:"contextName"`
	Values      []string `json:"values"`
}

// Dependency is what a parent has to be.
type Dependency struct {
	Feature  string   `json:"feature"`
	Enabled  *bool    `json:"enabled"` // absent: true
	Variants []string `json:"variants"`
}

type segment struct {
	ID          int          `json:"id"`
	Constraints []Constraint `json:"constraints"`
}

// event is one of the delta API.
type event struct {
	Type        string    `json:"type"`
	Features    []Feature `json:"features"`
	Segments    []segment `json:"segments"`
	Feature     *Feature  `json:"feature"`
	FeatureName string    `json:"featureName"`
	Segment     *segment  `json:"segment"`
	SegmentID   int       `json:"segmentId"`
}

type document struct {
	Features *[]Feature `json:"features"`
	Segments []segment  `json:"segments"`
	Events   []event    `json:"events"`
	State    *document  `json:"state"` // the form of the client specification's files
}

// Limits of definitions.
const maxFeatures, maxWeight = 10_000, 1 << 31

// Parse reads what /api/client/features or /api/client/delta answers with, or a file of the client specification.
func Parse(r io.Reader) (*Definitions, error) {
	var doc document
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return nil, fmt.Errorf("read Unleash's definitions: %w", err)
	}
	if doc.State != nil {
		doc = *doc.State
	}
	if doc.Features == nil && doc.Events == nil {
		return nil, errors.New("read Unleash's definitions: there are neither features nor events")
	}
	d := &Definitions{features: map[string]*Feature{}, segments: map[int][]Constraint{}}
	if doc.Features != nil {
		d.hydrate(*doc.Features, doc.Segments)
	}
	for _, e := range doc.Events {
		switch {
		case e.Type == "hydration":
			clear(d.features)
			clear(d.segments)
			d.hydrate(e.Features, e.Segments)
		case e.Type == "feature-updated" && e.Feature != nil:
			d.features[e.Feature.Name] = e.Feature
		case e.Type == "feature-removed":
			delete(d.features, e.FeatureName)
		case e.Type == "segment-updated" && e.Segment != nil:
			d.segments[e.Segment.ID] = e.Segment.Constraints
		case e.Type == "segment-removed":
			delete(d.segments, e.SegmentID)
		default:
			return nil, fmt.Errorf("read Unleash's definitions: there is no event %q", e.Type)
		}
	}
	if len(d.features) > maxFeatures {
		return nil, fmt.Errorf("read Unleash's definitions: there may be %d features", maxFeatures)
	}
	return d, d.compile()
}

func (d *Definitions) hydrate(features []Feature, segments []segment) {
	for i := range features {
		d.features[features[i].Name] = &features[i]
	}
	for _, s := range segments {
		d.segments[s.ID] = s.Constraints
	}
}

func (d *Definitions) compile() error {
	for _, cs := range d.segments {
		compileAll(cs)
	}
	for name, f := range d.features {
		all := [][]Variant{f.Variants}
		for _, s := range f.Strategies {
			compileAll(s.Constraints)
			all = append(all, s.Variants)
		}
		for _, vs := range all {
			var total int64
			for _, v := range vs {
				if v.Weight < 0 || v.Weight > maxWeight || total+v.Weight > maxWeight {
					return fmt.Errorf("feature %s, variant %s: weights are 0 to %d, and so is their sum", name, v.Name, int64(maxWeight))
				}
				total += v.Weight
			}
		}
	}
	return nil
}

// percent reads a strategy's percentage; what is no number is 0.
func percent(s string) int {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return int(min(n, 100))
}
