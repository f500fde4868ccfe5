package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// MaxBytes bounds a schema.
const MaxBytes = 256 << 10

// Schema is what objects are held against. Safe for concurrent use.
type Schema struct{ compiled *jsonschema.Schema }

// Compile reads a schema: draft 2020-12, or the one its $schema names, formats included. The error says for the operator what is wrong.
func Compile(text []byte) (*Schema, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("is larger than %d bytes", MaxBytes)
	}
	o, err := ParseObject(text)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(alone{})
	const self = "https://schema.invalid/schema.json" // a name that nobody has (RFC 6761)
	if err := c.AddResource(self, any(o)); err != nil {
		return nil, err
	}
	s, err := c.Compile(self)
	if err != nil {
		var invalid *jsonschema.SchemaValidationError
		if v := (*jsonschema.ValidationError)(nil); errors.As(err, &invalid) && errors.As(invalid.Err, &v) {
			return nil, fmt.Errorf("is no JSON Schema: %w", deepest(v))
		}
		return nil, fmt.Errorf("is no JSON Schema that can be used: %w", err)
	}
	return &Schema{s}, nil
}

// alone loads nothing.
type alone struct{}

func (alone) Load(url string) (any, error) {
	return nil, errors.New("a schema refers to nothing outside of itself: put what it needs into its $defs")
}

// Check holds an object against the schema. The error is an *Error that names the first place that does not fit.
func (s *Schema) Check(o map[string]any) error {
	err := s.compiled.Validate(any(o))
	var v *jsonschema.ValidationError
	if errors.As(err, &v) {
		return deepest(v)
	}
	return err
}

// deepest is the innermost of what did not fit: in a choice of several, of the first that was tried.
func deepest(v *jsonschema.ValidationError) *Error {
	for len(v.Causes) > 0 {
		// The library lists members in no order.
		v = slices.MinFunc(v.Causes, func(a, b *jsonschema.ValidationError) int {
			return strings.Compare(Pointer(a.InstanceLocation), Pointer(b.InstanceLocation))
		})
	}
	at := v.InstanceLocation
	switch k := v.ErrorKind.(type) {
	case *kind.Type:
		return &Error{Pointer(at), "must be " + strings.Join(k.Want, " or ") + ", not " + k.Got}
	case *kind.Required:
		return &Error{Pointer(at), "lacks " + strings.Join(slices.Sorted(slices.Values(k.Missing)), ", ")}
	case *kind.AdditionalProperties:
		return &Error{Pointer(append(slices.Clone(at), slices.Min(k.Properties))), "is not among the members there may be"}
	case *kind.FalseSchema:
		return &Error{Pointer(at), "may not be there"}
	case *kind.Format:
		return &Error{Pointer(at), "must have the format " + k.Want}
	case *kind.Enum:
		return &Error{Pointer(at), "is none of the values there may be"}
	}
	rule := strings.Join(v.ErrorKind.KeywordPath(), "/")
	if rule == "" {
		rule = "not"
	}
	return &Error{Pointer(at), "breaks the rule " + rule}
}
