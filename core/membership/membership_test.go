package membership_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

type world struct {
	*authtest.Parts
	t    testing.TB
	skew atomic.Int64
}

// anyone lets everybody who is signed in create organizations.
var anyone = membership.Settings{Creation: membership.Anyone}

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t}
	w.Parts = authtest.Open(t, db, authtest.Options{Now: w.now, Members: anyone})
	return w
}

func (w *world) now() time.Time          { return time.Now().UTC().Add(time.Duration(w.skew.Load())) }
func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, authtest.Sources(), func(t *testing.T, db *store.DB) { f(t, newWorld(t, db)) })
}

var operator = membership.As(principal.Principal{Kind: principal.Operator, Display: "root", Administrator: true})

func (w *world) tx(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.DB.Tx(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

// person has an active account and a session.
type person struct {
	w     *world
	id    uuid.UUID
	email string
	token string
}

func (w *world) person(email string) *person {
	w.t.Helper()
	p := &person{w: w, email: email}
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		a, _, err := w.Accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
		if err != nil {
			return err
		}
		p.id = a.ID
		in, err := w.Sessions.Issue(ctx, tx, session.Grant{Account: a, AAL: principal.AAL1, AMR: []string{"pwd"}, Method: "password"})
		p.token = in.Token
		return err
	})
	return p
}

// who is the person's principal as their session resolves now.
func (p *person) who() principal.Principal {
	p.w.t.Helper()
	out, err := p.w.Sessions.Resolve(p.w.t.Context(), p.token)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return out
}

func (p *person) acts() membership.Actor { return membership.As(p.who()) }

// raise gives the session two factors that were shown now.
func (p *person) raise(aal string) {
	p.w.t.Helper()
	p.w.tx(func(ctx context.Context, tx *store.Tx) error {
		who := p.who()
		who.AAL, who.AuthTime = aal, p.w.now()
		in, err := p.w.Sessions.Rotate(ctx, tx, who)
		p.token = in.Token
		return err
	})
}

func (w *world) organization(owner *person, name string) org.Organization {
	w.t.Helper()
	o, err := w.Members.Create(w.t.Context(), owner.acts(), membership.NewOrganization{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

var link = regexp.MustCompile(`/invitation\?token=([A-Za-z0-9_-]+)`)

// invite invites an address and gives the token of the mailed link.
func (w *world) invite(by membership.Actor, o uuid.UUID, email, role string) (org.Invitation, string) {
	w.t.Helper()
	i, err := w.Members.Invite(w.t.Context(), by, membership.NewInvitation{OrganizationID: o, Email: email, Role: role})
	if err != nil {
		w.t.Fatal(err)
	}
	return i, w.mailed(i.Email)
}

func (w *world) mailed(email string) string {
	w.t.Helper()
	for {
		n, err := w.Queue.Dispatch(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	list, err := w.Inbox.List(w.t.Context(), email)
	if err != nil || len(list) == 0 {
		w.t.Fatalf("no mail to %s: %v", email, err)
	}
	// By when they were queued: what is sent at once may arrive in any order.
	slices.SortFunc(list, func(a, b mail.Received) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	m := link.FindStringSubmatch(list[0].Text)
	if m == nil {
		w.t.Fatalf("no link in %q", list[0].Text)
	}
	return m[1]
}

// join makes somebody a member by an invitation.
func (w *world) join(owner *person, o uuid.UUID, p *person, role string) {
	w.t.Helper()
	_, token := w.invite(owner.acts(), o, p.email, role)
	if _, err := w.Members.Accept(w.t.Context(), p.acts(), token); err != nil {
		w.t.Fatal(err)
	}
}

// last gives the newest audit row of an action.
func (w *world) last(action string) audit.Row {
	w.t.Helper()
	page, err := w.Audit.Query(w.t.Context(), audit.Filter{Action: action, Limit: 1})
	if err != nil || len(page.Rows) != 1 {
		w.t.Fatalf("no row of %s: %v", action, err)
	}
	return page.Rows[0]
}

func wants(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func to[T any](v T) *T { return &v }

// seats is a gate with a number of seats.
type seats struct {
	mu      sync.Mutex
	total   int
	held    map[string]gate.MemberContext // by attempt
	members map[string]gate.MemberContext
	asked   []gate.Ask
	broken  error
	deny    bool
}

func newSeats(total int) *seats {
	return &seats{total: total, held: map[string]gate.MemberContext{}, members: map[string]gate.MemberContext{}}
}

func (s *seats) Name() string { return "plugin.seats" }

func (s *seats) Ask(_ context.Context, a gate.Ask) (gate.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, a)
	switch {
	case s.broken != nil:
		return gate.Answer{}, s.broken
	case s.deny || a.Question == gate.MemberAdd && len(s.held)+len(s.members) >= s.total:
		return gate.Answer{Decision: gate.Deny, Reason: "seat_limit_reached", Message: "All seats are taken.", By: s.Name()}, nil
	case a.Question != gate.MemberAdd:
		return gate.Answer{By: s.Name()}, nil
	}
	s.held[a.AttemptID] = *a.Member
	return gate.Answer{By: s.Name(), Reservations: []gate.Reservation{{Gate: s.Name(), ID: a.AttemptID, ExpiresAt: time.Now().Add(time.Minute)}}}, nil
}

func (s *seats) Settle(_ context.Context, x gate.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.Committed {
		s.members[x.AttemptID] = s.held[x.AttemptID]
	}
	delete(s.held, x.AttemptID)
	return nil
}

func (s *seats) counts() (held, members int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held), len(s.members)
}

func (w *world) use(g gate.Gate) {
	w.Gates.Set(map[gate.Question][]gate.Gate{gate.MemberAdd: {g}, gate.MemberRemove: {g}})
}

func TestCreate_theCreatorOwnsItAndIsInIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ann := w.person("ann@example.org")
		g := newSeats(20)
		w.use(g)
		o := w.organization(ann, "Acme")
		if o.Members != 1 || o.Owners != 1 {
			t.Errorf("%+v", o)
		}
		if p := ann.who(); p.OrganizationID != o.ID || p.Role != "owner" {
			t.Errorf("her session: %+v", p)
		}
		if m := g.asked[0].Member; m.OrganizationID != o.ID || m.UserID != ann.id || m.Via != "direct" || !m.Protected {
			t.Errorf("the gate was asked about %+v", m)
		}
		for _, action := range []string{"organization.create", "membership.create"} {
			if row := w.last(action); row.CorrelationID != g.asked[0].AttemptID || row.OrganizationID != o.ID || row.Actor.ID != ann.id.String() {
				t.Errorf("%+v", row)
			}
		}
		for range membership.DefaultMaxOwned - 1 {
			w.organization(ann, "More")
		}
		_, err := w.Members.Create(t.Context(), ann.acts(), membership.NewOrganization{Name: "One too many"})
		if fault.From(err).Code != "too_many_organizations" {
			t.Errorf("an eleventh: %v", err)
		}
		w.Members.Configure(membership.Settings{})
		_, err = w.Members.Create(t.Context(), w.person("bob@example.org").acts(), membership.NewOrganization{Name: "Mine"})
		if fault.From(err).Code != "organization_creation_closed" {
			t.Errorf("where only administrators create: %v", err)
		}
		empty, err := w.Members.Create(t.Context(), operator, membership.NewOrganization{Name: "Empty"})
		if err != nil || empty.Members != 0 {
			t.Errorf("by an operator: %+v, %v", empty, err)
		}
	})
}

func TestInvitation_isForOneAddress(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ann, bob, eve := w.person("ann@example.org"), w.person("bob@example.org"), w.person("eve@example.org")
		g := newSeats(10)
		o := w.organization(ann, "Acme")
		w.use(g)
		i, token := w.invite(ann.acts(), o.ID, "Bob@Example.org", "editor")
		if row := w.last("invitation.create"); row.CorrelationID != g.asked[0].AttemptID || strings.Contains(fmt.Sprint(row), "bob@") {
			t.Errorf("%+v", row)
		}
		if m := g.asked[0].Member; m.Email != "bob@example.org" || m.UserID != uuid.Nil || m.Via != "invitation" || m.Members != 1 {
			t.Errorf("the gate was asked about %+v", m)
		}
		in, err := w.Members.LookInvitation(t.Context(), token)
		if err != nil || in.Organization.Name != "Acme" || in.Invitation.ID != i.ID {
			t.Errorf("%+v, %v", in, err)
		}
		_, err = w.Members.Accept(t.Context(), eve.acts(), token)
		wants(t, "somebody else accepts", err, membership.ErrOtherAddress)
		wants(t, "somebody else declines", w.Members.Decline(t.Context(), eve.acts(), token), membership.ErrOtherAddress)
		_, err = w.Members.Accept(t.Context(), operator, token)
		wants(t, "nobody accepts", err, session.ErrUnauthenticated)

		// A lost seat blocks the acceptance, with the gate's reason, and the invitation stays.
		g.total = 0
		_, err = w.Members.Accept(t.Context(), bob.acts(), token)
		if f := fault.From(err); f.Code != "seat_limit_reached" || f.Message != "All seats are taken." {
			t.Errorf("without a seat: %v", err)
		}
		if row := w.last("membership.refused"); row.Reason != "gate_denied" || row.CorrelationID != g.asked[len(g.asked)-1].AttemptID || row.Metadata["gate"] != "plugin.seats" {
			t.Errorf("%+v", row)
		}
		g.total = 10
		m, err := w.Members.Accept(t.Context(), bob.acts(), token)
		if err != nil || m.Role != "editor" || m.Via != org.Invited {
			t.Fatalf("%+v, %v", m, err)
		}
		if a := g.asked[len(g.asked)-1]; a.Member.InvitationID != i.ID || a.Member.UserID != bob.id || w.last("membership.create").CorrelationID != a.AttemptID {
			t.Errorf("the gate was asked about %+v", a.Member)
		}
		if p := bob.who(); p.OrganizationID != o.ID || p.Role != "editor" {
			t.Errorf("his session: %+v", p)
		}
		_, err = w.Members.Accept(t.Context(), bob.acts(), token)
		wants(t, "accepted twice", err, org.ErrInvitation)
		_, err = w.Members.Invite(t.Context(), ann.acts(), membership.NewInvitation{OrganizationID: o.ID, Email: "bob@example.org"})
		wants(t, "a member is invited", err, org.ErrMember)
		if held, members := g.counts(); held != 0 || members != 2 {
			t.Errorf("%d seats are held and %d settled", held, members)
		}

		// The old link of a resent invitation is worth nothing; a declined one is gone.
		i, first := w.invite(ann.acts(), o.ID, "eve@example.org", "viewer")
		if _, err := w.Members.Resend(t.Context(), ann.acts(), o.ID, i.ID); err != nil {
			t.Fatal(err)
		}
		second := w.mailed("eve@example.org")
		_, err = w.Members.Accept(t.Context(), eve.acts(), first)
		wants(t, "the old link", err, org.ErrInvitation)
		if err := w.Members.Decline(t.Context(), eve.acts(), second); err != nil {
			t.Fatal(err)
		}
		_, err = w.Members.Accept(t.Context(), eve.acts(), second)
		wants(t, "declined", err, org.ErrInvitation)
		i, token = w.invite(ann.acts(), o.ID, "eve@example.org", "viewer")
		w.advance(org.InvitationTTL)
		_, err = w.Members.LookInvitation(t.Context(), token)
		wants(t, "expired", err, org.ErrInvitation)
		w.advance(-org.InvitationTTL)
		if err := w.Members.RevokeInvitation(t.Context(), ann.acts(), o.ID, i.ID); err != nil {
			t.Fatal(err)
		}
		_, err = w.Members.Accept(t.Context(), eve.acts(), token)
		wants(t, "revoked", err, org.ErrInvitation)
	})
}

// The gate is asked on every way in, and 200 who come at once through all of them, on two nodes, take exactly the seats there are.
func TestAdmission_exactlyAsManyAsTheGateAllows(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, authtest.Sources()...) {
		t.Run(d.Name, func(t *testing.T) {
			const people, free = 200, 5
			one := newWorld(t, storetest.Dial(t, d.URL))
			two := &world{t: t}
			two.Parts = authtest.Open(t, storetest.Dial(t, d.URL), authtest.Options{Now: two.now, Root: one.Root, Members: anyone})
			ann := one.person("ann@example.org")
			o := one.organization(ann, "Acme")
			type candidate struct {
				*person
				token string
			}
			var all []candidate
			one.tx(func(ctx context.Context, tx *store.Tx) error {
				for n := range people {
					email := fmt.Sprintf("p%d@example.org", n)
					a, _, err := one.Accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
					if err != nil {
						return err
					}
					in, err := one.Sessions.Issue(ctx, tx, session.Grant{Account: a, AAL: principal.AAL1, AMR: []string{"pwd"}, Method: "password"})
					if err != nil {
						return err
					}
					c := candidate{person: &person{w: one, id: a.ID, email: email, token: in.Token}}
					if n%3 == 0 {
						if _, c.token, err = one.Orgs.Invite(ctx, tx, audit.Entry{Actor: audit.Ref{Type: "operator"}}, org.NewInvitation{OrganizationID: o.ID, Email: email}); err != nil {
							return err
						}
					}
					all = append(all, c)
				}
				return nil
			})
			g := newSeats(free)
			one.use(g)
			two.use(g)
			var joined, refused atomic.Int64
			var wg sync.WaitGroup
			for n, c := range all {
				w := []*world{one, two}[n%2]
				wg.Go(func() {
					var err error
					switch n % 3 {
					case 0:
						_, err = w.Members.Accept(t.Context(), c.acts(), c.token)
					case 1:
						_, err = w.Members.Add(t.Context(), operator, membership.NewMember{OrganizationID: o.ID, AccountID: c.id})
					default:
						err = w.arrive(c.person, membership.Entry{OrganizationID: o.ID, Join: true, Plugin: "saml"})
					}
					switch {
					case err == nil:
						joined.Add(1)
					case fault.From(err).Code == "seat_limit_reached":
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			is, err := one.Orgs.Get(t.Context(), o.ID)
			held, members := g.counts()
			if err != nil || joined.Load() != free || refused.Load() != people-free || is.Members != 1+free || held != 0 || members != free {
				t.Errorf("%d joined, %d refused, %d members, %d held, %d settled, %v", joined.Load(), refused.Load(), is.Members, held, members, err)
			}
		})
	}
}

// arrive is the part of a sign-in that has to do with organizations.
func (w *world) arrive(p *person, e membership.Entry) error {
	ctx := context.WithoutCancel(w.t.Context())
	a, err := w.Accounts.Get(ctx, p.id)
	if err != nil {
		return err
	}
	to, err := w.Members.Prepare(ctx, a, e, "sso")
	if err != nil {
		return flow.Public(err)
	}
	err = w.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := w.Accounts.Lock(ctx, tx, p.id)
		if err != nil {
			return err
		}
		if _, err := to.Judge(ctx, tx, a, principal.AAL1); err != nil {
			return err
		}
		_, _, err = to.Enter(ctx, tx)
		return err
	})
	to.End(ctx, err)
	return flow.Public(err)
}

func TestRemove_nobodyIsKeptBecauseAPluginIsDown(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ann, bob, carl := w.person("ann@example.org"), w.person("bob@example.org"), w.person("carl@example.org")
		o := w.organization(ann, "Acme")
		for _, p := range []*person{bob, carl} {
			w.join(ann, o.ID, p, "member")
		}
		g := newSeats(10)
		w.use(g)
		g.deny = true
		if err := w.Members.Remove(t.Context(), ann.acts(), o.ID, bob.id); fault.From(err).Code != "seat_limit_reached" {
			t.Errorf("a gate that denies: %v", err)
		}
		g.deny, g.broken = false, fault.New(fault.Unavailable, "plugin_unavailable", "Down.")
		if err := w.Members.Remove(t.Context(), ann.acts(), o.ID, bob.id); err != nil {
			t.Errorf("a gate that is down: %v", err)
		}
		if p := bob.who(); p.OrganizationID != uuid.Nil || p.Role != "" {
			t.Errorf("his session after that: %+v", p)
		}
		if err := w.Members.Remove(t.Context(), carl.acts(), o.ID, carl.id); err != nil {
			t.Errorf("leaving: %v", err)
		}
		if row := w.last("membership.delete"); row.Metadata["cause"] != "left" || row.CorrelationID != g.asked[len(g.asked)-1].AttemptID {
			t.Errorf("%+v", row)
		}
		wants(t, "the last owner leaves", w.Members.Remove(t.Context(), ann.acts(), o.ID, ann.id), org.ErrLastOwner)
	})
}

// Whoever isn't a member learns nothing and changes nothing; what a member, a manager and an owner may do is as doc.go says.
func TestRights_areThoseOfTheTable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ann := w.person("ann@example.org")
		o := w.organization(ann, "Acme")
		people := map[string]*person{"owner": ann}
		for name, role := range map[string]string{"manager": "admin", "member": "editor", "suspended": "admin", "victim": "member"} {
			people[name] = w.person(name + "@example.org")
			w.join(ann, o.ID, people[name], role)
		}
		if err := w.Members.Suspend(t.Context(), ann.acts(), o.ID, people["suspended"].id); err != nil {
			t.Fatal(err)
		}
		eve := w.person("eve@example.org")
		elsewhere := w.organization(eve, "Elsewhere") // she owns one, which helps her nothing here
		people["stranger"] = eve
		invited, _ := w.invite(ann.acts(), o.ID, "new@example.org", "member")
		if _, err := w.Members.AddDomain(t.Context(), ann.acts(), o.ID, "acme.example"); err != nil {
			t.Fatal(err)
		}
		victim := people["victim"].id
		delete(people, "victim")
		acts := map[string]struct {
			who []string
			do  func(by membership.Actor) error
		}{
			"show": {[]string{"owner", "manager", "member"}, func(by membership.Actor) error { _, err := w.Members.Get(t.Context(), by, o.ID); return err }},
			"members": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				_, err := w.Members.Members(t.Context(), by, o.ID, org.MemberFilter{})
				return err
			}},
			"invitations": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				_, err := w.Members.Invitations(t.Context(), by, o.ID, "", 0)
				return err
			}},
			"invite": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				_, err := w.Members.Invite(t.Context(), by, membership.NewInvitation{OrganizationID: o.ID, Email: "new@example.org"})
				return err
			}},
			"resend": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				_, err := w.Members.Resend(t.Context(), by, o.ID, invited.ID)
				return err
			}},
			"domains": {[]string{"owner", "manager"}, func(by membership.Actor) error { _, err := w.Members.Domains(t.Context(), by, o.ID); return err }},
			"add domain": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				_, err := w.Members.AddDomain(t.Context(), by, o.ID, "acme.example")
				return err
			}},
			"rename": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				_, err := w.Members.Update(t.Context(), by, o.ID, org.Change{Name: to("Acme")})
				return err
			}},
			"role": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				_, err := w.Members.ChangeMember(t.Context(), by, o.ID, victim, org.MemberChange{Role: to("x")})
				return err
			}},
			"suspend and resume": {[]string{"owner", "manager"}, func(by membership.Actor) error {
				return errors.Join(w.Members.Suspend(t.Context(), by, o.ID, victim), w.Members.Resume(t.Context(), by, o.ID, victim))
			}},
			"policy": {[]string{"owner"}, func(by membership.Actor) error {
				_, err := w.Members.Update(t.Context(), by, o.ID, org.Change{RequireSecondFactor: to(false)})
				return err
			}},
			"make an owner": {[]string{"owner"}, func(by membership.Actor) error {
				_, err := w.Members.ChangeMember(t.Context(), by, o.ID, victim, org.MemberChange{Owner: to(false)})
				return err
			}},
			"demote an owner": {nil, func(by membership.Actor) error {
				_, err := w.Members.ChangeMember(t.Context(), by, o.ID, ann.id, org.MemberChange{Role: to("x")})
				return ignoreFor(by, ann, err)
			}},
			"remove an owner": {nil, func(by membership.Actor) error {
				return ignoreFor(by, ann, w.Members.Remove(t.Context(), by, o.ID, ann.id))
			}},
			"add": {nil, func(by membership.Actor) error {
				_, err := w.Members.Add(t.Context(), by, membership.NewMember{OrganizationID: o.ID, AccountID: eve.id})
				return err
			}},
			"list all": {nil, func(by membership.Actor) error { _, err := w.Members.List(t.Context(), by, org.Filter{}); return err }},
		}
		for name, a := range acts {
			for who, p := range people {
				err := a.do(p.acts())
				allowed := slices.Contains(a.who, who)
				switch {
				case allowed && err != nil:
					t.Errorf("%s by the %s: %v", name, who, err)
				case !allowed && err == nil:
					t.Errorf("%s by the %s is allowed", name, who)
				case !allowed && (who == "stranger" || who == "suspended") && name != "list all" && !errors.Is(err, org.ErrNotFound):
					t.Errorf("%s by the %s tells that the organization is there: %v", name, who, err)
				}
			}
		}
		// The id of another organization's member, invitation or domain doesn't work through one's own.
		for name, err := range map[string]error{
			"remove": w.Members.Remove(t.Context(), eve.acts(), elsewhere.ID, victim), "suspend": w.Members.Suspend(t.Context(), eve.acts(), elsewhere.ID, victim),
		} {
			wants(t, name, err, org.ErrNotMember)
		}
		_, err := w.Members.Resend(t.Context(), eve.acts(), elsewhere.ID, invited.ID)
		wants(t, "resend", err, org.ErrNoInvitation)
		wants(t, "revoke", w.Members.RevokeInvitation(t.Context(), eve.acts(), elsewhere.ID, invited.ID), org.ErrNoInvitation)
		_, err = w.Members.VerifyDomain(t.Context(), eve.acts(), elsewhere.ID, "acme.example")
		wants(t, "verify", err, org.ErrNoDomain)
		wants(t, "remove domain", w.Members.RemoveDomain(t.Context(), eve.acts(), elsewhere.ID, "acme.example"), org.ErrNoDomain)

		// What only owners do takes a proof of the last minutes; a session that ended acts no more.
		w.advance(6 * time.Minute)
		_, err = w.Members.Update(t.Context(), ann.acts(), o.ID, org.Change{RequireSecondFactor: to(false)})
		wants(t, "an old proof", err, flow.ErrStepUpRequired)
		wants(t, "an old proof deletes", w.Members.Delete(t.Context(), ann.acts(), o.ID), flow.ErrStepUpRequired)
		ann.raise(principal.AAL1)
		gone := ann.acts()
		ann.raise(principal.AAL1) // keeps the id
		if err := w.Sessions.Revoke(t.Context(), audit.Ref{Type: "system"}, "", ann.id, gone.Principal.SessionID); err != nil {
			t.Fatal(err)
		}
		wants(t, "a session that ended", w.Members.Delete(t.Context(), gone, o.ID), session.ErrUnauthenticated)
		if err := w.Members.Delete(t.Context(), operator, o.ID); err != nil {
			t.Errorf("an operator: %v", err)
		}
	})
}

// ignoreFor takes an act on the owner by herself for one that isn't looked at here.
func ignoreFor(by membership.Actor, who *person, err error) error {
	if by.Principal.UserID == who.id {
		return errors.New("not looked at")
	}
	return err
}

func TestSwitch_holdsThePolicy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ann, bob := w.person("ann@example.org"), w.person("bob@example.org")
		acme, other := w.organization(ann, "Acme"), w.organization(ann, "Other")
		w.join(ann, acme.ID, bob, "editor")
		turn := func(id uuid.UUID, want error) {
			t.Helper()
			before := bob.token
			p, err := w.Members.Switch(t.Context(), bob.who(), id)
			wants(t, "switch", err, want)
			if err == nil && (p.OrganizationID != id || bob.who().OrganizationID != id) || bob.token != before {
				t.Errorf("%+v", p)
			}
		}
		turn(uuid.Nil, nil)
		if row := w.last("session.organization_switch"); row.OrganizationID != uuid.Nil {
			t.Errorf("%+v", row)
		}
		turn(acme.ID, nil)
		turn(other.ID, org.ErrNotFound)
		turn(uuid.New(), org.ErrNotFound)
		policy := func(c org.Change) {
			t.Helper()
			if _, err := w.Members.Update(t.Context(), operator, acme.ID, c); err != nil {
				t.Fatal(err)
			}
		}
		policy(org.Change{RequireSecondFactor: to(true)})
		if p := bob.who(); p.OrganizationID != uuid.Nil {
			t.Errorf("a policy that changed: %+v", p)
		}
		turn(acme.ID, flow.ErrStepUpRequired)
		bob.raise(principal.AAL2)
		turn(acme.ID, nil)
		policy(org.Change{RequireSecondFactor: to(false), Methods: to([]org.Method{org.MethodSSO})})
		turn(acme.ID, membership.ErrMethod)
		if _, err := w.Members.Update(t.Context(), ann.acts(), acme.ID, org.Change{Methods: to([]org.Method{})}); !errors.Is(err, flow.ErrStepUpRequired) {
			t.Errorf("an owner with one factor, by a method that isn't allowed: %v", err)
		}
		ann.raise(principal.AAL2)
		if _, err := w.Members.Update(t.Context(), ann.acts(), acme.ID, org.Change{Methods: to([]org.Method{})}); err != nil {
			t.Errorf("an owner with two: %v", err)
		}
		turn(acme.ID, nil)
	})
}
