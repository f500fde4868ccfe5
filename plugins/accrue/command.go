package accrue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Command implements pluginsdk.Commands: `sigra accrue …`.
func (in *instance) Command(ctx context.Context, c *pluginsdk.CommandCall) error {
	switch c.Name {
	case "accounts":
		return in.accountsCommand(ctx, c)
	case "explain":
		return in.explainCommand(ctx, c)
	case "seats":
		return in.seatsCommand(ctx, c)
	case "events":
		return in.eventsCommand(ctx, c)
	case "events replay":
		return in.replayEventsCommand(ctx, c)
	case "customers":
		return in.customersCommand(ctx, c)
	case "link":
		return in.linkCommand(ctx, c)
	}
	return fmt.Errorf("there is no command %q", c.Name)
}

func (in *instance) accountsCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	after := ""
	for {
		accounts, err := in.store.accounts(ctx, after, pageLimit)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			after = a.String()
			if c.JSON {
				err = json.NewEncoder(c.Stdout).Encode(map[string]string{"account": after})
			} else {
				_, err = fmt.Fprintln(c.Stdout, after)
			}
			if err != nil {
				return err
			}
		}
		if len(accounts) < pageLimit {
			return nil
		}
	}
}

func oneAccount(c *pluginsdk.CommandCall) (account, error) {
	if len(c.Arguments) != 1 {
		return account{}, errors.New("name one account: organization:ID or user:ID")
	}
	return parseAccount(c.Arguments[0])
}

func (in *instance) explainCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	acc, err := oneAccount(c)
	if err != nil {
		return err
	}
	e, err := in.entitlements(ctx, in.store.db, acc)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(e)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	row := func(name, value string) { _, _ = fmt.Fprintf(w, "%s\t%s\n", name, value) }
	row("Account", e.Account)
	row("Entitled", map[bool]string{true: "yes", false: "no"}[e.Entitled]+" ("+e.Reason+")")
	row("Plan", orNone(e.Plan))
	row("Seats", seatsText(e.Seats))
	row("Features", orNone(strings.Join(e.Features, ", ")))
	for _, s := range e.Subscriptions {
		row("Subscription", fmt.Sprintf("%s: %s, plan %s, %d events", s.ID, s.Status, orNone(s.Plan), s.Revision))
	}
	return w.Flush()
}

func (in *instance) seatsCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	acc, err := oneAccount(c)
	if err == nil && acc.Kind != organizationAccount {
		err = errors.New("only organizations have seats")
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(w, "HOLDER\tSTATE\tKIND\tSINCE")
	}
	for after := ""; ; {
		seats, err := in.store.seats(ctx, acc.ID, after, pageLimit)
		if err != nil {
			return err
		}
		for _, s := range seats {
			after = s.Holder
			if c.JSON {
				err = json.NewEncoder(c.Stdout).Encode(s)
			} else {
				_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Holder, s.State, s.Kind, s.Since.UTC().Format(time.RFC3339))
			}
			if err != nil {
				return err
			}
		}
		if len(seats) < pageLimit {
			return w.Flush()
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func seatsText(n *int64) string {
	if n == nil {
		return "no limit"
	}
	return fmt.Sprint(*n)
}
