package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/server"
)

func (c *cli) pluginCommand() *cobra.Command {
	return group("plugin", "Plugins", c.pluginListCommand(), c.pluginInfoCommand(), c.pluginCheckCommand(), c.pluginNewCommand(), c.pluginLockCommand(),
		c.pluginRestartCommand(), c.pluginPurgeCommand())
}

// connectRunning gives a client of the running server; what it is for makes no sense without one.
func (c *cli) connectRunning(ctx context.Context) (*control.Client, func(), error) {
	dir, broken := "", false
	if file := c.file(); file != "" {
		// A file that somebody works on is no reason not to see how the server is: it runs on with what it has.
		if _, diags := config.Load(file); diags.HasErrors() {
			dir, broken = config.DataDir(file), true
		}
	}
	if dir == "" {
		cfg, _, err := c.load()
		if err != nil {
			return nil, nil, err
		}
		dir = cfg.DataDir
	}
	client := control.Dial(server.ControlSocket(dir))
	if _, err := client.Status(ctx); err != nil {
		client.Close()
		if broken {
			_, _, err = c.load() // says what is wrong with the file
		}
		return nil, nil, err
	}
	if broken {
		_, _ = fmt.Fprintln(c.err, "The configuration file has mistakes, which `sigra check` shows; the server runs with the one from before.")
	}
	return client, client.Close, nil
}

func (c *cli) pluginListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List plugins and how they are", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			list, err := client.Plugins(cmd.Context())
			if err != nil {
				return err
			}
			var rows [][]string
			for _, p := range list {
				source := p.Source
				if p.Unpinned {
					source += " (unpinned)"
				}
				rows = append(rows, []string{p.Name, p.State, p.Version, source, strconv.Itoa(p.PID), strconv.Itoa(p.Restarts), stamp(p.Since), p.LastError})
			}
			return c.show(list, func(w io.Writer) {
				table(w, "No plugins. A block like  plugin \"threadline\" {}  in the configuration adds one.",
					[]string{"NAME", "STATE", "VERSION", "SOURCE", "PID", "RESTARTS", "SINCE (UTC)", "DETAIL"}, rows)
			})
		},
	}
}

func (c *cli) pluginInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "info NAME", Short: "Show everything about a plugin", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			p, err := client.Plugin(cmd.Context(), a[0])
			if err != nil {
				return err
			}
			return c.show(p, func(w io.Writer) { showPlugin(w, p) })
		},
	}
}

func (c *cli) pluginCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check NAME", Short: "Start a plugin for a moment, check its settings, and stop it", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			res, err := client.CheckPlugin(cmd.Context(), a[0])
			if err != nil {
				return err
			}
			err = c.show(res, func(w io.Writer) {
				for _, d := range res.Diagnostics {
					_, _ = fmt.Fprintf(w, "%s:%d:%d: %s: %s\n", d.File, d.Line, d.Column, d.Severity, d.Summary)
					if d.Detail != "" {
						_, _ = fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(d.Detail, "\n", "\n  "))
					}
				}
				if res.OK {
					_, _ = fmt.Fprintf(w, "%s is fine.\n", res.Name)
				}
			})
			if err == nil && !res.OK {
				return exitError{status: 2}
			}
			return err
		},
	}
}

func (c *cli) pluginRestartCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restart NAME", Short: "Start a plugin anew, out of quarantine too", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			p, err := client.RestartPlugin(cmd.Context(), a[0])
			if err != nil {
				return err
			}
			return c.show(p, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s is %s.\n", p.Name, p.State) })
		},
	}
}

func (c *cli) pluginPurgeCommand() *cobra.Command {
	var sure bool
	cmd := &cobra.Command{
		Use: "purge NAME", Short: "Delete everything stored for a plugin whose block is gone", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if !sure {
				return exitError{2, errors.New("this deletes the plugin's data for good; say --yes to do it")}
			}
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := client.PurgePlugin(cmd.Context(), a[0]); err != nil {
				return err
			}
			return c.show(map[string]string{"purged": a[0]}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Nothing is stored for %s any more.\n", printable(a[0])) })
		},
	}
	cmd.Flags().BoolVar(&sure, "yes", false, "really do it")
	return cmd
}
