package rulestead

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/rulestead/flagd"
	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
	"github.com/sigra-auth/sigra/plugins/rulestead/unleash"
)

// source is a file of definitions in one of the modes.
type source struct {
	mistakes error // what is wrong with it
	keys     func() []string
	// decide gives what `eval` prints for a flag, and false where there is none.
	decide func(key string, a rule.Map, o options) (decided, bool)
	say    func(owner, reviewBy string) (rule.Definitions, []string, error) // nil: it is in rules already
}

type options struct {
	at   time.Time
	kind string // that the caller needs, in flagd's mode
	v1   bool   // flagd's first formula of fractional
}

// decided is what `eval` prints for a flag as JSON. value is null where the caller's own default counts.
type decided struct {
	Flag     string          `json:"flag"`
	Value    json.RawMessage `json:"value"`
	Variant  any             `json:"variant,omitempty"` // its name, or Unleash's object
	Reason   string          `json:"reason"`
	Rule     string          `json:"rule,omitempty"`
	Code     string          `json:"error_code,omitempty"`
	Metadata map[string]any  `json:"metadata,omitempty"`
	Path     []string        `json:"path"`
}

var errMode = usage(errors.New("--mode is native, unleash or flagd"))

// read reads a file. The error is about reading; what is wrong with the definitions is in the source.
func read(mode, name string) (*source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	switch mode {
	case "native":
		d, err := rule.Parse(bytes.NewReader(text))
		if err != nil {
			return &source{mistakes: err}, nil
		}
		s, err := rule.Compile(0, d)
		return &source{mistakes: err, keys: s.Keys, decide: func(key string, a rule.Map, o options) (decided, bool) {
			r, path := s.Explain(key, a, o.at)
			out := decided{Flag: key, Value: r.Value, Reason: r.Reason, Rule: r.Rule, Path: path}
			if r.Variant != "" {
				out.Variant = r.Variant
			}
			return out, r.Reason != rule.ReasonNotFound
		}}, nil
	case "unleash":
		d, err := unleash.Parse(bytes.NewReader(text))
		if err != nil {
			return &source{mistakes: err}, nil
		}
		return &source{keys: d.Names, say: d.Import, decide: func(key string, a rule.Map, o options) (decided, bool) {
			r, found := d.Evaluate(key, unleash.Context(a), o.at, rand.Int64N)
			out := decided{Flag: key, Value: json.RawMessage("false"), Variant: r.Variant, Reason: "disabled", Path: r.Path}
			if r.Enabled {
				out.Value, out.Reason = json.RawMessage("true"), "enabled"
			}
			if !found {
				out.Reason = rule.ReasonNotFound
			}
			return out, found
		}}, nil
	case "flagd":
		return flagdSource(text), nil
	}
	return nil, errMode
}

func flagdSource(text []byte) *source {
	out := &source{mistakes: flagd.Check(text)}
	d, err := flagd.Parse(bytes.NewReader(text))
	if err != nil {
		if out.mistakes == nil && !errors.Is(err, flagd.ErrNoFlags) { // a targeting alone has none
			out.mistakes = err
		}
		return out
	}
	out.keys, out.say = d.Keys, d.Import
	out.decide = func(key string, a rule.Map, o options) (decided, bool) {
		r := d.Evaluate(key, o.kind, flagd.Context(a), o.at, flagd.Options{FirstFractional: o.v1})
		out := decided{Flag: key, Value: r.Value, Reason: r.Reason, Code: r.Code, Metadata: r.Metadata, Path: r.Path}
		if r.Variant != "" {
			out.Variant = r.Variant
		}
		return out, r.Code != flagd.FlagNotFound
	}
	return out
}

// validate is `sigra rulestead validate`.
func validate(_ context.Context, c *pluginsdk.CommandCall) error {
	flags := c.Flags()
	mode := flags.String("mode", "native", "")
	if err := flags.Parse(c.Arguments); err != nil {
		return usage(err)
	}
	if flags.NArg() == 0 {
		return usage(errors.New("name the files to check"))
	}
	bad := 0
	for _, name := range flags.Args() {
		s, err := read(*mode, name)
		if err != nil {
			return err
		}
		mistakes := []string{}
		if s.mistakes != nil {
			bad++
			mistakes = strings.Split(s.mistakes.Error(), "\n")
		}
		switch {
		case c.JSON:
			err = json.NewEncoder(c.Stdout).Encode(map[string]any{"file": name, "valid": s.mistakes == nil, "mistakes": mistakes})
		case s.mistakes != nil:
			_, err = fmt.Fprintf(c.Stdout, "%s:\n  %s\n", name, strings.Join(mistakes, "\n  "))
		case s.keys == nil:
			_, err = fmt.Fprintf(c.Stdout, "%s: a targeting, nothing wrong\n", name)
		default:
			_, err = fmt.Fprintf(c.Stdout, "%s: %d flags, nothing wrong\n", name, len(s.keys()))
		}
		if err != nil {
			return err
		}
	}
	if bad > 0 {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

// eval is `sigra rulestead eval`: a file of definitions, and one of attributes.
func eval(_ context.Context, c *pluginsdk.CommandCall) error {
	flags := c.Flags()
	definitions, attributes := flags.String("flags", "", ""), flags.String("context", "", "")
	mode, at := flags.String("mode", "native", ""), flags.String("at", "", "")
	kind, fractional := flags.String("type", "", ""), flags.String("fractional", "v2", "")
	if err := flags.Parse(c.Arguments); err != nil {
		return usage(err)
	}
	if *definitions == "" {
		return usage(errors.New("name the definitions: --flags FILE"))
	}
	if *fractional != "v1" && *fractional != "v2" {
		return usage(errors.New("--fractional is v1 or v2"))
	}
	o := options{at: time.Now(), kind: *kind, v1: *fractional == "v1"}
	if *at != "" {
		var err error
		if o.at, err = time.Parse(time.RFC3339, *at); err != nil {
			return usage(fmt.Errorf("--at %q is no time such as 2026-11-30T12:00:00Z", *at))
		}
	}
	s, err := read(*mode, *definitions)
	if err != nil {
		return err
	}
	switch {
	case s.decide == nil && s.mistakes == nil:
		return fmt.Errorf("%s: there are no flags", *definitions)
	case s.decide == nil || *mode == "native" && s.mistakes != nil: // flagd evaluates what its schemas refuse
		return fmt.Errorf("%s: %w", *definitions, s.mistakes)
	}
	a := rule.Map{}
	if *attributes != "" {
		b, err := os.ReadFile(*attributes)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &a); err != nil {
			return fmt.Errorf("%s: %w", *attributes, err)
		}
	}
	keys := flags.Args()
	if len(keys) == 0 {
		keys = s.keys()
	}
	missing := false
	for _, key := range keys {
		out, found := s.decide(key, a, o)
		missing = missing || !found
		if c.JSON {
			err = json.NewEncoder(c.Stdout).Encode(out)
		} else {
			value := "the caller's default"
			if out.Value != nil {
				value = string(out.Value)
			}
			_, err = fmt.Fprintf(c.Stdout, "%s: %s (%s)\n  %s\n", key, value, strings.TrimSpace(out.Reason+" "+out.Code), strings.Join(out.Path, "\n  "))
		}
		if err != nil {
			return err
		}
	}
	if missing {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

// diff is `sigra rulestead diff`. Like diff(1), it ends with 1 where there is a difference.
func diff(_ context.Context, c *pluginsdk.CommandCall) error {
	if len(c.Arguments) != 2 {
		return usage(errors.New("name two files"))
	}
	var both [2]rule.Definitions
	for i, name := range c.Arguments {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		both[i], err = rule.Parse(f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	changes := rule.Diff(both[0], both[1])
	if err := printChanges(c, changes); err != nil {
		return err
	}
	if len(changes) > 0 {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

// printChanges prints a difference: a line a place, + for what is added and - for what is removed.
func printChanges(c *pluginsdk.CommandCall, changes []rule.Change) error {
	for _, ch := range changes {
		var err error
		path := strings.Join(ch.Path, "/")
		switch {
		case c.JSON:
			err = json.NewEncoder(c.Stdout).Encode(ch)
		case ch.From == nil:
			_, err = fmt.Fprintf(c.Stdout, "+ %s: %s\n", path, ch.To)
		case ch.To == nil:
			_, err = fmt.Fprintf(c.Stdout, "- %s: %s\n", path, ch.From)
		default:
			_, err = fmt.Fprintf(c.Stdout, "~ %s: %s → %s\n", path, ch.From, ch.To)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// imports is `sigra rulestead import`: it prints definitions, which are then looked at and applied like all others.
func imports(_ context.Context, c *pluginsdk.CommandCall) error {
	flags := c.Flags()
	mode, owner, reviewBy := flags.String("mode", "", ""), flags.String("owner", "", ""), flags.String("review-by", "", "")
	if err := flags.Parse(c.Arguments); err != nil {
		return usage(err)
	}
	if flags.NArg() != 1 || *owner == "" || *reviewBy == "" {
		return usage(errors.New("name one file, and with --owner and --review-by who answers for the flags and until when"))
	}
	if *mode != "unleash" && *mode != "flagd" {
		return usage(errors.New("--mode is unleash or flagd"))
	}
	s, err := read(*mode, flags.Arg(0))
	if err != nil {
		return err
	}
	if s.mistakes != nil {
		return fmt.Errorf("%s: %w", flags.Arg(0), s.mistakes)
	}
	if s.say == nil {
		return fmt.Errorf("%s: there are no flags", flags.Arg(0))
	}
	d, notes, err := s.say(*owner, *reviewBy)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if _, err := fmt.Fprintln(c.Stderr, n); err != nil {
			return err
		}
	}
	e := json.NewEncoder(c.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(d)
}
