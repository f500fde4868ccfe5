package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (c *cli) keysCommand() *cobra.Command {
	rotate := &cobra.Command{
		Use: "rotate", Short: "Make a new data key and seal everything with it anew", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			k, err := client.RotateKeys(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(k, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Key %s seals from now on. What older keys sealed is being sealed anew; they stay to open the rest.\n", k.ID)
			})
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the data keys", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			keys, err := client.Keys(cmd.Context())
			if err != nil {
				return err
			}
			var rows [][]string
			for _, k := range keys.Keys {
				rows = append(rows, []string{k.ID.String(), k.State, stamp(k.CreatedAt)})
			}
			return c.show(keys, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "root key %s\n\n", keys.Root)
				table(w, "No keys.", []string{"KEY", "STATE", "MADE"}, rows)
			})
		},
	}
	return group("keys", "Encryption keys", list, rotate)
}
