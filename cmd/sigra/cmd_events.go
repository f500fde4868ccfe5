package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/httpapi"
)

func (c *cli) eventsCommand() *cobra.Command {
	return group("events", "Events that the application reports for plugins", c.eventsPublishCommand(), c.eventsListCommand())
}

func (c *cli) eventsPublishCommand() *cobra.Command {
	var data, id, subject string
	cmd := &cobra.Command{
		Use: "publish TYPE | publish -", Short: "Report an event, or with - a JSON array of them from standard input", Args: args(cobra.ExactArgs(1)),
		Example: `  sigra events publish billing.subscription.upgraded --id evt_8841 --data '{"plan":"team"}'`,
		RunE: func(cmd *cobra.Command, a []string) error {
			var events []httpapi.NewEvent
			if a[0] == "-" {
				b, err := io.ReadAll(io.LimitReader(c.in, 9<<20))
				if err != nil {
					return err
				}
				if err := json.Unmarshal(b, &events); err != nil {
					return exitError{2, fmt.Errorf("standard input is not a JSON array of events: %w", err)}
				}
			} else {
				if id == "" {
					return exitError{2, errors.New("--id is needed: the same event reported twice must be known as one")}
				}
				if data != "" && !json.Valid([]byte(data)) {
					return exitError{2, errors.New("--data is not JSON")}
				}
				events = []httpapi.NewEvent{{ID: id, Type: a[0], Subject: subject, Data: json.RawMessage(data)}}
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			res, err := client.PublishEvents(cmd.Context(), events)
			if err != nil {
				return err
			}
			return c.show(res, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Stored %d, known already %d.\n", res.Accepted, res.Duplicate)
			})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "the event's id, given by you; the same id is stored once")
	cmd.Flags().StringVar(&data, "data", "", "JSON")
	cmd.Flags().StringVar(&subject, "subject", "", "what it is about")
	return cmd
}

func (c *cli) eventsListCommand() *cobra.Command {
	var after string
	var most int
	cmd := &cobra.Command{
		Use: "list", Short: "List stored events, oldest first", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			page, err := client.Events(cmd.Context(), from, most)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, e := range page.Events {
				rows = append(rows, []string{stamp(e.OccurredAt), e.Type, e.ID, e.Subject})
			}
			return c.show(page, func(w io.Writer) {
				table(w, "No events.", []string{"TIME (UTC)", "TYPE", "ID", "SUBJECT"}, rows)
				if len(rows) > 0 {
					_, _ = fmt.Fprintf(w, "To go on: --after %s\n", page.Next)
				}
			})
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "begin behind this position")
	cmd.Flags().IntVarP(&most, "limit", "n", 100, "at most so many")
	return cmd
}
