package flagd

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// Context is what targeting reads. targetingKey says whom a decision is about.
type Context map[string]any

// The reasons and the codes of errors are OpenFeature's.
const (
	Static         = "STATIC"
	Default        = "DEFAULT"
	TargetingMatch = "TARGETING_MATCH"
	Disabled       = "DISABLED"
	Failed         = "ERROR"

	FlagNotFound = "FLAG_NOT_FOUND"
	ParseError   = "PARSE_ERROR"
	TypeMismatch = "TYPE_MISMATCH"
	General      = "GENERAL"
)

// Result is a decision. Without a value, the caller's default counts.
type Result struct {
	Value    json.RawMessage
	Variant  string
	Reason   string
	Code     string // of an error
	Metadata map[string]any
	Path     []string // why, line by line
}

// Options are the settings of an evaluation.
type Options struct {
	FirstFractional bool // the formula that fractional had before: for groups that were made with it
}

// Evaluate decides a flag. kind is the type that the caller needs: boolean, string, number or object; empty: any.
func (d *Definitions) Evaluate(key, kind string, c Context, now time.Time, o Options) Result {
	f, ok := d.flags[key]
	if !ok {
		return failed(FlagNotFound, "there is no flag "+key)
	}
	r := f.evaluate(key, c, now, o)
	r.Metadata = maps.Clone(d.metadata)
	if r.Metadata == nil && len(f.Metadata) > 0 {
		r.Metadata = map[string]any{}
	}
	maps.Copy(r.Metadata, f.Metadata)
	if kind != "" && r.Value != nil && kindOf(r.Value) != kind {
		return failed(TypeMismatch, append(r.Path, fmt.Sprintf("the value %s is no %s", r.Value, kind))...)
	}
	return r
}

func failed(code string, path ...string) Result {
	return Result{Reason: Failed, Code: code, Path: path}
}

func (f *flag) evaluate(key string, c Context, now time.Time, o Options) Result {
	path := []string{"flag " + key + " is " + f.State}
	if f.State == "DISABLED" {
		return Result{Reason: Disabled, Path: path}
	}
	if f.mistake != nil {
		return failed(ParseError, append(path, f.mistake.Error())...)
	}
	if f.compiled == nil {
		path = append(path, "it has no targeting")
		if f.DefaultVariant == nil {
			return Result{Reason: Default, Path: append(path, "it has no default variant: the caller's default counts")}
		}
		return f.give(*f.DefaultVariant, Static, path)
	}
	data := map[string]any{}
	maps.Copy(data, c)
	data["$flagd"] = map[string]any{"flagKey": key, "timestamp": float64(now.Unix())}
	x := &run{data: data, flag: key, key: c["targetingKey"], first: o.FirstFractional}
	v := f.compiled(x)
	if x.exceeded {
		return failed(ParseError, append(path, errSteps.Error())...)
	}
	path = append(path, fmt.Sprintf("targeting took %d steps", x.steps))
	switch v := v.(type) {
	case nil:
		path = append(path, "targeting gives null")
		if f.DefaultVariant == nil {
			return Result{Reason: Default, Path: append(path, "it has no default variant: the caller's default counts")}
		}
		return f.give(*f.DefaultVariant, Default, path)
	case string:
		return f.give(v, TargetingMatch, append(path, "targeting gives "+strconv.Quote(v)))
	case bool, float64:
		return f.give(text(v), TargetingMatch, append(path, "targeting gives "+text(v)))
	}
	return failed(General, append(path, "targeting gives no name of a variant")...)
}

func (f *flag) give(variant, reason string, path []string) Result {
	v, ok := f.Variants[variant]
	if !ok {
		return failed(General, append(path, fmt.Sprintf("there is no variant %q", variant))...)
	}
	return Result{Value: v, Variant: variant, Reason: reason, Path: append(path, fmt.Sprintf("variant %q: %s", variant, v))}
}

func kindOf(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	switch v.(type) {
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		return "number"
	case map[string]any, []any:
		return "object"
	}
	return ""
}
