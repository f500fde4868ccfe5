package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// source is the file the block stands in; a Plugin made by hand has none.
func (p Plugin) source() *source {
	if p.src != nil {
		return p.src
	}
	return newSource(nil, p.Range.Filename, nil)
}

// EvalContext is what expressions in the block see: env and file, as everywhere in the file.
func (p Plugin) EvalContext() *hcl.EvalContext { return p.source().evalContext() }

// Hide returns the plugin with settings of these names kept out of its diagnostics, beside those whose name says
// that they are secret.
func (p Plugin) Hide(names ...string) Plugin {
	if len(names) == 0 {
		return p
	}
	s := *p.source()
	s.hidden = slices.Clone(s.hidden)
	tokens, _ := hclsyntax.LexConfig(s.text, s.name, hcl.InitialPos)
	s.hide(tokens, names...)
	p.src = &s
	return p
}

// Diagnose makes a diagnostic about a place in the block: At for the host's settings, SettingRange for the plugin's own.
func (p Plugin) Diagnose(at hcl.Range, severity Severity, summary, detail, suggestion string) Diagnostic {
	return p.source().place(Diagnostic{Severity: severity, Summary: summary, Detail: detail, Suggestion: suggestion, Plugin: p.Name}, at)
}

// Report makes Diagnostics of what the HCL library found in the block. known are the names that would have been right.
func (p Plugin) Report(found hcl.Diagnostics, known ...string) Diagnostics {
	var ds Diagnostics
	for _, d := range found {
		if d != nil && d.Expression == nil && d.Subject != nil && !strings.HasPrefix(d.Summary, "Unsupported ") {
			// Made by hand rather than by evaluating something: the words are the caller's, who does not quote secrets.
			out := p.Diagnose(*d.Subject, Error, lower(d.Summary), d.Detail, "")
			if d.Severity == hcl.DiagWarning {
				out.Severity = Warning
			}
			ds = append(ds, out)
			continue
		}
		ds = append(ds, p.source().translate(hcl.Diagnostics{d}, known)...)
	}
	for i := range ds {
		ds[i].Plugin = p.Name
	}
	return ds.sorted()
}

// Decode reads the config block by the plugin's own schema. Everything wrong with it is reported at once, in the words that
// are used for the rest of the file; the value is only to be used when there is no error.
func (p Plugin) Decode(spec hcldec.Spec) (v cty.Value, ds Diagnostics) {
	// See source.parse: the library's panics end here.
	defer func() {
		if r := recover(); r != nil {
			v, ds = cty.NilVal, Diagnostics{p.Diagnose(p.ConfigRange, Error, "the settings of plugin "+p.Name+" can't be worked out", "Write them more simply.", "")}
		}
	}()
	body := p.Config
	if body == nil {
		body = hcl.EmptyBody()
	}
	if native, ok := body.(*hclsyntax.Body); ok {
		ds = p.fit(native, p.ConfigRange, spec, nil)
	}
	v, found := hcldec.Decode(body, spec, p.EvalContext())
	found = slices.DeleteFunc(found, func(d *hcl.Diagnostic) bool {
		switch d.Summary {
		case "Unsupported argument", "Unsupported block type", "Missing required argument":
			return len(ds) > 0 // said by fit, and better
		}
		return false
	})
	ds = append(ds, p.Report(found)...)
	return v, ds.sorted()
}

// fit compares the names in a body with those of the schema.
func (p Plugin) fit(body *hclsyntax.Body, header hcl.Range, spec hcldec.Spec, path []string) (ds Diagnostics) {
	schema := hcldec.ImpliedSchema(spec)
	var names, settings []string
	for _, a := range schema.Attributes {
		if slices.Contains(names, a.Name) {
			continue // a setting with a default stands there twice
		}
		names, settings = append(names, a.Name), append(settings, a.Name)
		if _, there := body.Attributes[a.Name]; a.Required && !there {
			ds = append(ds, p.Diagnose(header, Error, fmt.Sprintf("plugin %s needs the setting %s", p.Name, strings.Join(append(path, a.Name), ".")),
				"Set it in the config block of the plugin.", ""))
		}
	}
	var blocks []string
	for _, b := range schema.Blocks {
		names, blocks = append(names, b.Type), append(blocks, b.Type)
	}
	slices.Sort(names)
	names = slices.Compact(names) // hcldec names a setting with a default twice
	home := "plugin " + p.Name
	if len(path) > 0 {
		home = "block " + strings.Join(path, ".") + " of plugin " + p.Name
	}
	for name, a := range body.Attributes {
		switch {
		case slices.Contains(settings, name):
		case slices.Contains(blocks, name):
			ds = append(ds, p.Diagnose(a.NameRange, Error, name+" is a block, not a setting", "Write "+name+" { … }, without the equals sign.", ""))
		default:
			ds = append(ds, p.Diagnose(a.NameRange, Error, fmt.Sprintf("%s has no setting %q", home, name), takes(names), Suggest(name, names)))
		}
	}
	children := hcldec.ChildBlockTypes(spec)
	for _, b := range body.Blocks {
		switch {
		case slices.Contains(blocks, b.Type):
			if inner, ok := children[b.Type]; ok {
				ds = append(ds, p.fit(b.Body, b.DefRange(), inner, append(slices.Clone(path), b.Type))...)
			}
		case slices.Contains(settings, b.Type):
			ds = append(ds, p.Diagnose(b.TypeRange, Error, b.Type+" is a setting, not a block", "Write "+b.Type+" = …, with an equals sign.", ""))
		default:
			ds = append(ds, p.Diagnose(b.TypeRange, Error, fmt.Sprintf("%s has no block %q", home, b.Type), takes(names), Suggest(b.Type, names)))
		}
	}
	return ds
}

func takes(names []string) string {
	if len(names) == 0 {
		return "It takes no settings."
	}
	return known(names)
}

// SettingRange finds a setting of the config block by its path: names of settings and blocks, with the label or the number
// (from 0) of a block that may stand more than once: ["listener", "0", "port"]. Where the path leads nowhere it returns the
// nearest block that is there.
func (p Plugin) SettingRange(path ...string) hcl.Range {
	body, ok := p.Config.(*hclsyntax.Body)
	at := p.ConfigRange
	for i := 0; ok && i < len(path); i++ {
		if a := body.Attributes[path[i]]; a != nil {
			return a.SrcRange
		}
		var same []*hclsyntax.Block
		for _, b := range body.Blocks {
			if b.Type == path[i] {
				same = append(same, b)
			}
		}
		if len(same) == 0 {
			return at
		}
		pick := same[0]
		if i+1 < len(path) {
			for n, b := range same {
				if slices.Contains(b.Labels, path[i+1]) || strconv.Itoa(n) == path[i+1] && len(b.Labels) == 0 {
					pick = b
					i++
					break
				}
			}
		}
		body, at = pick.Body, pick.DefRange()
	}
	return at
}
