package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/httpapi"
)

func (c *cli) domainCommand() *cobra.Command {
	return group("domain", "Domains that an organization proves to own",
		c.domainChange("add ORGANIZATION DOMAIN", "Add a domain, and say which TXT record proves it", func(cmd *cobra.Command, o control.Organizations, name, domain string) (any, string, error) {
			d, err := o.AddDomain(cmd.Context(), name, domain)
			if err != nil {
				return nil, "", err
			}
			return d, fmt.Sprintf("Publish this TXT record, then run: sigra organization domain verify %s %s\n\n  %s. TXT \"%s\"", printable(name), d.Name, d.RecordName, d.RecordValue), nil
		}),
		c.domainChange("verify ORGANIZATION DOMAIN", "Look for the TXT record that proves a domain", func(cmd *cobra.Command, o control.Organizations, name, domain string) (any, string, error) {
			d, err := o.VerifyDomain(cmd.Context(), name, domain)
			return d, fmt.Sprintf("%s is the organization's.", d.Name), err
		}),
		c.domainChange("remove ORGANIZATION DOMAIN", "Give a domain up", func(cmd *cobra.Command, o control.Organizations, name, domain string) (any, string, error) {
			return map[string]string{"name": domain}, "It is nobody's any more.", o.RemoveDomain(cmd.Context(), name, domain)
		}),
		c.domainListCommand(),
	)
}

// domainChange makes a command that does one thing to one domain.
func (c *cli) domainChange(use, short string, change func(cmd *cobra.Command, o control.Organizations, name, domain string) (result any, said string, err error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(cobra.ExactArgs(2)),
		Long: short + ". ORGANIZATION is its slug or id.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onOrganizations(cmd, func(_ *control.Client, o control.Organizations) error {
				res, said, err := change(cmd, o, a[0], a[1])
				if err != nil {
					return err
				}
				return c.show(res, func(w io.Writer) { _, _ = fmt.Fprintln(w, said) })
			})
		},
	}
}

func (c *cli) domainListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list ORGANIZATION", Short: "List an organization's domains", Args: args(cobra.ExactArgs(1)),
		Long: "List an organization's domains, those that are only claimed too. ORGANIZATION is its slug or id.",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.onOrganizations(cmd, func(_ *control.Client, o control.Organizations) error {
				list, err := o.Domains(cmd.Context(), a[0])
				if err != nil {
					return err
				}
				return c.show(list, func(w io.Writer) {
					table(w, "No domains.", []string{"DOMAIN", "VERIFIED (UTC)", "TXT RECORD"}, domainRows(list.Domains))
				})
			})
		},
	}
}

func domainRows(list []httpapi.OrganizationDomain) (rows [][]string) {
	for _, d := range list {
		record := ""
		if !d.Verified {
			record = fmt.Sprintf("%s. TXT \"%s\"", d.RecordName, d.RecordValue)
		}
		rows = append(rows, []string{d.Name, stamp(d.VerifiedAt), record})
	}
	return rows
}
