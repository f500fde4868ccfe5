package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// stale has every administrator's proof be an old one.
type stale struct{ allowed }

func (s stale) Check(ctx context.Context, p principal.Principal, sensitive bool) error {
	if sensitive {
		return fault.New(fault.Denied, "step_up_required", "Please confirm that it is you first.")
	}
	return s.allowed.Check(ctx, p, sensitive)
}

// An administrator's session alone is not enough for what touches accounts, factors, keys or what runs: whoever finds it open an hour later must
// prove to be the administrator first. Whoever runs the installation is not asked.
func TestAdministrator_withAnOldProof(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		e := newEnv(t, db, func(_ *env, cfg *httpapi.Config) {
			cfg.Administrators = stale{}
		})
		id := e.user.Account.ID.String()
		sensitive := []string{
			"POST /v1/admin/users", "DELETE /v1/admin/users/" + id, "POST /v1/admin/users/" + id + "/disable", "POST /v1/admin/users/" + id + "/enable",
			"POST /v1/admin/users/" + id + "/reset-factors", "PUT /v1/admin/users/" + id + "/username", "DELETE /v1/admin/users/" + id + "/username",
			"POST /v1/admin/users/" + id + "/reset-link", "DELETE /v1/admin/users/" + id + "/sessions", "POST /v1/admin/keys/rotate",
			"POST /v1/admin/plugins/threadline/restart", "DELETE /v1/admin/plugins/threadline/data", "POST /v1/admin/plugins/threadline/commands",
		}
		bodies := map[string]string{
			"POST /v1/admin/users": `{"email":"new@example.com"}`, "PUT /v1/admin/users/" + id + "/username": `{"username":"ada"}`,
			"POST /v1/admin/plugins/threadline/commands": `{"command":"list"}`,
		}
		for _, op := range sensitive {
			method, path, _ := strings.Cut(op, " ")
			if a := e.do(administrator, method, path, bodies[op]); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, `"step_up_required"`) {
				t.Errorf("%s: %d %s", op, a.StatusCode, a.body)
			}
		}
		for _, op := range []string{"GET /v1/admin/users?email=ada@example.com", "GET /v1/admin/plugins", "GET /v1/audit"} {
			method, path, _ := strings.Cut(op, " ")
			if a := e.do(administrator, method, path, ""); a.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %s", op, a.StatusCode, a.body)
			}
		}
		if a := e.do(theOperator, "POST", "/v1/admin/users/"+id+"/reset-link", ""); a.StatusCode != http.StatusCreated {
			t.Errorf("the operator: %d %s", a.StatusCode, a.body)
		}
	})
}
