package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

func (c *cli) migrate(ctx context.Context, cfg *config.Config, statusOnly bool) error {
	if statusOnly && noDatabase(cfg) { // looking must not make one
		dir, err := os.MkdirTemp("", "sigra-migrate")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		elsewhere := *cfg
		elsewhere.DataDir = dir
		cfg = &elsewhere
	}
	db, err := openDatabase(ctx, cfg, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var done []store.Migration
	if !statusOnly {
		if done, err = db.Migrate(ctx, part.Migrations(registry())...); err != nil {
			return err
		}
	} else if done, err = db.Migrations(ctx, part.Migrations(registry())...); err != nil {
		return err
	}
	type step struct {
		Version int64  `json:"version"`
		Name    string `json:"name"`
		Applied bool   `json:"applied"`
	}
	steps := []step{}
	var rows [][]string
	for _, m := range done {
		steps = append(steps, step{m.Version, m.Name, m.Applied})
		version := strconv.FormatInt(m.Version, 10)
		state := "pending"
		if m.Applied {
			state = "applied"
		}
		rows = append(rows, []string{version, strings.TrimSuffix(strings.TrimPrefix(m.Name, version+"_"), ".sql"), state})
	}
	return c.show(steps, func(w io.Writer) {
		table(w, "The schema of "+db.Name()+" is up to date.", []string{"VERSION", "STEP", "STATE"}, rows)
	})
}

func (c *cli) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Have the running server read its configuration again", Args: args(cobra.NoArgs),
		Long: "Have the running server read its configuration again, like SIGHUP. A file with mistakes changes nothing. Plugins are\n" +
			"started, stopped and configured as their blocks say; no request is dropped.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, _, err := c.load(); err != nil {
				return err
			}
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			res, err := client.Reload(cmd.Context())
			if errors.Is(err, &control.Error{Problem: httpapi.Problem{Code: "invalid_configuration"}}) {
				return exitError{2, err}
			}
			if err != nil {
				return err
			}
			err = c.show(res, func(w io.Writer) {
				for _, d := range res.Diagnostics {
					_, _ = fmt.Fprintf(w, "%s:%d:%d: %s\n", d.File, d.Line, d.Column, d.Summary)
					if d.Detail != "" {
						_, _ = fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(d.Detail, "\n", "\n  "))
					}
				}
				switch {
				case !res.Applied:
					_, _ = fmt.Fprintln(w, "The configuration has mistakes; nothing was changed.")
				case len(res.Changed) == 0:
					_, _ = fmt.Fprintln(w, "Reloaded; nothing is different.")
				default:
					_, _ = fmt.Fprintln(w, "Reloaded: "+strings.Join(res.Changed, ", ")+".")
				}
				if len(res.Restart) > 0 {
					_, _ = fmt.Fprintln(w, "Changed in the file, but only a restart brings it into effect: "+strings.Join(res.Restart, ", ")+".")
				}
			})
			if err == nil && !res.Applied {
				return exitError{status: 2}
			}
			return err
		},
	}
}

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how the running server is", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connectRunning(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			st, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(st, func(w io.Writer) {
				ready := "yes"
				if !st.Ready {
					ready = "no: " + strings.Join(st.NotReady, "; ")
				}
				facts(w, "ready", ready, "version", st.Version, "address", st.BaseURL, "listens on", strings.Join(st.Listen, ", "), "node", st.Node,
					"process", strconv.Itoa(st.PID), "up since", stamp(st.StartedAt)+" UTC", "configuration", st.Config, "database", st.Database)
			})
		},
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			satellites := append([]string{}, bundledNames()...)
			return c.show(map[string]any{"version": version, "go": runtime.Version(), "plugins": satellites}, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "sigra %s (%s)\n", version, runtime.Version())
				if len(satellites) > 0 {
					_, _ = fmt.Fprintf(w, "bundled plugins: %s\n", strings.Join(satellites, ", "))
				}
			})
		},
	}
}
