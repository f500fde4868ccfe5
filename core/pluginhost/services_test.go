package pluginhost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/erasure"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/topic"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// world is a host on the real parts of the core.
type world struct {
	*fixture
	audit    *audit.Log
	relay    *relay.Relay
	events   *event.Store
	sessions *session.Store
	ada      account.Account
	live     session.Issued
	mail     mailSwitch
	fed      *federation
	gates    gate.Table
	gate     *noTokens
	erasures *erasure.Store
	later    atomic.Int64 // how far the clock of the erasures is ahead
}

// noTokens is a gate that has had enough.
type noTokens struct{ got gate.Ask }

// Ask implements gate.Gate.
func (g *noTokens) Ask(_ context.Context, a gate.Ask) (gate.Answer, error) {
	g.got = a
	return gate.Answer{Decision: gate.Deny, Reason: "no_tokens_today", By: "the test"}, nil
}

var everything = []store.Source{keyring.Migrations, lease.Migrations, audit.Migrations, relay.Migrations, event.Migrations, erasure.Migrations, account.Migrations, org.Migrations, session.Migrations, mail.Migrations, ratelimit.Migrations, gate.Migrations, topic.Migrations, pluginhost.Migrations}

// mailSwitch keeps the mailer that the host chose.
type mailSwitch struct {
	mu sync.Mutex
	m  mail.Mailer
}

func (s *mailSwitch) SetMailer(m mail.Mailer) { s.mu.Lock(); s.m = m; s.mu.Unlock() }
func (s *mailSwitch) get() mail.Mailer        { s.mu.Lock(); defer s.mu.Unlock(); return s.m }

// federation is what completes sign-ins one day.
type federation struct {
	mu     sync.Mutex
	minted []pluginhost.Mint
	begun  []pluginhost.Begin
}

func (f *federation) Mint(_ context.Context, m pluginhost.Mint) (pluginhost.Minted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.minted = append(f.minted, m)
	return pluginhost.Minted{ContinueURL: "/continue/once", ID: mintID}, nil
}

// mintID is the one sign-in that there was.
var mintID = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")

func (f *federation) Outcome(_ context.Context, plugin string, id uuid.UUID) (mint.Outcome, error) {
	if plugin != "asker_all" || id != mintID {
		return mint.Outcome{}, mint.ErrNotFound
	}
	return mint.Outcome{Status: mint.SignedIn, UserID: mintID, AccountCreated: true}, nil
}

func (f *federation) Begin(_ context.Context, b pluginhost.Begin) (pluginhost.Begun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = append(f.begun, b)
	return pluginhost.Begun{State: "state-of-" + b.Provider, Cookie: "__Host-" + b.Plugin + "-state_x", Key: "key"}, nil
}

func (f *federation) RevokeFederated(_ context.Context, plugin, index, reason string) ([]uuid.UUID, error) {
	if plugin != "asker_all" || index != "x" || reason != "slo" {
		return nil, nil
	}
	return []uuid.UUID{mintID}, nil
}

type layout struct{}

func (layout) Render(_ context.Context, p pluginhost.Page) (pluginhost.Rendered, error) {
	return pluginhost.Rendered{HTML: fmt.Sprintf("<title>%s</title>%s|%v|%s", p.Title, p.BodyHTML, p.Principal != nil, p.Path), Language: p.Language}, nil
}

func (layout) SignIn(r pluginhost.SignIn) (string, error) {
	if strings.Contains(r.ReturnTo, "evil") {
		return "", fault.New(fault.Invalid, "return_to_not_allowed", "No.").At("return_to")
	}
	return fmt.Sprintf("%+v", r), nil
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{fed: &federation{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.audit, err = audit.New(audit.Config{DB: db})
	must(err)
	w.events, err = event.New(event.Config{DB: db})
	must(err)
	leases, err := lease.New(db, "node")
	must(err)
	keys, err := keyring.Open(ctx, keyring.Config{DB: db, DataDir: t.TempDir()})
	must(err)
	w.relay, err = relay.New(relay.Config{DB: db, Audit: w.audit, Events: w.events, Leases: leases, Node: "node", Poll: 20 * time.Millisecond})
	must(err)
	accounts, err := account.New(account.Config{DB: db})
	must(err)
	w.sessions, err = session.New(session.Config{DB: db, Audit: w.audit})
	must(err)
	inbox, err := mail.NewInbox(db, nil)
	must(err)
	queue, err := mail.New(mail.Config{DB: db, Keys: keys, Leases: leases, Mailer: inbox, From: mail.Address{Address: "sigra@example.com"}})
	must(err)
	orgs, err := org.New(org.Config{DB: db, Audit: w.audit})
	must(err)
	must(db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if w.ada, _, err = accounts.Create(ctx, tx, account.NewAccount{Email: "ada@example.com", Status: account.Active}); err != nil {
			return err
		}
		w.live, err = w.sessions.Issue(ctx, tx, session.Grant{Account: w.ada, AAL: principal.AAL1, AMR: []string{"pwd"}})
		return err
	}))
	w.erasures, err = erasure.New(erasure.Config{DB: db, Keys: keys, Audit: w.audit, Now: func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }})
	must(err)
	attempts, err := gate.NewAttempts(gate.AttemptsConfig{DB: db, Table: &w.gates})
	must(err)
	topics, err := topic.New(topic.Config{DB: db, Poll: 20 * time.Millisecond})
	must(err)
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = topics.Run(running) })
	wg.Go(func() { _ = w.relay.Run(running) })
	t.Cleanup(func() { stop(); wg.Wait() })
	w.fixture = newHost(t, "asker_all asker_none", func(c *pluginhost.Config, _ *fixture) {
		c.DB, c.Audit, c.Events, c.Relay, c.Keyring, c.Leases = db, w.audit, w.events, w.relay, keys, leases
		c.Gates, c.Attempts, c.Topics = &w.gates, attempts, topics
		c.Erasures = w.erasures
		c.Administration = signsOut{w.sessions, db}
		c.Orgs, c.Accounts, c.Sessions, c.Outbox, c.Mail, c.Pages, c.Federated = orgs, accounts, w.sessions, queue, &w.mail, layout{}, w.fed
	})
	return w
}

// signsOut is what the host needs of administration, where there is no more of it.
type signsOut struct {
	*session.Store
	db *store.DB
}

func (s signsOut) RevokeSessions(ctx context.Context, _ audit.Ref, _ string, userID uuid.UUID) (n session.Ended, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = s.RevokeAllIn(ctx, tx, userID, uuid.Nil)
		return err
	})
	return n, err
}

// ask has the plugin call the host.
func (w *world) ask(plugin, method string, req, resp proto.Message) *status.Status {
	w.t.Helper()
	b, err := proto.Marshal(req)
	if err != nil {
		w.t.Fatal(err)
	}
	code, body, _ := w.do("POST", "/"+plugin+"/sigra.host.v1."+method, bytes.NewReader(b))
	if code != http.StatusOK || body == "" {
		w.t.Fatalf("%s: %d %s", method, code, body)
	}
	if body[0] == 'E' {
		st := &spb.Status{}
		if err := protojson.Unmarshal([]byte(body[1:]), st); err != nil {
			w.t.Fatal(err)
		}
		return status.FromProto(st)
	}
	if err := proto.Unmarshal([]byte(body[1:]), resp); err != nil {
		w.t.Fatal(err)
	}
	return status.New(codes.OK, "")
}

func (w *world) seen(plugin string) (out []string) {
	w.t.Helper()
	_, body := w.get("/" + plugin + "/seen")
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		w.t.Fatalf("%v: %s", err, body)
	}
	return out
}

// rows of an action in the real log.
func (w *world) rows(action string) (out []audit.Row) {
	w.t.Helper()
	var after audit.Position
	for {
		rows, next, err := w.audit.Read(context.Background(), after, 500)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range rows {
			if r.Action == action {
				out = append(out, r)
			}
		}
		if after = next; len(rows) == 0 {
			return out
		}
	}
}

// await is rows, once there is one.
func (w *world) await(action string) (out []audit.Row) {
	w.t.Helper()
	poll(w.t, "a row of "+action, func() (string, bool) { out = w.rows(action); return "", len(out) > 0 })
	return out
}

func eachWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, everything, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply("plugin \"asker_all\" {}\nplugin \"asker_none\" {}")
		w.wait("asker_all", pluginhost.Ready)
		w.wait("asker_none", pluginhost.Ready)
		w.gate = &noTokens{}
		w.gates.Set(map[gate.Question][]gate.Gate{gate.TokenIssue: {w.gate}})
		f(t, w)
	})
}

// serviceCall is one use of a host service, with what may be wrong with it.
type serviceCall struct {
	what, method string
	req, resp    proto.Message
	want         codes.Code
	also         func(t *testing.T, w *world, resp proto.Message)
}

func serviceCalls(w *world) []serviceCall {
	long := func(n int) string { return strings.Repeat("k", n) }
	ids := func(n int) (out []string) {
		for range n {
			out = append(out, uuid.NewString())
		}
		return out
	}
	rec := func(action, key string) *hostv1.RecordAuditRequest {
		return &hostv1.RecordAuditRequest{Action: action, Outcome: "success", IdempotencyKey: key}
	}
	ev := func(id, typ string) *pluginv1.Event {
		return &pluginv1.Event{Id: id, Type: typ, Source: "somebody-else", DataJson: []byte(`{"a":1}`)}
	}
	mailTo := func(to string) *hostv1.SendMailRequest {
		return &hostv1.SendMailRequest{Message: &pluginv1.SendRequest{IdempotencyKey: "k", Purpose: "hello", To: &pluginv1.Address{Address: to}, From: &pluginv1.Address{Address: "ceo@example.com"}, Subject: "s", Text: "t"}}
	}
	events := func(n int) *hostv1.PublishRequest {
		out := &hostv1.PublishRequest{}
		for i := range n {
			out.Events = append(out.Events, ev(fmt.Sprint("many", i), "billing.many"))
		}
		return out
	}
	issue := func(purpose, path string, ttl time.Duration, data []byte) *hostv1.IssueLinkRequest {
		return &hostv1.IssueLinkRequest{Purpose: purpose, Path: path, ValidFor: durationpb.New(ttl), Data: data}
	}
	take := func(key string, limit int64, window time.Duration, cost int64) *hostv1.TakeRequest {
		return &hostv1.TakeRequest{Key: key, Limit: limit, Window: durationpb.New(window), Cost: cost}
	}
	which := func(id string) *hostv1.RevokeRequest {
		return &hostv1.RevokeRequest{Reason: "stolen", Which: &hostv1.RevokeRequest_SessionId{SessionId: id}}
	}
	return []serviceCall{
		{"a user", "Identity/GetUsers", &hostv1.GetUsersRequest{Ids: []string{w.ada.ID.String(), uuid.NewString(), "nonsense"}}, &hostv1.GetUsersResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if u := m.(*hostv1.GetUsersResponse).GetUsers(); len(u) != 1 || u[0].GetEmail() != "ada@example.com" || !u[0].GetEmailVerified() {
				t.Errorf("%v", u)
			}
		}},
		{"200 ids", "Identity/GetUsers", &hostv1.GetUsersRequest{Ids: ids(200)}, &hostv1.GetUsersResponse{}, codes.OK, nil},
		{"201 ids", "Identity/GetUsers", &hostv1.GetUsersRequest{Ids: ids(201)}, &hostv1.GetUsersResponse{}, codes.InvalidArgument, nil},
		{"an address", "Identity/FindUser", &hostv1.FindUserRequest{By: &hostv1.FindUserRequest_Email{Email: "ADA@example.com"}}, &hostv1.FindUserResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if m.(*hostv1.FindUserResponse).GetUser().GetId() != w.ada.ID.String() {
				t.Errorf("%v", m)
			}
		}},
		{"no address", "Identity/FindUser", &hostv1.FindUserRequest{By: &hostv1.FindUserRequest_Email{Email: "not one"}}, &hostv1.FindUserResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if m.(*hostv1.FindUserResponse).GetUser() != nil {
				t.Errorf("%v", m)
			}
		}},
		{"a session", "Sessions/Resolve", &hostv1.ResolveSessionRequest{SessionId: w.live.Principal.SessionID.String()}, &hostv1.ResolveSessionResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if p := m.(*hostv1.ResolveSessionResponse).GetPrincipal(); p.GetUserId() != w.ada.ID.String() || p.GetAal() != "aal1" {
				t.Errorf("%v", p)
			}
		}},
		{"no session", "Sessions/Resolve", &hostv1.ResolveSessionRequest{SessionId: uuid.NewString()}, &hostv1.ResolveSessionResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if m.(*hostv1.ResolveSessionResponse).GetPrincipal() != nil {
				t.Errorf("%v", m)
			}
		}},
		{"organizations", "Identity/GetOrganizations", &hostv1.GetOrganizationsRequest{Ids: ids(1)}, &hostv1.GetOrganizationsResponse{}, codes.OK, nil},
		{"memberships", "Identity/ListMemberships", &hostv1.ListMembershipsRequest{UserId: uuid.NewString()}, &hostv1.ListMembershipsResponse{}, codes.OK, nil},

		{"somebody's sessions", "Sessions/List", &hostv1.ListSessionsRequest{UserId: w.ada.ID.String()}, &hostv1.ListSessionsResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if l := m.(*hostv1.ListSessionsResponse).GetSessions(); len(l) != 1 || l[0].GetId() != w.live.Principal.SessionID.String() || l[0].GetAal() != "aal1" || l[0].GetAuthTime() == nil {
				t.Errorf("%v", l)
			}
		}},
		{"nobody's sessions", "Sessions/List", &hostv1.ListSessionsRequest{}, &hostv1.ListSessionsResponse{}, codes.InvalidArgument, nil},
		{"which sessions stand", "Sessions/Check", &hostv1.CheckSessionsRequest{SessionIds: []string{uuid.NewString(), w.live.Principal.SessionID.String(), "nonsense"}}, &hostv1.CheckSessionsResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if l := m.(*hostv1.CheckSessionsResponse).GetSessions(); len(l) != 1 || l[0].GetUserId() != w.ada.ID.String() {
				t.Errorf("%v", l)
			}
		}},
		{"500 sessions", "Sessions/Check", &hostv1.CheckSessionsRequest{SessionIds: ids(500)}, &hostv1.CheckSessionsResponse{}, codes.OK, nil},
		{"501 sessions", "Sessions/Check", &hostv1.CheckSessionsRequest{SessionIds: ids(501)}, &hostv1.CheckSessionsResponse{}, codes.InvalidArgument, nil},
		{"a sign-in that begins", "Sessions/Begin", &hostv1.BeginRequest{Provider: "okta", CrossSite: true, ValidFor: durationpb.New(time.Minute)}, &hostv1.BeginResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			r := m.(*hostv1.BeginResponse)
			if r.GetState() != "state-of-okta" || r.GetSetCookie() != "__Host-asker_all-state_x=key; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=None" {
				t.Errorf("%v", r)
			}
		}},
		{"a link that begins", "Sessions/Begin", &hostv1.BeginRequest{Provider: "okta", Purpose: hostv1.MintPurpose_MINT_PURPOSE_LINK}, &hostv1.BeginResponse{}, codes.InvalidArgument, nil},
		{"a link of a session", "Sessions/Begin", &hostv1.BeginRequest{
			Provider: "okta", Purpose: hostv1.MintPurpose_MINT_PURPOSE_LINK, SessionId: w.live.Principal.SessionID.String(), MaxAge: durationpb.New(0), RequiredAal: "aal2",
		}, &hostv1.BeginResponse{}, codes.OK, func(t *testing.T, w *world, _ proto.Message) {
			if b := w.fed.begun[len(w.fed.begun)-1]; b.Purpose != pluginhost.ToLink || b.SessionID != w.live.Principal.SessionID || b.MaxAge != time.Second || b.RequiredAAL != "aal2" {
				t.Errorf("%+v", b)
			}
		}},
		{"a purpose that there isn't", "Sessions/Begin", &hostv1.BeginRequest{Provider: "okta", Purpose: 9}, &hostv1.BeginResponse{}, codes.InvalidArgument, nil},
		{"a sign-in that begins nowhere", "Sessions/Begin", &hostv1.BeginRequest{}, &hostv1.BeginResponse{}, codes.InvalidArgument, nil},
		{"the catalogue of actions", "AuditLog/Actions", &hostv1.ActionsRequest{}, &hostv1.ActionsResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if l := m.(*hostv1.ActionsResponse).GetActions(); len(l) < 100 || !slices.ContainsFunc(l, func(a *hostv1.AuditAction) bool { return a.GetName() == "auth.login.success" && a.GetTimeline() }) {
				t.Errorf("%d actions", len(l))
			}
		}},
		{"two of two", "RateLimit/Take", take("k", 2, time.Hour, 2), &hostv1.TakeResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if r := m.(*hostv1.TakeResponse); !r.GetAllowed() || r.GetRemaining() != 0 || r.GetResetAfter().AsDuration() < 59*time.Minute {
				t.Errorf("%v", r)
			}
		}},
		{"a third", "RateLimit/Take", take("k", 2, time.Hour, 0), &hostv1.TakeResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if r := m.(*hostv1.TakeResponse); r.GetAllowed() || r.GetRemaining() != 0 || r.GetRetryAfter().AsDuration() < 29*time.Minute || r.GetRetryAfter().AsDuration() > 30*time.Minute {
				t.Errorf("%v", r)
			}
		}},
		{"another key", "RateLimit/Take", take("other", 2, time.Hour, 1), &hostv1.TakeResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if r := m.(*hostv1.TakeResponse); !r.GetAllowed() || r.GetRemaining() != 1 {
				t.Errorf("%v", r)
			}
		}},
		{"more than the limit", "RateLimit/Take", take("k", 2, time.Hour, 3), &hostv1.TakeResponse{}, codes.InvalidArgument, nil},
		{"no limit", "RateLimit/Take", take("k", 0, time.Hour, 1), &hostv1.TakeResponse{}, codes.InvalidArgument, nil},
		{"a short window", "RateLimit/Take", take("k", 1, 999*time.Millisecond, 1), &hostv1.TakeResponse{}, codes.InvalidArgument, nil},
		{"the shortest window", "RateLimit/Take", take("short", 1, time.Second, 1), &hostv1.TakeResponse{}, codes.OK, nil},
		{"a longest key", "RateLimit/Take", take(long(512), 1, time.Hour, 1), &hostv1.TakeResponse{}, codes.OK, nil},
		{"a longer key", "RateLimit/Take", take(long(513), 1, time.Hour, 1), &hostv1.TakeResponse{}, codes.InvalidArgument, nil},
		{"claims of a session", "Claims/Collect", &hostv1.CollectClaimsRequest{Who: &hostv1.CollectClaimsRequest_SessionId{SessionId: w.live.Principal.SessionID.String()}}, &hostv1.CollectClaimsResponse{}, codes.OK, nil},
		{"claims of an account", "Claims/Collect", &hostv1.CollectClaimsRequest{Who: &hostv1.CollectClaimsRequest_UserId{UserId: w.ada.ID.String()}}, &hostv1.CollectClaimsResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if c := m.(*hostv1.CollectClaimsResponse).GetClaims().AsMap(); c["asker_all"] != nil {
				t.Errorf("the caller's own: %v", c)
			}
		}},
		{"claims of no account", "Claims/Collect", &hostv1.CollectClaimsRequest{Who: &hostv1.CollectClaimsRequest_UserId{UserId: uuid.NewString()}}, &hostv1.CollectClaimsResponse{}, codes.NotFound, nil},
		{"claims of nobody", "Claims/Collect", &hostv1.CollectClaimsRequest{}, &hostv1.CollectClaimsResponse{}, codes.InvalidArgument, nil},
		{"may a token be issued", "Gates/Ask", &hostv1.AskGatesRequest{Question: &pluginv1.AskRequest{
			Question: "token.issue", Principal: &pluginv1.Principal{SessionId: w.live.Principal.SessionID.String()},
			Context: &pluginv1.AskRequest_Token{Token: &pluginv1.TokenContext{Kind: "oauth", ClientId: "c1", Scopes: []string{"openid"}}},
		}}, &hostv1.AskGatesResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if r := m.(*hostv1.AskGatesResponse); r.GetAnswer().GetAnswer() != pluginv1.AskResponse_ANSWER_DENY || r.GetAnswer().GetReason() != "no_tokens_today" || r.GetBy() != "the test" ||
				w.gate.got.Token.ClientID != "c1" || w.gate.got.Principal.UserID != w.ada.ID {
				t.Errorf("%v %+v", r, w.gate.got)
			}
		}},
		{"may a session that ended", "Gates/Ask", &hostv1.AskGatesRequest{Question: &pluginv1.AskRequest{Question: "route", Principal: &pluginv1.Principal{SessionId: uuid.NewString()}}}, &hostv1.AskGatesResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if r := m.(*hostv1.AskGatesResponse); r.GetAnswer().GetReason() != "session_ended" {
				t.Errorf("%v", r)
			}
		}},
		{"an attempt's id that is none", "Gates/Ask", &hostv1.AskGatesRequest{Question: &pluginv1.AskRequest{Question: "route", AttemptId: long(65)}}, &hostv1.AskGatesResponse{}, codes.InvalidArgument, nil},
		{"settling nothing", "Gates/Settle", &hostv1.SettleGatesRequest{AttemptId: uuid.NewString(), Committed: true}, &hostv1.SettleGatesResponse{}, codes.OK, nil},
		{"a topic", "Topics/Notify", &hostv1.NotifyRequest{Topic: long(128), Payload: long(1024)}, &hostv1.NotifyResponse{}, codes.OK, nil},
		{"a longer topic", "Topics/Notify", &hostv1.NotifyRequest{Topic: long(129)}, &hostv1.NotifyResponse{}, codes.InvalidArgument, nil},
		{"a longer payload", "Topics/Notify", &hostv1.NotifyRequest{Topic: "t", Payload: long(1025)}, &hostv1.NotifyResponse{}, codes.InvalidArgument, nil},
		{"a watch", "Topics/Watch", &hostv1.WatchRequest{Topic: "t"}, &hostv1.WatchResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if !m.(*hostv1.WatchResponse).GetReread() {
				t.Errorf("%v", m)
			}
		}},
		{"a watch of nothing", "Topics/Watch", &hostv1.WatchRequest{}, &hostv1.WatchResponse{}, codes.InvalidArgument, nil},
		{"everybody's claims anew", "Claims/Invalidate", &hostv1.InvalidateClaimsRequest{}, &hostv1.InvalidateClaimsResponse{}, codes.OK, nil},
		{"the claims of no id", "Claims/Invalidate", &hostv1.InvalidateClaimsRequest{UserId: "ada"}, &hostv1.InvalidateClaimsResponse{}, codes.InvalidArgument, nil},
		{"a link", "Links/Issue", issue("setup", "/asker_all/setup", time.Hour, make([]byte, 4<<10)), &hostv1.IssueLinkResponse{}, codes.OK, nil},
		{"a link with more", "Links/Issue", issue("setup", "/asker_all/setup", time.Hour, make([]byte, 4<<10+1)), &hostv1.IssueLinkResponse{}, codes.InvalidArgument, nil},
		{"a link to somebody else", "Links/Issue", issue("setup", "/login", time.Hour, nil), &hostv1.IssueLinkResponse{}, codes.InvalidArgument, nil},
		{"a link elsewhere", "Links/Issue", issue("setup", "https://evil.example/asker_all", time.Hour, nil), &hostv1.IssueLinkResponse{}, codes.InvalidArgument, nil},
		{"a link for a moment", "Links/Issue", issue("setup", "/asker_all", time.Minute-1, nil), &hostv1.IssueLinkResponse{}, codes.InvalidArgument, nil},
		{"a link for ever", "Links/Issue", issue("setup", "/asker_all", 30*24*time.Hour+1, nil), &hostv1.IssueLinkResponse{}, codes.InvalidArgument, nil},
		{"a link for nothing", "Links/Issue", issue("", "/asker_all", time.Hour, nil), &hostv1.IssueLinkResponse{}, codes.InvalidArgument, nil},
		{"a notice without a key", "Notices/Send", &hostv1.SendNoticeRequest{Subject: "s", Text: "t"}, &hostv1.SendNoticeResponse{}, codes.InvalidArgument, nil},
		{"a notice that leads elsewhere", "Notices/Send", &hostv1.SendNoticeRequest{IdempotencyKey: "k", Subject: "s", Text: "t", Link: "//evil.example"}, &hostv1.SendNoticeResponse{}, codes.InvalidArgument, nil},
		{"a notice to Sigra's administrators", "Notices/Send", &hostv1.SendNoticeRequest{IdempotencyKey: "k", Subject: "s", Text: "t"}, &hostv1.SendNoticeResponse{}, codes.OK, nil},
		{"a directory where there is none", "Directory/List", &hostv1.ListDirectoryRequest{OrganizationId: uuid.NewString()}, &hostv1.ListDirectoryResponse{}, codes.Unimplemented, nil},
		{"a question of the core's", "Gates/Ask", &hostv1.AskGatesRequest{Question: &pluginv1.AskRequest{Question: "login"}}, &hostv1.AskGatesResponse{}, codes.InvalidArgument, nil},

		{"a sign-in", "Sessions/Mint", &hostv1.MintRequest{Provider: "okta", Subject: "s1", Email: "ada@example.com"}, &hostv1.MintResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if got := w.fed.minted; len(got) != 1 || got[0].Plugin != "asker_all" || m.(*hostv1.MintResponse).GetContinueUrl() != "/continue/once" {
				t.Errorf("%v %v", got, m)
			}
		}},
		{"a sign-in with all that was verified", "Sessions/Mint", &hostv1.MintRequest{
			Provider: "okta", Subject: "s1", Purpose: hostv1.MintPurpose_MINT_PURPOSE_STEP_UP, Amr: []string{"mfa"}, Acr: "urn:x", AuthTime: timestamppb.New(time.Unix(1, 0)),
			SessionNotOnOrAfter: timestamppb.New(time.Unix(2, 0)), Display: "Ada", Attributes: &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewStringValue("b")}},
		}, &hostv1.MintResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			got := w.fed.minted[len(w.fed.minted)-1]
			if got.Purpose != pluginhost.ToStepUp || got.AMR[0] != "mfa" || got.ACR != "urn:x" || got.AuthTime.Unix() != 1 || got.NotAfter.Unix() != 2 || got.Display != "Ada" || got.Attributes["a"] != "b" {
				t.Errorf("%+v", got)
			}
			// The manifest wants both, and no block says so.
			if got.Assures || got.Administrators || m.(*hostv1.MintResponse).GetMintId() != mintID.String() {
				t.Errorf("%+v %v", got, m)
			}
		}},
		{"a time that is none", "Sessions/Mint", &hostv1.MintRequest{Provider: "okta", Subject: "s1", AuthTime: &timestamppb.Timestamp{Nanos: -1}}, &hostv1.MintResponse{}, codes.InvalidArgument, nil},
		{"a policy that there isn't", "Sessions/Mint", &hostv1.MintRequest{Provider: "okta", Subject: "s1", Membership: 9}, &hostv1.MintResponse{}, codes.InvalidArgument, nil},
		{"what became of it", "Sessions/Outcome", &hostv1.OutcomeRequest{MintId: mintID.String()}, &hostv1.OutcomeResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if o := m.(*hostv1.OutcomeResponse); o.GetStatus() != "signed_in" || o.GetUserId() != mintID.String() || o.GetSessionId() != "" || !o.GetAccountCreated() || o.GetMembershipCreated() {
				t.Errorf("%v", o)
			}
		}},
		{"what became of nothing", "Sessions/Outcome", &hostv1.OutcomeRequest{MintId: uuid.NewString()}, &hostv1.OutcomeResponse{}, codes.NotFound, nil},
		{"what became of what", "Sessions/Outcome", &hostv1.OutcomeRequest{}, &hostv1.OutcomeResponse{}, codes.NotFound, nil},
		{"a sign-in of nobody", "Sessions/Mint", &hostv1.MintRequest{Provider: "okta"}, &hostv1.MintResponse{}, codes.InvalidArgument, nil},
		{"ending no session", "Sessions/Revoke", which(uuid.NewString()), &hostv1.RevokeResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if len(m.(*hostv1.RevokeResponse).GetSessionIds()) != 0 {
				t.Errorf("%v", m)
			}
		}},
		{"ending a session", "Sessions/Revoke", which(w.live.Principal.SessionID.String()), &hostv1.RevokeResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if _, err := w.sessions.Resolve(context.Background(), w.live.Token); err == nil || len(m.(*hostv1.RevokeResponse).GetSessionIds()) != 1 {
				t.Errorf("%v, resolves: %v", m, err == nil)
			}
			if rows := w.await("session.revoke"); len(rows) != 1 || rows[0].Actor != (audit.Ref{Type: "plugin", ID: "asker_all"}) || rows[0].Reason != "stolen" {
				t.Errorf("audited as %+v", rows)
			}
		}},
		{"ending all of a user", "Sessions/Revoke", &hostv1.RevokeRequest{Which: &hostv1.RevokeRequest_UserId{UserId: w.ada.ID.String()}}, &hostv1.RevokeResponse{}, codes.OK, nil},
		{"ending those of nobody", "Sessions/Revoke", &hostv1.RevokeRequest{Which: &hostv1.RevokeRequest_UserId{}}, &hostv1.RevokeResponse{}, codes.InvalidArgument, nil},
		{"ending by a handle", "Sessions/Revoke", &hostv1.RevokeRequest{Reason: "slo", Which: &hostv1.RevokeRequest_FederatedIndex{FederatedIndex: "x"}}, &hostv1.RevokeResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if ids := m.(*hostv1.RevokeResponse).GetSessionIds(); len(ids) != 1 || ids[0] != mintID.String() {
				t.Errorf("%v", m)
			}
		}},
		{"ending what", "Sessions/Revoke", &hostv1.RevokeRequest{}, &hostv1.RevokeResponse{}, codes.InvalidArgument, nil},

		{"its own row", "Audit/Record", rec("asker_all.thing.done", "once"), &hostv1.RecordAuditResponse{}, codes.OK, nil},
		{"its own row again", "Audit/Record", rec("asker_all.thing.done", "once"), &hostv1.RecordAuditResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if rows := w.await("asker_all.thing.done"); len(rows) != 1 || rows[0].ID.String() != m.(*hostv1.RecordAuditResponse).GetId() || rows[0].Actor.ID != "asker_all" {
				t.Errorf("%d rows, answered %v", len(rows), m)
			}
		}},
		{"another's row", "Audit/Record", rec("asker_none.thing.done", ""), &hostv1.RecordAuditResponse{}, codes.InvalidArgument, nil},
		{"the core's row", "Audit/Record", rec("auth.login.success", ""), &hostv1.RecordAuditResponse{}, codes.InvalidArgument, nil},
		{"a key of 512 bytes", "Audit/Record", rec("asker_all.thing.done", long(512)), &hostv1.RecordAuditResponse{}, codes.OK, nil},
		{"a key of 513 bytes", "Audit/Record", rec("asker_all.thing.done", long(513)), &hostv1.RecordAuditResponse{}, codes.InvalidArgument, nil},
		{"the log", "AuditLog/Read", &hostv1.ReadAuditRequest{Limit: 2}, &hostv1.ReadAuditResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if r := m.(*hostv1.ReadAuditResponse); len(r.GetRows()) != 2 || r.GetNext() != r.GetRows()[1].GetPosition() || r.GetEnd() {
				t.Errorf("%v", r)
			}
		}},
		{"the log from nowhere", "AuditLog/Read", &hostv1.ReadAuditRequest{After: "nowhere"}, &hostv1.ReadAuditResponse{}, codes.InvalidArgument, nil},

		{"an event", "Events/Publish", &hostv1.PublishRequest{Events: []*pluginv1.Event{ev("e1", "billing.paid"), ev("e1", "billing.paid")}}, &hostv1.PublishResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			if r := m.(*hostv1.PublishResponse); r.GetStored() != 1 || r.GetDuplicate() != 1 {
				t.Errorf("%v", r)
			}
			poll(t, "the event", func() (string, bool) {
				got, _, err := w.events.Read(context.Background(), audit.Position{}, 10)
				return fmt.Sprintf("%+v %v", got, err), err == nil && len(got) == 1 && got[0].Source == "plugin:asker_all"
			})
		}},
		{"an event of the core's name", "Events/Publish", &hostv1.PublishRequest{Events: []*pluginv1.Event{ev("e2", "auth.login.success")}}, &hostv1.PublishResponse{}, codes.InvalidArgument, nil},
		{"as many events as may be", "Events/Publish", events(event.MaxBatch), &hostv1.PublishResponse{}, codes.OK, nil},
		{"one event more", "Events/Publish", events(event.MaxBatch + 1), &hostv1.PublishResponse{}, codes.InvalidArgument, nil},

		{"a mail", "Mail/Send", mailTo("eve@example.com"), &hostv1.SendMailResponse{}, codes.OK, nil},
		{"the mail again", "Mail/Send", mailTo("eve@example.com"), &hostv1.SendMailResponse{}, codes.OK, func(t *testing.T, w *world, _ proto.Message) {
			var n int
			if err := w.db.QueryRow(context.Background(), "SELECT COUNT(*) FROM mail_queue").Scan(&n); err != nil || n != 1 {
				t.Errorf("%d mails queued: %v", n, err)
			}
		}},
		{"a mail to nobody", "Mail/Send", mailTo(""), &hostv1.SendMailResponse{}, codes.InvalidArgument, nil},

		{"64 KiB sealed", "Seal/Seal", &hostv1.SealRequest{Plaintext: make([]byte, 64<<10), Purpose: "p"}, &hostv1.SealResponse{}, codes.OK, func(t *testing.T, w *world, m proto.Message) {
			sealed := m.(*hostv1.SealResponse).GetSealed()
			var open hostv1.OpenResponse
			if st := w.ask("asker_all", "Seal/Open", &hostv1.OpenRequest{Sealed: sealed, Purpose: "p"}, &open); st.Code() != codes.OK || len(open.GetPlaintext()) != 64<<10 {
				t.Errorf("opened: %v", st)
			}
			if st := w.ask("asker_all", "Seal/Open", &hostv1.OpenRequest{Sealed: sealed, Purpose: "q"}, &open); st.Code() != codes.InvalidArgument {
				t.Errorf("opened for another purpose: %v", st)
			}
		}},
		{"more sealed", "Seal/Seal", &hostv1.SealRequest{Plaintext: make([]byte, 64<<10+1)}, &hostv1.SealResponse{}, codes.InvalidArgument, nil},
		{"a purpose too long", "Seal/Seal", &hostv1.SealRequest{Purpose: long(129)}, &hostv1.SealResponse{}, codes.InvalidArgument, nil},

		{"a lease", "Lease/Acquire", &hostv1.AcquireRequest{Name: long(128), Ttl: durationpb.New(2 * time.Second)}, &hostv1.AcquireResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if r := m.(*hostv1.AcquireResponse); !r.GetHeld() || r.GetToken() == 0 {
				t.Errorf("%v", r)
			}
		}},
		{"let go", "Lease/Release", &hostv1.ReleaseRequest{Name: long(128)}, &hostv1.ReleaseResponse{}, codes.OK, nil},
		{"too short a lease", "Lease/Acquire", &hostv1.AcquireRequest{Name: "l", Ttl: durationpb.New(2*time.Second - 1)}, &hostv1.AcquireResponse{}, codes.InvalidArgument, nil},
		{"too long a lease", "Lease/Acquire", &hostv1.AcquireRequest{Name: "l", Ttl: durationpb.New(5*time.Minute + 1)}, &hostv1.AcquireResponse{}, codes.InvalidArgument, nil},
		{"a lease without a name", "Lease/Acquire", &hostv1.AcquireRequest{Ttl: durationpb.New(time.Minute)}, &hostv1.AcquireResponse{}, codes.InvalidArgument, nil},

		{"64 KiB under 512 bytes", "KV/Put", &hostv1.PutRequest{Key: long(512), Value: make([]byte, 64<<10), IfVersion: -1}, &hostv1.PutResponse{}, codes.OK, func(t *testing.T, w *world, _ proto.Message) {
			var got hostv1.GetResponse
			if st := w.ask("asker_all", "KV/Get", &hostv1.GetRequest{Key: long(512)}, &got); st.Code() != codes.OK || len(got.GetEntry().GetValue()) != 64<<10 {
				t.Errorf("%v, %d bytes", st, len(got.GetEntry().GetValue()))
			}
		}},
		{"more in one key", "KV/Put", &hostv1.PutRequest{Key: "k", Value: make([]byte, 64<<10+1), IfVersion: -1}, &hostv1.PutResponse{}, codes.InvalidArgument, nil},
		{"a key too long", "KV/Put", &hostv1.PutRequest{Key: long(513), IfVersion: -1}, &hostv1.PutResponse{}, codes.InvalidArgument, nil},
		{"a version that can't be", "KV/Put", &hostv1.PutRequest{Key: "k", IfVersion: -2}, &hostv1.PutResponse{}, codes.InvalidArgument, nil},
		{"a time that is over", "KV/Put", &hostv1.PutRequest{Key: "k", Ttl: durationpb.New(-time.Second)}, &hostv1.PutResponse{}, codes.InvalidArgument, nil},
		{"deleting nothing", "KV/Delete", &hostv1.DeleteRequest{Key: "nothing"}, &hostv1.DeleteResponse{}, codes.OK, nil},
		{"a list", "KV/List", &hostv1.ListRequest{Prefix: "k"}, &hostv1.ListResponse{}, codes.OK, nil},

		{"a page", "Pages/Render", &hostv1.RenderRequest{Title: "T", BodyHtml: "<p>b</p>", Path: "/asker_all", Principal: &pluginv1.Principal{Kind: "user", UserId: uuid.NewString()}}, &hostv1.RenderResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			if html := m.(*hostv1.RenderResponse).GetHtml(); html != "<title>T</title><p>b</p>|true|/asker_all" {
				t.Errorf("%s", html)
			}
		}},
		{"a page for no id", "Pages/Render", &hostv1.RenderRequest{Principal: &pluginv1.Principal{UserId: "me"}}, &hostv1.RenderResponse{}, codes.InvalidArgument, nil},
		{"where to sign in", "Pages/SignIn", &hostv1.SignInRequest{
			ReturnTo: "/x", MaxAge: durationpb.New(time.Minute), Fresh: true, LoginHint: "ada@example.com", UiLocales: []string{"fr"}, SelectAccount: true,
			AcrValues: []string{"urn:x", "aal2", "aal1"}, ClientName: "App", CancelTo: "/y",
		}, &hostv1.SignInResponse{}, codes.OK, func(t *testing.T, _ *world, m proto.Message) {
			want := fmt.Sprintf("%+v", pluginhost.SignIn{
				ReturnTo: "/x", MaxAge: time.Minute, RequiredAAL: "aal2", Fresh: true, LoginHint: "ada@example.com", Languages: []string{"fr"}, SelectAccount: true, ClientName: "App", CancelTo: "/y",
			})
			if u := m.(*hostv1.SignInResponse).GetUrl(); u != want {
				t.Errorf("%s\nwant %s", u, want)
			}
		}},
		{"where to sign in well", "Pages/SignIn", &hostv1.SignInRequest{RequiredAal: "aal9"}, &hostv1.SignInResponse{}, codes.InvalidArgument, nil},
		{"where to sign in and go astray", "Pages/SignIn", &hostv1.SignInRequest{ReturnTo: "https://evil.example"}, &hostv1.SignInResponse{}, codes.InvalidArgument, nil},
	}
}

// Every host service with its grant, at the edges of its limits; and without it: refused, typed and audited.
func TestServices(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		calls := serviceCalls(w)
		asked, grants := map[string]bool{}, map[string]bool{}
		for _, c := range calls {
			st := w.ask("asker_none", c.method, c.req, c.resp)
			service, _, _ := strings.Cut(c.method, "/")
			asked[service] = true
			grants[pluginhost.GrantOf("/sigra.host.v1."+c.method)] = true
			if st.Code() != codes.PermissionDenied || !strings.Contains(st.Message(), "is not granted") || len(st.Details()) != 1 {
				t.Errorf("%s without its grant: %v", c.what, st)
			}
		}
		for _, s := range hostServiceNames {
			if !asked[s] {
				t.Errorf("%s was never called", s)
			}
		}
		want := slices.Sorted(maps.Keys(grants))
		poll(t, "one refusal of each grant in the log", func() (string, bool) { // readers see a row a moment after its commit
			var refused []string
			for _, r := range w.rows("admin.plugin.grant_refused") {
				if r.Actor == (audit.Ref{Type: "plugin", ID: "asker_none"}) {
					refused = append(refused, fmt.Sprint(r.Metadata["grant"]))
				}
			}
			slices.Sort(refused)
			return fmt.Sprint(refused), slices.Equal(refused, want)
		})
		for _, c := range calls {
			proto.Reset(c.resp)
			if st := w.ask("asker_all", c.method, c.req, c.resp); st.Code() != c.want {
				t.Errorf("%s: %v %s, want %v", c.what, st.Code(), st.Message(), c.want)
			} else if c.also != nil && !t.Failed() {
				c.also(t, w, c.resp)
			}
		}
	})
}

// What a plugin may claim of the sign-ins that it mints is the operator's to give: wanting it in the manifest is not enough, of a bundled
// plugin either.
func TestServices_mintGrants(t *testing.T) {
	t.Parallel()
	storetest.Each(t, everything, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for block, want := range map[string][2]bool{
			``: {false, false}, `grants = ["sessions.assure"]`: {true, false}, `grants = ["sessions.administrators"]`: {false, true},
			`grants = ["sessions.administrators", "sessions.assure"]`: {true, true},
		} {
			w.apply("plugin \"asker_all\" {\n " + block + "\n}")
			w.wait("asker_all", pluginhost.Ready)
			if st := w.ask("asker_all", "Sessions/Mint", &hostv1.MintRequest{Provider: "okta", Subject: "s1"}, &hostv1.MintResponse{}); st.Code() != codes.OK {
				t.Fatal(st)
			}
			if m := w.fed.minted[len(w.fed.minted)-1]; m.Assures != want[0] || m.Administrators != want[1] {
				t.Errorf("%q: %+v", block, m)
			}
		}
	})
}
