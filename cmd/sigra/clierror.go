package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/control"
)

// printError says on standard error what went wrong: for people, or with --json for programs.
func (s stdio) printError(err error, asJSON bool) {
	if !asJSON {
		_, _ = fmt.Fprintf(s.err, "sigra: %v\n", err)
		return
	}
	var of any = struct {
		Detail string `json:"detail"`
	}{err.Error()}
	var answered *control.Error
	var diags diagnosticsError
	switch {
	case errors.As(err, &diags):
		of = struct {
			Detail      string             `json:"detail"`
			Diagnostics config.Diagnostics `json:"diagnostics"`
		}{"The configuration has mistakes.", diags.Diagnostics}
	case errors.As(err, &answered):
		of = answered.Problem
	}
	enc := json.NewEncoder(s.err)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(map[string]any{"error": of}) // nobody is left to be told
}

// subcommand says of a word that is no command which one was perhaps meant.
func subcommand(cmd *cobra.Command, a []string) error {
	if len(a) == 0 {
		return nil
	}
	msg := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+printable(a[0]))
	if near := cmd.SuggestionsFor(a[0]); len(near) > 0 {
		msg += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return exitError{2, fmt.Errorf("%s\nTry: %s --help", msg, cmd.CommandPath())}
}

// args makes cobra's error about arguments one that names what is missing or too much.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if check(cmd, a) == nil {
			return nil
		}
		var msg string
		if names := strings.Fields(cmd.Use)[1:]; len(a) < len(names) && !strings.HasPrefix(names[len(a)], "[") {
			msg = fmt.Sprintf("%q needs %s", cmd.CommandPath(), names[len(a)])
		} else {
			msg = fmt.Sprintf("%q takes no %q", cmd.CommandPath(), printable(a[min(len(names), len(a)-1)]))
		}
		return exitError{2, fmt.Errorf("%s\nUsage: %s", msg, cmd.UseLine())}
	}
}

// flagError says of a flag that is none which one was perhaps meant.
func flagError(cmd *cobra.Command, err error) error {
	msg := err.Error()
	if name, ok := strings.CutPrefix(msg, "unknown flag: --"); ok {
		msg = fmt.Sprintf("%q has no flag --%s", cmd.CommandPath(), printable(name))
		best := 3
		near := ""
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if d := levenshtein.Distance(name, f.Name, nil); d < best && !f.Hidden {
				best, near = d, f.Name
			}
		})
		if near != "" {
			msg += fmt.Sprintf("; did you mean --%s?", near)
		}
	}
	return exitError{2, fmt.Errorf("%s\nTry: %s --help", msg, cmd.CommandPath())}
}

// helpCommand is cobra's, but for a topic that does not exist.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Explain a command",
		ValidArgsFunction: func(cmd *cobra.Command, a []string, _ string) ([]string, cobra.ShellCompDirective) {
			at, _, err := cmd.Root().Find(a)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range at.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, a []string) error {
			at, rest, err := cmd.Root().Find(a)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return subcommand(at, rest)
			}
			at.InitDefaultHelpFlag()
			at.InitDefaultVersionFlag()
			return at.Help()
		},
	}
}

// oneOf holds a flag to the values there are; empty is none given.
func oneOf(flag, value string, values ...string) error {
	if value == "" || slices.Contains(values, value) {
		return nil
	}
	return fmt.Errorf("%s must be %s or %s, not %q", flag, strings.Join(values[:len(values)-1], ", "), values[len(values)-1], printable(value))
}

// limit holds --limit, where it is given, to what the server takes.
func limit(cmd *cobra.Command, n, most int) error {
	if !cmd.Flags().Changed("limit") || n >= 1 && n <= most {
		return nil
	}
	return fmt.Errorf("--limit must be from 1 to %d, not %d", most, n)
}
