package pluginhost

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// commandTimeout bounds one run of a command.
const commandTimeout = 10 * time.Minute

// Command is one verb that a plugin has for operators.
type Command struct {
	Name      string `json:"name"` // one or two words
	Summary   string `json:"summary,omitempty"`
	Arguments string `json:"arguments,omitempty"` // what follows the name, for the help
	Stdin     bool   `json:"stdin,omitempty"`     // it reads standard input
	Offline   bool   `json:"offline,omitempty"`   // run by the program itself, not by the process that serves
}

// CommandRun is one run of a command.
type CommandRun struct {
	Plugin, Name   string
	Arguments      []string
	JSON           bool
	Operator       string // who runs it: "1000/alice"
	Stdin          []byte
	Stdout, Stderr io.Writer
}

// CommandEnd is how a command ended.
type CommandEnd struct {
	ExitCode int
	Error    string // what went wrong, in words; may be empty
}

// commands are the verbs of a manifest.
func (m *manifest) commands() []Command {
	var out []Command
	for _, c := range m.GetCommands() {
		out = append(out, Command{
			Name: printable(clip(c.GetName(), 64)), Summary: printable(clip(c.GetSummary(), 256)), Arguments: printable(clip(c.GetArguments(), 256)), Stdin: c.GetStdin(), Offline: c.GetOffline(),
		})
	}
	return out
}

// Command runs a command in the process of the plugin, and returns when it has ended. A command that fails is an end, not
// an error. Errors are faults: NotFound for a plugin or command that does not exist, Conflict for one that runs offline,
// Unavailable where the plugin is down or ended in the middle.
func (h *Host) Command(ctx context.Context, run CommandRun) (CommandEnd, error) {
	p := h.lookup(run.Plugin)
	if p == nil {
		return CommandEnd{}, errNoPlugin(run.Plugin)
	}
	if err := p.hasCommand(run.Name); err != nil {
		return CommandEnd{}, err
	}
	var end *pluginv1.CommandEnd
	err := p.call(ctx, pluginv1.Commands_ServiceDesc.ServiceName, commandTimeout, func(ctx context.Context, in *instance) (err error) {
		end, err = runCommand(ctx, pluginv1.NewCommandsClient(in.conn), run)
		return err
	})
	var ce *CallError
	switch {
	case err == nil:
		return CommandEnd{ExitCode: int(min(max(end.GetExitCode(), 0), 125)), Error: printableLines(clip(end.GetError(), 16<<10))}, nil
	case errors.As(err, &ce) && !ce.answered:
		return CommandEnd{}, fault.Newf(fault.Unavailable, "plugin_unavailable", "The plugin %s did not run the command to its end: %s.", run.Plugin, ce.Text).Because(err)
	}
	return CommandEnd{}, err
}

// printableLines is text of several lines without what could steer a terminal.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// hasCommand reports as a fault that a plugin has no such command, or none that its process runs.
func (p *plugin) hasCommand(name string) error {
	p.mu.Lock()
	m := p.manifest
	p.mu.Unlock()
	if m == nil {
		return fault.Newf(fault.Unavailable, "plugin_unavailable", "The plugin %s has not started yet.", p.name).After(2 * time.Second)
	}
	for _, c := range m.commands() {
		switch {
		case c.Name != name:
		case c.Offline:
			return fault.Newf(fault.Conflict, "offline_command", "%q is run by the program itself, with the files of whoever runs it, and not by the server.", name).At("body.command")
		default:
			return nil
		}
	}
	return fault.Newf(fault.NotFound, "no_such_command", "The plugin %s has no command %q.", p.name, clip(printable(name), 64)).At("body.command")
}

func runCommand(ctx context.Context, client pluginv1.CommandsClient, run CommandRun) (*pluginv1.CommandEnd, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Run(ctx)
	if err != nil {
		return nil, err
	}
	start := &pluginv1.CommandStart{Name: run.Name, Arguments: run.Arguments, Json: run.JSON, Operator: run.Operator}
	if err := stream.Send(&pluginv1.RunRequest{Frame: &pluginv1.RunRequest_Start{Start: start}}); err != nil && !errors.Is(err, io.EOF) { // EOF: the reason is in Recv
		return nil, err
	}
	go func() { // a command may write before it has read everything, and may never read
		for in := run.Stdin; len(in) > 0; {
			n := min(len(in), chunk)
			if stream.Send(&pluginv1.RunRequest{Frame: &pluginv1.RunRequest_Stdin{Stdin: in[:n]}}) != nil {
				return
			}
			in = in[n:]
		}
		_ = stream.Send(&pluginv1.RunRequest{Frame: &pluginv1.RunRequest_StdinEnd{StdinEnd: true}})
		_ = stream.CloseSend()
	}()
	for {
		f, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoEnd
		case err != nil:
			return nil, err
		}
		switch f := f.GetFrame().(type) {
		case *pluginv1.RunResponse_Stdout:
			_, err = run.Stdout.Write(f.Stdout)
		case *pluginv1.RunResponse_Stderr:
			_, err = run.Stderr.Write(f.Stderr)
		case *pluginv1.RunResponse_End:
			return f.End, nil
		}
		if err != nil {
			return nil, context.Canceled // whoever asked is gone
		}
	}
}

// errNoEnd says that a plugin ended a run without saying how it went.
var errNoEnd = errors.New("it broke off without saying how the command ended")
