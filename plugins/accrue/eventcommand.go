package accrue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// actions are Accrue's own audit actions.
func actions() []pluginsdk.Action {
	return []pluginsdk.Action{
		{Name: "accrue.webhook.replay", Description: "Webhooks of a billing provider were put back to be applied again.", CRUD: "u", Metadata: []string{"webhooks", "count"}, Webhooks: true},
		{Name: "accrue.customer.link", Description: "A provider's customer was made an account.", CRUD: "u", Metadata: []string{"provider", "customer", "account"}, Webhooks: true},
	}
}

func operator(c *pluginsdk.CommandCall) pluginsdk.Ref {
	return pluginsdk.Ref{Type: "operator", ID: c.Operator, Display: c.Operator}
}

// listLimit is how many webhooks are listed.
const listLimit = 200

func (in *instance) eventsCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	var state string
	var alerts bool
	flags := c.Flags()
	flags.StringVar(&state, "state", "", "")
	flags.BoolVar(&alerts, "alerts", false, "")
	if err := flags.Parse(c.Arguments); err != nil {
		return err
	}
	list, err := in.store.webhooks(ctx, state, alerts, listLimit)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(w, "RECEIVED\tEVENT\tTYPE\tSTATE\tEFFECT\tTO LOOK AT")
	}
	for _, x := range list {
		if c.JSON {
			err = json.NewEncoder(c.Stdout).Encode(x)
		} else {
			_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", x.ReceivedAt.UTC().Format(time.RFC3339), x.Name(), x.Type, x.State, x.Effect, strings.TrimSpace(strings.Join(x.Alerts, ",")+" "+x.Error))
		}
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

// replayEventsCommand puts webhooks back: those named, or all that were given up.
func (in *instance) replayEventsCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	var dead, dry bool
	flags := c.Flags()
	flags.BoolVar(&dead, "dead", false, "")
	flags.BoolVar(&dry, "dry-run", false, "")
	var names []string
	for rest := c.Arguments; ; {
		if err := flags.Parse(rest); err != nil {
			return err
		}
		if flags.NArg() == 0 {
			break
		}
		names, rest = append(names, flags.Arg(0)), flags.Args()[1:]
	}
	if dead == (len(names) > 0) {
		return errors.New("name the webhooks as PROVIDER/EVENT, or use --dead for all that were given up")
	}
	if dead {
		list, err := in.store.webhooks(ctx, webhookDead, false, replayLimit)
		if err != nil {
			return err
		}
		for _, w := range list {
			names = append(names, w.Name())
		}
	}
	for _, n := range names {
		if _, err := fmt.Fprintln(c.Stdout, n); err != nil {
			return err
		}
	}
	if dry || len(names) == 0 {
		return nil
	}
	return in.again(ctx, operator(c), pluginsdk.RequestInfo{}, names...)
}

// again records that somebody has webhooks applied once more, and puts them back.
func (in *instance) again(ctx context.Context, by pluginsdk.Ref, info pluginsdk.RequestInfo, names ...string) error {
	shown := names[:min(len(names), 20)]
	_, err := in.host.Audit().Record(ctx, pluginsdk.AuditEntry{
		Action: "accrue.webhook.replay", Outcome: "success", Actor: by, IdempotencyKey: uuid.NewString(), Request: info,
		Metadata: map[string]any{"webhooks": shown, "count": len(names)},
	})
	if err != nil {
		return err
	}
	for _, n := range names {
		name, id, _ := strings.Cut(n, "/")
		found, err := in.store.again(ctx, name, id)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("there is no webhook %s", n)
		}
	}
	in.nudge()
	return nil
}

func (in *instance) customersCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	links, err := in.store.links(ctx, in.store.db, "")
	if err != nil {
		return err
	}
	orphans, err := in.store.orphans(ctx, listLimit)
	if err != nil {
		return err
	}
	for _, o := range orphans {
		name, customer, _ := strings.Cut(o, ":")
		links = append(links, link{name, customer, ""})
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(w, "PROVIDER\tCUSTOMER\tACCOUNT")
	}
	for _, l := range links {
		if c.JSON {
			err = json.NewEncoder(c.Stdout).Encode(l)
		} else {
			_, err = fmt.Fprintf(w, "%s\t%s\t%s\n", l.Provider, l.Customer, orNone(l.Account))
		}
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

// linkCommand makes a customer an account, whatever either was before.
func (in *instance) linkCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	if len(c.Arguments) != 3 {
		return errors.New("name the provider, its customer and the account: link stripe cus_… organization:ID")
	}
	acc, err := parseAccount(c.Arguments[2])
	if err != nil {
		return err
	}
	l := link{c.Arguments[0], c.Arguments[1], acc.String()}
	if !provider.Known(l.Provider) || !subscriptionID.MatchString(l.Customer) {
		return fmt.Errorf("a provider is one of %s, and a customer 1 to 255 printable characters", strings.Join(provider.Names, ", "))
	}
	_, err = in.host.Audit().Record(ctx, pluginsdk.AuditEntry{
		Action: "accrue.customer.link", Outcome: "success", Actor: operator(c), IdempotencyKey: uuid.NewString(),
		Metadata: map[string]any{"provider": l.Provider, "customer": l.Customer, "account": l.Account},
	})
	if err != nil {
		return err
	}
	if err := in.store.relink(ctx, l); err != nil {
		return err
	}
	return in.host.Claims().Invalidate(ctx, "")
}
