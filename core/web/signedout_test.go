package web_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

// elsewhere answers a sign-out, and remembers whose it was.
type elsewhere struct {
	frames   []string
	next     string
	who      principal.Principal
	returnTo string
}

func (e *elsewhere) SignedOut(_ context.Context, who principal.Principal, returnTo string) ([]string, string) {
	e.who, e.returnTo = who, returnTo
	return e.frames, e.next
}

// A sign-out is followed elsewhere from a page in between: what is in its frames may be framed, and nothing else may.
func TestSignOut_elsewhere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		to := &elsewhere{}
		e := start(t, db, func(c *web.Config) { c.SignedOuts = to })
		b := e.member(t, alice)
		b.post("/logout").sends(t, "/login?notice=signed-out")
		if to.who.Email != alice || to.who.AAL != principal.AAL1 || to.returnTo != e.base+"/login?notice=signed-out" {
			t.Errorf("%+v", to)
		}
		to.who = principal.Principal{}
		b.post("/logout").sends(t, "/login?notice=signed-out")
		if to.who.SignedIn() {
			t.Error("a sign-out of nobody is followed")
		}

		to.frames, to.next = []string{"https://rp.example/out?a=1&b=2", "https://rp.example/other", "/lockspire/out"}, "https://idp.example/slo?x=1&y=2"
		b.post("/login", "email", alice, "password", first).sends(t, "/account")
		p := b.post("/logout")
		p.shows(t, 200, `<iframe src="https://rp.example/out?a=1&b=2"`, `<iframe src="/lockspire/out"`, `content="4; url=https://idp.example/slo?x=1&y=2"`, `href="https://idp.example/slo?x=1&y=2"`)
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "; frame-src https://rp.example 'self'") {
			t.Error(csp)
		}
		b.get("/account").sends(t, "/login?return_to=%2Faccount")

		to.frames, to.next = nil, "https://idp.example/slo"
		b.post("/login", "email", alice, "password", first).sends(t, "/account")
		p = b.post("/logout")
		p.shows(t, 200, `content="0; url=https://idp.example/slo"`)
		if csp := p.header.Get("Content-Security-Policy"); strings.Contains(csp, "frame-src") {
			t.Error(csp)
		}
	})
}
