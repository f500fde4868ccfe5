// Postbox is a plugin with commands of both kinds, for tests.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/sigra-auth/sigra/pluginsdk"
)

type postbox struct{}

// Command implements pluginsdk.Commands.
func (postbox) Command(_ context.Context, c *pluginsdk.CommandCall) error {
	b, err := io.ReadAll(c.Stdin)
	if err != nil {
		return err
	}
	switch c.Name {
	case "letters count":
		_, err = fmt.Fprintf(c.Stdout, "%d letters %v json=%v by %s\n", len(b), c.Arguments, c.JSON, c.Operator)
	case "fail":
		_, _ = fmt.Fprintln(c.Stderr, "something to say first")
		err = &pluginsdk.ExitError{Status: 7, Err: fmt.Errorf("it failed with %d bytes of input", len(b))}
	}
	return err
}

func read(_ context.Context, c *pluginsdk.CommandCall) error {
	for _, f := range c.Arguments {
		b, err := os.ReadFile(f)
		if err != nil {
			return &pluginsdk.ExitError{Status: 3, Err: err}
		}
		_, _ = fmt.Fprintf(c.Stdout, "%s json=%v\n", b, c.JSON)
	}
	return nil
}

func main() {
	pluginsdk.Serve(pluginsdk.Define(pluginsdk.Manifest{
		Name: "postbox", Version: "1.0.0", Description: "A box for letters",
		Commands: []pluginsdk.Command{
			{Name: "letters count", Arguments: "[NAME…]", Summary: "Count what is put in", Stdin: true},
			{Name: "fail", Summary: "Fail"},
			{Name: "read", Arguments: "FILE…", Summary: "Read letters", Offline: read},
		},
	}, func(context.Context, *pluginsdk.Host, struct{}) (postbox, error) { return postbox{}, nil }))
}
