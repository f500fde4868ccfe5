package pluginhost_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/provision"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/topic"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// house is one node: a host on the core's own flows, with a plugin.
type house struct {
	*world
	parts *authtest.Parts
	mail  *mailSwitch
	reg   *prometheus.Registry
}

var operator = membership.Actor{Principal: principal.Principal{Kind: principal.Operator, Display: "tests"}}

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	return newNode(t, authtest.Open(t, db, authtest.Options{}), db)
}

func newNode(t *testing.T, parts *authtest.Parts, db *store.DB) *house {
	t.Helper()
	h := &house{parts: parts, mail: &mailSwitch{}, reg: prometheus.NewRegistry()}
	dir, err := provision.New(provision.Config{Kit: parts.Kit, Members: parts.Members})
	if err != nil {
		t.Fatal(err)
	}
	topics, err := topic.New(topic.Config{DB: db, Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = topics.Run(running) })
	t.Cleanup(func() { stop(); wg.Wait() })
	h.world = &world{fixture: newHost(t, "asker_all asker_none", func(c *pluginhost.Config, _ *fixture) {
		c.DB, c.Gates, c.Attempts, c.Topics, c.Registerer, c.Language = db, parts.Gates, parts.Attempts, topics, h.reg, "en"
		c.Accounts, c.Orgs, c.Members, c.Directory, c.Metadata, c.Keyring, c.Outbox, c.Mail = parts.Accounts, parts.Orgs, parts.Members, dir, parts.Metadata, parts.Ring, parts.Queue, h.mail
	})}
	h.audit = parts.Audit
	h.apply("plugin \"asker_all\" {}\nplugin \"asker_none\" {}")
	h.wait("asker_all", pluginhost.Ready)
	h.wait("asker_none", pluginhost.Ready)
	return h
}

func eachHouse(t *testing.T, f func(t *testing.T, h *house)) {
	t.Parallel()
	storetest.Each(t, houseSources(), func(t *testing.T, db *store.DB) { f(t, newHouse(t, db)) })
}

func houseSources() []store.Source {
	return append(slices.Clone(authtest.Sources()), provision.Migrations, topic.Migrations, pluginhost.Migrations)
}

// organization makes one with an owner, and proves a domain for it.
func (h *house) organization(name string, owner account.Account, domain string) org.Organization {
	h.t.Helper()
	o, err := h.parts.Members.Create(h.t.Context(), operator, membership.NewOrganization{Name: name, Owner: owner.ID})
	if err != nil {
		h.t.Fatal(err)
	}
	if domain != "" {
		h.exec(`INSERT INTO organization_domain (organization_id, domain, challenge, verified_at, created_at) VALUES ($1, $2, 'x', $3, $3)`, o.ID, domain, time.Now().UTC())
	}
	return o
}

func (h *house) exec(query string, args ...any) {
	h.t.Helper()
	if err := h.db.Tx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error { _, err := tx.Exec(ctx, query, args...); return err }); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) person(email string, admin bool, language string) (a account.Account) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		if a, _, err = h.parts.Accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active, Administrator: admin}); err != nil {
			return err
		}
		_, err = h.parts.Accounts.SignedIn(ctx, tx, a.ID, language)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) session(a account.Account) session.Issued {
	h.t.Helper()
	var in session.Issued
	err := h.db.Tx(h.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		in, err = h.parts.Sessions.Issue(ctx, tx, session.Grant{Account: a, AAL: principal.AAL1, AMR: []string{"pwd"}})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

// newest is the last audit row of an action.
func (h *house) newest(action string) audit.Row {
	h.t.Helper()
	p, err := h.parts.Audit.Query(h.t.Context(), audit.Filter{Action: action, Limit: 1})
	if err != nil || len(p.Rows) != 1 {
		h.t.Fatalf("rows of %s: %d, %v", action, len(p.Rows), err)
	}
	return p.Rows[0]
}

func (h *house) ok(method string, req, resp proto.Message) {
	h.t.Helper()
	if st := h.ask("asker_all", method, req, resp); st.Code() != codes.OK {
		h.t.Fatalf("%s: %v", method, st)
	}
}

// TestDirectory walks an account through its life in an organization's directory, and shows what a directory may not do.
func TestDirectory(t *testing.T) {
	eachHouse(t, func(t *testing.T, h *house) {
		owner := h.person("owner@acme.example", false, "")
		acme := h.organization("Acme", owner, "acme.example").ID.String()
		attributes, _ := structpb.NewStruct(map[string]any{"department": "R&D"})
		put := func(u *hostv1.DirectoryUser) (*hostv1.PutUserResponse, codes.Code) {
			t.Helper()
			resp := &hostv1.PutUserResponse{}
			st := h.ask("asker_all", "Directory/PutUser", &hostv1.PutUserRequest{OrganizationId: acme, User: u, CorrelationId: "scim-1"}, resp)
			return resp, st.Code()
		}
		ada := &hostv1.DirectoryUser{ExternalId: "00u1", Email: "Ada@acme.example", Username: "ada", Display: "Ada L.", Active: true, Attributes: attributes}
		made, code := put(ada)
		u := made.GetUser()
		if code != codes.OK || !made.GetCreated() || u.GetEmail() != "ada@acme.example" || u.GetDisplay() != "Ada L." || !u.GetActive() || u.GetRole() != "" || u.GetAttributes().AsMap()["department"] != "R&D" {
			t.Fatalf("%v %v", code, made)
		}
		id := uuid.MustParse(u.GetUserId())
		if row := h.newest("admin.user.create"); row.CorrelationID != "scim-1" || row.Actor != (audit.Ref{Type: "plugin", ID: "asker_all"}) || row.Metadata["via"] != "directory" {
			t.Errorf("%+v", row)
		}
		if again, code := put(ada); code != codes.OK || again.GetCreated() || again.GetUser().GetUserId() != u.GetUserId() {
			t.Errorf("again: %v %v", code, again)
		}

		// Found by the directory's id, with what it says; not by another plugin.
		var found hostv1.FindUserResponse
		h.ok("Identity/FindUser", &hostv1.FindUserRequest{By: &hostv1.FindUserRequest_ExternalId{ExternalId: "00u1"}}, &found)
		if f := found.GetUser(); f.GetId() != u.GetUserId() || f.GetExternalId() != "00u1" || f.GetDisplay() != "Ada L." ||
			f.GetPublicMetadata().AsMap()["asker_all"].(map[string]any)["department"] != "R&D" {
			t.Errorf("%v", f)
		}

		// Memberships go through the gates, with the way they came.
		seats := &reservingGate{}
		h.parts.Gates.Set(map[gate.Question][]gate.Gate{gate.MemberAdd: {seats}})
		var m hostv1.PutMembershipResponse
		h.ok("Directory/PutMembership", &hostv1.PutMembershipRequest{OrganizationId: acme, ExternalId: "00u1", Role: "editor"}, &m)
		if m.GetMembership().GetRole() != "editor" || seats.asked.Member.Via != "provisioning" || seats.told() != "committed" || h.newest("membership.create").CorrelationID != seats.asked.AttemptID {
			t.Errorf("%v %+v %q", m.GetMembership(), seats.asked, seats.told())
		}
		h.ok("Directory/PutMembership", &hostv1.PutMembershipRequest{OrganizationId: acme, ExternalId: "00u1", Role: "viewer", CorrelationId: "scim-2"}, &m)
		if m.GetMembership().GetRole() != "viewer" || h.newest("membership.update").CorrelationID != "scim-2" {
			t.Errorf("%v", m.GetMembership())
		}

		// Stopping ends the sessions at once; the directory starts again what it stopped, and nothing else.
		a, err := h.parts.Accounts.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		in := h.session(a)
		active := func(on bool) *hostv1.DirectoryUser {
			t.Helper()
			var r hostv1.SetActiveResponse
			h.ok("Directory/SetActive", &hostv1.SetActiveRequest{OrganizationId: acme, ExternalId: "00u1", Active: on, CorrelationId: "scim-3"}, &r)
			return r.GetUser()
		}
		if active(false).GetActive() || h.newest("admin.user.disable").CorrelationID != "scim-3" {
			t.Error("it is active still")
		}
		if _, err := h.parts.Sessions.Resolve(t.Context(), in.Token); err == nil {
			t.Error("its session goes on")
		}
		if !active(true).GetActive() {
			t.Error("it stays stopped")
		}
		if err := h.parts.Disable(t.Context(), audit.Ref{Type: "operator"}, id); err != nil {
			t.Fatal(err)
		}
		if active(true).GetActive() {
			t.Error("the directory started what an administrator stopped")
		}
		if err := h.parts.Enable(t.Context(), audit.Ref{Type: "operator"}, id); err != nil {
			t.Fatal(err)
		}

		// An address moves within what is proven.
		ada.Email = "countess@acme.example"
		if r, code := put(ada); code != codes.OK || r.GetUser().GetEmail() != "countess@acme.example" {
			t.Errorf("%v %v", code, r)
		}
		ada.Email = "ada@evil.example"
		if _, code := put(ada); code != codes.PermissionDenied {
			t.Errorf("moved where nothing is proven: %v", code)
		}

		// Nobody gets an account by naming its address, and none of an administrator's.
		h.person("eve@elsewhere.example", false, "")
		root := h.person("root@acme.example", true, "")
		for email, want := range map[string]codes.Code{"eve@elsewhere.example": codes.PermissionDenied, "nobody@elsewhere.example": codes.PermissionDenied, "root@acme.example": codes.PermissionDenied, "no address": codes.InvalidArgument} {
			if _, code := put(&hostv1.DirectoryUser{ExternalId: "x-" + email[:3], Email: email, Active: true}); code != want {
				t.Errorf("%s: %v, want %v", email, code, want)
			}
		}
		if _, code := put(&hostv1.DirectoryUser{ExternalId: "00u2", Email: "countess@acme.example", Active: true}); code != codes.FailedPrecondition {
			t.Errorf("one account under two ids: %v", code)
		}
		if a, err := h.parts.Accounts.Get(t.Context(), root.ID); err != nil || a.Status != account.Active {
			t.Errorf("the administrator: %+v, %v", a, err)
		}
		// A sign-up that nobody confirmed is not taken over with what a stranger put there.
		thief, err := h.parts.Register(t.Context(), auth.Registration{Email: "new@acme.example", Password: "a password of somebody else's"})
		if err != nil || thief.Flow == "" {
			t.Fatal(err)
		}
		if _, code := put(&hostv1.DirectoryUser{ExternalId: "00u9", Email: "new@acme.example", Active: true}); code != codes.OK {
			t.Fatal(code)
		}
		fresh, err := h.parts.Accounts.FindByEmail(t.Context(), "new@acme.example")
		if err != nil || fresh.Status != account.Active {
			t.Errorf("%+v, %v", fresh, err)
		}
		if hash, err := h.parts.Passwords.Find(t.Context(), h.db, fresh.ID); err != nil || hash != "" {
			t.Errorf("a stranger's password: %q, %v", hash, err)
		}
		h.ok("Directory/PutMembership", &hostv1.PutMembershipRequest{OrganizationId: acme, ExternalId: "00u9"}, &m)

		// Whoever an administrator stopped stays so, whichever of the two came first.
		active(false)
		if err := h.parts.Disable(t.Context(), audit.Ref{Type: "operator"}, id); err != nil {
			t.Fatal(err)
		}
		if active(true).GetActive() {
			t.Error("the directory started what an administrator stopped after it")
		}
		if err := h.parts.Enable(t.Context(), audit.Ref{Type: "operator"}, id); err != nil {
			t.Fatal(err)
		}

		// Of somebody who has left the organization's domains it is the membership that is stopped, and the directory learns nothing new.
		if _, code := put(&hostv1.DirectoryUser{ExternalId: "00u3", Email: "bob@acme.example", Active: true}); code != codes.OK {
			t.Fatal(code)
		}
		bob, err := h.parts.Accounts.FindByEmail(t.Context(), "bob@acme.example")
		if err != nil || bob.Status != account.Active {
			t.Fatalf("%+v, %v", bob, err)
		}
		h.ok("Directory/PutMembership", &hostv1.PutMembershipRequest{OrganizationId: acme, ExternalId: "00u3"}, &m)
		h.exec(`UPDATE account SET email = 'bob@home.example' WHERE id = $1`, bob.ID)
		h.ok("Directory/SetActive", &hostv1.SetActiveRequest{OrganizationId: acme, ExternalId: "00u3"}, &hostv1.SetActiveResponse{})
		if bob, err = h.parts.Accounts.Get(t.Context(), bob.ID); err != nil || bob.Status != account.Active {
			t.Errorf("the account: %+v, %v", bob, err)
		}
		if m, err := h.parts.Orgs.Find(t.Context(), h.db, uuid.MustParse(acme), bob.ID); err != nil || m.Status != org.Suspended {
			t.Errorf("the membership: %+v, %v", m, err)
		}

		var list hostv1.ListDirectoryResponse
		h.ok("Directory/List", &hostv1.ListDirectoryRequest{OrganizationId: acme, PageSize: 1}, &list)
		if len(list.GetUsers()) != 1 || list.GetUsers()[0].GetRole() != "viewer" || list.GetNextPageToken() != "00u1" {
			t.Errorf("%v", &list)
		}
		h.ok("Directory/List", &hostv1.ListDirectoryRequest{OrganizationId: acme, PageToken: "00u1"}, &list)
		if len(list.GetUsers()) != 2 || list.GetUsers()[0].GetExternalId() != "00u3" || list.GetUsers()[1].GetExternalId() != "00u9" || list.GetNextPageToken() != "" {
			t.Errorf("%v", &list)
		}
		h.ok("Directory/List", &hostv1.ListDirectoryRequest{OrganizationId: acme, Email: "countess@acme.example"}, &list)
		if len(list.GetUsers()) != 1 || list.GetUsers()[0].GetExternalId() != "00u1" {
			t.Errorf("%v", &list)
		}
		var gone hostv1.DeleteMembershipResponse
		for _, want := range []bool{true, false} {
			h.ok("Directory/DeleteMembership", &hostv1.DeleteMembershipRequest{OrganizationId: acme, ExternalId: "00u1"}, &gone)
			if gone.GetDeleted() != want {
				t.Errorf("deleted: %v, want %v", gone.GetDeleted(), want)
			}
		}
		// Who is deleted is in no directory.
		if err := h.parts.Delete(t.Context(), audit.Ref{Type: "operator"}, id); err != nil {
			t.Fatal(err)
		}
		h.ok("Directory/List", &hostv1.ListDirectoryRequest{OrganizationId: acme, ExternalId: "00u1"}, &list)
		if len(list.GetUsers()) != 0 {
			t.Errorf("%v", &list)
		}
	})
}

// reservingGate allows everything, and holds something for it.
type reservingGate struct {
	mu      sync.Mutex
	asked   gate.Ask
	results []string
	deaf    bool
}

func (*reservingGate) Name() string { return "the test" }

func (g *reservingGate) Ask(_ context.Context, a gate.Ask) (gate.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = a
	return gate.Answer{By: "the test", Reservations: []gate.Reservation{{Gate: "the test", ID: "r1", ExpiresAt: time.Now().Add(time.Minute)}}}, nil
}

func (g *reservingGate) Settle(_ context.Context, s gate.Settlement) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.deaf {
		return fmt.Errorf("away")
	}
	g.results = append(g.results, map[bool]string{true: "committed", false: "abandoned"}[s.Committed])
	return nil
}

func (g *reservingGate) told() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.results, " ")
}

// A plugin that asks the gates settles the attempt; nobody else does, and what it forgets is abandoned.
func TestGates_settledByThePluginThatAsked(t *testing.T) {
	eachHouse(t, func(t *testing.T, h *house) {
		g := &reservingGate{}
		h.parts.Gates.Set(map[gate.Question][]gate.Gate{gate.TokenIssue: {g}})
		asks := func() *hostv1.AskGatesResponse {
			t.Helper()
			var r hostv1.AskGatesResponse
			h.ok("Gates/Ask", &hostv1.AskGatesRequest{Question: &pluginv1.AskRequest{Question: "token.issue", Context: &pluginv1.AskRequest_Token{Token: &pluginv1.TokenContext{Kind: "oauth"}}}}, &r)
			if r.GetAttemptId() == "" || r.GetAnswer().GetReservationId() == "" || r.GetAnswer().GetReservationExpiresAt() == nil {
				t.Fatalf("%v", &r)
			}
			return &r
		}
		settle := func(id string, committed bool) {
			t.Helper()
			h.ok("Gates/Settle", &hostv1.SettleGatesRequest{AttemptId: id, Committed: committed}, &hostv1.SettleGatesResponse{})
		}
		id := asks().GetAttemptId()
		if g.told() != "" {
			t.Errorf("told before the end: %q", g.told())
		}
		if attempt, err := h.parts.Attempts.Resume(t.Context(), "plugin/asker_none", id); err != nil || attempt != nil {
			t.Errorf("another plugin's: %+v, %v", attempt, err)
		}
		settle(id, true)
		settle(id, false) // it is over
		settle(asks().GetAttemptId(), false)
		if g.told() != "committed abandoned" {
			t.Errorf("told %q", g.told())
		}
		// The gate is away: it is told later, from the database.
		g.deaf = true
		settle(asks().GetAttemptId(), true)
		g.deaf = false
		h.exec(`UPDATE gate_attempt SET due_at = $1`, time.Now().UTC())
		if n, err := h.parts.Attempts.Sweep(t.Context()); n != 1 || err != nil || g.told() != "committed abandoned committed" {
			t.Errorf("swept %d, %v: %q", n, err, g.told())
		}
		asks()
		h.exec(`UPDATE gate_attempt SET due_at = $1`, time.Now().UTC())
		if n, err := h.parts.Attempts.Sweep(t.Context()); n != 1 || err != nil || !strings.HasSuffix(g.told(), " abandoned") {
			t.Errorf("what nobody settles: swept %d, %v: %q", n, err, g.told())
		}
	})
}

// Two nodes on one database: what one notifies and invalidates the other hears.
func TestTopics_acrossNodes(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, houseSources()...) {
		t.Run(d.Name, func(t *testing.T) {
			one := newHouse(t, storetest.Dial(t, d.URL))
			db := storetest.Dial(t, d.URL)
			two := newNode(t, authtest.Open(t, db, authtest.Options{Root: one.parts.Root}), db)
			heard := func(h *house, plugin, want string) {
				t.Helper()
				poll(t, plugin+" to hear "+want, func() (string, bool) {
					seen := h.seen(plugin)
					return fmt.Sprint(seen), slices.Contains(seen, want)
				})
			}
			for _, h := range []*house{one, two} {
				h.ok("Topics/Watch", &hostv1.WatchRequest{Topic: "rules"}, &hostv1.WatchResponse{})
			}
			one.ok("Topics/Notify", &hostv1.NotifyRequest{Topic: "rules", Payload: "7"}, &hostv1.NotifyResponse{})
			heard(one, "asker_all", "topic 7 reread=false")
			heard(two, "asker_all", "topic 7 reread=false")
			if slices.ContainsFunc(two.seen("asker_none"), func(s string) bool { return strings.HasPrefix(s, "topic") }) {
				t.Error("another plugin heard of it")
			}

			// Claims are asked once and kept, until the plugin says on any node that they have changed.
			ada, bob := one.person("ada@example.com", false, ""), one.person("bob@example.com", false, "")
			count := func(h *house, a account.Account) (n int) {
				for _, s := range h.seen("asker_all") {
					if s == "claims "+a.ID.String() {
						n++
					}
				}
				return n
			}
			claims := func(h *house, a account.Account) {
				t.Helper()
				c := h.Claims(t.Context(), pluginhost.ClaimsQuery{Who: principal.Principal{Kind: principal.User, UserID: a.ID}, Audience: "token"})
				if c.Values["asker_all"]["plan"] != "gold" || c.MaxAge <= 0 {
					t.Errorf("%+v", c)
				}
			}
			for range 3 {
				claims(two, ada)
				claims(two, bob)
			}
			if count(two, ada) != 1 || count(two, bob) != 1 {
				t.Errorf("asked %d and %d times", count(two, ada), count(two, bob))
			}
			one.ok("Claims/Invalidate", &hostv1.InvalidateClaimsRequest{UserId: ada.ID.String()}, &hostv1.InvalidateClaimsResponse{})
			poll(t, "the other node to ask anew", func() (string, bool) {
				claims(two, ada)
				return fmt.Sprint(count(two, ada)), count(two, ada) == 2
			})
			claims(two, bob)
			if count(two, bob) != 1 {
				t.Error("somebody else was asked anew")
			}
			two.ok("Claims/Invalidate", &hostv1.InvalidateClaimsRequest{}, &hostv1.InvalidateClaimsResponse{})
			claims(two, bob)
			if count(two, bob) != 2 {
				t.Error("where it was invalidated it holds at once")
			}
		})
	}
}

func TestLinks_workOnce(t *testing.T) {
	eachHouse(t, func(t *testing.T, h *house) {
		issue := func(subject string) *hostv1.IssueLinkResponse {
			t.Helper()
			var r hostv1.IssueLinkResponse
			h.ok("Links/Issue", &hostv1.IssueLinkRequest{Purpose: "setup", Subject: subject, Data: []byte("secret-" + subject), Path: "/asker_all/setup", ValidFor: durationpb.New(time.Hour)}, &r)
			return &r
		}
		l := issue("acme")
		u, err := url.Parse(l.GetUrl())
		if err != nil || u.Path != "/asker_all/setup" || u.Query().Get("token") != l.GetToken() || len(l.GetToken()) != 43 {
			t.Errorf("%v", l)
		}
		var kept int
		if err := h.db.QueryRow(t.Context(), `SELECT count(*) FROM plugin_link WHERE data <> $1`, []byte("secret-acme")).Scan(&kept); err != nil || kept != 1 {
			t.Errorf("sealed: %d, %v", kept, err)
		}
		var p hostv1.PeekLinkResponse
		for range 2 {
			h.ok("Links/Peek", &hostv1.PeekLinkRequest{Purpose: "setup", Token: l.GetToken()}, &p)
			if !p.GetValid() || p.GetSubject() != "acme" || string(p.GetData()) != "secret-acme" || !p.GetExpiresAt().AsTime().Equal(l.GetExpiresAt().AsTime()) {
				t.Errorf("%v", &p)
			}
		}
		redeem := func(purpose, token string) *hostv1.RedeemLinkResponse {
			t.Helper()
			var r hostv1.RedeemLinkResponse
			h.ok("Links/Redeem", &hostv1.RedeemLinkRequest{Purpose: purpose, Token: token}, &r)
			return &r
		}
		for _, token := range []string{"", "nonsense", strings.Repeat("A", 43)} {
			if redeem("setup", token).GetRedeemed() {
				t.Errorf("%q was redeemed", token)
			}
		}
		if redeem("other", l.GetToken()).GetRedeemed() {
			t.Error("for another purpose")
		}
		// Of many at once one gets it.
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				if r := redeem("setup", l.GetToken()); r.GetRedeemed() {
					mu.Lock()
					defer mu.Unlock()
					if won++; r.GetSubject() != "acme" || string(r.GetData()) != "secret-acme" {
						t.Errorf("%v", r)
					}
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("redeemed %d times", won)
		}
		first, second, other := issue("globex"), issue("globex"), issue("initech")
		var gone hostv1.RevokeLinkResponse
		h.ok("Links/Revoke", &hostv1.RevokeLinkRequest{Purpose: "setup", Subject: "globex"}, &gone)
		if gone.GetRevoked() != 2 || redeem("setup", first.GetToken()).GetRedeemed() || redeem("setup", second.GetToken()).GetRedeemed() {
			t.Errorf("revoked %d", gone.GetRevoked())
		}
		h.exec(`UPDATE plugin_link SET expires_at = $1`, time.Now().UTC())
		if redeem("setup", other.GetToken()).GetRedeemed() {
			t.Error("after its end")
		}
	})
}

// A notice reaches those who administer the organization, each in their language, and once.
func TestNotices_eachInTheirLanguage(t *testing.T) {
	eachHouse(t, func(t *testing.T, h *house) {
		owner, manager, member := h.person("owner@acme.example", false, "en"), h.person("manager@acme.example", false, "de-AT"), h.person("member@acme.example", false, "de")
		o := h.organization("Acme", owner, "")
		for _, p := range []struct {
			a    account.Account
			role string
		}{{manager, "admin"}, {member, "editor"}} {
			if _, err := h.parts.Members.Add(t.Context(), operator, membership.NewMember{OrganizationID: o.ID, AccountID: p.a.ID, Role: p.role}); err != nil {
				t.Fatal(err)
			}
		}
		notice := &hostv1.SendNoticeRequest{
			OrganizationId: o.ID.String(), IdempotencyKey: "cert-1", Subject: "cert.subject", Text: "cert.text", Variables: map[string]string{"name": "Okta\r\nBcc: eve@evil.example", "day": "1 May"}, Link: "/asker_all/certificates",
		}
		var r hostv1.SendNoticeResponse
		for range 2 {
			h.ok("Notices/Send", notice, &r)
			if r.GetRecipients() != 2 {
				t.Errorf("%d recipients", r.GetRecipients())
			}
		}
		poll(t, "the plugin to be the mailer", func() (string, bool) { return "", h.mail.get() != nil })
		if _, err := h.parts.Queue.Dispatch(t.Context()); err != nil {
			t.Fatal(err)
		}
		for a, want := range map[account.Account][]string{
			owner: {"A certificate of OktaBcc: eve@evil.example expires", "Renew it by 1 May.\n\nhttp://localhost:8484/asker_all/certificates\n"}, manager: {"Ein Zertifikat von OktaBcc: eve@evil.example läuft ab", "Erneuern Sie es bis 1 May."}, member: nil,
		} {
			got, err := h.parts.Inbox.List(t.Context(), a.Email)
			if err != nil || len(got) != min(len(want), 1) {
				t.Errorf("%s got %d mails, %v", a.Email, len(got), err)
				continue
			}
			if len(got) == 1 && (got[0].Subject != want[0] || !strings.Contains(got[0].Text, want[1]) || got[0].Purpose != "asker_all.notice") {
				t.Errorf("%s: %q\n%s", a.Email, got[0].Subject, got[0].Text)
			}
		}
		notice.OrganizationId = ""
		h.ok("Notices/Send", notice, &r)
		if r.GetRecipients() != 0 {
			t.Errorf("%d administrators of Sigra", r.GetRecipients())
		}
		notice.OrganizationId = uuid.NewString()
		if st := h.ask("asker_all", "Notices/Send", notice, &r); st.Code() != codes.NotFound {
			t.Errorf("to nobody's: %v", st)
		}
	})
}

// Whoever is promised a mail is asked about first, and the mailer learns what a message is.
func TestMailer_isAskedBeforeAPromise(t *testing.T) {
	eachHouse(t, func(t *testing.T, h *house) {
		poll(t, "the plugin to be the mailer", func() (string, bool) { return "", h.mail.get() != nil })
		h.parts.Queue.SetMailer(h.mail.get())
		defer h.parts.Queue.SetMailer(nil)
		owner := h.person("owner@acme.example", false, "")
		o := h.organization("Acme", owner, "")
		_, err := h.parts.Members.Invite(t.Context(), operator, membership.NewInvitation{OrganizationID: o.ID, Email: "gone@acme.example"})
		if f := fault.From(err); f.Code != "mail_undeliverable" || f.Field != "email" {
			t.Errorf("an invitation that nobody gets: %v", err)
		}
		if _, err := h.parts.Members.Invite(t.Context(), operator, membership.NewInvitation{OrganizationID: o.ID, Email: "here@acme.example", Language: "de"}); err != nil {
			t.Error(err)
		}
		if seen := h.seen("asker_all"); !slices.Contains(seen, "check invitation gone@acme.example") || !slices.Contains(seen, "check invitation here@acme.example") {
			t.Errorf("%q", seen)
		}
		if _, err := h.parts.Queue.Dispatch(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := uuid.New()
		for _, m := range []mail.Message{
			{ID: uuid.New(), Purpose: "new_device", To: mail.Address{Address: "a@acme.example"}, Subject: "noticed", Text: "t", UserID: id, Stream: mail.Bulk, TemplateVersion: "abc", Language: "de"},
			{ID: uuid.New(), Purpose: "confirm_email", To: mail.Address{Address: "a@acme.example"}, Subject: "accepted", Text: "t"},
		} {
			_ = h.mail.get().Send(t.Context(), m)
		}
		seen := h.seen("asker_all")
		if !slices.Contains(seen, "as noticed "+id.String()+" bulk abc de") || !slices.Contains(seen, "as accepted  transactional  ") {
			t.Errorf("%q", seen)
		}
		if !slices.ContainsFunc(seen, func(s string) bool { // a letter of the core's knows its templates
			f := strings.Split(s, " ")
			return strings.HasPrefix(s, "as ") && f[len(f)-1] == "de" && len(f[len(f)-2]) == 16
		}) {
			t.Errorf("no template's version: %q", seen)
		}
	})
}

// What plugins count is in /metrics, and nothing that one says spoils it for the others.
func TestMetrics_ofPlugins(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.Open(t, store.SQLite, houseSources()...))
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatalf("the metrics are spoiled: %v", err)
	}
	got := map[string]int{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "sigra_plugin_asker_") {
			got[f.GetName()] = len(f.GetMetric())
			for _, m := range f.GetMetric() {
				whose := ""
				for _, l := range m.GetLabel() {
					if l.GetName() == "plugin" {
						whose = l.GetValue()
					}
				}
				if !strings.HasPrefix(f.GetName(), "sigra_plugin_"+whose+"_") {
					t.Errorf("%s does not say whose it is", f.GetName())
				}
			}
		}
	}
	for _, plugin := range []string{"asker_all", "asker_none"} {
		for name, n := range map[string]int{"done_total": 1, "waiting": 1, "took_seconds": 1, "many": 250, "twice": 1, "falling_seconds": 0, "Bad Name": 0, "done": 0, "x": 0, "y": 0, "z": 0, "took_seconds_count": 0} {
			if is := got["sigra_plugin_"+plugin+"_"+name]; is != n {
				t.Errorf("%s has %d series of %s, want %d", plugin, is, name, n)
			}
		}
	}
	if v := figure(t, h.reg, "sigra_plugin_asker_all_done_total", "good"); v != 7 {
		t.Errorf("done: %v", v)
	}
	if v := figure(t, h.reg, "sigra_plugin_bad_answers_total", "asker_all", "metric"); v < 758 {
		t.Errorf("what was left out: %v", v)
	}
}

// An event arrives with what it is about, and only plugins with the grant for its first word publish it.
func TestEvents_arriveWhole(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		organization := uuid.NewString()
		e := func(id, typ string) *hostv1.PublishRequest {
			return &hostv1.PublishRequest{Events: []*pluginv1.Event{{Id: id, Type: typ, OrganizationId: organization, Schema: "billing.subscription/1", Version: 7, DataJson: []byte(`{}`)}}}
		}
		if st := w.ask("asker_all", "Events/Publish", e("v1", "billing.paid"), &hostv1.PublishResponse{}); st.Code() != codes.OK {
			t.Fatal(st)
		}
		poll(t, "the event", func() (string, bool) {
			seen := w.seen("asker_none")
			return fmt.Sprint(seen), slices.Contains(seen, "about v1 "+organization+" billing.subscription/1 7")
		})
		for typ, want := range map[string]codes.Code{"asker_all.done": codes.OK, "shipping.sent": codes.PermissionDenied, "billingx.paid": codes.PermissionDenied, "asker_none.done": codes.PermissionDenied} {
			if st := w.ask("asker_all", "Events/Publish", e(typ, typ), &hostv1.PublishResponse{}); st.Code() != want {
				t.Errorf("%s: %v, want %v", typ, st, want)
			}
		}
		again := e("v1", "billing.paid")
		again.Events[0].Version = 8
		if st := w.ask("asker_all", "Events/Publish", again, &hostv1.PublishResponse{}); st.Code() != codes.FailedPrecondition {
			t.Errorf("the same id with another version: %v", st)
		}
		for _, change := range []func(*pluginv1.Event){
			func(e *pluginv1.Event) { e.OrganizationId = "acme" }, func(e *pluginv1.Event) { e.Schema = "no schema" }, func(e *pluginv1.Event) { e.Version = -1 },
		} {
			bad := e(uuid.NewString(), "billing.paid")
			change(bad.Events[0])
			if st := w.ask("asker_all", "Events/Publish", bad, &hostv1.PublishResponse{}); st.Code() != codes.InvalidArgument {
				t.Errorf("%v: %v", bad.Events[0], st)
			}
		}
	})
}
