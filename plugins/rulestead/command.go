package rulestead

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	case "plan":
		return in.planCommand(ctx, c)
	case "kill":
		return in.killCommand(ctx, c)
	case "changes":
		return in.changesCommand(ctx, c)
	case "approve", "reject":
		return in.decideCommand(ctx, c)
	}
	return fmt.Errorf("there is no command %q", c.Name)
}

func operator(c *pluginsdk.CommandCall) actor {
	return actor{ref: pluginsdk.Ref{Type: "operator", ID: c.Operator, Display: c.Operator}}
}

func (in *instance) applyCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	flags := c.Flags()
	comment := flags.String("comment", "", "")
	base, at := flags.Int64("base", -1, ""), flags.String("at", "", "")
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
	var when *time.Time
	if *at != "" {
		t, err := time.Parse(time.RFC3339, *at)
		if err != nil || !t.After(in.store.now()) {
			return usage(fmt.Errorf("--at %q is no time to come such as 2026-12-24T18:00:00Z", *at))
		}
		when = &t
	}
	s, err := in.submit(ctx, d, *base, operator(c), *comment, when)
	if err != nil {
		return err
	}
	return in.printSubmitted(c, s)
}

func (in *instance) printSubmitted(c *pluginsdk.CommandCall, s submitted) error {
	if s.change != nil {
		return in.printChange(c, *s.change)
	}
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(map[string]any{"version": s.version.Number, "changed": s.changed})
	}
	text := fmt.Sprintf("Version %d is in force.", s.version.Number)
	if !s.changed {
		text = fmt.Sprintf("Nothing is different from version %d.", s.version.Number)
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
	if len(c.Arguments) > 0 {
		return in.versionCommand(ctx, c)
	}
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
	n, err := numbered(c.Arguments[0], "version")
	if err != nil {
		return err
	}
	d, err := in.store.definitions(ctx, n)
	if err != nil {
		return err
	}
	sub, err := in.submit(ctx, d, -1, operator(c), fmt.Sprintf("back to version %d", n), nil)
	if err != nil {
		return err
	}
	return in.printSubmitted(c, sub)
}
