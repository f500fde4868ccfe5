package main

import (
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/httpapi"
)

func (c *cli) applicationCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the keys of applications", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			all, err := client.ApplicationKeys(cmd.Context())
			if err != nil {
				return err
			}
			var rows [][]string
			for _, k := range all.Keys {
				rows = append(rows, []string{k.Name, k.ID.String(), "…" + k.Hint, stamp(k.CreatedAt), stamp(k.ExpiresAt), stamp(k.LastUsedAt)})
			}
			return c.show(all, func(w io.Writer) {
				table(w, "No application has a key.", []string{"NAME", "KEY", "ENDS IN", "MADE", "EXPIRES", "LAST USED"}, rows)
			})
		},
	}
	var expires time.Duration
	create := &cobra.Command{
		Use: "create NAME", Short: "Give an application a key", Args: args(cobra.ExactArgs(1)),
		Long: "Give an application a key. With it the application reports events, reads and writes accounts' public and user metadata, and checks sessions without\n" +
			"regard to limits of its address. The key is printed once and can't be read again.",
		RunE: func(cmd *cobra.Command, a []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			var at time.Time
			if expires > 0 {
				at = time.Now().UTC().Add(expires).Truncate(time.Second)
			}
			k, err := client.CreateApplicationKey(cmd.Context(), a[0], at)
			if err != nil {
				return err
			}
			return c.showNewKey(k, "")
		},
	}
	create.Flags().DurationVar(&expires, "expires-in", 0, "how long it is good for, such as 2160h; without it, it does not expire")
	overlap := 24 * time.Hour
	rotate := &cobra.Command{
		Use: "rotate KEY", Short: "Give an application another key, and let the old one end", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			id, err := keyID(a[0])
			if err != nil {
				return err
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			k, err := client.RotateApplicationKey(cmd.Context(), id, overlap)
			if err != nil {
				return err
			}
			return c.showNewKey(k, fmt.Sprintf("The old key ends %s.", map[bool]string{true: "now", false: "in " + overlap.String()}[overlap == 0]))
		},
	}
	rotate.Flags().DurationVar(&overlap, "overlap", overlap, "how long the old key goes on")
	revoke := &cobra.Command{
		Use: "revoke KEY", Short: "Revoke an application's key at once", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			id, err := keyID(a[0])
			if err != nil {
				return err
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := client.RevokeApplicationKey(cmd.Context(), id); err != nil {
				return err
			}
			return c.show(map[string]string{"revoked": id.String()}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Revoked.") })
		},
	}
	return group("application", "Keys of applications", list, create, rotate, revoke)
}

func keyID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.Nil, fmt.Errorf("%q is no key's id: `sigra application list` shows them", s)
	}
	return id, nil
}

func (c *cli) showNewKey(k httpapi.NewApplicationKey, more string) error {
	return c.show(k, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s\n\nThis is the key of %s. Keep it where the application finds it: it can't be shown again.\n", k.Key, printable(k.Name))
		if more != "" {
			_, _ = fmt.Fprintln(w, more)
		}
	})
}
