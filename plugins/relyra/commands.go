package relyra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/relyra/inspect"
	"github.com/sigra-auth/sigra/plugins/relyra/saml"
	"github.com/sigra-auth/sigra/pluginsdk"
)

func commands(now func() time.Time) []pluginsdk.Command {
	return []pluginsdk.Command{
		{Name: "connection list", Summary: "List the connections to identity providers"},
		{Name: "connection create", Stdin: true, Summary: "Add a connection from the metadata on standard input", Arguments: "--organization SLUG --name NAME < METADATA"},
		{Name: "connection enable", Summary: "Open a connection for sign-in", Arguments: "ID"},
		{Name: "connection disable", Summary: "Close a connection for sign-in", Arguments: "ID"},
		{Name: "connection delete", Summary: "Delete a connection that is not enabled", Arguments: "ID"},
		{Name: "trace", Summary: "Show what became of the last sign-ins of a connection", Arguments: "ID"},
		{
			Name: "inspect", Summary: "Judge messages in files as the service would", Arguments: "--connection FILE [--at TIME] [--as KIND] MESSAGE…",
			Offline: func(_ context.Context, c *pluginsdk.CommandCall) error { return runInspect(c, now()) },
		},
	}
}

// Command implements pluginsdk.Commands.
func (p *Relyra) Command(ctx context.Context, c *pluginsdk.CommandCall) error {
	by := acting{audit: pluginsdk.AuditEntry{Actor: pluginsdk.Ref{Type: "operator", ID: c.Operator}}}
	switch c.Name {
	case "connection list":
		return p.listCommand(ctx, c)
	case "connection create":
		return p.createCommand(ctx, c, by)
	case "trace":
		return p.traceCommand(ctx, c, by)
	}
	id, err := oneID(c.Arguments)
	if err != nil {
		return err
	}
	switch c.Name {
	case "connection enable":
		return p.shownAs(c)(p.enable(ctx, by, id))
	case "connection disable":
		return p.shownAs(c)(p.disable(ctx, by, id))
	case "connection delete":
		return p.remove(ctx, by, id)
	}
	return fmt.Errorf("there is no command %q", c.Name)
}

func oneID(arguments []string) (uuid.UUID, error) {
	if len(arguments) != 1 {
		return uuid.Nil, errors.New("name one connection by its ID")
	}
	id, err := uuid.Parse(arguments[0])
	if err != nil {
		return uuid.Nil, fmt.Errorf("%q is not the ID of a connection", arguments[0])
	}
	return id, nil
}

// view is a connection as programs see it.
type view struct {
	ID             uuid.UUID `json:"id"`
	OrganizationID string    `json:"organization_id"`
	Name           string    `json:"name"`
	Status         Status    `json:"status"`
	IdPEntityID    string    `json:"idp_entity_id"`
	EntityID       string    `json:"entity_id"`
	ACS            string    `json:"acs_url"`
	Metadata       string    `json:"metadata_url"`
}

func (p *Relyra) view(c *Connection) view {
	at := c.addresses(p.host.BaseURL())
	return view{c.ID, c.OrganizationID, c.Name, c.Status, c.Config.EntityID, at.entity, at.acs, at.metadata}
}

func (p *Relyra) shownAs(call *pluginsdk.CommandCall) func(*Connection, error) error {
	return func(c *Connection, err error) error {
		if err != nil {
			return err
		}
		if call.JSON {
			return json.NewEncoder(call.Stdout).Encode(p.view(c))
		}
		v := p.view(c)
		_, err = fmt.Fprintf(call.Stdout, "%s %s (%s)\nentity ID  %s\nACS        %s\nmetadata   %s\n", v.ID, v.Name, v.Status, v.EntityID, v.ACS, v.Metadata)
		return err
	}
}

func (p *Relyra) listCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	connections, err := p.store.connections(ctx, "")
	if err != nil {
		return err
	}
	views := []view{}
	for _, x := range connections {
		views = append(views, p.view(x))
	}
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(map[string]any{"connections": views})
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tORGANIZATION\tNAME\tSTATUS\tIDENTITY PROVIDER")
	for _, v := range views {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.ID, v.OrganizationID, v.Name, v.Status, v.IdPEntityID)
	}
	return w.Flush()
}

func (p *Relyra) createCommand(ctx context.Context, c *pluginsdk.CommandCall, by acting) error {
	flags := c.Flags()
	slug, name := flags.String("organization", "", ""), flags.String("name", "", "")
	if err := flags.Parse(c.Arguments); err != nil {
		return err
	}
	o, found, err := p.host.Identity().OrganizationBySlug(ctx, *slug)
	if err != nil {
		return err
	}
	if !found {
		return errOrganization
	}
	metadata, err := io.ReadAll(io.LimitReader(c.Stdin, maxUpload))
	if err != nil {
		return err
	}
	return p.shownAs(c)(p.create(ctx, by, o.ID, *name, metadata))
}

func (p *Relyra) traceCommand(ctx context.Context, c *pluginsdk.CommandCall, by acting) error {
	id, err := oneID(c.Arguments)
	if err != nil {
		return err
	}
	if _, err := p.find(ctx, by, id); err != nil {
		return err
	}
	traces, err := p.store.traces(ctx, id, shownTraces)
	if err != nil {
		return err
	}
	if err := p.follow(ctx, traces); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(map[string]any{"traces": traces})
	}
	for _, t := range traces {
		said := "accepted"
		if t.Outcome != "" {
			said += ", " + strings.ReplaceAll(t.Outcome, "_", " ")
		}
		if t.OutcomeReason != "" {
			said += ": " + t.OutcomeReason
		}
		if t.Gate != "" {
			said = (&saml.Refusal{Gate: t.Gate, Detail: t.Detail, Expected: t.Expected, Received: t.Received}).Error()
		}
		if _, err := fmt.Fprintf(c.Stdout, "%s  %-9s  %s  %s\n", t.OccurredAt.Format(time.RFC3339), t.Step, t.Subject, said); err != nil {
			return err
		}
	}
	return nil
}

// runInspect judges files. Its exit status is 1 if any message is refused.
func runInspect(c *pluginsdk.CommandCall, now time.Time) error {
	flags := c.Flags()
	file, at, as := flags.String("connection", "", ""), flags.String("at", "", ""), flags.String("as", "", "")
	if err := flags.Parse(c.Arguments); err != nil {
		return err
	}
	if *file == "" || flags.NArg() == 0 {
		return errors.New("name the connection's file with --connection, and at least one message")
	}
	connection, err := inspect.Load(*file)
	if err != nil {
		return err
	}
	if *at != "" {
		if now, err = time.Parse(time.RFC3339, *at); err != nil {
			return fmt.Errorf("--at: %q is not a time such as 2027-01-15T10:00:00Z", *at)
		}
	}
	refused := false
	encoder := json.NewEncoder(c.Stdout)
	for _, path := range flags.Args() {
		message, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		kind := inspect.Kind(*as)
		if kind == "" {
			kind = inspect.KindOf(message)
		}
		v, err := connection.Judge(now, kind, message)
		if err != nil {
			return err
		}
		v.Input = path
		refused = refused || v.Verdict != "accept"
		if c.JSON {
			err = encoder.Encode(v)
		} else {
			err = v.Write(c.Stdout)
		}
		if err != nil {
			return err
		}
	}
	if refused {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}
