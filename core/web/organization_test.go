package web_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

var anyoneCreates = authtest.Options{Members: membership.Settings{Creation: membership.Anyone}}

// organized runs a test on either database where whoever is signed in creates organizations.
func organized(t *testing.T, f func(t *testing.T, e *env)) {
	t.Helper()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, startWith(t, db, anyoneCreates, nil)) })
}

// token is what a link carries.
func token(link string) string { return link[strings.Index(link, "=")+1:] }

// The whole life of an organization on the pages, without a script.
func TestOrganizationPages(t *testing.T) {
	t.Parallel()
	organized(t, func(t *testing.T, e *env) {
		const bob = "bob@example.com"
		b := e.member(t, alice)
		b.get("/account").shows(t, 200, "/account/organizations")
		b.get("/organization").sends(t, "/account/organizations")
		b.get("/account/organizations").shows(t, 200, "You belong to no organization.", "Create an organization")
		b.post("/account/organizations/create", "name", "").shows(t, 422, "A name has 1 to 100 characters")
		b.post("/account/organizations/create", "name", "Acme Ltd").sends(t, "/organization?notice=organization-created")
		b.get("/organization?notice=organization-created").shows(t, 200, "The organization is created", "Acme Ltd", alice, "Owner", "Nobody is invited.", `value="acme-ltd"`)
		id := b.get("/account/organizations").find(t, `/account/organizations/([0-9a-f-]{36})/leave`)

		b.get("/organization/delete").shows(t, 200, "Delete Acme Ltd?")

		// Settings.
		b.post("/organization/settings", "name", "Acme", "slug", "A--b").shows(t, 422, "A name in addresses has")
		b.post("/organization/settings", "name", "Acme", "slug", "acme").sends(t, "/organization?notice=organization-saved")

		// Bob is invited; whoever has the link and another address is told so.
		b.post("/organization/invite", "email", "nobody", "role", "member").shows(t, 422, "That is not an email address")
		b.post("/organization/invite", "email", alice, "role", "member").shows(t, 409, "already a member")
		b.post("/organization/invite", "email", bob, "role", "editor").sends(t, "/organization?notice=invitation-sent")
		old, _ := e.mail(t, bob)
		invitation := b.get("/organization?notice=invitation-sent")
		invitation.shows(t, 200, "The invitation is on its way.", bob, "editor")
		b.post("/organization/resend", "id", invitation.find(t, `action="/organization/resend"><input type="hidden" name="id" value="([^"]+)"`)).sends(t, "/organization?notice=invitation-sent")
		link, _ := e.mail(t, bob)
		guest := e.browser(t)
		guest.get(old).shows(t, 410, "Ask for a new one")
		guest.get("/invitation").shows(t, 410, "Ask for a new one")
		guest.get(link).shows(t, 200, "Join Acme", bob, "Sign in", "/register?invitation=")
		guest.post("/invitation", "token", token(link)).sends(t, "/login?"+url.Values{"return_to": {link}}.Encode())
		b.get(link).shows(t, 200, "You are signed in as "+alice)
		b.post("/invitation", "token", token(link)).shows(t, 403, "You are signed in as "+alice)

		// He signs up by it, with the address that it is for, and accepts.
		guest.get("/register?invitation="+token(link)).shows(t, 200, `value="`+bob+`"`, "readonly")
		guest.post("/register", "email", bob, "password", first, "invitation", token(link), "return_to", link).sends(t, "/register/check-mail?"+url.Values{"return_to": {link}}.Encode())
		_, code := e.mail(t, bob)
		guest.post("/register/check-mail", "code", code, "return_to", link).sends(t, link)
		guest.get(link).shows(t, 200, "Accept", "Decline")
		guest.post("/invitation", "token", token(link)).sends(t, "/account/organizations?notice=invitation-accepted")
		guest.get("/account/organizations?notice=invitation-accepted").shows(t, 200, "You belong to the organization now", "Acme", "editor", "Active")
		guest.get(link).shows(t, 410, "Ask for a new one")

		// A member manages nothing; one with the role of a manager does, but for the owners.
		guest.get("/organization").sends(t, "/account/organizations")
		guest.post("/organization/invite", "email", "eve@example.com", "role", "member").sends(t, "/account/organizations")
		bobs, alices := e.accountID(t, bob).String(), e.accountID(t, alice).String()
		guest.get("/organization/members/"+alices).sends(t, "/account/organizations")
		b.get("/organization/members/"+bobs).shows(t, 200, "Member "+bob, `value="editor"`, "Suspend", "Remove")
		b.post("/organization/members/"+bobs, "role", "no role").shows(t, 422, "A role has 1 to 64")
		b.post("/organization/members/"+bobs, "role", "admin").sends(t, "/organization?notice=member-changed")
		guest.get("/organization").hides(t, "Everybody needs a second factor", "/organization/delete")
		guest.post("/organization/delete").shows(t, 403, "Only an owner of this organization may do this")
		guest.post("/organization/members/"+alices, "role", "x").shows(t, 403, "Only an owner of this organization may do this")
		guest.post("/organization/members/"+bobs, "role", "admin", "owner", "1").sends(t, "/organization?notice=member-changed") // the box isn't his to tick
		guest.get("/organization/members/"+bobs).hides(t, "checked")

		// Suspended, and let in again.
		b.post("/organization/members/"+bobs+"/status", "status", "suspended").sends(t, "/organization?notice=member-changed")
		guest.get("/account/organizations").shows(t, 200, "Suspended")
		guest.post("/account/organizations", "id", id).shows(t, 404, "There is no such organization")
		b.get("/organization/members/"+bobs).shows(t, 200, "Let in again")
		b.post("/organization/members/"+bobs+"/status", "status", "active").sends(t, "/organization?notice=member-changed")

		// Switching, and the last owner.
		guest.post("/account/organizations").sends(t, "/account/organizations?notice=organization-switched")
		guest.post("/account/organizations", "id", id, "to", "manage").sends(t, "/organization")
		b.get("/account/organizations/"+id+"/leave").shows(t, 200, "Leave Acme?")
		b.post("/account/organizations/"+id+"/leave").shows(t, 409, "An organization needs an owner")
		b.post("/organization/members/"+alices+"/remove").shows(t, 409, "An organization needs an owner")
		b.post("/organization/members/"+bobs, "role", "admin", "owner", "1").sends(t, "/organization?notice=member-changed")
		b.post("/account/organizations/"+id+"/leave").sends(t, "/account/organizations?notice=organization-left")
		b.get("/account/organizations/"+id+"/leave").shows(t, 404, "There is no such organization")
		b.get("/organization").sends(t, "/account/organizations")

		// Deleted, by an owner.
		b.post("/account/organizations/create", "name", "Short").sends(t, "/organization?notice=organization-created")
		b.post("/organization/delete").sends(t, "/account/organizations?notice=organization-deleted")
		b.get("/account/organizations").shows(t, 200, "You belong to no organization.")

		// An organization that asks for a second factor sends there whoever has shown one.
		guest.post("/organization/settings", "name", "Acme", "slug", "acme", "second_factor", "1").sends(t, "/organization?notice=organization-saved")
		guest.get("/organization").sends(t, "/account/organizations") // the session fits no longer
		guest.post("/account/organizations", "id", id).sends(t, "/step-up?"+url.Values{"aal": {"aal2"}, "return_to": {"/account/organizations"}}.Encode())
	})
}

// Where nobody may sign up, only whoever is invited sees the form.
func TestOrganizationPages_invitedWhereClosed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		e := startWith(t, db, authtest.Options{Settings: flow.Settings{RegistrationClosed: true}}, func(c *web.Config) { c.RegistrationClosed = true })
		operator := membership.Actor{Plugin: "test"}
		o, err := e.parts.Members.Create(t.Context(), operator, membership.NewOrganization{Name: "Acme"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.parts.Members.Invite(t.Context(), operator, membership.NewInvitation{OrganizationID: o.ID, Email: alice}); err != nil {
			t.Fatal(err)
		}
		link, _ := e.mail(t, alice)
		b := e.browser(t)
		b.get("/register").shows(t, 403, "This service takes no sign-ups.")
		b.get("/register?invitation=x").shows(t, 410, "Ask for a new one")
		b.post("/register", "email", alice, "password", first).shows(t, 403, "This service takes no sign-ups.")
		b.post("/register", "email", "eve@example.com", "password", first, "invitation", token(link)).shows(t, 403, "This service takes no sign-ups.")
		b.get("/register?invitation="+token(link)).shows(t, 200, alice)
		b.post("/register", "email", alice, "password", first, "invitation", token(link), "return_to", link).sends(t, "/register/check-mail?"+url.Values{"return_to": {link}}.Encode())
		_, code := e.mail(t, alice)
		b.post("/register/check-mail", "code", code, "return_to", link).sends(t, link)

		// A gate's refusal is told in its own words, and the invitation stays.
		g := &full{}
		e.parts.Gates.Set(map[gate.Question][]gate.Gate{gate.MemberAdd: {g}})
		b.post("/invitation", "token", token(link)).shows(t, 403, "All seats are taken.", "Accept")
		e.parts.Gates.Set(nil)
		b.post("/invitation", "token", token(link)).sends(t, "/account/organizations?notice=invitation-accepted")
	})
}

// full is a gate that has no seat left.
type full struct{}

func (*full) Ask(_ context.Context, a gate.Ask) (gate.Answer, error) {
	return gate.Answer{Decision: gate.Deny, Reason: "seat_limit_reached", Message: "All seats are taken.", By: "plugin.seats"}, nil
}

// Nobody gets at another organization's members and invitations, whatever their ids.
func TestOrganizationPages_othersAreNotThere(t *testing.T) {
	t.Parallel()
	organized(t, func(t *testing.T, e *env) {
		ours, theirs := e.member(t, alice), e.member(t, "mallory@example.com")
		ours.post("/account/organizations/create", "name", "Ours").sends(t, "/organization?notice=organization-created")
		ours.post("/organization/invite", "email", "new@example.org", "role", "member").sends(t, "/organization?notice=invitation-sent")
		invitation := ours.get("/organization").find(t, `action="/organization/revoke"><input type="hidden" name="id" value="([^"]+)"`)
		id := ours.get("/account/organizations").find(t, `/account/organizations/([0-9a-f-]{36})/leave`)
		theirs.post("/account/organizations/create", "name", "Theirs").sends(t, "/organization?notice=organization-created")
		member := "/organization/members/" + e.accountID(t, alice).String()
		for _, address := range []string{id, uuid.NewString(), "x"} {
			theirs.get("/account/organizations/"+address+"/leave").shows(t, 404, "There is no such organization")
			theirs.post("/account/organizations/"+address+"/leave").shows(t, 404, "There is no such organization")
		}
		theirs.post("/account/organizations", "id", id).shows(t, 404, "There is no such organization")
		theirs.get(member).shows(t, 404, "There is no such member")
		theirs.get("/organization/members/x").shows(t, 404, "There is no such member")
		for _, what := range []string{"", "/status", "/remove"} {
			theirs.post(member+what, "role", "x", "status", "suspended").shows(t, 404, "There is no such member")
		}
		theirs.post("/organization/resend", "id", invitation).shows(t, 404, "There is no such invitation")
		theirs.post("/organization/revoke", "id", invitation).sends(t, "/organization?notice=invitation-revoked") // theirs has none
		ours.get("/organization").shows(t, 200, "new@example.org", alice)
		e.browser(t).get("/organization").sends(t, "/login?return_to=%2Forganization")
	})
}

// organizationInArabic walks the pages of organizations, as TestEveryPage_inArabic does the others. inspect looks.
func organizationInArabic(t *testing.T, e *env, b *browser) {
	t.Helper()
	b.get("/account/organizations").shows(t, 200)
	b.post("/account/organizations/create", "name", "")
	b.post("/account/organizations/create", "name", "شركة").sends(t, "/organization?notice=organization-created")
	b.post("/organization/invite", "email", "x", "role", "member")
	b.post("/organization/invite", "email", alice, "role", "member")
	b.post("/organization/invite", "email", "new@example.com", "role", "editor").sends(t, "/organization?notice=invitation-sent")
	b.post("/organization/settings", "name", "شركة", "slug", "--")
	for _, path := range []string{
		"/organization", "/organization?notice=organization-created", "/organization?notice=invitation-sent", "/account/organizations?notice=organization-switched",
		"/account/organizations?notice=organization-left", "/organization?notice=organization-saved", "/organization?notice=member-changed",
		"/organization?notice=member-removed", "/organization?notice=invitation-revoked", "/account/organizations?notice=invitation-accepted",
		"/account/organizations?notice=invitation-declined", "/account/organizations?notice=organization-deleted", "/organization/delete", "/organization/members/" + e.accountID(t, alice).String(),
	} {
		b.get(path).shows(t, 200)
	}
	b.get("/organization/members/x").shows(t, 404)
	b.get("/invitation?token=x").shows(t, 410)
	id := b.get("/account/organizations").find(t, `/account/organizations/([0-9a-f-]{36})/leave`)
	b.get("/account/organizations/"+id+"/leave").shows(t, 200)
	b.post("/account/organizations/"+id+"/leave").shows(t, 409)
	link, _ := e.mail(t, "new@example.com")
	b.get(link).shows(t, 200)
	guest := e.browser(t)
	guest.language = "ar"
	guest.get(link).shows(t, 200)
	guest.get("/register?invitation="+token(link)).shows(t, 200)
}
