package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// version is set by the linker; a plain `go build` or `go run` leaves it as it is.
var version = "dev"

// pluginServe is the argument with which Sigra starts itself as the child process of a bundled satellite.
const pluginServe = "plugin-serve"

func main() {
	// Before anything else: a satellite's process must not read configuration, parse flags or open anything.
	if len(os.Args) == 3 && os.Args[1] == pluginServe {
		serveBundled(os.Args[2])
		return
	}
	os.Exit(run(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

func serveBundled(name string) {
	make, ok := bundle()[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "sigra: there is no bundled plugin %q in this binary\n", name)
		os.Exit(2)
	}
	pluginsdk.Serve(make())
}

// run executes one command line and gives the exit status: 0 done, 1 failed, 2 the command line or a file was wrong.
func run(ctx context.Context, args []string, std stdio) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &cli{stdio: std}
	root := newRoot(c)
	root.SetArgs(args)
	err := c.externalCommand(ctx, root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return 0
	}
	asJSON, _ := root.PersistentFlags().GetBool("json") // the flag is there
	var exit exitError
	if errors.As(err, &exit) {
		if exit.err != nil {
			std.printError(exit.err, asJSON)
		}
		return exit.status
	}
	std.printError(err, asJSON)
	return 1
}

// exitError carries an exit status; a nil err means that everything has been said already.
type exitError struct {
	status int
	err    error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }
