// Plan is the example of Claims in docs/plugins/authoring.md: what Sigra issues to an application says which plan the person's
// organization has.
//
// It owns the claims "plan.name" and "plan.features". It refuses to say anything of people without an organization.
package main
