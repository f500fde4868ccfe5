package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/server"
	"github.com/sigra-auth/sigra/core/telemetry"
)

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// cli is what every command shares: the flags that stand on the root.
type cli struct {
	stdio
	config string
	json   bool
}

const rootHelp = `Sigra is an authentication server: registration, sign-in, sessions and an audit log, in front of your application.

Start with:
  sigra serve                     runs on safe development defaults, at http://localhost:8484
  sigra init                      writes a sigra.hcl that explains every setting
  sigra user create --admin you@example.com`

func newRoot(c *cli) *cobra.Command {
	std := c.stdio
	root := &cobra.Command{
		Use: "sigra", Short: "An authentication server in one binary", Long: rootHelp,
		SilenceUsage: true, SilenceErrors: true, SuggestionsMinimumDistance: 2, Version: version,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetVersionTemplate("sigra {{.Version}}\n")
	root.PersistentFlags().StringVarP(&c.config, "config", "c", "", `configuration file (default "sigra.hcl" where it exists, else built-in defaults)`)
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON, for programs")
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true // ours complains about shells it does not know
	root.SetHelpCommand(helpCommand())
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "Server:"},
		&cobra.Group{ID: "admin", Title: "Administration (asks the running server; opens the database itself where none runs):"},
	)
	for _, cmd := range []*cobra.Command{c.serveCommand(), c.initCommand(), c.checkCommand(), c.migrateCommand(), c.reloadCommand(), c.statusCommand(), c.providerCommand(), c.pagesCommand()} {
		cmd.GroupID = "server"
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{c.userCommand(), c.organizationCommand(), c.auditCommand(), c.eventsCommand(), c.applicationCommand(), c.keysCommand(), c.mailCommand(), c.pluginCommand(), c.relayCommand()} {
		cmd.GroupID = "admin"
		root.AddCommand(cmd)
	}
	for _, cmd := range c.satelliteCommands() {
		addPlugin(root, cmd)
	}
	root.AddCommand(c.breachCommand(), c.versionCommand(), c.completionCommand())
	return root
}

// addPlugin adds the commands of a plugin, and with the first the heading they stand under.
func addPlugin(root, cmd *cobra.Command) {
	const id = "plugins"
	if !root.ContainsGroup(id) {
		root.AddGroup(&cobra.Group{ID: id, Title: "Plugins (each needs its block in the configuration):"})
	}
	cmd.GroupID = id
	root.AddCommand(cmd)
}

// group makes a command that only has commands below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: subcommand, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(below...)
	return cmd
}

// file is the configuration file in use; empty means built-in defaults.
func (c *cli) file() string {
	if c.config != "" {
		return c.config
	}
	if _, err := os.Stat("sigra.hcl"); err == nil {
		return "sigra.hcl"
	}
	return ""
}

// load reads the configuration and shows what is wrong with it.
func (c *cli) load() (*config.Config, string, error) {
	file := c.file()
	if file == "" {
		return config.Default(), "", nil
	}
	cfg, diags := config.Load(file)
	if c.json && diags.HasErrors() {
		return nil, file, exitError{2, diagnosticsError{diags}}
	}
	if len(diags) > 0 {
		if err := diags.Render(c.err, isTerminal(c.err)); err != nil {
			return nil, file, err
		}
	}
	if diags.HasErrors() {
		return nil, file, exitError{status: 2}
	}
	return cfg, file, nil
}

// connect gives a client of the running server, or, where none runs, of the same operations on the database itself.
// done must be called at the end.
func (c *cli) connect(ctx context.Context) (client *control.Client, done func(), err error) {
	cfg, file, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	client = control.Dial(server.ControlSocket(cfg.DataDir))
	_, err = client.Status(ctx)
	if err == nil {
		return client, client.Close, nil
	}
	client.Close()
	if !errors.Is(err, control.ErrNotRunning) {
		return nil, nil, err
	}
	if noDatabase(cfg) {
		return nil, nil, fmt.Errorf("no Sigra runs here, and there is none in %s yet: start one with `sigra serve`, or name its configuration with --config", cfg.DataDir)
	}
	return c.openAlone(ctx, cfg, file)
}

// openAlone opens the database as the server would and calls the API in this process.
func (c *cli) openAlone(ctx context.Context, cfg *config.Config, file string) (*control.Client, func(), error) {
	log, err := telemetry.NewLogger(telemetry.LogConfig{Level: "warn", Output: c.err})
	if err != nil {
		return nil, nil, err
	}
	p, err := openParts(ctx, cfg, registry(), log, nil)
	if err != nil {
		return nil, nil, err
	}
	sys := &system{parts: p, file: file, current: cfg, renew: p.reseal}
	services := p.services()
	services.Exports = exporter{parts: p}
	services.SessionTokens = sessionTokens{issuer: p.tokens}
	services.System, services.Keys, services.Inbox = sys, keyAdmin{sys}, p.inbox
	api, err := httpapi.New(httpapi.Config{BaseURL: cfg.Server.BaseURL, Version: version, Callers: newCallers(p.sessions, sessionCookie(cfg), p.applications), Cookie: sessionCookie(cfg), Recent: p.own.RequireRecentAuth, Administrators: p.administration, Services: services, Logger: hclog.NewNullLogger()})
	if err != nil {
		_ = p.close()
		return nil, nil, err
	}
	client := control.In(api.Handler(), operatorName())
	return client, func() {
		client.Close()
		_ = p.close()
	}, nil
}

// operatorName is who runs this command, for the audit log: "1000/alice".
func operatorName() string {
	uid := os.Getuid()
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name += "/" + u.Username
	}
	return name
}
