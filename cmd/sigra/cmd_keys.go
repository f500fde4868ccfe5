package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/httpapi"
)

func (c *cli) keysCommand() *cobra.Command {
	var signing bool
	rotate := &cobra.Command{
		Use: "rotate", Short: "Make a new data key and seal everything with it anew", Args: args(cobra.NoArgs),
		Long: "Make a new data key and seal everything with it anew. With --signing, have the next signing key sign the tokens of sessions instead: that happens by itself\n" +
			"every thirty days, and tokens that are out stay good.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if signing {
				keys, err := client.RotateSigningKey(cmd.Context())
				if err != nil {
					return err
				}
				return c.show(keys, func(w io.Writer) { signingTable(w, keys) })
			}
			k, err := client.RotateKeys(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(k, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Key %s seals from now on. What older keys sealed is being sealed anew; they stay to open the rest.\n", k.ID)
			})
		},
	}
	rotate.Flags().BoolVar(&signing, "signing", false, "rotate the key that signs tokens of sessions")
	list := &cobra.Command{
		Use: "list", Short: "List the data keys and the signing keys", Args: args(cobra.NoArgs),
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
				table(w, "No keys.", []string{"DATA KEY", "STATE", "MADE"}, rows)
				_, _ = fmt.Fprintln(w)
				signingTable(w, keys.Signing)
			})
		},
	}
	return group("keys", "Encryption and signing keys", list, rotate)
}

func signingTable(w io.Writer, keys []httpapi.SigningKey) {
	var rows [][]string
	for _, k := range keys {
		rows = append(rows, []string{k.ID.String(), k.State, stamp(k.Since)})
	}
	table(w, "No signing keys.", []string{"SIGNING KEY", "STATE", "SINCE"}, rows)
}
