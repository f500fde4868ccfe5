package pluginhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/pluginsdk/contract"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// maxSchemaDepth and maxSchemaNames bound what a plugin may describe.
const (
	maxSchemaDepth = 8
	maxSchemaNames = 512
)

// decodeSettings reads a block's config body by the schema of its plugin and gives the JSON object for Configure. Its
// diagnostics stand at the user's own lines, and suggest the nearest name for one that does not exist.
func decodeSettings(b config.Plugin, schema *pluginv1.Schema) ([]byte, config.Diagnostics) {
	n := 0
	spec, durations, err := specOf(schema, nil, 0, &n)
	if err != nil {
		return nil, config.Diagnostics{errorAt(b, b.Range, "Plugin describes settings that can't be", fmt.Sprintf("Plugin %q: %v.", b.Name, err))}
	}
	b = b.Hide(secretNames(schema, 0)...)
	val, diags := b.Decode(spec)
	if diags.HasErrors() {
		return nil, diags
	}
	if !val.IsWhollyKnown() {
		return nil, append(diags, errorAt(b, b.ConfigRange, "Unknown value", "Every setting of a plugin must be known when Sigra starts."))
	}
	for _, d := range durations {
		diags = append(diags, checkDurations(b, val, d, nil)...)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	out, err := ctyjson.Marshal(val, val.Type())
	if err != nil {
		return nil, append(diags, errorAt(b, b.ConfigRange, "Settings can't be passed on", err.Error()))
	}
	return out, diags
}

// specOf turns a schema into hcldec's form. durations are the paths of the attributes that hold a duration.
func specOf(s *pluginv1.Schema, path []string, depth int, n *int) (hcldec.ObjectSpec, [][]string, error) {
	spec := hcldec.ObjectSpec{}
	var durations [][]string
	if depth > maxSchemaDepth {
		return nil, nil, fmt.Errorf("blocks nest more than %d deep", maxSchemaDepth)
	}
	name := func(s string) error {
		switch *n++; {
		case *n > maxSchemaNames:
			return fmt.Errorf("more than %d settings", maxSchemaNames)
		case !contract.IsName(s):
			return fmt.Errorf("%q is no name for a setting", printable(clip(s, 64)))
		case spec[s] != nil:
			return fmt.Errorf("%q is described twice", s)
		}
		return nil
	}
	for _, a := range s.GetAttributes() {
		if err := name(a.GetName()); err != nil {
			return nil, nil, err
		}
		ty, isDuration, err := attributeType(a.GetType())
		if err != nil {
			return nil, nil, fmt.Errorf("setting %q: %w", a.GetName(), err)
		}
		at := append(slices.Clone(path), a.GetName())
		if isDuration {
			durations = append(durations, at)
		}
		attr := &hcldec.AttrSpec{Name: a.GetName(), Type: ty, Required: a.GetRequired()}
		spec[a.GetName()] = attr
		if def := a.GetDefaultJson(); def != "" {
			v, err := defaultValue(def, ty)
			if err != nil {
				return nil, nil, fmt.Errorf("the default of setting %q: %w", a.GetName(), err)
			}
			spec[a.GetName()] = &hcldec.DefaultSpec{Primary: attr, Default: &hcldec.LiteralSpec{Value: v}}
		}
	}
	for _, bl := range s.GetBlocks() {
		if err := name(bl.GetName()); err != nil {
			return nil, nil, err
		}
		at := append(slices.Clone(path), bl.GetName())
		if bl.GetRepeated() || bl.GetLabelled() {
			at = append(at, "*")
		}
		nested, more, err := specOf(bl.GetSchema(), at, depth+1, n)
		if err != nil {
			return nil, nil, err
		}
		durations = append(durations, more...)
		switch {
		case bl.GetLabelled():
			spec[bl.GetName()] = &hcldec.BlockMapSpec{TypeName: bl.GetName(), LabelNames: []string{"label"}, Nested: nested}
		case bl.GetRepeated():
			least := 0
			if bl.GetRequired() {
				least = 1
			}
			spec[bl.GetName()] = &hcldec.BlockListSpec{TypeName: bl.GetName(), Nested: nested, MinItems: least}
		default:
			spec[bl.GetName()] = &hcldec.BlockSpec{TypeName: bl.GetName(), Nested: nested, Required: bl.GetRequired()}
		}
	}
	return spec, durations, nil
}

func attributeType(s string) (ty cty.Type, isDuration bool, err error) {
	if len(s) > 200 {
		return cty.NilType, false, errors.New("its type is too long")
	}
	if strings.Contains(s, "duration") {
		isDuration = true
		s = strings.ReplaceAll(s, "duration", "string")
	}
	expr, diags := hclsyntax.ParseExpression([]byte(s), "type", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilType, false, fmt.Errorf("%q is not a type", printable(s))
	}
	ty, diags = typeexpr.TypeConstraint(expr)
	if diags.HasErrors() {
		return cty.NilType, false, fmt.Errorf("%q is not a type", printable(s))
	}
	return ty, isDuration, nil
}

func defaultValue(src string, ty cty.Type) (cty.Value, error) {
	implied, err := ctyjson.ImpliedType([]byte(src))
	if err != nil {
		return cty.NilVal, errors.New("it is not JSON")
	}
	v, err := ctyjson.Unmarshal([]byte(src), implied)
	if err != nil {
		return cty.NilVal, errors.New("it is not JSON")
	}
	return convert.Convert(v, ty)
}

// checkDurations looks at every value a duration path leads to; "*" is any element.
func checkDurations(b config.Plugin, v cty.Value, path, at []string) (diags config.Diagnostics) {
	if v.IsNull() {
		return nil
	}
	if len(path) == 0 {
		switch {
		case v.Type() == cty.String:
			if _, err := time.ParseDuration(v.AsString()); err != nil {
				return config.Diagnostics{errorAt(b, b.SettingRange(at...), "Invalid duration", fmt.Sprintf("Expected a duration such as \"30s\", \"5m\" or \"1h30m\" for %s.", at[len(at)-1]))}
			}
		case v.CanIterateElements():
			for it := v.ElementIterator(); it.Next(); {
				_, e := it.Element()
				diags = append(diags, checkDurations(b, e, nil, at)...)
			}
		}
		return diags
	}
	if path[0] != "*" {
		return checkDurations(b, v.GetAttr(path[0]), path[1:], append(slices.Clone(at), path[0]))
	}
	if !v.CanIterateElements() {
		return nil
	}
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		k, e := it.Element()
		key := strconv.Itoa(i)
		if k.Type() == cty.String {
			key = k.AsString()
		}
		diags = append(diags, checkDurations(b, e, path[1:], append(slices.Clone(at), key))...)
	}
	return diags
}

// pluginDiagnostics puts what a plugin says of its settings at the lines it means.
func pluginDiagnostics(b config.Plugin, schema *pluginv1.Schema, in []*pluginv1.Diagnostic) config.Diagnostics {
	b = b.Hide(secretNames(schema, 0)...)
	var out config.Diagnostics
	for _, d := range in[:min(len(in), 64)] {
		severity := config.Error
		if d.GetSeverity() == pluginv1.Diagnostic_SEVERITY_WARNING {
			severity = config.Warning
		}
		out = append(out, b.Diagnose(b.SettingRange(d.GetPath()...), severity, printable(clip(orElse(d.GetSummary(), "invalid setting"), 256)), printable(clip(d.GetDetail(), 1024)), ""))
	}
	return out
}

// secretNames are the settings whose values no diagnostic may show.
func secretNames(s *pluginv1.Schema, depth int) []string {
	var out []string
	for _, a := range s.GetAttributes() {
		if a.GetSecret() {
			out = append(out, a.GetName())
		}
	}
	for _, b := range s.GetBlocks() {
		if depth < maxSchemaDepth {
			out = append(out, secretNames(b.GetSchema(), depth+1)...)
		}
	}
	return out
}

// describeSchema lists a schema for `sigra plugin info`.
func describeSchema(s *pluginv1.Schema, prefix string) []Setting {
	var out []Setting
	for _, a := range s.GetAttributes() {
		st := Setting{Path: prefix + a.GetName(), Type: a.GetType(), Required: a.GetRequired(), Secret: a.GetSecret(), Default: a.GetDefaultJson(), Description: printable(clip(a.GetDescription(), 256))}
		if st.Secret || !json.Valid([]byte(st.Default)) {
			st.Default = ""
		}
		out = append(out, st)
	}
	for _, b := range s.GetBlocks() {
		if strings.Count(prefix, ".") > maxSchemaDepth {
			break
		}
		out = append(out, Setting{Path: prefix + b.GetName(), Type: "block", Required: b.GetRequired(), Description: printable(clip(b.GetDescription(), 256))})
		out = append(out, describeSchema(b.GetSchema(), prefix+b.GetName()+".")...)
	}
	return out
}
