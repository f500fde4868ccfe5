package rulestead

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// usage is a command that was called wrong.
func usage(err error) error { return &pluginsdk.ExitError{Status: 2, Err: err} }

// Command implements pluginsdk.Commands: `sigra rulestead …`.
func (in *instance) Command(ctx context.Context, c *pluginsdk.CommandCall) error {
	switch c.Name {
	case "apply":
		return in.applyCommand(ctx, c)
	case "export":
		return in.exportCommand(ctx, c)
	case "list":
		return in.listCommand(c)
	case "explain":
		return in.explainCommand(c)
	case "history":
		return in.historyCommand(ctx, c)
	case "rollback":
		return in.rollbackCommand(ctx, c)
	}
	return fmt.Errorf("there is no command %q", c.Name)
}

func operator(c *pluginsdk.CommandCall) pluginsdk.Ref {
	return pluginsdk.Ref{Type: "operator", ID: c.Operator, Display: c.Operator}
}

func (in *instance) applyCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	flags := c.Flags()
	comment := flags.String("comment", "", "")
	base := flags.Int64("base", -1, "")
	if err := flags.Parse(c.Arguments); err != nil {
		return usage(err)
	}
	if flags.NArg() > 0 {
		return usage(errors.New("definitions are read from standard input: sigra rulestead apply < flags.json"))
	}
	d, err := rule.Parse(io.LimitReader(c.Stdin, 16<<20))
	if err != nil {
		return err
	}
	v, changed, err := in.apply(ctx, d, *base, operator(c), *comment, pluginsdk.RequestInfo{})
	if err != nil {
		return err
	}
	return applied(c, v, changed)
}

func applied(c *pluginsdk.CommandCall, v version, changed bool) error {
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(map[string]any{"version": v.Number, "changed": changed})
	}
	text := fmt.Sprintf("Version %d is in force.", v.Number)
	if !changed {
		text = fmt.Sprintf("Nothing is different from version %d.", v.Number)
	}
	_, err := fmt.Fprintln(c.Stdout, text)
	return err
}

func (in *instance) exportCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	flags := c.Flags()
	n := flags.Int64("version", 0, "")
	if err := flags.Parse(c.Arguments); err != nil {
		return usage(err)
	}
	if *n == 0 {
		var err error
		if *n, err = in.store.latest(ctx); err != nil {
			return err
		}
	}
	text := json.RawMessage(`{"flags":{}}`)
	if *n > 0 {
		v, err := in.store.get(ctx, *n)
		if err != nil {
			return err
		}
		text = v.Definitions
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(c.Stdout)
	return err
}

func (in *instance) listCommand(c *pluginsdk.CommandCall) error {
	s, err := in.current()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(w, "FLAG\tKIND\tTYPE\tENABLED\tGATE\tRULES\tOWNER\tREVIEW BY\tNOTE")
	}
	for _, f := range s.Flags() {
		note := f.Stale(in.store.now())
		if f.Archived {
			note = "archived"
		}
		if c.JSON {
			if err := json.NewEncoder(c.Stdout).Encode(listed{f, note}); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%s\t%d\t%s\t%s\t%s\n", f.Key, f.Kind, f.Type, f.Enabled, f.Question, f.Rules, f.Owner, f.ReviewBy, note)
	}
	return w.Flush()
}

// listed is what list prints as JSON.
type listed struct {
	rule.About
	Note string `json:"note,omitempty"` // archived, or why it is stale
}

// explanation is what explain prints as JSON.
type explanation struct {
	rule.Result
	Path []string `json:"path"`
}

func (in *instance) explainCommand(c *pluginsdk.CommandCall) error {
	if len(c.Arguments) == 0 {
		return usage(errors.New("name a flag, and attributes such as user.email_domain=example.com"))
	}
	a := rule.Map{}
	for _, pair := range c.Arguments[1:] {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return usage(fmt.Errorf("%q is no attribute: write NAME=VALUE", pair))
		}
		a[name] = attributeOf(value)
	}
	s, err := in.current()
	if err != nil {
		return err
	}
	r, lines := s.Explain(c.Arguments[0], a, in.store.now())
	return explained(c, r, lines)
}

// attributeOf reads JSON where it is any, and text otherwise.
func attributeOf(s string) any {
	var v any
	if json.Unmarshal([]byte(s), &v) == nil {
		return v
	}
	return s
}

func explained(c *pluginsdk.CommandCall, r rule.Result, lines []string) error {
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(explanation{r, lines})
	}
	if _, err := fmt.Fprintln(c.Stdout, strings.Join(lines, "\n")); err != nil {
		return err
	}
	if r.Reason == rule.ReasonNotFound {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

func (in *instance) historyCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	list, err := in.store.history(ctx, 200)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(w, "VERSION\tWHEN\tWHO\tCOMMENT")
	}
	for _, v := range list {
		if c.JSON {
			if err := json.NewEncoder(c.Stdout).Encode(v); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", v.Number, v.CreatedAt.UTC().Format(time.RFC3339), v.Author, v.Comment)
	}
	return w.Flush()
}

func (in *instance) rollbackCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	if len(c.Arguments) != 1 {
		return usage(errors.New("name the version to go back to"))
	}
	n, err := strconv.ParseInt(c.Arguments[0], 10, 64)
	if err != nil || n < 1 {
		return usage(fmt.Errorf("%q is no version", c.Arguments[0]))
	}
	was, err := in.store.get(ctx, n)
	if err != nil {
		return err
	}
	var d rule.Definitions
	if err := json.Unmarshal(was.Definitions, &d); err != nil {
		return err
	}
	v, changed, err := in.apply(ctx, d, -1, operator(c), fmt.Sprintf("back to version %d", n), pluginsdk.RequestInfo{})
	if err != nil {
		return err
	}
	return applied(c, v, changed)
}
