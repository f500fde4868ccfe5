package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation"
)

// providerCheckTime bounds a check: discovery and keys, each with a deadline of its own.
const providerCheckTime = 30 * time.Second

func (c *cli) providerCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the providers of the configuration", Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			d, err := c.directory()
			if err != nil {
				return err
			}
			return c.listProviders(d.List())
		},
	}
	check := &cobra.Command{
		Use: "check NAME", Short: "Ask a provider what it says of itself", Args: args(cobra.ExactArgs(1)),
		Long: "Ask a provider of the configuration what it says of itself: its discovery document and its keys. Nothing is changed, and nobody signs in.\n" +
			"What it prints as redirect address is to be registered at the provider.",
		RunE: func(cmd *cobra.Command, a []string) error {
			d, err := c.directory()
			if err != nil {
				return err
			}
			defer d.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), providerCheckTime)
			defer cancel()
			return c.checkProvider(ctx, d, a[0])
		},
	}
	return group("provider", "Sign-in with other services", list, check)
}

// directory makes the providers of the configuration file, without a server or a database.
func (c *cli) directory() (*federation.Directory, error) {
	cfg, _, err := c.load()
	if err != nil {
		return nil, err
	}
	return newDirectory(cfg.Server.BaseURL, cfg.Providers)
}

func (c *cli) listProviders(all []federation.Info) error {
	var rows [][]string
	for _, p := range all {
		rows = append(rows, []string{p.Name, p.Title, yes(p.Enabled, "yes"), yes(p.SignUp, "yes"), yes(p.TrustEmail, "yes"), p.Issuer, p.RedirectURI})
	}
	return c.show(struct {
		Providers []federation.Info `json:"providers"`
	}{all}, func(w io.Writer) {
		table(w, "No providers. docs/recipes/social.md says how to add one.", []string{"NAME", "TITLE", "ENABLED", "SIGN-UP", "TRUSTED E-MAIL", "AT", "REDIRECT ADDRESS"}, rows)
	})
}

func (c *cli) checkProvider(ctx context.Context, d *federation.Directory, name string) error {
	f, err := d.Check(ctx, name)
	if errors.Is(err, federation.ErrNoSuchProvider) {
		var names []string
		for _, p := range d.List() {
			names = append(names, p.Name)
		}
		text := fmt.Sprintf("there is no provider %q in the configuration", name)
		switch like := config.Suggest(name, names); {
		case like != "":
			text += fmt.Sprintf("; did you mean %q?", like)
		case len(names) > 0:
			text += "; there is " + strings.Join(names, ", ")
		}
		return exitError{2, errors.New(text)}
	}
	if err != nil {
		return fmt.Errorf("provider %s does not work: %w", name, err)
	}
	return c.show(f, func(w io.Writer) {
		keys := ""
		if f.Keys > 0 {
			keys = count(f.Keys, "key", "keys") + " at " + f.JWKSURL
		}
		facts(w,
			"provider", f.Title, "at", f.Issuer, "register as redirect address", f.RedirectURI, "where", f.Console,
			"client id", f.ClientID, "scopes", strings.Join(f.Scopes, " "), "authorize", f.AuthorizeURL, "token", f.TokenURL, "userinfo", f.UserinfoURL,
			"client secret", map[string]string{config.TokenAuthBasic: "sent as basic authentication", config.TokenAuthPost: "sent in the body", config.TokenAuthNone: "none"}[f.TokenAuth],
			"ID tokens", strings.Join(f.Algorithms, " "), "keys", keys,
			"names itself in answers", yes(f.IssParameter, "yes"), "may make accounts", yes(f.SignUp, "yes"), "its word on addresses counts", yes(f.TrustEmail, "yes"))
		for _, text := range f.Warnings {
			_, _ = fmt.Fprintf(w, "\nwarning: %s\n", printable(text))
		}
		switch {
		case f.Kind == "oidc":
			_, _ = fmt.Fprintln(w, "\nIt answers as it should. Whether it knows the client shows at the first sign-in.")
		default:
			_, _ = fmt.Fprintln(w, "\nIt has no discovery document, so nothing was asked. Whether it works shows at the first sign-in.")
		}
	})
}
