package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/metadata"
)

func (c *cli) userMetadataCommand() *cobra.Command {
	return group("metadata", "What is kept with an account", c.metadataGetCommand(), c.metadataSetCommand())
}

func checkScope(s string) error {
	if err := oneOf("SCOPE", s, "public", "private", "user"); err != nil {
		return exitError{2, err}
	}
	return nil
}

func (c *cli) metadataGetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get USER [SCOPE]", Short: "Show an account's metadata, of one scope or of all", Args: args(cobra.RangeArgs(1, 2)),
		Long: "Show an account's metadata. USER is the account's id, email address or username; SCOPE is public, private or user.",
		RunE: func(cmd *cobra.Command, a []string) error {
			scopes := []string{string(metadata.Public), string(metadata.Private), string(metadata.User)}
			if len(a) == 2 {
				if err := checkScope(a[1]); err != nil {
					return err
				}
				scopes = a[1:]
			}
			return c.onUser(cmd, a[0], func(client *control.Client, u httpapi.User) error {
				var all []httpapi.Metadata
				for _, s := range scopes {
					m, err := client.Metadata(cmd.Context(), u.ID, s)
					if err != nil {
						return err
					}
					all = append(all, m)
				}
				if len(a) == 2 {
					return c.show(all[0], func(w io.Writer) { _, _ = fmt.Fprintln(w, indented(all[0].Value)) })
				}
				return c.show(all, func(w io.Writer) {
					for _, m := range all {
						_, _ = fmt.Fprintf(w, "%s, version %d:\n%s\n", m.Scope, m.Version, indented(m.Value))
					}
				})
			})
		},
	}
}

func (c *cli) metadataSetCommand() *cobra.Command {
	var merge bool
	cmd := &cobra.Command{
		Use: "set USER SCOPE OBJECT", Short: "Replace an account's metadata of one scope, or change some of them", Args: args(cobra.ExactArgs(3)),
		Long: "Replace an account's metadata of one scope. USER is the account's id, email address or username; SCOPE is public, private or\n" +
			"user; OBJECT is a JSON object, or - for standard input. With --merge it is a merge patch (RFC 7396): null takes a member away,\n" +
			"what is not named stays.",
		Example: `  sigra user metadata set ada@example.com public '{"plan":"team"}' --merge`,
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := checkScope(a[1]); err != nil {
				return err
			}
			text := []byte(a[2])
			if a[2] == "-" {
				var err error
				if text, err = io.ReadAll(io.LimitReader(c.in, 1<<20)); err != nil {
					return err
				}
			}
			if !json.Valid(text) {
				return exitError{2, errors.New("OBJECT is not JSON")}
			}
			return c.onUser(cmd, a[0], func(client *control.Client, u httpapi.User) error {
				change := client.ReplaceMetadata
				if merge {
					change = client.MergeMetadata
				}
				m, err := change(cmd.Context(), u.ID, a[1], text)
				if err != nil {
					return err
				}
				return c.show(m, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "%s, version %d:\n%s\n", m.Scope, m.Version, indented(m.Value))
				})
			})
		},
	}
	cmd.Flags().BoolVar(&merge, "merge", false, "OBJECT says what is to change")
	return cmd
}

// indented is JSON for people, which steers no terminal: control characters are escaped in it, but for those of C1.
func indented(value json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, value, "", "  ") != nil {
		return printable(string(value))
	}
	lines := bytes.Split(b.Bytes(), []byte("\n"))
	for i, l := range lines {
		lines[i] = []byte(printable(string(l)))
	}
	return string(bytes.Join(lines, []byte("\n")))
}
