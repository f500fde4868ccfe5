package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// TestOrganizationBrowser walks through an organization by keyboard: made, somebody invited, who accepts in another window, changed, and left.
func TestOrganizationBrowser(t *testing.T) {
	t.Parallel()
	const bob = "bob@example.com"
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), anyoneCreates, nil)
	ctx := chrome(t)
	run := runner(t, ctx)
	own := e.member(t, alice)
	text := func(part string) step {
		return until(`document.querySelector("main").textContent.includes(` + quote(part) + `)`)
	}
	run("none yet", e.goesOnAs(own), e.open("/account", "Your account"), chosen(`a[href="/account/organizations"]`), arrive("Organizations"), text("You belong to no organization."))
	run("create", keyed(`input[name="name"]`, "Acme Ltd"), chosen(`form[action="/account/organizations/create"] button`), arrive("Acme Ltd"), there(`[role=status]`))
	run("invite", keyed(`input[name="email"]`, bob), chosen(`form[action="/organization/invite"] button`), arrive("Acme Ltd"), text(bob), shots(t, "110-organization"))
	run("refused", keyed(`#invite-email`, alice), chosen(`form[action="/organization/invite"] button`), arrive("Acme Ltd"), refused(), shots(t, "111-organization-refused"))

	link, _ := e.mail(t, bob)
	run("the invitation of somebody else", e.open(link, "Join Acme Ltd"), text("You are signed in as"), shots(t, "112-invitation-other"))
	guest := window(t, ctx)
	runGuest := runner(t, guest)
	runGuest("the invitation", e.open(link, "Join Acme Ltd"), shots(t, "113-invitation"), chosen(`a[href^="/register"]`), arrive("Create your account"), shots(t, "114-invitation-sign-up"))
	runGuest("sign up", keyed(`input[type="password"]`, first), sent(), arrive("Check your email"))
	_, code := e.mail(t, bob)
	runGuest("accept", keyed(`input[name="code"]`, code), sent(), arrive("Join Acme Ltd"), shots(t, "115-invitation-accept"), sent(), arrive("Organizations"), text("Active"), shots(t, "116-organizations"))

	member := "/organization/members/" + e.accountID(t, bob).String()
	run("delete it?", e.open("/organization", "Acme Ltd"), chosen(`a[href="/organization/delete"]`), arrive("Delete Acme Ltd?"), shots(t, "119-organization-delete"))
	run("the member", e.open("/organization", "Acme Ltd"), chosen(`a[href=`+quote(member)+`]`), arrive("Member "+bob), shots(t, "117-member"))
	run("an owner", ticked(`input[name="owner"]`), sent(), arrive("Acme Ltd"), there(`[role=status]`))
	run("leave", e.open("/account/organizations", "Organizations"), chosen(`a[href$="/leave"]`), arrive("Leave Acme Ltd?"), shots(t, "118-leave"), sent(), arrive("Organizations"), there(`[role=status]`))
	run("gone", text("You belong to no organization."), chromedp.Navigate(e.base+"/organization"), arrive("Organizations"))
}
