package flagd

import (
	"errors"
	"fmt"
	"slices"
)

// The limits of an evaluation.
const (
	maxDepth = 100    // of expressions in expressions
	maxSteps = 50_000 // operations, those for each element of a list included
)

var errSteps = errors.New("the targeting takes too many steps")

// expression is compiled JSONLogic.
type expression func(x *run) any

// run is one evaluation. Data is what var reads: the context, and an element inside of map and its like.
type run struct {
	data     any
	flag     string
	key      any // targetingKey
	first    bool
	steps    int
	exceeded bool
}

// step reports whether an evaluation may take so many steps more.
func (x *run) step(n int) bool {
	x.steps += n
	x.exceeded = x.exceeded || x.steps > maxSteps
	return !x.exceeded
}

// call evaluates with other data, as map does for each element.
func (x *run) call(e expression, data any) any {
	was := x.data
	x.data = data
	v := e(x)
	x.data = was
	return v
}

// reader compiles. Evaluators that are used by several flags are compiled once.
type reader struct {
	evaluators map[string]any
	compiled   map[string]expression
	within     []string
}

// operation compiles an operation with its arguments.
type operation func(args []expression, literal []any) expression

func (r *reader) compile(v any, depth int) (expression, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("expressions are nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case []any:
		list, err := r.list(v, depth)
		return func(x *run) any {
			if !x.step(len(list)) {
				return nil
			}
			out := make([]any, len(list))
			for i, e := range list {
				out[i] = e(x)
			}
			return out
		}, err
	case map[string]any:
		if len(v) == 0 {
			return func(*run) any { return map[string]any{} }, nil
		}
		if len(v) > 1 {
			return nil, errors.New("an operation is an object with one member")
		}
		for name, args := range v {
			return r.operation(name, args, depth)
		}
	}
	return func(*run) any { return v }, nil
}

func (r *reader) list(v []any, depth int) ([]expression, error) {
	out := make([]expression, len(v))
	for i, e := range v {
		c, err := r.compile(e, depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

func (r *reader) operation(name string, args any, depth int) (expression, error) {
	if name == "$ref" {
		return r.reference(args, depth)
	}
	op, ok := operations[name]
	if !ok {
		return nil, fmt.Errorf("there is no operation %q", name)
	}
	literal, ok := args.([]any)
	if !ok {
		literal = []any{args}
	}
	compiled, err := r.list(literal, depth)
	if err != nil {
		return nil, err
	}
	e := op(compiled, literal)
	return func(x *run) any {
		if !x.step(1) {
			return nil
		}
		return e(x)
	}, nil
}

func (r *reader) reference(args any, depth int) (expression, error) {
	name, _ := args.(string)
	if e, ok := r.compiled[name]; ok {
		return e, nil
	}
	def, ok := r.evaluators[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no evaluator %q", name)
	case slices.Contains(r.within, name):
		return nil, fmt.Errorf("evaluators go in a circle: %v", append(r.within, name))
	}
	r.within = append(r.within, name)
	e, err := r.compile(def, depth+1)
	r.within = r.within[:len(r.within)-1]
	if err == nil {
		r.compiled[name] = e
	}
	return e, err
}
