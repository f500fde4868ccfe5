package org_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

var soak = flag.Bool("soak", false, "run the heavy proofs at full size")

func TestMain(m *testing.M) {
	flag.Parse()
	if !*soak {
		if err := flag.Set("rapid.checks", "15"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

var sources = []store.Source{audit.Migrations, account.Migrations, org.Migrations}

// world is a database with an organization store whose clock and DNS the test holds.
type world struct {
	*org.Store
	t        testing.TB
	db       *store.DB
	log      *audit.Log
	accounts *account.Store
	clock    *clock
	dns      *names
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// names is a name server with TXT records.
type names struct {
	mu  sync.Mutex
	txt map[string][]string
	err error
}

func (n *names) LookupTXT(_ context.Context, name string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return nil, n.err
	}
	if r, ok := n.txt[name]; ok {
		return r, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: &clock{t: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}, dns: &names{txt: map[string][]string{}}}
	var err error
	if w.log, err = audit.New(audit.Config{DB: db}); err != nil {
		t.Fatal(err)
	}
	if w.accounts, err = account.New(account.Config{DB: db}); err != nil {
		t.Fatal(err)
	}
	if w.Store, err = org.New(org.Config{DB: db, Audit: w.log, Now: w.clock.now, Resolver: w.dns}); err != nil {
		t.Fatal(err)
	}
	return w
}

var by = audit.Entry{Actor: audit.Ref{Type: "operator"}, CorrelationID: "attempt-1"}

// do runs f in a transaction and gives its error.
func (w *world) do(f func(ctx context.Context, tx *store.Tx) error) error {
	w.t.Helper()
	return w.db.Tx(w.t.Context(), f)
}

func (w *world) must(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.do(f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) person(email string) uuid.UUID {
	w.t.Helper()
	var a account.Account
	w.must(func(ctx context.Context, tx *store.Tx) (err error) {
		a, _, err = w.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
		return err
	})
	return a.ID
}

// organization makes one with an owner.
func (w *world) organization(name string, owner uuid.UUID) org.Organization {
	w.t.Helper()
	var o org.Organization
	w.must(func(ctx context.Context, tx *store.Tx) (err error) {
		if o, err = w.Create(ctx, tx, by, org.NewOrganization{Name: name}); err != nil {
			return err
		}
		_, err = w.Add(ctx, tx, by, org.NewMember{OrganizationID: o.ID, AccountID: owner, Role: "admin", Owner: true, Via: org.Direct})
		return err
	})
	return o
}

func (w *world) add(o, a uuid.UUID) error {
	return w.do(func(ctx context.Context, tx *store.Tx) error {
		_, err := w.Add(ctx, tx, by, org.NewMember{OrganizationID: o, AccountID: a, Via: org.Direct})
		return err
	})
}

func (w *world) change(o, a uuid.UUID, c org.MemberChange) error {
	return w.do(func(ctx context.Context, tx *store.Tx) error {
		_, err := w.Change(ctx, tx, by, o, a, c)
		return err
	})
}

func (w *world) remove(o, a uuid.UUID) error {
	return w.do(func(ctx context.Context, tx *store.Tx) error {
		_, err := w.Remove(ctx, tx, by, o, a, "removed")
		return err
	})
}

func (w *world) invite(o uuid.UUID, email string) (i org.Invitation, token string, err error) {
	err = w.do(func(ctx context.Context, tx *store.Tx) (err error) {
		i, token, err = w.Invite(ctx, tx, by, org.NewInvitation{OrganizationID: o, Email: email, Role: "viewer"})
		return err
	})
	return i, token, err
}

// actions lists the audit rows of an organization, the oldest first.
func (w *world) actions(o uuid.UUID) (out []string) {
	w.t.Helper()
	page, err := w.log.Query(w.t.Context(), audit.Filter{OrganizationID: o, Limit: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := len(page.Rows) - 1; i >= 0; i-- {
		if page.Rows[i].CorrelationID != "attempt-1" {
			w.t.Errorf("%s carries the attempt %q", page.Rows[i].Action, page.Rows[i].CorrelationID)
		}
		out = append(out, page.Rows[i].Action)
	}
	return out
}

func wants(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func to[T any](v T) *T { return &v }

func TestOrganization_life(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ann := w.person("ann@example.org")
		o := w.organization("  Łódź   Übersee GmbH ", ann)
		if o.Name != "Łódź Übersee GmbH" || o.Slug != "odz-ubersee-gmbh" && o.Slug != "l-dz-ubersee-gmbh" && !strings.HasSuffix(o.Slug, "dz-ubersee-gmbh") {
			t.Errorf("%+v", o)
		}
		if twin := w.organization("Łódź Übersee GmbH", ann); twin.Slug == o.Slug {
			t.Error("two organizations share a slug")
		}
		w.must(func(ctx context.Context, tx *store.Tx) error {
			is, err := w.Update(ctx, tx, by, o.ID, org.Change{
				Name: to("Overseas"), Slug: to("overseas"), RequireSecondFactor: to(true), Methods: to([]org.Method{org.MethodSSO, org.MethodPasskey, org.MethodSSO}),
				PublicMetadata: []byte(`{"plan": "pro"}`),
			})
			if err == nil && (!is.Policy.Allows(org.MethodPasskey) || is.Policy.Allows(org.MethodPassword) || len(is.Policy.Methods) != 2) {
				t.Errorf("policy: %+v", is.Policy)
			}
			return err
		})
		w.must(func(ctx context.Context, tx *store.Tx) error { // nothing changes: no row
			_, err := w.Update(ctx, tx, by, o.ID, org.Change{Name: to("Overseas"), RequireSecondFactor: to(true)})
			return err
		})
		got, err := w.GetBySlug(t.Context(), "OVERSEAS")
		if err != nil || got.ID != o.ID || !got.Policy.RequireSecondFactor || string(got.PublicMetadata) != `{"plan":"pro"}` || got.Members != 1 || got.Owners != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		wants(t, w.do(func(ctx context.Context, tx *store.Tx) error {
			_, err := w.Create(ctx, tx, by, org.NewOrganization{Name: "Other", Slug: "overseas"})
			return err
		}), org.ErrSlugTaken)
		other := w.organization("Other", ann)
		wants(t, w.do(func(ctx context.Context, tx *store.Tx) error {
			_, err := w.Update(ctx, tx, by, other.ID, org.Change{Slug: to("overseas")})
			return err
		}), org.ErrSlugTaken)
		if _, _, err := w.invite(o.ID, "bob@example.org"); err != nil {
			t.Fatal(err)
		}
		w.must(func(ctx context.Context, tx *store.Tx) error { return w.Delete(ctx, tx, by, o.ID) })
		_, err = w.Get(t.Context(), o.ID)
		wants(t, err, org.ErrNotFound)
		if got, want := fmt.Sprint(w.actions(o.ID)), "[organization.create membership.create organization.update invitation.create organization.delete]"; got != want {
			t.Errorf("audit: %s, want %s", got, want)
		}
	})
}

func TestParse_refusesWhatMisleads(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "  ", "a\u202eb", "a\u200bb", "a\x00b", "a\xffb", strings.Repeat("x", org.MaxName+1)} {
		if got, err := org.ParseName(s); err == nil {
			t.Errorf("name %q is taken as %q", s, got)
		}
	}
	for _, s := range []string{"", "a", "-a", "a-", "a--b", "a_b", "ä", "new", "settings", uuid.NewString(), strings.Repeat("x", org.MaxSlug+1)} {
		if got, err := org.ParseSlug(s); err == nil {
			t.Errorf("slug %q is taken as %q", s, got)
		}
	}
	for _, s := range []string{"a b", "a\r\nX-Evil: 1", "a,b", ".a", strings.Repeat("x", org.MaxRole+1)} {
		if got, err := org.ParseRole(s); err == nil {
			t.Errorf("role %q is taken as %q", s, got)
		}
	}
	for _, name := range []string{"日本", "new", "!!!", "Settings", "a", strings.Repeat("long name ", 10)} {
		if _, err := org.ParseSlug(org.SlugOf(name, false)); err != nil {
			t.Errorf("the slug %q made of %q: %v", org.SlugOf(name, false), name, err)
		}
	}
}

func TestMembership_theLastOwnerStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ann, bob, eve := w.person("ann@example.org"), w.person("bob@example.org"), w.person("eve@example.org")
		o := w.organization("Acme", ann)
		for _, err := range []error{w.add(o.ID, bob)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		wants(t, w.add(o.ID, bob), org.ErrMember)
		wants(t, w.remove(o.ID, eve), org.ErrNotMember)
		wants(t, w.remove(o.ID, ann), org.ErrLastOwner)
		wants(t, w.change(o.ID, ann, org.MemberChange{Owner: to(false)}), org.ErrLastOwner)
		wants(t, w.change(o.ID, ann, org.MemberChange{Status: to(org.Suspended)}), org.ErrLastOwner)
		// A second owner who is suspended doesn't count.
		for _, c := range []org.MemberChange{{Owner: to(true)}, {Status: to(org.Suspended)}} {
			if err := w.change(o.ID, bob, c); err != nil {
				t.Fatal(err)
			}
		}
		wants(t, w.remove(o.ID, ann), org.ErrLastOwner)
		if err := w.change(o.ID, bob, org.MemberChange{Status: to(org.Active)}); err != nil {
			t.Fatal(err)
		}
		if err := w.remove(o.ID, ann); err != nil {
			t.Fatal(err)
		}
		wants(t, w.remove(o.ID, bob), org.ErrLastOwner)
		owners, err := w.Owners(t.Context(), db, o.ID)
		if err != nil || len(owners) != 1 || owners[0].AccountID != bob {
			t.Errorf("owners: %+v, %v", owners, err)
		}
	})
}

func TestMembership_twoOwnersCantBothLeave(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ann, bob := w.person("ann@example.org"), w.person("bob@example.org")
		for range 5 {
			o := w.organization("Acme", ann)
			if err := errors.Join(w.add(o.ID, bob), w.change(o.ID, bob, org.MemberChange{Owner: to(true)})); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			errs := make([]error, 2)
			for i, who := range []uuid.UUID{ann, bob} {
				wg.Go(func() { errs[i] = w.remove(o.ID, who) })
			}
			wg.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("both owners left, or neither: %v", errs)
			}
			wants(t, errors.Join(errs...), org.ErrLastOwner)
		}
	})
}

func TestInvitation_life(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ann, bob := w.person("ann@example.org"), w.person("bob@example.org")
		o := w.organization("Acme", ann)
		_, _, err := w.invite(o.ID, "ann@example.org")
		wants(t, err, org.ErrMember)
		i, first, err := w.invite(o.ID, " Bob@Example.org ")
		if err != nil || i.Email != "bob@example.org" || i.Role != "viewer" || i.Kind != org.Member {
			t.Fatalf("%+v, %v", i, err)
		}
		again, second, err := w.invite(o.ID, "bob@example.org")
		if err != nil || again.ID != i.ID {
			t.Errorf("invited twice: %+v, %v", again, err)
		}
		_, err = w.Look(t.Context(), db, first)
		wants(t, err, org.ErrInvitation)
		for _, bad := range []string{"", "x", second + "A", strings.Repeat("A", 43)} {
			_, err = w.Look(t.Context(), db, bad)
			wants(t, err, org.ErrInvitation)
		}
		w.clock.pass(org.InvitationTTL)
		_, err = w.Look(t.Context(), db, second)
		wants(t, err, org.ErrInvitation)
		wants(t, w.do(func(ctx context.Context, tx *store.Tx) error { return w.Accept(ctx, tx, by, again, bob) }), org.ErrInvitation)
		var third string
		w.must(func(ctx context.Context, tx *store.Tx) (err error) {
			again, third, err = w.Resend(ctx, tx, by, o.ID, i.ID)
			return err
		})
		found, err := w.Look(t.Context(), db, third)
		if err != nil || found.ID != i.ID {
			t.Fatalf("%+v, %v", found, err)
		}
		if open, err := w.InvitedTo(t.Context(), "bob@example.org"); err != nil || len(open) != 1 {
			t.Errorf("invited to: %v, %v", open, err)
		}
		w.must(func(ctx context.Context, tx *store.Tx) error { return w.Accept(ctx, tx, by, found, bob) })
		wants(t, w.do(func(ctx context.Context, tx *store.Tx) error { return w.Accept(ctx, tx, by, found, bob) }), org.ErrInvitation)
		// Another organization's invitation can't be revoked or sent from here.
		elsewhere := w.organization("Elsewhere", ann)
		i, _, err = w.invite(o.ID, "carl@example.org")
		if err != nil {
			t.Fatal(err)
		}
		wants(t, w.do(func(ctx context.Context, tx *store.Tx) error {
			_, err := w.Revoke(ctx, tx, by, elsewhere.ID, i.ID, "revoked")
			return err
		}), org.ErrNoInvitation)
		wants(t, w.do(func(ctx context.Context, tx *store.Tx) error {
			_, _, err := w.Resend(ctx, tx, by, elsewhere.ID, i.ID)
			return err
		}), org.ErrNoInvitation)
		w.clock.pass(40 * 24 * time.Hour)
		if n, err := w.Clean(t.Context(), by); err != nil || n != 1 {
			t.Errorf("cleaned %d, %v", n, err)
		}
	})
}

func TestDomain_isProvenByItsRecord(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ann := w.person("ann@example.org")
		o, rival := w.organization("Acme", ann), w.organization("Rival", ann)
		claim := func(o uuid.UUID, name string) (d org.Domain, err error) {
			err = w.do(func(ctx context.Context, tx *store.Tx) (err error) {
				d, err = w.ClaimDomain(ctx, tx, by, o, name)
				return err
			})
			return d, err
		}
		verify := func(d org.Domain) error {
			if err := w.Published(t.Context(), d); err != nil {
				return err
			}
			return w.do(func(ctx context.Context, tx *store.Tx) error {
				_, err := w.VerifyDomain(ctx, tx, by, d)
				return err
			})
		}
		for _, bad := range []string{"", "com", "localhost", "10.0.0.1", "a b.example", "@example.org", "https://example.org", "exa_mple.org"} {
			if d, err := claim(o.ID, bad); fault.KindOf(err) != fault.Invalid {
				t.Errorf("domain %q: %+v, %v", bad, d, err)
			}
		}
		d, err := claim(o.ID, "Bücher.Example.")
		if err != nil || d.Name != "xn--bcher-kva.example" || d.Verified() || d.RecordName != "_sigra-challenge.xn--bcher-kva.example" {
			t.Fatalf("%+v, %v", d, err)
		}
		if same, err := claim(o.ID, "bücher.example"); err != nil || same.RecordValue != d.RecordValue {
			t.Errorf("claimed twice: %+v, %v", same, err)
		}
		theirs, err := claim(rival.ID, "bücher.example")
		if err != nil || theirs.RecordValue == d.RecordValue {
			t.Fatalf("the rival's: %+v, %v", theirs, err)
		}
		wants(t, verify(d), org.ErrNotVerified)
		_, err = w.OwnerOf(t.Context(), db, "x@xn--bcher-kva.example")
		wants(t, err, org.ErrNoDomain)
		w.dns.err = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
		if err := verify(d); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a name server that fails: %v", err)
		}
		w.dns.err = nil
		// The rival's challenge, the value without its prefix and a record at the domain itself prove nothing for us.
		name := d.RecordName + "."
		w.dns.txt[d.Name+"."] = []string{d.RecordValue}
		w.dns.txt[name] = []string{theirs.RecordValue, strings.TrimPrefix(d.RecordValue, "sigra-domain-verification="), d.RecordValue + "x"}
		wants(t, verify(d), org.ErrNotVerified)
		w.dns.txt[name] = []string{"v=spf1 -all", d.RecordValue, theirs.RecordValue}
		if err := verify(d); err != nil {
			t.Fatal(err)
		}
		if err := verify(d); err != nil {
			t.Errorf("verified twice: %v", err)
		}
		wants(t, verify(theirs), org.ErrDomainTaken)
		if id, err := w.OwnerOf(t.Context(), db, "someone@xn--bcher-kva.example"); err != nil || id != o.ID {
			t.Errorf("owner: %v, %v", id, err)
		}
		_, err = w.OwnerOf(t.Context(), db, "someone@sub.xn--bcher-kva.example")
		wants(t, err, org.ErrNoDomain)
		w.must(func(ctx context.Context, tx *store.Tx) error {
			return w.RemoveDomain(ctx, tx, by, o.ID, "bücher.example")
		})
		// What was published for a claim that is gone proves nothing for the next one.
		wants(t, w.do(func(ctx context.Context, tx *store.Tx) error {
			if _, err := w.ClaimDomain(ctx, tx, by, o.ID, d.Name); err != nil {
				return err
			}
			_, err := w.VerifyDomain(ctx, tx, by, d)
			return err
		}), org.ErrNotVerified)
		if err := verify(theirs); err != nil {
			t.Errorf("a domain that was given up: %v", err)
		}
	})
}

func TestErase_takesAPersonOutOfEverything(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ann, bob := w.person("ann@example.org"), w.person("bob@example.org")
		alone, both := w.organization("Alone", ann), w.organization("Both", ann)
		if err := w.add(both.ID, bob); err != nil {
			t.Fatal(err)
		}
		i, _, err := w.invite(both.ID, "carl@example.org")
		if err != nil {
			t.Fatal(err)
		}
		other := w.organization("Other", bob)
		if _, _, err := w.invite(other.ID, "ann@example.org"); err != nil {
			t.Fatal(err)
		}
		w.must(func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE invitation SET invited_by = $1 WHERE id = $2`, ann, i.ID); err != nil {
				return err
			}
			return w.Erase(ctx, tx, by, ann, "ann@example.org")
		})
		_, err = w.Get(t.Context(), alone.ID)
		wants(t, err, org.ErrNotFound)
		left, err := w.Get(t.Context(), both.ID)
		if err != nil || left.Members != 1 || left.Owners != 0 {
			t.Errorf("%+v, %v", left, err)
		}
		for table, column := range map[string]string{"membership": "account_id", "invitation": "invited_by"} {
			var n int
			if err := db.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` WHERE `+column+` = $1`, ann).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s still has %d rows of hers, %v", table, n, err)
			}
		}
		if open, err := w.InvitedTo(t.Context(), "ann@example.org"); err != nil || len(open) != 0 {
			t.Errorf("she is still invited: %v, %v", open, err)
		}
	})
}
