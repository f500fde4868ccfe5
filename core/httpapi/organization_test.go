package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// anyoneCreates lets whoever is signed in create organizations.
var anyoneCreates = authtest.Options{Members: membership.Settings{Creation: membership.Anyone}}

// bearer is whoever holds a session.
func bearer(s signed) as {
	return func(_ *env, h http.Header) { h.Set("Authorization", "Bearer "+s.Token) }
}

// joins makes people with a session each, in one transaction.
func (e *env) people(n int, name string) []signed {
	e.t.Helper()
	out := make([]signed, n)
	err := e.db.Tx(e.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		for i := range out {
			s := &out[i]
			if s.Account, _, err = e.accounts.Create(ctx, tx, account.NewAccount{Email: fmt.Sprintf("%s%d@example.org", name, i), Status: account.Active}); err != nil {
				return err
			}
			if s.Issued, err = e.sessions.Issue(ctx, tx, session.Grant{Account: s.Account, AAL: principal.AAL1, AMR: []string{"pwd"}, Method: "password"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// want sends a request that must be answered with a status, and with a problem's code where one is named.
func (e *env) want(who as, method, path, body string, status int, code string) answer {
	e.t.Helper()
	a := e.do(who, method, path, body)
	if a.StatusCode != status || code != "" && !strings.Contains(a.body, `"code":"`+code+`"`) {
		e.t.Errorf("%s %s %s: %d %s, want %d %s", method, path, body, a.StatusCode, a.body, status, code)
	}
	return a
}

var invitationLink = regexp.MustCompile(`/invitation\?token=([A-Za-z0-9_-]+)`)

// invited is the token of the n-th invitation that was mailed to an address.
func (e *env) invited(email string, n int) string {
	e.t.Helper()
	return invitationLink.FindStringSubmatch(e.mailTo(email, n).Text)[1]
}

func token(t string) string { return `{"token":"` + t + `"}` }

// The whole life of an organization over the API.
func TestOrganization_wholeLife(t *testing.T) {
	t.Parallel()
	eachFlowWith(t, anyoneCreates, func(t *testing.T, e *env) {
		bob := e.signIn("bob@example.com", false)
		a := e.want(ordinary, "POST", "/v1/organizations", `{"name":"Acme Ltd"}`, 201, "")
		acme := read[httpapi.Organization](t, a)
		if acme.Slug != "acme-ltd" || acme.Members != 1 || acme.Owners != 1 || string(acme.PublicMetadata) != "{}" || len(acme.SignInMethods) != 0 {
			t.Fatalf("%s", a.body)
		}
		at := "/v1/organizations/" + acme.ID.String()
		if s := read[httpapi.SessionInfo](t, e.do(ordinary, "GET", "/v1/session", "")); s.OrganizationID != acme.ID || s.Role != "owner" {
			t.Errorf("the creator's session: %+v", s)
		}
		e.want(ordinary, "POST", "/v1/organizations", `{"name":"Other","slug":"acme-ltd"}`, 409, "slug_taken")
		e.want(ordinary, "POST", "/v1/organizations", `{"name":"Bob's","owner_id":"`+bob.Account.ID.String()+`"}`, 403, "organization_owner_only")
		a = e.want(ordinary, "PATCH", at, `{"name":"Acme","slug":"acme","public_metadata":{"plan":"team","logo":null}}`, 200, "")
		if o := read[httpapi.Organization](t, a); o.Name != "Acme" || string(o.PublicMetadata) != `{"logo":null,"plan":"team"}` {
			t.Errorf("%s", a.body)
		}
		e.want(ordinary, "PATCH", at, `{"public_metadata":[1]}`, 422, "invalid_metadata")
		e.want(ordinary, "PATCH", at, `{"sign_in_methods":["magic"]}`, 422, "")
		e.want(ordinary, "GET", "/v1/organizations/acme-ltd", "", 404, "organization_not_found")
		d := read[httpapi.OrganizationDetail](t, e.want(ordinary, "GET", "/v1/organizations/acme", "", 200, ""))
		if !d.Owner || !d.Manager || d.Membership == nil || !d.Membership.Owner || d.Membership.Via != "direct" {
			t.Errorf("%+v", d)
		}

		// Bob is invited, and comes in.
		e.want(ordinary, "POST", at+"/members", `{"user_id":"`+bob.Account.ID.String()+`"}`, 403, "invite_instead")
		a = e.want(ordinary, "POST", "/v1/organizations/acme/invitations", `{"email":"Bob@Example.com","role":"editor"}`, 201, "")
		i := read[httpapi.OrganizationInvitation](t, a)
		first := e.invited("bob@example.com", 1)
		if i.Email != "bob@example.com" || i.InvitedBy != e.user.Account.ID || i.ExpiresAt.Sub(i.SentAt) != 7*24*time.Hour || strings.Contains(a.body, first) {
			t.Errorf("%s", a.body)
		}
		e.want(ordinary, "POST", at+"/invitations/"+i.ID.String()+"/resend", "", 200, "")
		tok := e.invited("bob@example.com", 2)
		e.want(stranger, "POST", "/v1/invitation", token(first), 403, "invitation_invalid")
		look := read[httpapi.Invited](t, e.want(stranger, "POST", "/v1/invitation", token(tok), 200, ""))
		if look.Organization != "Acme" || look.OrganizationSlug != "acme" || look.Email != "bob@example.com" || look.Role != "editor" {
			t.Errorf("%+v", look)
		}
		e.want(administrator, "POST", "/v1/invitation/accept", token(tok), 403, "invitation_other_address")
		e.want(stranger, "POST", "/v1/invitation/accept", token(tok), 401, "unauthenticated")
		a = e.want(bearer(bob), "POST", "/v1/invitation/accept", token(tok), 201, "")
		if m := read[httpapi.OrganizationMember](t, a); m.Role != "editor" || m.Via != "invitation" || m.UserID != bob.Account.ID {
			t.Errorf("%s", a.body)
		}
		e.want(bearer(bob), "POST", "/v1/invitation/accept", token(tok), 403, "invitation_invalid")
		e.want(ordinary, "POST", at+"/invitations", `{"email":"bob@example.com"}`, 409, "already_member")
		members := read[httpapi.OrganizationMemberPage](t, e.want(ordinary, "GET", at+"/members?limit=1", "", 200, ""))
		if len(members.Members) != 1 || members.Next == "" || members.Members[0].Email != "ada@example.com" || members.Members[0].SecondFactor == nil {
			t.Errorf("%+v", members)
		}
		members = read[httpapi.OrganizationMemberPage](t, e.want(ordinary, "GET", at+"/members?query=BOB&cursor="+members.Next, "", 200, ""))
		if len(members.Members) != 1 || members.Next != "" || members.Members[0].UserID != bob.Account.ID {
			t.Errorf("%+v", members)
		}
		e.want(ordinary, "GET", at+"/members?cursor=x", "", 422, "invalid_cursor")

		// The active organization of his session.
		if s := read[httpapi.SessionInfo](t, e.want(bearer(bob), "DELETE", "/v1/session/organization", "", 200, "")); s.OrganizationID != uuid.Nil {
			t.Errorf("%+v", s)
		}
		if s := read[httpapi.SessionInfo](t, e.want(bearer(bob), "PUT", "/v1/session/organization", `{"organization":"acme"}`, 200, "")); s.OrganizationID != acme.ID || s.Role != "editor" {
			t.Errorf("%+v", s)
		}
		e.want(ordinary, "PATCH", at, `{"require_second_factor":true}`, 200, "")
		if s := read[httpapi.SessionInfo](t, e.do(bearer(bob), "GET", "/v1/session", "")); s.OrganizationID != uuid.Nil {
			t.Errorf("with one factor he is still active there: %+v", s)
		}
		e.want(bearer(bob), "PUT", "/v1/session/organization", `{"organization":"acme"}`, 403, "step_up_required")
		e.want(ordinary, "PATCH", at, `{"name":"Locked out"}`, 403, "step_up_required")
		e.want(theOperator, "PATCH", at, `{"require_second_factor":false}`, 200, "")

		// Roles, ownership, and the last owner.
		his, hers := at+"/members/"+bob.Account.ID.String(), at+"/members/"+e.user.Account.ID.String()
		e.want(bearer(bob), "PATCH", his, `{"role":"admin"}`, 403, "organization_manager_only")
		e.want(ordinary, "PATCH", his, `{"role":"admin","kind":"guest"}`, 200, "")
		e.want(bearer(bob), "PATCH", hers, `{"role":"nobody"}`, 403, "organization_owner_only")
		e.want(bearer(bob), "PATCH", his, `{"owner":true}`, 403, "organization_owner_only")
		e.want(bearer(bob), "PATCH", at, `{"name":"Acme by Bob"}`, 200, "")
		e.want(ordinary, "POST", at+"/leave", "", 409, "last_owner")
		for _, c := range []struct{ method, path, body string }{
			{"DELETE", hers, ""}, {"POST", hers + "/suspend", ""}, {"PATCH", hers, `{"owner":false}`},
		} {
			for _, who := range []as{ordinary, administrator, theOperator} {
				e.want(who, c.method, c.path, c.body, 409, "last_owner")
			}
		}
		if m := read[httpapi.OrganizationMember](t, e.want(ordinary, "POST", his+"/suspend", "", 200, "")); m.Status != "suspended" {
			t.Errorf("%+v", m)
		}
		e.want(bearer(bob), "GET", at, "", 404, "organization_not_found")
		e.want(ordinary, "POST", his+"/resume", "", 200, "")
		e.want(ordinary, "PATCH", his, `{"owner":true}`, 200, "")
		e.want(ordinary, "POST", "/v1/organizations/acme/leave", "", 204, "")
		e.want(ordinary, "GET", at, "", 404, "organization_not_found")
		e.want(ordinary, "POST", "/v1/organizations/acme/leave", "", 404, "organization_not_found")

		// Administrators of Sigra see and end everything.
		own := read[httpapi.OwnOrganizationPage](t, e.do(bearer(bob), "GET", "/v1/organizations", ""))
		if len(own.Organizations) != 1 || !own.Organizations[0].Owner || own.Organizations[0].Organization.Name != "Acme by Bob" {
			t.Errorf("%+v", own)
		}
		if own := e.do(ordinary, "GET", "/v1/organizations", ""); strings.TrimSpace(own.body) != `{"organizations":[]}` {
			t.Errorf("%s", own.body)
		}
		e.want(theOperator, "POST", at+"/members", `{"user_id":"`+e.user.Account.ID.String()+`","role":"auditor"}`, 201, "")
		e.want(administrator, "POST", at+"/members", `{"user_id":"`+e.user.Account.ID.String()+`"}`, 409, "already_member")
		e.want(administrator, "POST", at+"/members", `{"user_id":"`+uuid.NewString()+`"}`, 404, "")
		e.want(bearer(bob), "DELETE", hers, "", 204, "")
		e.want(bearer(bob), "DELETE", at, "", 204, "")
		e.want(administrator, "GET", at, "", 404, "organization_not_found")

		log := e.do(theOperator, "GET", "/v1/audit?limit=200&organization_id="+acme.ID.String(), "")
		counts := map[string]int{}
		for _, r := range read[httpapi.AuditPage](t, log).Rows {
			counts[r.Action]++
		}
		for action, n := range map[string]int{
			"organization.create": 1, "organization.update": 4, "organization.delete": 1, "membership.create": 3, "membership.update": 4, "membership.delete": 2,
			"invitation.create": 2, "invitation.accept": 1,
		} {
			if counts[action] != n {
				t.Errorf("%d rows of %s, want %d", counts[action], action, n)
			}
		}
	})
}

// Who creates organizations is the operator's choice.
func TestOrganization_creation(t *testing.T) {
	t.Parallel()
	eachFlow(t, func(t *testing.T, e *env) {
		e.want(ordinary, "POST", "/v1/organizations", `{"name":"Mine"}`, 403, "organization_creation_closed")
		e.want(stranger, "POST", "/v1/organizations", `{"name":"Mine"}`, 401, "unauthenticated")
		e.want(theApplication, "POST", "/v1/organizations", `{"name":"Mine"}`, 403, "user_required")
		for _, name := range []string{`""`, `"a\nb"`, `"` + strings.Repeat("x", 101) + `"`} {
			e.want(administrator, "POST", "/v1/organizations", `{"name":`+strings.ReplaceAll(name, "\\n", "\\u0007")+`}`, 422, "")
		}
		e.want(administrator, "POST", "/v1/organizations", `{"name":"Theirs","slug":"Ab--c"}`, 422, "invalid_slug")
		e.want(administrator, "POST", "/v1/organizations", `{"name":"Theirs","slug":"admin"}`, 422, "slug_reserved")
		theirs := read[httpapi.Organization](t, e.want(administrator, "POST", "/v1/organizations", `{"name":"Theirs","owner_id":"`+e.user.Account.ID.String()+`"}`, 201, ""))
		empty := read[httpapi.Organization](t, e.want(theOperator, "POST", "/v1/organizations", `{"name":"Empty"}`, 201, ""))
		if theirs.Owners != 1 || empty.Members != 0 {
			t.Errorf("%+v %+v", theirs, empty)
		}
		if d := read[httpapi.OrganizationDetail](t, e.want(ordinary, "GET", "/v1/organizations/theirs", "", 200, "")); !d.Owner {
			t.Errorf("%+v", d)
		}
		var names []string
		for cursor := ""; ; {
			p := read[httpapi.OrganizationPage](t, e.do(administrator, "GET", "/v1/admin/organizations?limit=1&cursor="+cursor, ""))
			for _, o := range p.Organizations {
				names = append(names, o.Name)
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if fmt.Sprint(names) != "[Empty Theirs]" {
			t.Errorf("%v", names)
		}
		if p := read[httpapi.OrganizationPage](t, e.do(theOperator, "GET", "/v1/admin/organizations?query=the", "")); len(p.Organizations) != 1 {
			t.Errorf("%+v", p)
		}
		e.want(ordinary, "GET", "/v1/admin/organizations", "", 403, "administrator_required")
	})
}

// Nobody reaches what is another organization's: not by its id, not by its slug, not by the ids of what is in it.
func TestOrganization_othersAreNotThere(t *testing.T) {
	t.Parallel()
	eachFlowWith(t, anyoneCreates, func(t *testing.T, e *env) {
		mallory := e.signIn("mallory@example.com", false)
		ours := read[httpapi.Organization](t, e.want(ordinary, "POST", "/v1/organizations", `{"name":"Ours"}`, 201, ""))
		e.want(bearer(mallory), "POST", "/v1/organizations", `{"name":"Hers"}`, 201, "")
		in := read[httpapi.OrganizationInvitation](t, e.want(ordinary, "POST", "/v1/organizations/ours/invitations", `{"email":"new@example.org"}`, 201, ""))
		user, invitation := "/members/"+e.user.Account.ID.String(), "/invitations/"+in.ID.String()
		for _, at := range []string{"/v1/organizations/" + ours.ID.String(), "/v1/organizations/ours", "/v1/organizations/" + uuid.NewString(), "/v1/organizations/no-such", "/v1/organizations/%2e%2e"} {
			for _, c := range []struct{ method, path, body string }{
				{"GET", "", ""}, {"PATCH", "", `{"name":"Taken over"}`}, {"PATCH", "", `{"require_second_factor":true}`}, {"DELETE", "", ""},
				{"GET", "/members", ""}, {"POST", "/members", `{"user_id":"` + mallory.Account.ID.String() + `","owner":true}`},
				{"PATCH", user, `{"role":"x"}`}, {"POST", user + "/suspend", ""}, {"POST", user + "/resume", ""}, {"DELETE", user, ""}, {"POST", "/leave", ""},
				{"DELETE", "/members/" + mallory.Account.ID.String(), ""},
				{"GET", "/invitations", ""}, {"POST", "/invitations", `{"email":"mallory@example.com"}`}, {"POST", invitation + "/resend", ""}, {"DELETE", invitation, ""},
				{"GET", "/domains", ""}, {"POST", "/domains", `{"name":"ours.example"}`}, {"POST", "/domains/ours.example/verify", ""}, {"DELETE", "/domains/ours.example", ""},
			} {
				e.want(bearer(mallory), c.method, at+c.path, c.body, 404, "")
				if a := e.do(stranger, c.method, at+c.path, c.body); a.StatusCode != 401 {
					t.Errorf("a stranger, %s %s%s: %d", c.method, at, c.path, a.StatusCode)
				}
				if a := e.do(theApplication, c.method, at+c.path, c.body); a.StatusCode != 403 {
					t.Errorf("the application, %s %s%s: %d", c.method, at, c.path, a.StatusCode)
				}
			}
		}
		e.want(bearer(mallory), "PUT", "/v1/session/organization", `{"organization":"ours"}`, 404, "organization_not_found")
		// A domain that is only claimed is anybody's to claim, each with a record of their own.
		claimed := read[httpapi.OrganizationDomain](t, e.want(ordinary, "POST", "/v1/organizations/ours/domains", `{"name":"Ours.Example"}`, 201, ""))
		hers := read[httpapi.OrganizationDomain](t, e.want(bearer(mallory), "POST", "/v1/organizations/hers/domains", `{"name":"ours.example"}`, 201, ""))
		if claimed.Name != "ours.example" || claimed.Verified || claimed.RecordName == "" || claimed.RecordValue == hers.RecordValue {
			t.Errorf("%+v %+v", claimed, hers)
		}
		if l := read[httpapi.OrganizationDomainList](t, e.do(ordinary, "GET", "/v1/organizations/ours/domains", "")); len(l.Domains) != 1 || l.Domains[0].RecordValue != claimed.RecordValue {
			t.Errorf("%+v", l)
		}
		e.want(ordinary, "POST", "/v1/organizations/ours/domains", `{"name":"no domain"}`, 422, "invalid_domain")
		// By way of her own organization.
		e.want(bearer(mallory), "POST", "/v1/organizations/hers"+invitation+"/resend", "", 404, "invitation_not_found")
		e.want(bearer(mallory), "DELETE", "/v1/organizations/hers"+invitation, "", 404, "invitation_not_found")
		e.want(bearer(mallory), "PATCH", "/v1/organizations/hers"+user, `{"role":"x"}`, 404, "membership_not_found")
		e.want(bearer(mallory), "DELETE", "/v1/organizations/hers"+user, "", 404, "membership_not_found")
		d := read[httpapi.OrganizationDetail](t, e.do(ordinary, "GET", "/v1/organizations/ours", ""))
		if d.Organization.Name != "Ours" || d.Organization.Members != 1 {
			t.Errorf("%+v", d)
		}
		// An administrator without a fresh proof looks and changes nothing.
		if a := e.do(administrator, "GET", "/v1/organizations/ours/members", ""); a.StatusCode != 200 {
			t.Errorf("an administrator: %d %s", a.StatusCode, a.body)
		}
	})
}

// seats is a gate that allows so many members and holds a seat for each attempt until it is told how that ended.
type seats struct {
	mu    sync.Mutex
	total int
	taken map[string]bool // by attempt
}

func (s *seats) Name() string { return "plugin.seats" }

func (s *seats) Ask(_ context.Context, a gate.Ask) (gate.Answer, error) {
	if a.Question != gate.MemberAdd || a.Member.UserID == uuid.Nil { // an invitation holds no seat here
		return gate.Answer{By: s.Name()}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taken) >= s.total {
		return gate.Answer{Decision: gate.Deny, Reason: "seat_limit_reached", Message: "All seats are taken.", By: s.Name()}, nil
	}
	s.taken[a.AttemptID] = true
	return gate.Answer{By: s.Name(), Reservations: []gate.Reservation{{Gate: s.Name(), ID: a.AttemptID, ExpiresAt: time.Now().Add(time.Minute)}}}, nil
}

func (s *seats) Settle(_ context.Context, x gate.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !x.Committed {
		delete(s.taken, x.AttemptID)
	}
	return nil
}

func (e *env) gate(g gate.Gate) {
	e.flows.Gates.Set(map[gate.Question][]gate.Gate{gate.MemberAdd: {g}, gate.MemberRemove: {g}})
}

// A gate that allows three members is asked on every way in, and says itself why a fourth stays out.
func TestOrganization_gate(t *testing.T) {
	t.Parallel()
	eachFlowWith(t, anyoneCreates, func(t *testing.T, e *env) {
		e.gate(&seats{total: 3, taken: map[string]bool{}})
		e.want(ordinary, "POST", "/v1/organizations", `{"name":"Acme"}`, 201, "")
		p := e.people(3, "p")
		e.want(theOperator, "POST", "/v1/organizations/acme/members", `{"user_id":"`+p[0].Account.ID.String()+`"}`, 201, "")
		e.want(ordinary, "POST", "/v1/organizations/acme/invitations", `{"email":"p2@example.org"}`, 201, "")
		tok := e.invited("p2@example.org", 1)
		e.want(administrator, "POST", "/v1/organizations/acme/members", `{"user_id":"`+p[1].Account.ID.String()+`"}`, 201, "")
		for _, a := range []answer{
			e.want(theOperator, "POST", "/v1/organizations/acme/members", `{"user_id":"`+p[2].Account.ID.String()+`"}`, 403, "seat_limit_reached"),
			e.want(bearer(p[2]), "POST", "/v1/invitation/accept", token(tok), 403, "seat_limit_reached"),
			e.want(bearer(p[2]), "POST", "/v1/organizations", `{"name":"Another"}`, 403, "seat_limit_reached"),
		} {
			if got := a.problem(t); got.Detail != "All seats are taken." || got.Title != "Seat limit reached" {
				t.Errorf("%s", a.body)
			}
		}
		if rows := read[httpapi.AuditPage](t, e.do(theOperator, "GET", "/v1/audit?action=membership.refused", "")).Rows; len(rows) != 3 || rows[0].Reason != "gate_denied" {
			t.Errorf("%+v", rows)
		}
		// The invitation is as good as before once somebody leaves.
		e.want(bearer(p[0]), "POST", "/v1/organizations/acme/leave", "", 204, "")
		e.gate(&seats{total: 1, taken: map[string]bool{}})
		e.want(bearer(p[2]), "POST", "/v1/invitation/accept", token(tok), 201, "")
	})
}

// Thirty who come at once, added and by invitation, take exactly the seats there are.
func TestOrganization_thirtyAtOnce(t *testing.T) {
	t.Parallel()
	eachFlowWith(t, anyoneCreates, func(t *testing.T, e *env) {
		e.want(ordinary, "POST", "/v1/organizations", `{"name":"Acme"}`, 201, "")
		p := e.people(30, "p")
		tokens := map[int]string{}
		for n := 0; n < len(p); n += 2 {
			email := p[n].Account.Email
			e.want(theOperator, "POST", "/v1/organizations/acme/invitations", `{"email":"`+email+`"}`, 201, "")
			tokens[n] = e.invited(email, 1)
		}
		g := &seats{total: 3, taken: map[string]bool{}}
		e.gate(g)
		var joined, refused atomic.Int64
		var all sync.WaitGroup
		for n, s := range p {
			all.Go(func() {
				var a answer
				if tok := tokens[n]; tok != "" {
					a = e.do(bearer(s), "POST", "/v1/invitation/accept", token(tok))
				} else {
					a = e.do(theOperator, "POST", "/v1/organizations/acme/members", `{"user_id":"`+s.Account.ID.String()+`"}`)
				}
				switch {
				case a.StatusCode == 201:
					joined.Add(1)
				case a.StatusCode == 403 && strings.Contains(a.body, "seat_limit_reached"):
					refused.Add(1)
				default:
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
			})
		}
		all.Wait()
		d := read[httpapi.OrganizationDetail](t, e.do(ordinary, "GET", "/v1/organizations/acme", ""))
		if joined.Load() != 3 || refused.Load() != 27 || d.Organization.Members != 4 || len(g.taken) != 3 {
			t.Errorf("%d joined, %d refused, %d members, %d seats taken", joined.Load(), refused.Load(), d.Organization.Members, len(g.taken))
		}
	})
}

// Where nobody may sign up, whoever was invited may, with the address that was invited and no other.
func TestOrganization_invitedSignUp(t *testing.T) {
	t.Parallel()
	o := anyoneCreates
	o.Settings = flow.Settings{RegistrationClosed: true}
	eachFlowWith(t, o, func(t *testing.T, e *env) {
		e.want(ordinary, "POST", "/v1/organizations", `{"name":"Acme"}`, 201, "")
		e.want(ordinary, "POST", "/v1/organizations/acme/invitations", `{"email":"grace@example.org","role":"editor"}`, 201, "")
		tok := e.invited("grace@example.org", 1)
		sign := func(email, invitation string) string {
			return `{"email":"` + email + `","password":"a fine long password","invitation":"` + invitation + `"}`
		}
		e.want(stranger, "POST", "/v1/register", sign("grace@example.org", ""), 403, "registration_closed")
		e.want(stranger, "POST", "/v1/register", sign("grace@example.org", "x"), 403, "registration_closed")
		e.want(stranger, "POST", "/v1/register", sign("eve@example.org", tok), 403, "registration_closed")
		f := read[httpapi.Registered](t, e.want(stranger, "POST", "/v1/register", sign("Grace@Example.org", tok), 202, "")).Flow
		digits := code.FindString(e.mailTo("grace@example.org", 2).Text)
		a := e.want(stranger, "POST", "/v1/confirm", `{"flow":"`+f+`","code":"`+digits+`","token_delivery":"body"}`, 200, "")
		grace := func(_ *env, h http.Header) { h.Set("Authorization", "Bearer "+read[httpapi.SignedIn](t, a).Token) }
		e.want(grace, "POST", "/v1/invitation/accept", token(tok), 201, "")
		if s := read[httpapi.SessionInfo](t, e.do(grace, "GET", "/v1/session", "")); s.OrganizationID == uuid.Nil || s.Role != "editor" {
			t.Errorf("%+v", s)
		}
		e.want(stranger, "POST", "/v1/register", sign("grace@example.org", tok), 403, "registration_closed")
	})
}
