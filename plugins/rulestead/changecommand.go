package rulestead

import (
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

// numbered reads the number of a version or a change.
func numbered(s, what string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, usage(fmt.Errorf("%q is no %s", s, what))
	}
	return n, nil
}

func (in *instance) planCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	if len(c.Arguments) > 0 {
		return usage(errors.New("definitions are read from standard input: sigra rulestead plan < flags.json"))
	}
	d, err := rule.Parse(io.LimitReader(c.Stdin, 16<<20))
	if err != nil {
		return err
	}
	if _, err := rule.Compile(0, d); err != nil {
		return err
	}
	n, err := in.store.latest(ctx)
	if err != nil {
		return err
	}
	current, err := in.store.definitions(ctx, n)
	if err != nil {
		return err
	}
	return printChanges(c, rule.Diff(current, d))
}

// changed is what a version changed.
func (in *instance) changed(ctx context.Context, n int64) (version, []rule.Change, error) {
	v, err := in.store.get(ctx, n)
	if err != nil {
		return v, nil, err
	}
	is, err := in.store.definitions(ctx, n)
	if err != nil {
		return v, nil, err
	}
	was, err := in.store.definitions(ctx, n-1)
	if err != nil {
		return v, nil, err
	}
	return v, rule.Diff(was, is), nil
}

func (in *instance) versionCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	n, err := numbered(c.Arguments[0], "version")
	if err != nil {
		return err
	}
	_, changes, err := in.changed(ctx, n)
	if err != nil {
		return err
	}
	return printChanges(c, changes)
}

func (in *instance) killCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	flags := c.Flags()
	comment := flags.String("comment", "", "")
	if err := flags.Parse(c.Arguments); err != nil {
		return usage(err)
	}
	if flags.NArg() != 1 {
		return usage(errors.New("name the flag to turn off"))
	}
	v, changed, err := in.kill(ctx, flags.Arg(0), operator(c), *comment)
	if err != nil {
		return err
	}
	return in.printSubmitted(c, submitted{version: v, changed: changed})
}

func (in *instance) changesCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	if len(c.Arguments) > 0 {
		id, err := numbered(c.Arguments[0], "change")
		if err != nil {
			return err
		}
		_, changes, err := in.proposed(ctx, id)
		if err != nil {
			return err
		}
		return printChanges(c, changes)
	}
	list, err := in.store.changes(ctx, 200)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(w, "CHANGE\tSTATE\tWHEN\tWHO\tCOMMENT")
	}
	for _, ch := range list {
		if c.JSON {
			if err := json.NewEncoder(c.Stdout).Encode(ch); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", ch.ID, ch.State, ch.CreatedAt.UTC().Format(time.RFC3339), ch.AuthorName, ch.Comment)
	}
	return w.Flush()
}

// proposed is what a change would change in the version that it was made from.
func (in *instance) proposed(ctx context.Context, id int64) (change, []rule.Change, error) {
	ch, err := in.store.change(ctx, id)
	if err != nil {
		return ch, nil, err
	}
	was, err := in.store.definitions(ctx, ch.Base)
	if err != nil {
		return ch, nil, err
	}
	var d rule.Definitions
	if err := json.Unmarshal(ch.Definitions, &d); err != nil {
		return ch, nil, err
	}
	return ch, rule.Diff(was, d), nil
}

func (in *instance) decideCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	if len(c.Arguments) != 1 {
		return usage(errors.New("name the change"))
	}
	id, err := numbered(c.Arguments[0], "change")
	if err != nil {
		return err
	}
	var ch change
	if c.Name == "approve" {
		ch, err = in.approve(ctx, id, operator(c))
	} else {
		ch, err = in.reject(ctx, id, operator(c))
	}
	if err != nil {
		return err
	}
	return in.printChange(c, ch)
}

func (in *instance) printChange(c *pluginsdk.CommandCall, ch change) error {
	if c.JSON {
		ch.Definitions = nil
		return json.NewEncoder(c.Stdout).Encode(ch)
	}
	_, err := fmt.Fprintln(c.Stdout, in.sentence(ch))
	return err
}

// sentence says where a change stands.
func (in *instance) sentence(ch change) string {
	switch ch.State {
	case changeApplied:
		return fmt.Sprintf("Change %d is in force as version %d.", ch.ID, ch.Version)
	case changeRejected:
		return fmt.Sprintf("Change %d is rejected by %s.", ch.ID, ch.ClosedBy)
	case changeOutdated:
		return fmt.Sprintf("Change %d was made from version %d, and the definitions have changed since: make it again.", ch.ID, ch.Base)
	}
	var waits []string
	if n := in.settings.Approvals - len(ch.Approvals); n > 0 {
		waits = append(waits, fmt.Sprintf("approvals (%d of %d)", len(ch.Approvals), in.settings.Approvals))
	}
	if ch.ApplyAt != nil {
		waits = append(waits, "its time, "+ch.ApplyAt.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("Change %d waits for %s.", ch.ID, strings.Join(waits, " and "))
}
