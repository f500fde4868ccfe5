package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// decoder walks the blocks of one file.
type decoder struct {
	src    *source
	ctx    *hcl.EvalContext
	diags  Diagnostics
	broken bool                 // the text has syntax errors: what is missing may only be unread
	where  map[string]hcl.Range // of each setting and block that was found
	probe  func(Setting)        // set: nothing is decoded, every setting is reported
	all    []Setting            // see elsewhere

	lock     *Lock // nil: none, or one that can't be read
	unpinned bool  // see Loader.Unpinned
}

// full reports whether enough was found wrong that more would help nobody. It also keeps a hostile file from costing more
// than its length.
func (d *decoder) full() bool { return len(d.diags) > 3*mostShown }

// block is one block being read. Each read claims a name; end reports what nobody claimed. So the schema and the code that
// uses it can't differ.
type block struct {
	d      *decoder
	path   string // "server.tls"; empty at the top
	plugin string // the label of the plugin block it is in
	body   *hclsyntax.Body
	header hcl.Range

	settings, blocks []string // claimed so far
}

func (b *block) join(name string) string {
	if b.path == "" {
		return name
	}
	return b.path + "." + name
}

func (b *block) title() string {
	if b.path == "" {
		return "the top level"
	}
	return "the " + strings.ReplaceAll(b.path, ".", " ") + " block"
}

// report adds a diagnostic about a setting.
func (b *block) report(name string, at hcl.Range, p problem) {
	if b.d.full() {
		return
	}
	d := Diagnostic{Severity: Error, Summary: p.is, Detail: p.want, Suggestion: p.try, Plugin: b.plugin}
	if p.warn {
		d.Severity = Warning
	}
	if name != "" {
		d.Setting = b.join(name)
	}
	b.d.diags = append(b.d.diags, b.d.src.place(d, at))
}

// value claims a setting and evaluates it. ok is false when it isn't there, is null, or could not be evaluated (and was reported).
func (b *block) value(name, kind string) (v cty.Value, at hcl.Range, ok bool) {
	b.settings = append(b.settings, name)
	if b.d.probe != nil {
		b.d.probe(Setting{Path: b.join(name), Kind: kind})
	}
	attr, there := b.body.Attributes[name]
	if !there {
		return cty.NilVal, b.header, false
	}
	at = attr.Expr.Range()
	b.d.where[b.join(name)] = attr.SrcRange
	v, ok = b.eval(name, attr.Expr)
	if !ok || v.IsNull() {
		return cty.NilVal, at, false
	}
	return v, at, true
}

// eval evaluates one expression and keeps the library's panics in.
func (b *block) eval(name string, x hclsyntax.Expression) (v cty.Value, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			b.report(name, x.Range(), problem{is: "this value can't be worked out", want: "Write it more simply."})
			v, ok = cty.NilVal, false
		}
	}()
	v, hd := x.Value(b.d.ctx)
	for _, d := range b.d.src.translate(hd, nil) {
		d.Setting, d.Plugin = b.join(name), b.plugin
		b.d.diags = append(b.d.diags, d)
	}
	if hd.HasErrors() {
		return cty.NilVal, false
	}
	if !v.IsWhollyKnown() {
		b.report(name, x.Range(), problem{is: "this value can't be worked out", want: "Write it more simply."})
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	return v, true
}

// derived reports whether a value came out of env or file: such a value is never repeated in a message, and it is text
// whatever it stands for.
func derived(x hclsyntax.Expression) (call string, yes bool) {
	_ = hclsyntax.VisitAll(x, func(n hclsyntax.Node) hcl.Diagnostics {
		if c, ok := n.(*hclsyntax.FunctionCallExpr); ok && !yes {
			call, yes = c.Name, true
			if len(c.Args) > 0 {
				if t, ok := c.Args[0].(*hclsyntax.TemplateExpr); ok && t.IsStringLiteral() {
					if lit, ok := t.Parts[0].(*hclsyntax.LiteralValueExpr); ok && lit.Val.Type() == cty.String {
						call = fmt.Sprintf("%s(%q)", c.Name, lit.Val.AsString())
					}
				}
			}
		}
		return nil
	})
	return call, yes
}

func (b *block) expr(name string) hclsyntax.Expression {
	if a := b.body.Attributes[name]; a != nil {
		return a.Expr
	}
	return nil
}

// wrong reports that the value of a setting is not right. What came from env or file is named, not shown.
func (b *block) wrong(name string, x hclsyntax.Expression, at hcl.Range, p problem) {
	if b.d.full() {
		return
	}
	p.is = name + " " + p.is
	if call, yes := derived(x); yes {
		p.try = ""
		p.want = strings.TrimSpace(p.want + " The value comes from " + call + ".")
	}
	if b.d.src.secretAt(at) {
		p.try = ""
	}
	b.report(name, at, p)
}

// str returns v as text, or reports that it isn't.
func (b *block) str(name string, x hclsyntax.Expression, v cty.Value, at hcl.Range, example string) (string, bool) {
	if v.Type() == cty.String && !v.IsNull() {
		return v.AsString(), true
	}
	p := problem{is: "must be a text in quotes, not " + kindOf(v)}
	switch {
	case strings.Contains(example, "\""):
		p.is, p.want = "must be text in quotes, not "+kindOf(v), example
	case example != "":
		p.want = fmt.Sprintf("Write it in quotes, such as %q.", example)
	}
	b.wrong(name, x, at, p)
	return "", false
}

func kindOf(v cty.Value) string {
	switch t := v.Type(); {
	case v.IsNull():
		return "null"
	case t == cty.String:
		return "a text"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return "a list"
	}
	return "an object"
}

// nested claims a block that may stand once, without a label.
func (b *block) nested(name string, read func(*block)) {
	var firstOne *hclsyntax.Block
	for _, hb := range b.claim(name) {
		if firstOne != nil {
			b.report(name, hb.TypeRange, problem{is: fmt.Sprintf("there are two %s blocks", name),
				want: fmt.Sprintf("The first is on line %d; put all settings into that one.", firstOne.TypeRange.Start.Line)})
			continue
		}
		firstOne = hb
		if len(hb.Labels) > 0 {
			b.report(name, hb.LabelRanges[0], problem{is: fmt.Sprintf("a %s block has no label", name), want: "Write " + name + " { … }."})
		}
		b.enter(name, hb, read)
	}
	if firstOne == nil && b.d.probe != nil {
		b.enter(name, &hclsyntax.Block{Body: &hclsyntax.Body{}}, read)
	}
}

// labelled claims blocks that have one label each, no two the same.
func (b *block) labelled(name, example string, check func(string) *problem, read func(*block, string)) {
	seen := map[string]int{}
	for _, hb := range b.claim(name) {
		label := ""
		switch {
		case len(hb.Labels) == 0:
			b.report(name, hb.TypeRange, problem{is: fmt.Sprintf("a %s block needs a label", name), want: fmt.Sprintf("Write %s %q { … }.", name, example)})
		case len(hb.Labels) > 1:
			b.report(name, hb.LabelRanges[1], problem{is: fmt.Sprintf("a %s block has one label only", name), want: fmt.Sprintf("Write %s %q { … }.", name, example)})
		default:
			label = hb.Labels[0]
			if p := check(label); p != nil {
				b.report(name, hb.LabelRanges[0], *p)
			} else if line, twice := seen[label]; twice {
				b.report(name, hb.LabelRanges[0], problem{is: fmt.Sprintf("there are two blocks %s %q", name, label),
					want: fmt.Sprintf("The first is on line %d; remove one of the two.", line)})
			} else {
				seen[label] = hb.TypeRange.Start.Line
			}
		}
		b.enter(name, hb, func(inner *block) { read(inner, label) })
	}
	if b.d.probe != nil {
		b.enter(name, &hclsyntax.Block{Body: &hclsyntax.Body{}}, func(inner *block) { read(inner, example) })
	}
}

func (b *block) claim(name string) (out []*hclsyntax.Block) {
	b.blocks = append(b.blocks, name)
	for _, hb := range b.body.Blocks {
		if hb.Type == name {
			out = append(out, hb)
		}
	}
	return out
}

func (b *block) enter(name string, hb *hclsyntax.Block, read func(*block)) {
	if b.d.probe != nil {
		b.d.probe(Setting{Path: b.join(name), Kind: "block"})
	}
	inner := &block{d: b.d, path: b.join(name), plugin: b.plugin, body: hb.Body, header: hb.TypeRange}
	b.d.where[inner.path] = hb.TypeRange
	read(inner)
	inner.end()
}

// end reports what nobody claimed.
func (b *block) end() {
	for _, a := range inOrder(b.body.Attributes) {
		switch name := a.Name; {
		case slices.Contains(b.settings, name):
		case slices.Contains(b.blocks, name):
			b.report(name, a.NameRange, problem{is: name + " is a block, not a setting", want: "Write " + name + " { … }, without the equals sign."})
		default:
			b.unknown("setting", name, a.NameRange)
		}
	}
	for _, hb := range b.body.Blocks {
		switch {
		case slices.Contains(b.blocks, hb.Type):
		case slices.Contains(b.settings, hb.Type):
			b.report(hb.Type, hb.TypeRange, problem{is: hb.Type + " is a setting, not a block", want: "Write " + hb.Type + " = …, with an equals sign."})
		default:
			b.unknown("block", hb.Type, hb.TypeRange)
		}
	}
}

// inOrder sorts attributes as they stand in the file.
func inOrder(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(attrs), func(a, b *hclsyntax.Attribute) int {
		return a.NameRange.Start.Byte - b.NameRange.Start.Byte
	})
}

func (b *block) unknown(what, name string, at hcl.Range) {
	if b.d.full() {
		return
	}
	names := append(slices.Clone(b.settings), b.blocks...)
	slices.Sort(names)
	p := problem{is: fmt.Sprintf("there is no %s %q in %s", what, name, b.title()), want: known(names)}
	if b.path == "" {
		p.is = fmt.Sprintf("there is no %s %q", what, name)
	}
	if s := Suggest(name, names); s != "" {
		p.try = s
	} else if home := b.d.elsewhere(name, b.path); home != "" {
		p.want = home
	}
	if b.path == "plugin" && what == "setting" && p.try == "" {
		p.want += "\nThe plugin's own settings go into its config block: config { " + name + " = … }."
	}
	if b.d.broken && b.path == "" && p.try == "" {
		p.want = strings.TrimSpace(p.want + " Or did its block end too early?")
	}
	b.report("", at, p)
}

// elsewhere says where a name would be right that is wrong here.
func (d *decoder) elsewhere(name, here string) string {
	var homes, names []string
	if d.all == nil {
		d.all = Settings()
	}
	for _, s := range d.all {
		_, last := s.split()
		names = append(names, last)
	}
	if !slices.Contains(names, name) && len(name) >= 4 {
		if name = Suggest(name, names); name == "" {
			return ""
		}
	}
	for _, s := range d.all {
		if path, last := s.split(); last == name && path != here {
			switch {
			case s.Kind == "block" && path == "":
				homes = append(homes, "at the top level of the file")
			case path == "":
				homes = append(homes, "at the top level of the file, outside of all blocks")
			default:
				homes = append(homes, "in the "+strings.ReplaceAll(path, ".", " ")+" block")
			}
		}
	}
	if len(homes) == 0 || len(homes) > 2 {
		return ""
	}
	return fmt.Sprintf("%s belongs %s.", name, strings.Join(homes, " or "))
}
