package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// satelliteCommands are the commands of the bundled satellites: `sigra threadline …`. Offline ones run in this process, the
// others in the process of the satellite, through the control socket.
func (c *cli) satelliteCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, name := range bundledNames() {
		m := bundle()[name]().Manifest()
		if len(m.Commands) == 0 {
			continue
		}
		tree := newCommandTree(name, m.Description)
		for _, pc := range m.Commands {
			tree.add(pc.Name, pc.Arguments, pc.Summary, func(ctx context.Context, a []string) error {
				if pc.Offline != nil {
					return ended(pc.Offline(ctx, &pluginsdk.CommandCall{
						Name: pc.Name, Arguments: a, JSON: c.json, Operator: operatorName(), Stdin: c.in, Stdout: c.out, Stderr: c.err,
					}))
				}
				return c.runCommand(ctx, name, pc.Name, a, pc.Stdin)
			}, c)
		}
		out = append(out, tree.root)
	}
	return out
}

// externalCommand is the command of a plugin that is not part of this binary: when the command line names one that the
// configuration has, it is added to the root. What it offers is asked of the running server.
func (c *cli) externalCommand(ctx context.Context, root *cobra.Command, line []string) error {
	if found, _, err := root.Find(line); err != nil || found != root {
		return nil
	}
	_ = root.ParseFlags(line) // --config may stand before the name; mistakes are told by the root itself
	words := root.Flags().Args()
	if len(words) == 0 {
		return nil
	}
	cfg, diags := config.Default(), config.Diagnostics(nil)
	if file := c.file(); file != "" {
		cfg, diags = config.Load(file)
	}
	if diags.HasErrors() {
		return nil
	}
	i := slices.IndexFunc(cfg.Plugins, func(p config.Plugin) bool { return p.Name == words[0] && p.External() })
	if i < 0 {
		return nil
	}
	client, done, err := c.connectRunning(ctx)
	if err != nil {
		return err
	}
	defer done()
	info, err := client.Plugin(ctx, words[0])
	if err != nil {
		return err
	}
	tree := newCommandTree(info.Name, info.Description)
	for _, pc := range info.Commands {
		tree.add(pc.Name, pc.Arguments, pc.Summary, func(ctx context.Context, a []string) error {
			if pc.Offline {
				return c.runProgram(ctx, cfg.Plugins[i], pc.Name, a)
			}
			return c.runCommand(ctx, info.Name, pc.Name, a, pc.Stdin)
		}, c)
	}
	addPlugin(root, tree.root)
	return nil
}

// runCommand runs a command in the process of the plugin.
func (c *cli) runCommand(ctx context.Context, plugin, name string, arguments []string, stdin bool) error {
	call := httpapi.PluginCommandCall{Command: name, Arguments: arguments, JSON: c.json}
	if stdin {
		var err error
		if call.Stdin, err = io.ReadAll(c.in); err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
	client, done, err := c.connectRunning(ctx)
	if err != nil {
		return err
	}
	defer done()
	end, err := client.RunPlugin(ctx, plugin, call, c.out, c.err)
	switch {
	case err != nil:
		return err
	case end.ExitCode == 0:
		return nil
	case end.Error == "":
		return exitError{status: end.ExitCode}
	}
	return exitError{end.ExitCode, errors.New(end.Error)}
}

// runProgram has a plugin's own program run one of its offline commands; see pluginsdk.Serve.
// The program is held to its block's checksum as when Sigra starts it.
func (c *cli) runProgram(ctx context.Context, block config.Plugin, name string, arguments []string) error {
	cmd, done, err := process.Command(ctx, block.Source, block.SHA256, append([]string{pluginsdk.CommandArgument, name}, arguments...)...)
	if err != nil {
		return err
	}
	defer done()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	if c.json {
		cmd.Env = append(os.Environ(), pluginsdk.CommandJSONEnv+"=1")
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitError{status: exit.ExitCode()}
	}
	return err
}

// ended is what an offline command returned, as this program's own exit.
func ended(err error) error {
	var exit *pluginsdk.ExitError
	if errors.As(err, &exit) {
		return exitError{max(exit.Status, 1), exit.Err}
	}
	return err
}

// commandTree builds the commands below a plugin's name: one word or two.
type commandTree struct{ root *cobra.Command }

func newCommandTree(name, description string) commandTree {
	return commandTree{group(name, description)}
}

// add puts a command into the tree. Its flags are its own: all that follows its name is passed on, but for the flags that
// every command has.
func (t commandTree) add(name, arguments, summary string, run func(context.Context, []string) error, c *cli) {
	words := strings.Fields(name)
	parent := t.root
	if len(words) == 2 {
		if parent = childOf(t.root, words[0]); parent == nil {
			parent = group(words[0], strings.ToUpper(words[0][:1])+words[0][1:])
			t.root.AddCommand(parent)
		}
	}
	last := words[len(words)-1]
	cmd := childOf(parent, last)
	if cmd == nil {
		cmd = &cobra.Command{}
		defer parent.AddCommand(cmd)
	}
	cmd.Use, cmd.Short, cmd.Args = strings.TrimSpace(last+" "+arguments), summary, nil
	cmd.DisableFlagParsing, cmd.DisableFlagsInUseLine = true, true
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		rest, help, err := c.sharedFlags(a)
		switch {
		case err != nil:
			return exitError{2, err}
		case help:
			return cmd.Help()
		}
		return run(cmd.Context(), rest)
	}
}

func childOf(parent *cobra.Command, name string) *cobra.Command {
	for _, cmd := range parent.Commands() {
		if cmd.Name() == name {
			return cmd
		}
	}
	return nil
}

// sharedFlags takes the flags that every command has out of a command line whose other flags are a plugin's.
func (c *cli) sharedFlags(line []string) (rest []string, help bool, err error) {
	for i := 0; i < len(line); i++ {
		name, value, has := strings.Cut(line[i], "=")
		switch name {
		case "--":
			return append(rest, line[i+1:]...), help, nil
		case "--json":
			c.json = !has || value == "true"
		case "-h", "--help":
			help = true
		case "-c", "--config":
			if !has {
				if i++; i == len(line) {
					return nil, false, fmt.Errorf("%s needs the path of a file", name)
				}
				value = line[i]
			}
			c.config = value
		default:
			rest = append(rest, line[i])
		}
	}
	return rest, help, nil
}
