package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

const applicationKey = "an-application-key-of-some-length"

var sources = []store.Source{audit.Migrations, event.Migrations, account.Migrations, org.Migrations, session.Migrations}

// env is the API over the real domain on a real database.
type env struct {
	*httptest.Server
	t        testing.TB
	db       *store.DB
	api      *httpapi.API
	log      *audit.Log
	events   *event.Store
	accounts *account.Store
	sessions *session.Store
	flows    *authtest.Parts // nil where the flows are fixed
	admin    signed
	user     signed
}

// signed is an account with a live session.
type signed struct {
	account.Account
	session.Issued
}

// each runs a test on both databases.
func each(t *testing.T, f func(t *testing.T, e *env)) {
	t.Helper()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, newEnv(t, db, nil)) })
}

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newDomain is the domain without the API.
func newDomain(t testing.TB, db *store.DB) *env {
	t.Helper()
	e := &env{t: t, db: db}
	e.log = must2(audit.New(audit.Config{DB: db}))(t)
	e.events = must2(event.New(event.Config{DB: db}))(t)
	e.accounts = must2(account.New(account.Config{DB: db}))(t)
	e.sessions = must2(session.New(session.Config{DB: db, Audit: e.log}))(t)
	return e
}

func newEnv(t testing.TB, db *store.DB, change func(*env, *httpapi.Config)) *env {
	t.Helper()
	e := newDomain(t, db)
	cfg := httpapi.Config{
		BaseURL: "http://localhost:8484", Version: "test", Callers: callersOf(e.sessions, applications{}),
		Recent: func(context.Context, principal.Principal) error { return nil }, Administrators: allowed{},
		Services: httpapi.Services{
			Accounts: e.accounts, UserSessions: e.sessions, Audit: e.log, Events: e.events,
			Note: func(ctx context.Context, a audit.Entry) error {
				return db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					_, err := e.log.Record(ctx, tx, a)
					return err
				})
			},
			SignUps: fixed{}, SignIns: fixed{}, PasswordResets: fixed{}, OwnPassword: fixed{}, Users: fixedUsers{env: e}, Plugins: fixed{}, System: fixed{}, Keys: fixed{}, SessionTokens: fixed{}, Inbox: noMail{},
		},
	}
	if change != nil {
		change(e, &cfg)
	}
	e.api = must2(httpapi.New(cfg))(t)
	e.Server = httptest.NewServer(asOperator(e.api.Handler()))
	t.Cleanup(func() {
		e.api.Close()
		e.Close()
	})
	e.admin = e.signIn("admin@example.com", true)
	e.user = e.signIn("ada@example.com", false)
	return e
}

// endSessions ends all sessions of an account.
func (e *env) endSessions(id uuid.UUID) (n session.Ended, err error) {
	err = e.db.Tx(e.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = e.sessions.RevokeAllIn(ctx, tx, id, uuid.Nil)
		return err
	})
	return n, err
}

// fixedUsers ends sessions for real, beside fixed answers.
type fixedUsers struct {
	fixed
	*env
}

func (u fixedUsers) RevokeSessions(_ context.Context, _ audit.Ref, _ string, id uuid.UUID) (session.Ended, error) {
	return u.endSessions(id)
}

// allowed takes every administrator for one who has shown enough.
type allowed struct{}

func (allowed) Check(_ context.Context, p principal.Principal, _ bool) error {
	if !p.Administrator {
		return administration.ErrRequired
	}
	return nil
}

func (allowed) Guard(ctx context.Context, _ principal.Principal, _ bool) context.Context { return ctx }

// applications are one.
type applications struct{}

var applicationID = uuid.MustParse("0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b77")

func (applications) Application(_ context.Context, token string) (uuid.UUID, string, bool, error) {
	return applicationID, "shop", token == applicationKey, nil
}

// callersOf is the chain as the binary makes it.
func callersOf(sessions principal.Sessions, key principal.Applications) *principal.Chain {
	return principal.NewChain(cookie.SessionCookie{}.Token,
		principal.ControlSocket, principal.ApplicationKey(key), principal.BearerSession(sessions), principal.CookieSession(sessions))
}

// strangers is a chain that knows nobody.
func strangers() *principal.Chain { return callersOf(nobody{}, applications{}) }

// protocolEnv is for what does not depend on the database.
func protocolEnv(t testing.TB) *env {
	return newEnv(t, storetest.Open(t, store.SQLite, sources...), nil)
}

// asOperator stands for the control socket: a header makes the request an operator's.
func asOperator(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := request.Info{ID: "test-request", Operator: r.Header.Get("Test-Operator"), Local: r.Header.Get("Test-Far") == ""}
		next.ServeHTTP(w, r.WithContext(request.With(r.Context(), info)))
	})
}

func must2[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		return must(t, v, err)
	}
}

func (e *env) signIn(email string, administrator bool) signed {
	e.t.Helper()
	var s signed
	err := e.db.Tx(e.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		if s.Account, _, err = e.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active, Administrator: administrator}); err != nil {
			return err
		}
		g := session.Grant{Account: s.Account, AAL: principal.AAL1, AMR: []string{"pwd"}}
		if administrator { // who needs both factors for what touches accounts
			g.AAL, g.AMR = principal.AAL2, []string{"pwd", "otp", "mfa"}
		}
		s.Issued, err = e.sessions.Issue(ctx, tx, g)
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

// record writes n audit rows, each in a transaction of its own.
func (e *env) record(n int, action string) {
	e.t.Helper()
	for range n {
		err := e.db.Tx(e.t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := e.log.Record(ctx, tx, audit.Entry{Action: action, Actor: audit.Ref{Type: "user", ID: e.user.Account.ID.String()}})
			return err
		})
		if err != nil {
			e.t.Fatal(err)
		}
	}
}

// as says who sends a request.
type as func(*env, http.Header)

func stranger(*env, http.Header) {}

func administrator(e *env, h http.Header) { h.Set("Authorization", "Bearer "+e.admin.Token) }

func ordinary(e *env, h http.Header) { h.Set("Authorization", "Bearer "+e.user.Token) }

func browser(e *env, h http.Header) { h.Set("Cookie", cookie.Session+"="+e.user.Token) }

func theOperator(_ *env, h http.Header) { h.Set("Test-Operator", "1000/alice") }

func theApplication(_ *env, h http.Header) { h.Set("Authorization", "Bearer "+applicationKey) }

// answer is a response read whole.
type answer struct {
	*http.Response
	body string
}

// do sends a request. A body is JSON unless the header says otherwise.
func (e *env) do(who as, method, path, body string, header ...string) answer {
	e.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := must2(http.NewRequestWithContext(e.t.Context(), method, e.URL+path, in))(e.t)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	who(e, r.Header)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			r.Header.Del(header[i])
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	res := must2(e.Client().Do(r))(e.t)
	b := must2(io.ReadAll(res.Body))(e.t)
	_ = res.Body.Close()
	return answer{res, string(b)}
}

func (a answer) problem(t testing.TB) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("status %d, content type %q: %s", a.StatusCode, ct, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return p
}

func read[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %d %s", err, a.StatusCode, a.body)
	}
	return v
}
