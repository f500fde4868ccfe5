package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/org"
)

func (c *cli) organizationCommand() *cobra.Command {
	return group("organization", "Organizations, their members and invitations",
		c.organizationCreateCommand(), c.organizationListCommand(), c.organizationShowCommand(), c.organizationUpdateCommand(), c.organizationDeleteCommand(),
		c.memberCommand(), c.invitationCommand(), c.domainCommand())
}

// onOrganizations connects and does something to organizations.
func (c *cli) onOrganizations(cmd *cobra.Command, do func(client *control.Client, o control.Organizations) error) error {
	client, done, err := c.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	return do(client, client.Organizations())
}

func (c *cli) organizationCreateCommand() *cobra.Command {
	var slug, owner string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create an organization", Args: args(cobra.ExactArgs(1)),
		Long: "Create an organization. Its owner, an account's id, email address or username, becomes its first member; without one it has\n" +
			"no members yet, and \"sigra organization member add --owner\" gives it one.",
		Example: "  sigra organization create 'Acme Ltd' --slug acme --owner ada@example.com",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onOrganizations(cmd, func(client *control.Client, all control.Organizations) error {
				n := control.NewOrganization{Name: a[0], Slug: slug}
				if owner != "" {
					u, err := client.FindUser(cmd.Context(), owner)
					if err != nil {
						return err
					}
					n.OwnerID = u.User.ID
				}
				o, err := all.Create(cmd.Context(), n)
				if err != nil {
					return err
				}
				return c.show(o, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Created the organization %s (%s).\n", printable(o.Slug), o.ID)
				})
			})
		},
	}
	cmd.Flags().StringVar(&slug, "slug", "", "its name in addresses (default: made from the name)")
	cmd.Flags().StringVar(&owner, "owner", "", "the account that owns it")
	return cmd
}

// listFlags are the flags of a list that comes page by page.
func listFlags(cmd *cobra.Command, q *control.ListQuery, query string) {
	f := cmd.Flags()
	if query != "" {
		f.StringVarP(&q.Query, "query", "q", "", query)
	}
	f.IntVarP(&q.Limit, "limit", "n", 0, "at most so many (default 50, at most 200)")
	f.StringVar(&q.Cursor, "cursor", "", "go on where an earlier list ended")
}

// more says how a list goes on.
func more(w io.Writer, next string) {
	if next != "" {
		_, _ = fmt.Fprintf(w, "There are more: --cursor %s\n", next)
	}
}

func (c *cli) organizationListCommand() *cobra.Command {
	var q control.ListQuery
	cmd := &cobra.Command{
		Use: "list", Short: "List organizations by name", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := limit(cmd, q.Limit, 200); err != nil {
				return exitError{2, err}
			}
			return c.onOrganizations(cmd, func(_ *control.Client, all control.Organizations) error {
				page, err := all.List(cmd.Context(), q)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, o := range page.Organizations {
					rows = append(rows, []string{o.ID.String(), o.Slug, o.Name, strconv.FormatInt(o.Members, 10), strconv.FormatInt(o.Owners, 10), stamp(o.CreatedAt)})
				}
				return c.show(page, func(w io.Writer) {
					table(w, "No organizations.", []string{"ID", "SLUG", "NAME", "MEMBERS", "OWNERS", "CREATED (UTC)"}, rows)
					more(w, page.Next)
				})
			})
		},
	}
	listFlags(cmd, &q, "only names that begin with this")
	return cmd
}

func (c *cli) organizationShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ORGANIZATION", Short: "Show an organization", Args: args(cobra.ExactArgs(1)),
		Long: "Show an organization. ORGANIZATION is its slug or id.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onOrganizations(cmd, func(_ *control.Client, all control.Organizations) error {
				d, err := all.Show(cmd.Context(), a[0])
				if err != nil {
					return err
				}
				return c.show(d.Organization, func(w io.Writer) { organizationFacts(w, d.Organization) })
			})
		},
	}
}

func organizationFacts(w io.Writer, o httpapi.Organization) {
	methods := make([]string, len(o.SignInMethods))
	for i, m := range o.SignInMethods {
		methods[i] = string(m)
	}
	facts(w, "id", o.ID.String(), "slug", o.Slug, "name", o.Name, "members", strconv.FormatInt(o.Members, 10), "owners", strconv.FormatInt(o.Owners, 10),
		"second factor", yes(o.RequireSecondFactor, "required"), "sign-in methods", strings.Join(methods, ", "),
		"created", utc(o.CreatedAt), "last change", utc(o.UpdatedAt))
	if string(o.PublicMetadata) != "{}" {
		_, _ = fmt.Fprintf(w, "\npublic metadata:\n%s\n", indented(o.PublicMetadata))
	}
}

func (c *cli) organizationUpdateCommand() *cobra.Command {
	var name, slug, metadata string
	var second bool
	var methods []string
	cmd := &cobra.Command{
		Use: "update ORGANIZATION", Short: "Change an organization's name, slug, metadata or policy", Args: args(cobra.ExactArgs(1)),
		Long: "Change an organization. ORGANIZATION is its slug or id; what no flag names stays. A changed policy is held against every session\n" +
			"with its next request.",
		Example: "  sigra organization update acme --name 'Acme GmbH' --require-second-factor",
		RunE: func(cmd *cobra.Command, a []string) error {
			var change control.OrganizationChange
			f := cmd.Flags()
			if f.Changed("name") {
				change.Name = &name
			}
			if f.Changed("slug") {
				change.Slug = &slug
			}
			if f.Changed("require-second-factor") {
				change.RequireSecondFactor = &second
			}
			if f.Changed("sign-in-methods") {
				change.SignInMethods = &[]org.Method{}
				for _, m := range methods {
					if m != "any" {
						*change.SignInMethods = append(*change.SignInMethods, org.Method(m))
					}
				}
			}
			if f.Changed("metadata") {
				if !json.Valid([]byte(metadata)) {
					return exitError{2, errors.New("--metadata is not JSON")}
				}
				change.PublicMetadata = json.RawMessage(metadata)
			}
			if change.Name == nil && change.Slug == nil && change.RequireSecondFactor == nil && change.SignInMethods == nil && change.PublicMetadata == nil {
				return exitError{2, errors.New("say what is to change: --name, --slug, --metadata, --require-second-factor or --sign-in-methods")}
			}
			return c.onOrganizations(cmd, func(_ *control.Client, all control.Organizations) error {
				o, err := all.Update(cmd.Context(), a[0], change)
				if err != nil {
					return err
				}
				return c.show(o, func(w io.Writer) { organizationFacts(w, o) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "another name")
	f.StringVar(&slug, "slug", "", "another slug; addresses with the old one stop working")
	f.StringVar(&metadata, "metadata", "", "the public metadata, a JSON object")
	f.BoolVar(&second, "require-second-factor", false, "sessions are active there only with two factors; --require-second-factor=false takes it back")
	f.StringSliceVar(&methods, "sign-in-methods", nil, "the ways to sign in that it allows: password, email, passkey, social, sso; or any")
	return cmd
}

func (c *cli) organizationDeleteCommand() *cobra.Command {
	var sure bool
	cmd := &cobra.Command{
		Use: "delete ORGANIZATION", Short: "Delete an organization with its memberships and invitations for good", Args: args(cobra.ExactArgs(1)),
		Long: "Delete an organization with its memberships, invitations and domains for good. ORGANIZATION is its slug or id. The members'\n" +
			"accounts stay.",
		RunE: func(cmd *cobra.Command, a []string) error {
			if !sure {
				return exitError{2, fmt.Errorf("this deletes %s for good; say --yes to do it", printable(a[0]))}
			}
			return c.onOrganizations(cmd, func(_ *control.Client, all control.Organizations) error {
				d, err := all.Show(cmd.Context(), a[0])
				if err != nil {
					return err
				}
				if err := all.Delete(cmd.Context(), d.Organization.ID.String()); err != nil {
					return err
				}
				return c.show(d.Organization, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Deleted. The audit log keeps its id, nothing else.") })
			})
		},
	}
	cmd.Flags().BoolVar(&sure, "yes", false, "really do it")
	return cmd
}
