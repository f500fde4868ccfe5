package config_test

import (
	"fmt"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
)

// No list is the default, an empty one is none.
func TestOrganizations_managerRoles(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "[admin]", "organizations {}": "[admin]", in("organizations.manager_roles", "null"): "[admin]",
		in("organizations.manager_roles", "[]"): "[]", in("organizations.manager_roles", `["boss", "org:admin"]`): "[boss org:admin]",
	} {
		c, diags := config.Parse([]byte(text), "sigra.hcl")
		if diags.HasErrors() {
			t.Errorf("%s: %v", text, diags)
			continue
		}
		if got := fmt.Sprint(c.Organizations.ManagerRoles); got != want || c.Organizations.ManagerRoles == nil {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
