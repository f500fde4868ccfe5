package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/store"
)

func (c *cli) initCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "init [FILE]", Short: "Write a configuration file that explains every setting", Args: args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error {
			path := "sigra.hcl"
			if len(a) == 1 {
				path = a[0]
			}
			flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
			if force {
				flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
			}
			f, err := os.OpenFile(path, flags, 0o600) // it may come to hold secrets
			if errors.Is(err, os.ErrExist) {
				return exitError{2, fmt.Errorf("%s is there already; --force overwrites it", path)}
			}
			if err != nil {
				return err
			}
			if _, err := f.WriteString(example()); err != nil {
				return errors.Join(err, f.Close())
			}
			if err := f.Close(); err != nil {
				return err
			}
			return c.show(map[string]string{"file": path}, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Wrote %s. It stands for the defaults; change what you need, then:\n  sigra check %s\n  sigra serve --config %s\n", path, path, path)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite the file if it is there")
	return cmd
}

// example is the configuration to start from. A satellite that this binary does not have is left out of it.
func example() string {
	const block = "\nplugin \"threadline\" {}\n"
	if _, ok := bundle()["threadline"]; ok {
		return config.Example()
	}
	return strings.Replace(config.Example(), block, "\n# (Not in this binary.)"+strings.Replace(block, "plugin", "# plugin", 1), 1)
}

func (c *cli) checkCommand() *cobra.Command {
	var skipPlugins bool
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "Check a configuration file, the plugins' settings included", Args: args(cobra.MaximumNArgs(1)),
		Long: "Check a configuration file without changing anything. Each enabled plugin is started for a moment, asked to describe\n" +
			"itself, and stopped again, so that its own settings are checked too; --skip-plugins leaves that out.",
		RunE: func(cmd *cobra.Command, a []string) error {
			file := c.file()
			if len(a) == 1 {
				file = a[0]
			}
			if file == "" {
				return exitError{2, errors.New("which file? There is no sigra.hcl here; `sigra init` writes one")}
			}
			return c.check(cmd.Context(), file, skipPlugins)
		},
	}
	cmd.Flags().BoolVar(&skipPlugins, "skip-plugins", false, "don't start the plugins to check their settings")
	return cmd
}

func (c *cli) check(ctx context.Context, file string, skipPlugins bool) error {
	cfg, diags := config.Load(file)
	if !diags.HasErrors() {
		words, found := readWords(cfg)
		diags = append(diags, found...)
		_, found = readPages(cfg, words.catalogues)
		diags = append(diags, found...)
	}
	if !diags.HasErrors() && !skipPlugins {
		found, err := checkPlugins(ctx, cfg)
		if err != nil {
			return err
		}
		diags = append(diags, found...)
	}
	err := c.show(struct {
		OK          bool               `json:"ok"`
		File        string             `json:"file"`
		Diagnostics config.Diagnostics `json:"diagnostics"`
	}{!diags.HasErrors(), file, append(config.Diagnostics{}, diags...)}, func(w io.Writer) {
		if err := diags.Render(w, isTerminal(w)); err != nil {
			return
		}
		if !diags.HasErrors() {
			_, _ = fmt.Fprintf(w, "%s is fine.\n", file)
		}
	})
	if err == nil && diags.HasErrors() {
		return exitError{status: 2}
	}
	return err
}

// checkPlugins starts each plugin beside nothing, in a folder of its own that is removed afterwards.
func checkPlugins(ctx context.Context, cfg *config.Config) (found config.Diagnostics, err error) {
	var enabled []config.Plugin
	for _, p := range cfg.Plugins {
		if p.Enabled {
			enabled = append(enabled, p)
		}
	}
	if len(enabled) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "sigra-check")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := store.Open(ctx, store.Config{DataDir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	host, err := pluginhost.New(pluginhost.Config{DB: db, DataDir: dir, BaseURL: cfg.Server.BaseURL, Version: version, Bundled: bundledNames()})
	if err != nil {
		return nil, err
	}
	for _, p := range enabled {
		found = append(found, host.Check(ctx, p)...)
	}
	return found, host.Close(ctx)
}

func (c *cli) migrateCommand() *cobra.Command {
	var status bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date", Args: args(cobra.NoArgs),
		Long: "Bring the database's schema up to date. `sigra serve` does it by itself unless database.migrate is off. Several at once do no harm.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := c.load()
			if err != nil {
				return err
			}
			return c.migrate(cmd.Context(), cfg, status)
		},
	}
	cmd.Flags().BoolVar(&status, "status", false, "list the steps and which are applied; change nothing")
	return cmd
}
