package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/org"
)

func (c *cli) memberCommand() *cobra.Command {
	return group("member", "Members of an organization",
		c.memberListCommand(), c.memberAddCommand(), c.memberRoleCommand(), c.memberOwnerCommand(),
		c.memberChange("suspend ORGANIZATION USER", "Keep a member out without forgetting them", func(ctx context.Context, o control.Organizations, name string, id uuid.UUID) (any, string, error) {
			m, err := o.SuspendMember(ctx, name, id)
			return m, "Suspended. From their next request on, the organization isn't there for them.", err
		}),
		c.memberChange("resume ORGANIZATION USER", "Let a suspended member in again", func(ctx context.Context, o control.Organizations, name string, id uuid.UUID) (any, string, error) {
			m, err := o.ResumeMember(ctx, name, id)
			return m, "They are in again, as what they were.", err
		}),
		c.memberChange("remove ORGANIZATION USER", "Remove a member; the account stays", func(ctx context.Context, o control.Organizations, name string, id uuid.UUID) (any, string, error) {
			return map[string]uuid.UUID{"user_id": id}, "Removed. The account stays.", o.RemoveMember(ctx, name, id)
		}),
	)
}

// memberChange makes a command that does one thing to one member.
func (c *cli) memberChange(use, short string, change func(ctx context.Context, o control.Organizations, name string, id uuid.UUID) (result any, said string, err error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(cobra.ExactArgs(2)),
		Long: short + ". ORGANIZATION is its slug or id, USER the account's id, email address or username.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onMember(cmd, a, func(o control.Organizations, id uuid.UUID) error {
				res, said, err := change(cmd.Context(), o, a[0], id)
				if err != nil {
					return err
				}
				return c.show(res, func(w io.Writer) { _, _ = fmt.Fprintln(w, said) })
			})
		},
	}
}

// onMember finds the account that the second argument names, and does something to its membership.
func (c *cli) onMember(cmd *cobra.Command, a []string, do func(o control.Organizations, id uuid.UUID) error) error {
	return c.onOrganizations(cmd, func(client *control.Client, o control.Organizations) error {
		u, err := client.FindUser(cmd.Context(), a[1])
		if err != nil {
			return err
		}
		return do(o, u.User.ID)
	})
}

func (c *cli) memberListCommand() *cobra.Command {
	var q control.ListQuery
	cmd := &cobra.Command{
		Use: "list ORGANIZATION", Short: "List the members of an organization", Args: args(cobra.ExactArgs(1)),
		Long: "List the members of an organization in the order in which they joined. ORGANIZATION is its slug or id.",
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := limit(cmd, q.Limit, 200); err != nil {
				return exitError{2, err}
			}
			return c.onOrganizations(cmd, func(_ *control.Client, o control.Organizations) error {
				page, err := o.Members(cmd.Context(), a[0], q)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, m := range page.Members {
					rows = append(rows, []string{m.UserID.String(), m.Email, m.Role, yes(m.Owner, "owner"), string(m.Kind), string(m.Status), string(m.Via), stamp(m.CreatedAt)})
				}
				return c.show(page, func(w io.Writer) {
					table(w, "No members.", []string{"USER", "EMAIL", "ROLE", "OWNER", "KIND", "STATUS", "CAME BY", "JOINED (UTC)"}, rows)
					more(w, page.Next)
				})
			})
		},
	}
	listFlags(cmd, &q, "only addresses and usernames that contain this")
	return cmd
}

func (c *cli) memberAddCommand() *cobra.Command {
	var n control.NewMember
	var kind string
	cmd := &cobra.Command{
		Use: "add ORGANIZATION USER", Short: "Add an account to an organization, without asking its person", Args: args(cobra.ExactArgs(2)),
		Long: "Add an account to an organization, without asking its person. ORGANIZATION is its slug or id, USER the account's id, email\n" +
			"address or username. To ask them, and for people without an account: \"sigra organization invitation create\".",
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := oneOf("--kind", kind, kinds(org.Kinds)...); err != nil {
				return exitError{2, err}
			}
			return c.onMember(cmd, a, func(o control.Organizations, id uuid.UUID) error {
				n.UserID, n.Kind = id, org.Kind(kind)
				m, err := o.AddMember(cmd.Context(), a[0], n)
				if err != nil {
					return err
				}
				return c.showMember(m, "Added")
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Role, "role", "", "what they are to be, in your application's words (default member)")
	f.StringVar(&kind, "kind", "", "member, guest or service_account (default member)")
	f.BoolVar(&n.Owner, "owner", false, "make them an owner")
	return cmd
}

func kinds(list []org.Kind) []string {
	out := make([]string, len(list))
	for i, k := range list {
		out[i] = string(k)
	}
	return out
}

func (c *cli) showMember(m httpapi.OrganizationMember, done string) error {
	return c.show(m, func(w io.Writer) {
		what := "with the role " + printable(m.Role)
		if m.Owner {
			what += ", as an owner"
		}
		_, _ = fmt.Fprintf(w, "%s: %s %s.\n", done, m.UserID, what)
	})
}

func (c *cli) memberRoleCommand() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use: "role ORGANIZATION USER ROLE", Short: "Give a member another role", Args: args(cobra.ExactArgs(3)),
		Long: "Give a member another role, which means something to your application; to Sigra only the roles in organizations { manager_roles } do.\n" +
			"ORGANIZATION is its slug or id, USER the account's id, email address or username.",
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := oneOf("--kind", kind, kinds(org.Kinds)...); err != nil {
				return exitError{2, err}
			}
			return c.onMember(cmd, a, func(o control.Organizations, id uuid.UUID) error {
				change := control.MemberChange{Role: &a[2]}
				if k := org.Kind(kind); k != "" {
					change.Kind = &k
				}
				m, err := o.ChangeMember(cmd.Context(), a[0], id, change)
				if err != nil {
					return err
				}
				return c.showMember(m, "Changed")
			})
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "also make them another kind of member: member, guest or service_account")
	return cmd
}

func (c *cli) memberOwnerCommand() *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use: "owner ORGANIZATION USER", Short: "Make a member an owner, or no owner any more", Args: args(cobra.ExactArgs(2)),
		Long: "Make a member an owner, or with --none no owner any more. The last active owner stays one. ORGANIZATION is its slug or id, USER the\n" +
			"account's id, email address or username.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onMember(cmd, a, func(o control.Organizations, id uuid.UUID) error {
				owner := !none
				m, err := o.ChangeMember(cmd.Context(), a[0], id, control.MemberChange{Owner: &owner})
				if errors.Is(err, &control.Error{Problem: httpapi.Problem{Code: "membership_not_found"}}) && !c.json && owner {
					return fmt.Errorf("%w\nTo add them as one: sigra organization member add %s %s --owner%s", err, printable(a[0]), printable(a[1]), configFlag(c.config))
				}
				if err != nil {
					return err
				}
				return c.showMember(m, "Changed")
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "they are no owner any more")
	return cmd
}
