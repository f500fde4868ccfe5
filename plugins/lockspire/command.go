package lockspire

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

func commands() []pluginsdk.Command {
	return []pluginsdk.Command{
		{
			Name: "client create", Arguments: "--name NAME [--kind web|browser|native|service] [--redirect-uri URI]… [--scope SCOPE]…",
			Summary: "Register a client and show its secret once",
		},
		{Name: "client list", Summary: "List the clients"},
		{Name: "client show", Arguments: "ID", Summary: "Show what was agreed with a client"},
		{Name: "client disable", Arguments: "ID", Summary: "Disable a client and end its grants"},
		{Name: "client enable", Arguments: "ID", Summary: "Enable a client"},
		{Name: "client delete", Arguments: "ID", Summary: "Delete a client with all its grants"},
		{Name: "client rotate-secret", Arguments: "[--overlap 24h] ID", Summary: "Give a client another secret and show it once"},
		{Name: "key list", Summary: "List the signing keys"},
		{Name: "key rotate", Arguments: "[--now]", Summary: "Make the successors of the signing keys"},
		{Name: "redirect check", Arguments: "--registered URI… [--native] [--development] URI…", Summary: "Compare redirect URIs as the server does", Offline: checkCommand},
		{
			Name: "explain", Arguments: "--registered URI… [--kind KIND] [--scope SCOPE]… REQUEST-URL", Offline: explainCommand,
			Summary: "Say what would become of an authorization request, and why",
		},
	}
}

// several collects a flag that may come more than once.
type several []string

// String implements flag.Value.
func (s *several) String() string { return strings.Join(*s, " ") }

// Set implements flag.Value.
func (s *several) Set(v string) error { *s = append(*s, v); return nil }

// errNoSecret is a client that has no secret to rotate.
var errNoSecret = errors.New("this client has no secret")

// command runs a command.
func (in *registrar) command(ctx context.Context, c *pluginsdk.CommandCall) error {
	by := pluginsdk.AuditEntry{Actor: pluginsdk.Ref{Type: "operator", ID: c.Operator}}
	switch c.Name {
	case "client create":
		return in.createCommand(ctx, c, by)
	case "client list":
		return in.listCommand(ctx, c)
	case "key list":
		return in.keysCommand(ctx, c)
	case "key rotate":
		return in.rotateCommand(ctx, c, by)
	}
	flags := c.Flags()
	overlap := flags.Duration("overlap", 24*time.Hour, "")
	if err := flags.Parse(c.Arguments); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one client by its ID")
	}
	client, err := in.store.client(ctx, flags.Arg(0))
	if err != nil {
		return err
	}
	switch c.Name {
	case "client show":
		return in.show(c, client, "")
	case "client disable", "client enable":
		if err := in.setStatus(ctx, by, client, c.Name == "client disable"); err != nil {
			return err
		}
		return in.show(c, client, "")
	case "client delete":
		return in.remove(ctx, by, client)
	case "client rotate-secret":
		if *overlap < 0 || *overlap > 90*24*time.Hour {
			return errors.New("--overlap is 0 to 2160h")
		}
		secret, err := in.rotateSecret(ctx, by, client, *overlap)
		if err != nil {
			return err
		}
		return in.show(c, client, secret)
	}
	return fmt.Errorf("there is no command %q", c.Name)
}

// clientFlags fills in a client from a command's flags.
func clientFlags(flags *flag.FlagSet, arguments []string) (*Client, error) {
	c := &Client{}
	var scopes, redirects, registered, audiences, serves several
	kind := flags.String("kind", string(Web), "")
	flags.StringVar(&c.Name, "name", "", "")
	flags.Var(&redirects, "redirect-uri", "")
	flags.Var(&registered, "registered", "")
	flags.Var(&scopes, "scope", "")
	flags.Var(&audiences, "audience", "")
	flags.Var(&serves, "serves", "")
	flags.StringVar(&c.Config.AuthMethod, "auth-method", "", "")
	flags.StringVar(&c.Config.IDTokenAlg, "id-token-alg", rs256, "")
	flags.BoolVar(&c.Config.Trusted, "trusted", false, "")
	flags.BoolVar(&c.Config.Fragment, "fragment", false, "")
	flags.BoolVar(&c.Config.ClaimsInIDToken, "claims-in-id-token", false, "")
	flags.BoolVar(&c.Config.Development, "development", false, "")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	c.Kind, c.Config.RedirectURIs, c.Config.Audiences, c.Config.Serves = Kind(*kind), append(redirects, registered...), audiences, serves
	for _, s := range scopes {
		c.Config.Scopes = union(c.Config.Scopes, strings.Fields(s))
	}
	switch c.Kind {
	case Service:
		c.Config.Grants = []string{grantClient}
	default:
		c.Config.Grants = []string{grantCode, grantRefresh}
		if c.Config.Scopes == nil {
			c.Config.Scopes = []string{"openid", "profile", "email", "offline_access"}
		}
	}
	if c.Config.AuthMethod == "" {
		c.Config.AuthMethod = authBasic
		if c.Kind == Browser || c.Kind == Native {
			c.Config.AuthMethod = authNone
		}
	}
	return c, nil
}

func (in *registrar) createCommand(ctx context.Context, call *pluginsdk.CommandCall, by pluginsdk.AuditEntry) error {
	flags := call.Flags()
	c, err := clientFlags(flags, call.Arguments)
	if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not known; give the name with --name", flags.Arg(0))
	}
	secret, err := in.register(ctx, by, c)
	if err != nil {
		return err
	}
	return in.show(call, c, secret)
}

// clientView is a client as programs see it, in the words of RFC 7591 where it has one.
type clientView struct {
	ID        string    `json:"client_id"`
	Secret    string    `json:"client_secret,omitempty"`
	Name      string    `json:"client_name"`
	Kind      Kind      `json:"kind"`
	Status    string    `json:"status"`
	Issuer    string    `json:"issuer"`
	CreatedAt time.Time `json:"created_at"`
	ClientConfig
}

func (in *registrar) view(c *Client, secret string) clientView {
	status := statusActive
	if c.Disabled {
		status = statusDisabled
	}
	return clientView{c.ID, secret, c.Name, c.Kind, status, in.issuer(), c.CreatedAt, c.Config}
}

func (in *registrar) show(call *pluginsdk.CommandCall, c *Client, secret string) error {
	v := in.view(c, secret)
	if call.JSON {
		return json.NewEncoder(call.Stdout).Encode(v)
	}
	w := tabwriter.NewWriter(call.Stdout, 0, 0, 2, ' ', 0)
	line := func(name string, values ...string) {
		if text := strings.Join(values, " "); text != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	line("client_id", v.ID)
	line("client_secret", secret)
	line("name", v.Name)
	line("kind", string(v.Kind))
	line("status", v.Status)
	line("issuer", v.Issuer)
	line("authentication", v.AuthMethod)
	line("redirect URIs", v.RedirectURIs...)
	line("grants", v.Grants...)
	line("scopes", v.Scopes...)
	line("audiences", v.Audiences...)
	line("serves", v.Serves...)
	line("ID token", v.IDTokenAlg)
	if c.Config.Trusted {
		line("consent", "not asked for")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if secret != "" {
		_, err := io.WriteString(call.Stdout, "\nKeep the secret now: it is stored as a hash only and can't be shown again.\n")
		return err
	}
	return nil
}

func (in *registrar) listCommand(ctx context.Context, call *pluginsdk.CommandCall) error {
	var all []*Client
	for after := ""; ; {
		clients, err := in.store.clients(ctx, after, pageLimit)
		if err != nil {
			return err
		}
		all = append(all, clients...)
		if len(clients) < pageLimit {
			break
		}
		after = clients[len(clients)-1].ID
	}
	views := []clientView{}
	for _, c := range all {
		views = append(views, in.view(c, ""))
	}
	if call.JSON {
		return json.NewEncoder(call.Stdout).Encode(map[string]any{"clients": views})
	}
	w := tabwriter.NewWriter(call.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tNAME\tKIND\tSTATUS\tREDIRECT URIS")
	for _, v := range views {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.ID, v.Name, v.Kind, v.Status, strings.Join(v.RedirectURIs, " "))
	}
	return w.Flush()
}

func (in *registrar) keysCommand(ctx context.Context, call *pluginsdk.CommandCall) error {
	if err := in.keys.ensure(ctx); err != nil {
		return err
	}
	keys, err := in.keys.all(ctx)
	if err != nil {
		return err
	}
	if call.JSON {
		return json.NewEncoder(call.Stdout).Encode(map[string]any{"keys": keys})
	}
	w := tabwriter.NewWriter(call.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KEY ID\tALGORITHM\tSTATE\tSIGNS FROM\tPUBLISHED UNTIL")
	for _, k := range keys {
		signs, ok := active(keys, k.Alg, in.now())
		state, until := "published", "-"
		switch {
		case k.retired(in.now()):
			state = "retired"
		case ok && signs.KID == k.KID:
			state = "signs"
		}
		if k.RetiredAt != nil {
			until = k.RetiredAt.UTC().Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.KID, k.Alg, state, k.ActiveAt.UTC().Format(time.RFC3339), until)
	}
	return w.Flush()
}

// rotateCommand makes new keys. --now makes them sign at once, which clients that cache the key set notice until they fetch it again: for
// when a key has got into wrong hands.
func (in *registrar) rotateCommand(ctx context.Context, call *pluginsdk.CommandCall, by pluginsdk.AuditEntry) error {
	flags := call.Flags()
	atOnce := flags.Bool("now", false, "")
	if err := flags.Parse(call.Arguments); err != nil {
		return err
	}
	if err := in.keys.ensure(ctx); err != nil {
		return err
	}
	from := in.now().Add(keyLead)
	if *atOnce {
		from = in.now()
	}
	if err := in.record(ctx, by, "key.rotate", nil, nil); err != nil {
		return err
	}
	for _, alg := range slices.Clone(algorithms) {
		if err := in.keys.add(ctx, alg, from); err != nil {
			return err
		}
	}
	return in.keysCommand(ctx, call)
}
