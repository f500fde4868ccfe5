package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/telemetry"
)

func (c *cli) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the server", Args: args(cobra.NoArgs),
		Long: "Run the server until it gets SIGTERM or SIGINT; then it finishes what is in flight. SIGHUP reloads the configuration.\n" +
			"Without a configuration file it runs on development defaults and says which.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.serve(cmd.Context()) },
	}
}

func (c *cli) serve(ctx context.Context) error {
	cfg, file, err := c.load()
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(telemetry.LogConfig{Level: cfg.Logging.Level, Format: cfg.Logging.Format, Output: c.err})
	if err != nil {
		return err
	}
	first := firstRun(cfg.DataDir)
	a, err := newApp(ctx, cfg, file, log)
	if err != nil {
		return err
	}
	defer a.close()

	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.reloadOnHangup(watching, a, hup)
	}()
	stopping := context.AfterFunc(ctx, func() { notifySystemd(notifyStopping, log) })
	err = a.serve(ctx, func(addr string) {
		c.welcome(cfg, file, addr, first, a)
		notifySystemd(notifyReady, log)
	})
	stopping()
	stopWatching()
	<-watched
	var de diagnosticsError
	if errors.As(err, &de) {
		if rerr := de.Render(c.err, isTerminal(c.err)); rerr != nil {
			return rerr
		}
		return exitError{status: 2}
	}
	return err
}

// welcome tells where to go. What is told on the first start is what people look for then.
func (c *cli) welcome(cfg *config.Config, file, addr string, first bool, a *app) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Sigra %s is up: %s\n\n", version, cfg.Server.BaseURL)
	if file == "" {
		fmt.Fprintf(&b, "  No configuration file, so development defaults: listens on %s only,\n", addr)
		fmt.Fprintf(&b, "  keeps everything in %s, and shows mails at %s/dev/mail instead of sending them.\n", cfg.DataDir, cfg.Server.BaseURL)
		b.WriteString("  `sigra init` writes a sigra.hcl that explains every setting.\n")
	} else {
		fmt.Fprintf(&b, "  configuration  %s\n  data           %s\n", file, cfg.DataDir)
		if cfg.Mail.Dev {
			fmt.Fprintf(&b, "  mails          %s/dev/mail (development: nothing is sent)\n", cfg.Server.BaseURL)
		} else {
			fmt.Fprintf(&b, "  mails          %s\n", strings.Replace(mailAdmin{a.parts}.Mailer(), "none", "wait: nothing sends them", 1))
		}
	}
	fmt.Fprintf(&b, "  database       %s\n", a.db.Name())
	for _, p := range cfg.Plugins {
		if p.Enabled {
			fmt.Fprintf(&b, "  plugin         %s\n", p.Name)
		}
	}
	if first {
		fmt.Fprintf(&b, "\n  Sign up at %s/register, or make an administrator:\n    %s user create --admin you@example.com%s\n", cfg.Server.BaseURL, invocation(), configFlag(c.config))
	}
	b.WriteString("\n")
	_, _ = fmt.Fprint(c.out, b.String())
}

// invocation is how this program was started, as far as a person would type it again.
func invocation() string {
	exe, err := os.Executable()
	if err == nil && strings.Contains(exe, "/go-build") && filepath.Base(exe) == "sigra" { // in Go's cache, where go run puts it
		return "go run ./cmd/sigra"
	}
	return "sigra"
}

func configFlag(file string) string {
	if file == "" {
		return ""
	}
	return " --config " + file
}

func (c *cli) reloadOnHangup(ctx context.Context, a *app, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		res, err := a.system.Reload(ctx, audit.Ref{Type: "system", ID: "signal"})
		if err != nil {
			a.log.Error("reload failed; the configuration in effect stays", "error", err)
			continue
		}
		for _, d := range res.Diagnostics {
			a.log.Warn("configuration", "file", d.File, "line", d.Line, "column", d.Column, "problem", d.Summary, "detail", d.Detail)
		}
		if !res.Applied {
			a.log.Error("the new configuration has mistakes; nothing was changed")
		}
	}
}
