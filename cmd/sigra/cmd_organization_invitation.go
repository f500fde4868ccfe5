package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/org"
)

func (c *cli) invitationCommand() *cobra.Command {
	return group("invitation", "Invitations to an organization",
		c.invitationCreateCommand(), c.invitationListCommand(),
		c.invitationChange("resend ORGANIZATION INVITATION", "Mail an invitation once more, with a new link", func(ctx context.Context, o control.Organizations, name string, id uuid.UUID) (any, string, error) {
			i, err := o.ResendInvitation(ctx, name, id)
			return i, "Sent. The link of the mail before is worth nothing any more.", err
		}),
		c.invitationChange("revoke ORGANIZATION INVITATION", "Take an invitation back", func(ctx context.Context, o control.Organizations, name string, id uuid.UUID) (any, string, error) {
			return map[string]uuid.UUID{"id": id}, "Its link is worth nothing any more.", o.RevokeInvitation(ctx, name, id)
		}),
	)
}

// invitationChange makes a command that does one thing to one invitation.
func (c *cli) invitationChange(use, short string, change func(ctx context.Context, o control.Organizations, name string, id uuid.UUID) (result any, said string, err error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(cobra.ExactArgs(2)),
		Long: short + ". ORGANIZATION is its slug or id, INVITATION the invitation's id or the address that was invited.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onOrganizations(cmd, func(_ *control.Client, o control.Organizations) error {
				id, err := findInvitation(cmd.Context(), o, a[0], a[1])
				if err != nil {
					return err
				}
				res, said, err := change(cmd.Context(), o, a[0], id)
				if err != nil {
					return err
				}
				return c.show(res, func(w io.Writer) { _, _ = fmt.Fprintln(w, said) })
			})
		},
	}
}

// findInvitation finds an invitation by its id or by the address that was invited.
func findInvitation(ctx context.Context, o control.Organizations, organization, name string) (uuid.UUID, error) {
	if id, err := uuid.Parse(name); err == nil {
		return id, nil
	}
	for q := (control.ListQuery{Limit: 200}); ; {
		page, err := o.Invitations(ctx, organization, q)
		if err != nil {
			return uuid.Nil, err
		}
		for _, i := range page.Invitations {
			if strings.EqualFold(i.Email, name) {
				return i.ID, nil
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return uuid.Nil, &control.Error{Problem: httpapi.Problem{
				Status: http.StatusNotFound, Code: "invitation_not_found", Detail: fmt.Sprintf("%q is not invited to it.", name),
			}}
		}
	}
}

func (c *cli) invitationCreateCommand() *cobra.Command {
	var n control.NewInvitation
	var kind string
	cmd := &cobra.Command{
		Use: "create ORGANIZATION EMAIL", Short: "Invite somebody to an organization by mail", Args: args(cobra.ExactArgs(2)),
		Long: "Invite somebody to an organization by mail. ORGANIZATION is its slug or id. Whoever has the address accepts with the account that has\n" +
			"it, or signs up with it, even where registration is closed. An address that was invited before gets a new link.",
		Example: "  sigra organization invitation create acme grace@example.com --role editor",
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := oneOf("--kind", kind, string(org.Member), string(org.Guest)); err != nil {
				return exitError{2, err}
			}
			n.Email, n.Kind = a[1], org.Kind(kind)
			return c.onOrganizations(cmd, func(_ *control.Client, o control.Organizations) error {
				i, err := o.Invite(cmd.Context(), a[0], n)
				if err != nil {
					return err
				}
				return c.show(i, func(w io.Writer) {
					_, _ = fmt.Fprintf(w, "Invited %s, with the role %s, until %s.\n", printable(i.Email), printable(i.Role), utc(i.ExpiresAt))
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Role, "role", "", "what they are to be, in your application's words (default member)")
	f.StringVar(&kind, "kind", "", "member or guest (default member)")
	f.StringVar(&n.Language, "language", "", "the language of the mail, such as de")
	return cmd
}

func (c *cli) invitationListCommand() *cobra.Command {
	var q control.ListQuery
	cmd := &cobra.Command{
		Use: "list ORGANIZATION", Short: "List the invitations to an organization, the oldest first", Args: args(cobra.ExactArgs(1)),
		Long: "List the invitations to an organization that are open or have expired, the oldest first. ORGANIZATION is its slug or id.",
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := limit(cmd, q.Limit, 200); err != nil {
				return exitError{2, err}
			}
			return c.onOrganizations(cmd, func(_ *control.Client, o control.Organizations) error {
				page, err := o.Invitations(cmd.Context(), a[0], q)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, i := range page.Invitations {
					status := "open"
					if !time.Now().Before(i.ExpiresAt) {
						status = "expired"
					}
					rows = append(rows, []string{i.ID.String(), i.Email, i.Role, string(i.Kind), stamp(i.SentAt), stamp(i.ExpiresAt), status})
				}
				return c.show(page, func(w io.Writer) {
					table(w, "No invitations.", []string{"ID", "EMAIL", "ROLE", "KIND", "SENT (UTC)", "UNTIL (UTC)", "STATUS"}, rows)
					more(w, page.Next)
				})
			})
		},
	}
	listFlags(cmd, &q, "")
	return cmd
}
