package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
)

func (c *cli) userCommand() *cobra.Command {
	return group("user", "Accounts",
		c.userCreateCommand(), c.userListCommand(), c.userShowCommand(),
		c.userChange("disable USER", "Stop an account from signing in, and end its sessions", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
			u, err := cl.DisableUser(ctx, id)
			return u, "Disabled. Its sessions have ended.", err
		}),
		c.userChange("enable USER", "Let a disabled account sign in again", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
			u, err := cl.EnableUser(ctx, id)
			return u, "Enabled.", err
		}),
		c.userChange("reset-link USER", "Make a one-time link with which the person sets a password", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
			in, err := cl.ResetLink(ctx, id)
			return in, "Hand this link to the person, over a channel you trust. It works once:\n\n  " + in.Link + "\n", err
		}),
		c.userChange("reset-factors USER", "Remove an account's second factors, for somebody who has lost them", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
			u, err := cl.ResetFactors(ctx, id)
			return u, "Its authenticator app, passkeys and recovery codes are gone, its sessions have ended. The password stays as it is.", err
		}),
		c.userChange("unlock USER", "Lift the pauses that failures brought on an account", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
			u, err := cl.UnlockUser(ctx, id)
			return u, "Unlocked: attempts may begin anew.", err
		}),
		c.userChange("revoke-sessions USER", "Sign an account out everywhere", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
			r, err := cl.RevokeSessions(ctx, id)
			return r, count(r.Sessions, "session", "sessions") + " ended.", err
		}),
		c.userUsernameCommand(), c.userMetadataCommand(), c.userExportCommand(), c.userDeleteCommand(),
	)
}

func (c *cli) userCreateCommand() *cobra.Command {
	var admin bool
	var username string
	cmd := &cobra.Command{
		Use: "create EMAIL", Short: "Make an account and print a one-time link to set its password", Args: args(cobra.ExactArgs(1)),
		Long: "Make an account and print a one-time link to set its password. Nobody but the person ever knows the password: there is\n" +
			"no way for an administrator to choose one.",
		RunE: func(cmd *cobra.Command, a []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			in, err := client.CreateUser(cmd.Context(), control.NewUser{Email: a[0], Username: username, Administrator: admin})
			if errors.Is(err, &control.Error{Problem: httpapi.Problem{Code: "email_taken"}}) && !c.json {
				return fmt.Errorf("%w\nTo make a new link for it: sigra user reset-link %s%s", err, printable(a[0]), configFlag(c.config))
			}
			if err != nil {
				return err
			}
			return c.show(in, func(w io.Writer) {
				what := "account"
				if in.User.Administrator {
					what = "administrator's account"
				}
				_, _ = fmt.Fprintf(w, "Made the %s %s for %s.\nThe person sets a password with this link. It works once; keep it secret:\n\n  %s\n\n", what, in.User.ID, printable(in.User.Email), in.Link)
			})
		},
	}
	cmd.Flags().BoolVar(&admin, "admin", false, "make an administrator of this Sigra")
	cmd.Flags().StringVar(&username, "username", "", "a username to sign in with, where sign_in { username } allows one")
	return cmd
}

func (c *cli) userListCommand() *cobra.Command {
	var q control.UserQuery
	cmd := &cobra.Command{
		Use: "list", Short: "List accounts, newest first", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(oneOf("--status", q.Status, "unconfirmed", "active", "disabled", "deleted"), limit(cmd, q.Limit, 200)); err != nil {
				return exitError{2, err}
			}
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			page, err := client.Users(cmd.Context(), q)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, u := range page.Users {
				rows = append(rows, []string{u.ID.String(), u.Email, u.Username, string(u.Status), yes(u.Administrator, "admin"), stamp(u.LastSignInAt), stamp(u.CreatedAt)})
			}
			return c.show(page, func(w io.Writer) {
				table(w, "No accounts.", []string{"ID", "EMAIL", "USERNAME", "STATUS", "ROLE", "LAST SIGN-IN (UTC)", "CREATED (UTC)"}, rows)
				if page.Next != "" {
					_, _ = fmt.Fprintf(w, "There are more: --cursor %s\n", page.Next)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&q.Query, "query", "q", "", "only addresses and usernames that contain this")
	f.StringVar(&q.Status, "status", "", "only these: unconfirmed, active, disabled or deleted")
	f.BoolVar(&q.Administrator, "admin", false, "only administrators")
	f.IntVarP(&q.Limit, "limit", "n", 0, "at most so many (default 50, at most 200)")
	f.StringVar(&q.Cursor, "cursor", "", "go on where an earlier list ended")
	return cmd
}

func (c *cli) userShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show USER", Short: "Show an account and its sessions", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			d, err := client.FindUser(cmd.Context(), a[0])
			if err != nil {
				return err
			}
			var rows [][]string
			for _, s := range d.Sessions {
				rows = append(rows, []string{s.ID.String(), s.AAL, stamp(s.CreatedAt), stamp(s.LastSeenAt), s.IP, s.UserAgent})
			}
			return c.show(d, func(w io.Writer) {
				u := d.User
				facts(w, "id", u.ID.String(), "email", u.Email, "username", u.Username, "status", string(u.Status), "role", yes(u.Administrator, "administrator"),
					"confirmed", utc(u.ConfirmedAt), "last sign-in", utc(u.LastSignInAt), "created", utc(u.CreatedAt), "deleted", utc(u.DeletedAt),
					"sessions", strconv.Itoa(len(d.Sessions)))
				if len(rows) > 0 {
					_, _ = fmt.Fprintln(w)
					table(w, "", []string{"SESSION", "AAL", "SINCE (UTC)", "LAST SEEN (UTC)", "ADDRESS", "BROWSER"}, rows)
				}
			})
		},
	}
}

// userChange makes a command that does one thing to one account, named by id or address.
func (c *cli) userChange(use, short string, change func(context.Context, *control.Client, uuid.UUID) (result any, said string, err error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(cobra.ExactArgs(1)),
		Long: short + ". USER is the account's id, email address or username.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onUser(cmd, a[0], func(client *control.Client, u httpapi.User) error {
				res, said, err := change(cmd.Context(), client, u.ID)
				if err != nil {
					return err
				}
				return c.show(res, func(w io.Writer) { _, _ = fmt.Fprintln(w, said) })
			})
		},
	}
}

// onUser finds an account by id, address or username, and does something to it.
func (c *cli) onUser(cmd *cobra.Command, name string, do func(client *control.Client, u httpapi.User) error) error {
	client, done, err := c.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	d, err := client.FindUser(cmd.Context(), name)
	if err != nil {
		return err
	}
	return do(client, d.User)
}

func (c *cli) userUsernameCommand() *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use: "username USER [USERNAME]", Short: "Give an account a username, or take it away", Args: args(cobra.RangeArgs(1, 2)),
		Long: "Give an account a username, where sign_in { username } allows one. USER is the account's id, email address or present\n" +
			"username. Names that nobody may choose for themselves, such as admin, are allowed here.",
		RunE: func(cmd *cobra.Command, a []string) error {
			username := ""
			if len(a) == 2 {
				username = a[1]
			}
			if (username == "") != none {
				return exitError{2, errors.New("say which username, or --none to take it away")}
			}
			return c.onUser(cmd, a[0], func(client *control.Client, u httpapi.User) error {
				u, err := client.SetUsername(cmd.Context(), u.ID, username)
				if err != nil {
					return err
				}
				return c.show(u, func(w io.Writer) {
					said := "Its username is " + printable(u.Username) + "."
					if none {
						said = "It has no username."
					}
					_, _ = fmt.Fprintln(w, said)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "take the username away")
	return cmd
}

// userExportCommand prints JSON, with and without --json: it is for the person, and for whatever they read it with.
func (c *cli) userExportCommand() *cobra.Command {
	return c.userChange("export USER", "Print everything that Sigra and its plugins hold of a person, as JSON", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
		out, err := cl.ExportUser(ctx, id)
		if err != nil {
			return nil, "", err
		}
		if len(out.Missing) > 0 {
			_, _ = fmt.Fprintf(c.err, "These plugins did not answer, so what they hold is missing: %s\n", strings.Join(out.Missing, ", "))
		}
		text, err := json.MarshalIndent(out, "", "  ")
		return out, string(text), err
	})
}

func (c *cli) userDeleteCommand() *cobra.Command {
	var sure bool
	cmd := c.userChange("delete USER", "Erase an account's personal data for good", func(ctx context.Context, cl *control.Client, id uuid.UUID) (any, string, error) {
		return httpapi.User{ID: id, Status: "deleted"}, "Deleted. The audit log keeps its id, nothing else.", cl.DeleteUser(ctx, id)
	})
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		if !sure {
			return exitError{2, fmt.Errorf("this erases %s for good; say --yes to do it", printable(a[0]))}
		}
		return run(cmd, a)
	}
	cmd.Flags().BoolVar(&sure, "yes", false, "really do it")
	return cmd
}
