package config

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sigra-auth/sigra/core/secret"
)

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
