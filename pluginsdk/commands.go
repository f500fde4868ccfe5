package pluginsdk

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Command is a verb under `sigra <plugin> …`.
type Command struct {
	Name      string // one or two words: "lint", "outbox list"
	Summary   string // what it does, in the imperative: "Check a template for tracking"
	Arguments string // what follows the name, for the help: "FILE…"
	Stdin     bool   // it reads standard input; without this Stdin is empty
	// Offline runs the command in a process of its own, in the caller's folder, whether Sigra runs or not: for what needs the
	// caller's files and not the plugin's data. nil: the command is run by Commands, in the plugin that runs.
	Offline func(ctx context.Context, c *CommandCall) error
}

// Commands runs the manifest's commands, but for the offline ones.
type Commands interface {
	Command(ctx context.Context, c *CommandCall) error
}

// CommandCall is one run of a command. What it returns as an error is shown, and makes the exit status 1; see ExitError.
type CommandCall struct {
	Name      string
	Arguments []string
	JSON      bool   // JSON is wanted on Stdout
	Operator  string // who runs it: "1000/alice"
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
}

// Flags is a set for the command's own flags: fill it, then call Parse with c.Arguments. Mistakes come back as errors.
func (c *CommandCall) Flags() *flag.FlagSet {
	f := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// ExitError ends a command with a status of its own. Err may be nil: nothing is shown then.
type ExitError struct {
	Status int
	Err    error
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// endOf says how a command ended.
func endOf(err error) *pluginv1.CommandEnd {
	var exit *ExitError
	switch {
	case err == nil:
		return &pluginv1.CommandEnd{}
	case errors.As(err, &exit):
		end := &pluginv1.CommandEnd{ExitCode: int32(min(max(exit.Status, 1), 125))}
		if exit.Err != nil {
			end.Error = exit.Err.Error()
		}
		return end
	}
	return &pluginv1.CommandEnd{ExitCode: 1, Error: err.Error()}
}

type commands struct {
	pluginv1.UnimplementedCommandsServer
}

type commandStream = grpc.BidiStreamingServer[pluginv1.RunRequest, pluginv1.RunResponse]

func (commands) Run(stream commandStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return status.Error(codes.InvalidArgument, "the first frame of a run must be its start")
	}
	in, feed := io.Pipe()
	out := &commandOutput{stream: stream}
	go func() {
		for {
			f, err := stream.Recv()
			if err != nil || f.GetStdinEnd() {
				_ = feed.Close()
				return
			}
			if _, err := feed.Write(f.GetStdin()); err != nil {
				return // the command does not read
			}
		}
	}()
	ctx := stream.Context()
	err = instanceFor[Commands](ctx).Command(ctx, &CommandCall{
		Name: start.GetName(), Arguments: start.GetArguments(), JSON: start.GetJson(), Operator: start.GetOperator(), Stdin: in,
		Stdout: commandWriter{out, false}, Stderr: commandWriter{out, true},
	})
	_ = in.Close()
	return out.send(&pluginv1.RunResponse{Frame: &pluginv1.RunResponse_End{End: endOf(err)}})
}

// commandOutput sends what a command writes, from whichever goroutine.
type commandOutput struct {
	mu     sync.Mutex
	stream commandStream
}

func (o *commandOutput) send(r *pluginv1.RunResponse) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream.Send(r)
}

type commandWriter struct {
	out    *commandOutput
	stderr bool
}

// Write implements io.Writer.
func (w commandWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), chunkSize)
		r := &pluginv1.RunResponse{Frame: &pluginv1.RunResponse_Stdout{Stdout: p[:k]}}
		if w.stderr {
			r.Frame = &pluginv1.RunResponse_Stderr{Stderr: p[:k]}
		}
		if err := w.out.send(r); err != nil {
			return n - len(p), err
		}
		p = p[k:]
	}
	return n, nil
}

// checkCommands finds names that can't be told apart or typed.
func checkCommands(cs []Command, has bool) error {
	var seen []string
	for _, c := range cs {
		words := strings.Fields(c.Name)
		if len(words) == 0 || len(words) > 2 || strings.Join(words, " ") != c.Name || strings.HasPrefix(c.Name, "-") || slices.Contains(seen, c.Name) {
			return fmt.Errorf("manifest: command %q must be one or two words of its own", c.Name)
		}
		if c.Offline == nil && !has {
			return fmt.Errorf("manifest: command %q needs Commands, or an Offline function", c.Name)
		}
		seen = append(seen, c.Name)
	}
	return nil
}

// runOffline runs an offline command in this process, and gives the exit status.
func runOffline(p Plugin, name string, arguments []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, c := range p.Manifest().Commands {
		if c.Name != name || c.Offline == nil {
			continue
		}
		end := endOf(c.Offline(ctx, &CommandCall{
			Name: name, Arguments: arguments, JSON: os.Getenv(CommandJSONEnv) == "1", Operator: strconv.Itoa(os.Getuid()), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		}))
		if end.GetError() != "" {
			fmt.Fprintln(os.Stderr, "error: "+end.GetError())
		}
		return int(end.GetExitCode())
	}
	fmt.Fprintf(os.Stderr, "error: %s has no command %q that runs without Sigra\n", nameOf(p), name)
	return 2
}
