package endpoint_test

import (
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

func TestRules_nothingIsAssumed(t *testing.T) {
	t.Parallel()
	good := endpoint.Rules{Limit: ratelimit.General, Access: endpoint.SignedIn, Body: 1, Recent: true}
	for name, c := range map[string]struct {
		change func(*endpoint.Rules)
		want   string
	}{
		"complete":         {func(*endpoint.Rules) {}, ""},
		"no class":         {func(r *endpoint.Rules) { r.Limit = "" }, "no limit class"},
		"an unknown class": {func(r *endpoint.Rules) { r.Limit = "free" }, "no limit class"},
		"no access":        {func(r *endpoint.Rules) { r.Access = "" }, "who may use it"},
		"a negative body":  {func(r *endpoint.Rules) { r.Body = -1 }, "negative"},
		"recent strangers": {func(r *endpoint.Rules) { r.Access = endpoint.Anyone }, "nobody has to sign in"},
	} {
		r := good
		c.change(&r)
		err := endpoint.Table{}.Add("POST", "/x", r)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "POST /x")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := endpoint.Table{}
	r := endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.Anyone}
	if err := table.Add("GET", "/x/{id}", r); err != nil {
		t.Fatal(err)
	}
	if table.Add("GET", "/x/{id}", r) == nil {
		t.Error("a route is declared twice")
	}
	for _, method := range []string{"GET", "HEAD"} {
		if got, ok := table.Find(method, "/x/{id}"); !ok || got != r {
			t.Errorf("%s: %+v %v", method, got, ok)
		}
	}
	if _, ok := table.Find("POST", "/x/{id}"); ok {
		t.Error("POST was never declared")
	}
}
