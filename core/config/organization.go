package config

import (
	"regexp"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The values of Organizations.Creation.
const (
	CreationAdministrators = "administrators" // of Sigra
	CreationAnyone         = "anyone"         // who is signed in
)

// Organizations is who creates organizations, who manages them, and how long invitations wait.
type Organizations struct {
	Creation      string
	ManagerRoles  []string      // roles that manage an organization beside its owners; empty: none does
	MaxOwned      int           // organizations that somebody may own before they can't create another
	InvitationTTL time.Duration // how long an invitation can be accepted
}

func readOrganizations(b *block, o *Organizations) {
	b.choice("creation", &o.Creation, CreationAdministrators, CreationAnyone)
	roles := b.texts("manager_roles", "admin", roleName)
	if list, ok := b.expr("manager_roles").(*hclsyntax.TupleConsExpr); ok && len(list.Exprs) == 0 {
		roles = []string{}
	}
	if roles != nil {
		o.ManagerRoles = roles
	}
	b.number("max_owned", &o.MaxOwned, 1, 10000, "")
	b.duration("invitation_ttl", &o.InvitationTTL, time.Hour, 90*day, "")
}

var roleForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$`)

func roleName(s string) (string, *problem) {
	if !roleForm.MatchString(s) {
		return "", &problem{is: "has an entry that is no role", want: "A role has 1 to 64 letters, digits and . _ : / - and begins with a letter or digit."}
	}
	return s, nil
}
