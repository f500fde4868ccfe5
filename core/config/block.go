package config

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sigra-auth/sigra/core/secret"
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

// text reads a setting that is text; check turns what was written into what is kept.
func (b *block) text(name string, dst *string, example string, check func(string) (string, *problem)) {
	v, at, ok := b.value(name, "text")
	if !ok {
		return
	}
	x := b.expr(name)
	s, ok := b.str(name, x, v, at, example)
	if !ok {
		return
	}
	if s, p := check(s); p != nil {
		b.wrong(name, x, at, *p)
	} else {
		*dst = s
	}
}

// file reads the path of a file or folder.
func (b *block) file(name string, dst *string) {
	b.text(name, dst, "/var/lib/sigra", func(s string) (string, *problem) {
		switch {
		case s == "":
			return "", &problem{is: "is empty", want: "A path is needed, or leave the setting out."}
		case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }):
			return "", &problem{is: "has a control character in it", want: "Is it a path?"}
		case strings.HasPrefix(s, "~"):
			return "", &problem{is: "starts with ~, which only a shell understands", want: "Write the whole path."}
		}
		return b.d.src.path(s), nil
	})
}

// choice reads one of several words.
func (b *block) choice(name string, dst *string, options ...string) {
	b.text(name, dst, options[0], func(s string) (string, *problem) {
		if slices.Contains(options, s) {
			return s, nil
		}
		return "", &problem{is: "must be " + oneOf(options), try: Suggest(s, options)}
	})
}

func oneOf(options []string) string {
	q := make([]string, len(options))
	for i, o := range options {
		q[i] = fmt.Sprintf("%q", o)
	}
	if len(q) == 1 {
		return q[0]
	}
	return strings.Join(q[:len(q)-1], ", ") + " or " + q[len(q)-1]
}

// secret reads a setting that must not be shown.
func (b *block) secret(name string, dst *secret.Text, check func(string) *problem) {
	v, at, ok := b.value(name, "secret")
	if !ok {
		return
	}
	x := b.expr(name)
	s, ok := b.str(name, x, v, at, "")
	if !ok {
		return
	}
	if p := checkSecret(s, check); p != nil {
		b.wrong(name, x, at, *p)
		return
	}
	*dst = secret.New(s)
}

func checkSecret(s string, check func(string) *problem) *problem {
	if s == "" {
		return &problem{is: "is empty", want: "Leave the setting out if there is none."}
	}
	if strings.TrimSpace(s) != s {
		return &problem{is: "starts or ends with white space", want: "One newline at the end of a file is taken off; the rest counts."}
	}
	return check(s)
}

// boolean reads true or false.
func (b *block) boolean(name string, dst *bool) {
	v, at, ok := b.value(name, "true or false")
	if !ok {
		return
	}
	x := b.expr(name)
	if _, fromOutside := derived(x); fromOutside && v.Type() == cty.String {
		switch v.AsString() {
		case "true":
			*dst = true
			return
		case "false":
			*dst = false
			return
		}
	}
	if v.Type() != cty.Bool {
		p := problem{is: "must be true or false"}
		if v.Type() == cty.String {
			p.want = "Without quotes."
		}
		b.wrong(name, x, at, p)
		return
	}
	*dst = v.True()
}

// number reads a whole number from lo to hi; zero is taken too if zeroToo says so.
func (b *block) number(name string, dst *int, lo, hi int, zero string) {
	v, at, ok := b.value(name, "number")
	if !ok {
		return
	}
	x := b.expr(name)
	want := fmt.Sprintf("A whole number from %d to %d%s, without quotes.", lo, hi, orZero("0", zero))
	var f *big.Float
	if _, fromOutside := derived(x); fromOutside && v.Type() == cty.String {
		if n, good := new(big.Int).SetString(v.AsString(), 10); good && len(v.AsString()) < 20 {
			f = new(big.Float).SetInt(n)
		}
	} else if v.Type() == cty.Number {
		f = v.AsBigFloat()
	}
	if f == nil {
		b.wrong(name, x, at, problem{is: "must be a number", want: want})
		return
	}
	n, acc := f.Int64()
	switch {
	case acc != big.Exact:
		b.wrong(name, x, at, problem{is: "must be a whole number", want: want})
	case n == 0 && zero != "":
		*dst = 0
	case n < int64(lo):
		b.wrong(name, x, at, problem{is: fmt.Sprintf("must be at least %d", lo), want: want})
	case n > int64(hi):
		b.wrong(name, x, at, problem{is: fmt.Sprintf("must be at most %d", hi), want: want})
	default:
		*dst = int(n)
	}
}

func orZero(how, zero string) string {
	if zero == "" {
		return ""
	}
	return ", or " + how + " " + zero
}

// duration reads a length of time from lo to hi; zero says what "0" means where it is taken too.
func (b *block) duration(name string, dst *time.Duration, lo, hi time.Duration, zero string) {
	b.measure(name, "duration", durationWant, func(s string) *problem {
		n, p := parseDuration(s)
		return inRange(dst, n, lo, hi, zero, p, FormatDuration)
	})
}

// size reads a number of bytes from lo to hi.
func (b *block) size(name string, dst *int64, lo, hi int64) {
	b.measure(name, "size", sizeWant, func(s string) *problem {
		n, p := parseSize(s)
		return inRange(dst, n, lo, hi, "", p, FormatSize)
	})
}

func inRange[T ~int64](dst *T, n, lo, hi T, zero string, p *problem, format func(T) string) *problem {
	want := fmt.Sprintf("From %s to %s%s.", format(lo), format(hi), orZero(`"0"`, zero))
	switch {
	case p != nil:
		p.want = strings.TrimSpace(p.want + " " + want)
		return p
	case n == 0 && zero != "":
	case n < lo:
		return &problem{is: "must be at least " + format(lo), want: want}
	case n > hi:
		return &problem{is: "must be at most " + format(hi), want: want}
	}
	*dst = n
	return nil
}

// rate reads "30/1m"; "0" takes the limit away.
func (b *block) rate(name string, dst *Rate) {
	b.measure(name, "rate", rateWant, func(s string) *problem {
		r, p := parseRate(s)
		if p == nil {
			*dst = r
		}
		return p
	})
}

func (b *block) measure(name, kind, example string, read func(string) *problem) {
	v, at, ok := b.value(name, kind)
	if !ok {
		return
	}
	x := b.expr(name)
	s, ok := b.str(name, x, v, at, example)
	if !ok {
		return
	}
	if p := read(s); p != nil {
		b.wrong(name, x, at, *p)
	}
}

// element is one member of a list, with its own place where it has one.
type element struct {
	text string
	expr hclsyntax.Expression
	at   hcl.Range
}

// maxEntries bounds a list.
const maxEntries = 1000

// list reads a list of texts.
func (b *block) list(name, kind, example string) []element {
	v, at, ok := b.value(name, "list of "+kind)
	if !ok {
		return nil
	}
	x := b.expr(name)
	if t := v.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		p := problem{is: "must be a list", want: fmt.Sprintf("Write it in brackets: [%q].", example)}
		b.wrong(name, x, at, p)
		return nil
	}
	if v.LengthInt() > maxEntries {
		b.wrong(name, x, at, problem{is: fmt.Sprintf("has more than %d entries", maxEntries)})
		return nil
	}
	var exprs []hclsyntax.Expression
	if tuple, ok := x.(*hclsyntax.TupleConsExpr); ok {
		exprs = tuple.Exprs
	}
	var out []element
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, ev := it.Element()
		ex, eat := x, at
		if i < len(exprs) {
			ex, eat = exprs[i], exprs[i].Range()
		}
		if ev.IsNull() || ev.Type() != cty.String {
			b.wrong(name, ex, eat, problem{is: "has an entry that is not a text in quotes but " + kindOf(ev), want: fmt.Sprintf("Such as %q.", example)})
			continue
		}
		out = append(out, element{ev.AsString(), ex, eat})
	}
	return out
}

// texts reads a list of texts, each of them checked, none twice.
func (b *block) texts(name, example string, check func(string) (string, *problem)) []string {
	var out []string
	for _, e := range b.list(name, "texts", example) {
		s, p := check(e.text)
		if p == nil && slices.Contains(out, s) {
			p = &problem{is: "has the same entry twice", want: "Remove one of them."}
		}
		if p != nil {
			b.wrong(name, e.expr, e.at, *p)
			continue
		}
		out = append(out, s)
	}
	return out
}

// secrets reads a list of texts that must not be shown.
func (b *block) secrets(name string, check func(string) *problem) []secret.Text {
	var out []secret.Text
	for _, e := range b.list(name, "secrets", "…") {
		p := checkSecret(e.text, check)
		if p == nil && slices.ContainsFunc(out, secret.New(e.text).Equal) {
			p = &problem{is: "has the same entry twice", want: "Remove one of them."}
		}
		if p != nil {
			b.wrong(name, e.expr, e.at, *p)
			continue
		}
		out = append(out, secret.New(e.text))
	}
	return out
}

// secretMap reads an object whose values must not be shown.
func (b *block) secretMap(name, example string, check func(key, value string) *problem) map[string]secret.Text {
	v, at, ok := b.value(name, "map of secrets")
	if !ok {
		return nil
	}
	x := b.expr(name)
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		b.wrong(name, x, at, problem{is: "must be an object", want: "Write it in braces: { " + example + " }."})
		return nil
	}
	if v.LengthInt() > maxEntries {
		b.wrong(name, x, at, problem{is: fmt.Sprintf("has more than %d entries", maxEntries)})
		return nil
	}
	out := map[string]secret.Text{}
	for it := v.ElementIterator(); it.Next(); {
		k, ev := it.Element()
		if ev.IsNull() || ev.Type() != cty.String {
			b.wrong(name, x, at, problem{is: fmt.Sprintf("has a value for %s that is not a text in quotes but %s", k.AsString(), kindOf(ev))})
			continue
		}
		if p := check(k.AsString(), ev.AsString()); p != nil {
			b.wrong(name, x, at, *p)
			continue
		}
		out[k.AsString()] = secret.New(ev.AsString())
	}
	return out
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
