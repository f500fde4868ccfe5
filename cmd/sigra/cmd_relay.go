package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/control"
)

func (c *cli) relayCommand() *cobra.Command {
	return group("relay", "Delivery of the audit log and of events to plugins", c.relayListCommand(), c.deadLettersCommand(), c.replayCommand(), c.dropCommand())
}

func (c *cli) relayListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show how far each sink is, and who runs it", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			cursors, err := client.RelayCursors(cmd.Context())
			if err != nil {
				return err
			}
			var rows [][]string
			for _, s := range cursors {
				detail := s.LastError
				if s.HeldBack != nil {
					detail = "held back by an open transaction in the database"
				}
				lag := time.Duration(s.LagSeconds * float64(time.Second)).Round(time.Second)
				rows = append(rows, []string{
					s.Sink, strconv.Itoa(s.LagRows), lag.String(), strconv.FormatInt(s.Delivered, 10), strconv.Itoa(s.DeadLetters), s.Runner, detail,
				})
			}
			return c.show(cursors, func(w io.Writer) {
				table(w, "No sink has read anything yet.", []string{"SINK", "ROWS BEHIND", "TIME BEHIND", "DELIVERED", "DEAD LETTERS", "RUN BY", "DETAIL"}, rows)
			})
		},
	}
}

// findSink finds a sink by its name, or by that of its plugin: a misspelt one must not look like one without dead letters.
func findSink(ctx context.Context, client *control.Client, name string) (string, error) {
	cursors, err := client.RelayCursors(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, c := range cursors {
		if c.Sink == name || c.Sink == "plugin."+name {
			return c.Sink, nil
		}
		names = append(names, c.Sink)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("there is no sink %q: no sink has read anything yet", printable(name))
	}
	return "", fmt.Errorf("there is no sink %q; there is %s", printable(name), strings.Join(names, ", "))
}

func (c *cli) deadLettersCommand() *cobra.Command {
	var after string
	var most int
	cmd := &cobra.Command{
		Use: "dead-letters SINK", Short: "List the rows a sink refused for good, and why", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			from, err := position(after)
			if err != nil {
				return err
			}
			if err := limit(cmd, most, 500); err != nil {
				return exitError{2, err}
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			sink, err := findSink(cmd.Context(), client, a[0])
			if err != nil {
				return err
			}
			page, err := client.DeadLetters(cmd.Context(), sink, from, most)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, d := range page.DeadLetters {
				rows = append(rows, []string{d.ID, d.Kind, stamp(d.FailedAt), d.Reason})
			}
			return c.show(page, func(w io.Writer) {
				table(w, "There are none.", []string{"ID", "ACTION", "REFUSED (UTC)", "REASON"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "begin behind this position")
	cmd.Flags().IntVarP(&most, "limit", "n", 100, "at most so many")
	return cmd
}

func (c *cli) replayCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "replay SINK [ID …]", Short: "Deliver dead letters again", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if all == (len(a) > 1) {
				return exitError{2, errors.New("name the rows, or say --all for the oldest 500")}
			}
			client, done, err := c.connectRunning(cmd.Context()) // the plugin runs there
			if err != nil {
				return err
			}
			defer done()
			sink, err := findSink(cmd.Context(), client, a[0])
			if err != nil {
				return err
			}
			res, err := client.ReplayDeadLetters(cmd.Context(), sink, a[1:]...)
			if err != nil {
				return err
			}
			return c.show(res, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Delivered %d, refused again %d, gone from the log %d.\n", res.Replayed, len(res.Failed), res.Missing)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "the oldest 500")
	return cmd
}

func (c *cli) dropCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "drop SINK [ID …]", Short: "Throw dead letters away; the rows stay in the audit log", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if all == (len(a) > 1) {
				return exitError{2, errors.New("name the rows, or say --all for the oldest 500")}
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			sink, err := findSink(cmd.Context(), client, a[0])
			if err != nil {
				return err
			}
			res, err := client.DropDeadLetters(cmd.Context(), sink, a[1:]...)
			if err != nil {
				return err
			}
			return c.show(res, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Threw %s away.\n", count(res.Dropped, "dead letter", "dead letters"))
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "the oldest 500")
	return cmd
}
