package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
)

func (c *cli) auditCommand() *cobra.Command {
	return group("audit", "The audit log", c.auditListCommand(), c.auditExportCommand(), c.auditTailCommand(), c.auditActionsCommand())
}

// auditFilters are the flags that narrow what is listed or exported.
type auditFilters struct {
	control.AuditQuery
	actor, target, from, to string
}

func (f *auditFilters) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.Action, "action", "", `only this action, or all below a prefix: "auth.login.success", "auth.*"`)
	fs.StringVar(&f.Category, "category", "", "only this category")
	fs.StringVar(&f.Outcome, "outcome", "", "only success, failure or error")
	fs.StringVar(&f.actor, "actor", "", "only what this one did: user:ID")
	fs.StringVar(&f.target, "target", "", "only what was done to this one: user:ID")
	fs.StringVar(&f.SessionID, "session", "", "only of this session")
	fs.StringVar(&f.RequestID, "request", "", "only of this request")
	fs.StringVar(&f.IP, "ip", "", "only from this address")
	fs.StringVar(&f.from, "from", "", "only from this time on (RFC 3339, or a day)")
	fs.StringVar(&f.to, "to", "", "only before this time")
}

func (f *auditFilters) query() (control.AuditQuery, error) {
	q := f.AuditQuery
	for _, r := range []struct {
		flag, value string
		typ, id     *string
	}{{"--actor", f.actor, &q.ActorType, &q.ActorID}, {"--target", f.target, &q.TargetType, &q.TargetID}} {
		if r.value == "" {
			continue
		}
		typ, id, ok := strings.Cut(r.value, ":")
		if !ok || typ == "" || id == "" {
			return q, exitError{2, fmt.Errorf("%s must be a type and an id, like user:0198…", r.flag)}
		}
		*r.typ, *r.id = typ, id
	}
	for _, t := range []struct {
		flag, value string
		to          *time.Time
	}{{"--from", f.from, &q.From}, {"--to", f.to, &q.To}} {
		if t.value == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.value)
		if err != nil {
			at, err = time.Parse(time.DateOnly, t.value)
		}
		if err != nil {
			return q, exitError{2, fmt.Errorf("%s: %q is not a time like 2026-01-31T09:30:00Z, nor a day like 2026-01-31", t.flag, t.value)}
		}
		*t.to = at
	}
	if err := oneOf("--outcome", f.Outcome, "success", "failure", "error"); err != nil {
		return q, exitError{2, err}
	}
	if _, err := uuid.Parse(f.SessionID); f.SessionID != "" && err != nil {
		return q, exitError{2, fmt.Errorf("--session: %q is not a session's id", f.SessionID)}
	}
	if _, err := netip.ParseAddr(f.IP); f.IP != "" && err != nil {
		return q, exitError{2, fmt.Errorf("--ip: %q is not an address like 192.0.2.7 or 2001:db8::7", f.IP)}
	}
	return q, nil
}

// unknown says of conditions that can't match anything Sigra itself records which they are; plugins may record more.
func (f *auditFilters) unknown() string {
	for _, c := range []struct {
		what, value string
		of          func(audit.Action) string
	}{{"action", f.Action, func(a audit.Action) string { return a.Name }}, {"category", f.Category, func(a audit.Action) string { return a.Category }}} {
		prefix, wild := strings.CutSuffix(c.value, "*")
		if c.value == "" || slices.ContainsFunc(audit.Catalogue(), func(a audit.Action) bool {
			return c.of(a) == c.value || wild && strings.HasPrefix(c.of(a), prefix)
		}) {
			continue
		}
		return fmt.Sprintf("Sigra itself has no %s %q; `sigra audit actions` lists what there is.", c.what, printable(c.value))
	}
	return ""
}

func auditLine(r httpapi.AuditRow) []string {
	who := r.Actor.Type
	if r.Actor.ID != "" {
		who += ":" + r.Actor.ID
	}
	var targets []string
	for _, t := range r.Targets {
		targets = append(targets, t.Type+":"+t.ID)
	}
	outcome := string(r.Outcome)
	if r.Reason != "" {
		outcome += " (" + r.Reason + ")"
	}
	return []string{stamp(r.OccurredAt), r.Action, outcome, who, strings.Join(targets, " "), r.IP}
}

func (c *cli) auditListCommand() *cobra.Command {
	var f auditFilters
	cmd := &cobra.Command{
		Use: "list", Short: "List audit rows, newest first", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			if err := limit(cmd, f.Limit, 200); err != nil {
				return exitError{2, err}
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			page, err := client.Audit(cmd.Context(), q)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, r := range page.Rows {
				rows = append(rows, auditLine(r))
			}
			return c.show(page, func(w io.Writer) {
				table(w, strings.TrimSpace("Nothing matches. "+f.unknown()), []string{"TIME (UTC)", "ACTION", "OUTCOME", "ACTOR", "TARGETS", "ADDRESS"}, rows)
				if page.Next != "" {
					_, _ = fmt.Fprintf(w, "There are older ones: --cursor %s\n", page.Next)
				}
			})
		},
	}
	f.flags(cmd.Flags())
	cmd.Flags().IntVarP(&f.Limit, "limit", "n", 0, "at most so many (default 50, at most 200)")
	cmd.Flags().StringVar(&f.Cursor, "cursor", "", "go on where an earlier list ended")
	return cmd
}

func (c *cli) auditExportCommand() *cobra.Command {
	var f auditFilters
	var format, out string
	cmd := &cobra.Command{
		Use: "export", Short: "Write all matching audit rows as NDJSON or CSV, oldest first", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			if format != "ndjson" && format != "csv" {
				return exitError{2, fmt.Errorf("--format must be ndjson or csv, not %q", format)}
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			return c.export(cmd.Context(), client, q, format, out)
		},
	}
	f.flags(cmd.Flags())
	cmd.Flags().StringVar(&format, "format", "ndjson", "ndjson or csv")
	cmd.Flags().StringVarP(&out, "output", "o", "-", "file to write; - is standard output")
	return cmd
}

// export writes to a new file under another name first, so that an export that broke off is never taken for a whole one.
func (c *cli) export(ctx context.Context, client *control.Client, q control.AuditQuery, format, out string) (err error) {
	p := c.progress("rows")
	defer p.end()
	if out == "-" {
		return client.ExportAudit(ctx, q, format, countLines{c.out, p})
	}
	if info, err := os.Stat(out); err == nil && !info.Mode().IsRegular() {
		return exitError{2, fmt.Errorf("--output: %s is not a file", out)}
	}
	f, err := os.OpenFile(out+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err = client.ExportAudit(ctx, q, format, countLines{f, p}); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), out); err != nil {
		return err
	}
	rows := p.n
	if format == "csv" {
		rows = max(0, rows-1) // the head
	}
	return c.show(map[string]any{"file": out, "rows": rows}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Wrote %s to %s.\n", count(rows, "row", "rows"), out)
	})
}

type countLines struct {
	w io.Writer
	p *progress
}

func (c countLines) Write(b []byte) (int, error) {
	c.p.add(bytes.Count(b, []byte{'\n'}))
	return c.w.Write(b)
}

func (c *cli) auditTailCommand() *cobra.Command {
	var action, after string
	cmd := &cobra.Command{
		Use: "tail", Short: "Follow the audit log as it grows", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var from *audit.Position
			if after != "" {
				p, err := position(after)
				if err != nil {
					return err
				}
				from = &p
			}
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			enc := json.NewEncoder(c.out)
			err = client.TailAudit(cmd.Context(), action, from, func(r httpapi.AuditRow) error {
				if c.json {
					return enc.Encode(r)
				}
				_, err := fmt.Fprintln(c.out, printable(strings.Join(auditLine(r), "  ")))
				return err
			})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().StringVar(&action, "action", "", `only this action, or all below a prefix ("auth.*")`)
	cmd.Flags().StringVar(&after, "after", "", "begin behind this position instead of now")
	return cmd
}

// position reads --after.
func position(after string) (audit.Position, error) {
	p, err := audit.ParsePosition(after)
	if err != nil {
		return p, exitError{2, fmt.Errorf("--after: %q is not a position in the log; --json shows the position of each row", printable(after))}
	}
	return p, nil
}

func (c *cli) auditActionsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "actions", Short: "List every action Sigra records, and who gets it by default", Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			var rows [][]string
			for _, a := range audit.Catalogue() {
				rows = append(rows, []string{a.Name, a.Category, yes(a.Timeline, "timeline"), yes(a.Webhook, "webhook"), a.Description})
			}
			return c.show(audit.Catalogue(), func(w io.Writer) {
				table(w, "", []string{"ACTION", "CATEGORY", "TIMELINE", "WEBHOOKS", "MEANING"}, rows)
			})
		},
	}
}
