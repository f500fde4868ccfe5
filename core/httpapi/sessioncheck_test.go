package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// nobody knows no token.
type nobody struct{}

func (nobody) Resolve(context.Context, string) (principal.Principal, error) {
	return principal.Principal{}, fault.New(fault.Unauthenticated, "unauthenticated", "Sign in first.")
}

// somebody is whoever it is for every token.
type somebody struct{ principal.Principal }

func (s somebody) Resolve(context.Context, string) (principal.Principal, error) {
	return s.Principal, nil
}

func TestSession_isRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		for name, who := range map[string]as{"bearer": ordinary, "cookie": browser} {
			a := e.do(who, "GET", "/v1/session", "")
			got := read[httpapi.SessionInfo](t, a)
			if a.StatusCode != 200 || got.UserID != e.user.Account.ID || got.SessionID != e.user.Principal.SessionID || got.Email != "ada@example.com" || got.Administrator || got.Kind != "user" {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
			if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: headers %v", name, a.Header)
			}
		}
		if got := read[httpapi.SessionInfo](t, e.do(theOperator, "GET", "/v1/session", "")); got.Kind != "operator" || !got.Administrator || got.Display != "1000/alice" {
			t.Errorf("operator: %+v", got)
		}
		if _, err := e.endSessions(e.user.Account.ID); err != nil {
			t.Fatal(err)
		}
		if a := e.do(browser, "GET", "/v1/session", ""); a.StatusCode != 401 {
			t.Errorf("a revoked session was answered %d", a.StatusCode)
		}
	})
}

// The encoder written by hand writes what encoding/json would, byte by byte.
func TestSession_encoding(t *testing.T) {
	t.Parallel()
	who := &somebody{}
	api := must2(httpapi.New(httpapi.Config{Callers: callersOf(who, applications{}), Administrators: allowed{}}))(t)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) uuid.UUID {
			if rapid.Bool().Draw(t, "nil") {
				return uuid.Nil
			}
			return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		})
		when := rapid.Custom(func(t *rapid.T) time.Time {
			us := rapid.Int64Range(0, 4102444800e6).Draw(t, "us")
			if us == 0 {
				return time.Time{}
			}
			return time.UnixMicro(us).UTC()
		})
		p := principal.Principal{
			Kind: principal.Kind(rapid.String().Draw(t, "kind")), UserID: id.Draw(t, "user"), SessionID: id.Draw(t, "session"),
			OrganizationID: id.Draw(t, "org"), Role: rapid.String().Draw(t, "role"), ImpersonatorID: id.Draw(t, "imp"), Email: rapid.String().Draw(t, "email"),
			Display: rapid.String().Draw(t, "display"), Administrator: rapid.Bool().Draw(t, "admin"), AAL: rapid.String().Draw(t, "aal"),
			AMR: rapid.SliceOf(rapid.String()).Draw(t, "amr"), Scopes: rapid.SliceOf(rapid.String()).Draw(t, "scopes"), AuthTime: when.Draw(t, "auth"), CreatedAt: when.Draw(t, "created"), ExpiresAt: when.Draw(t, "expires"),
		}
		who.Principal = p
		r := httptest.NewRequest("GET", "/v1/session", nil)
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		api.Handler().ServeHTTP(w, r)
		want, err := json.Marshal(httpapi.SessionInfo{
			Kind: string(p.Kind), UserID: p.UserID, SessionID: p.SessionID, OrganizationID: p.OrganizationID, Role: p.Role, ImpersonatorID: p.ImpersonatorID, Email: p.Email,
			Display: p.Display, Administrator: p.Administrator, AAL: p.AAL, AMR: p.AMR, Scopes: p.Scopes, AuthTime: p.AuthTime, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.TrimRight(w.Body.Bytes(), "\n"); !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkSessionCheck compares the session check as mounted with the same through huma and with a handler on nothing
// but net/http, without a lookup and with the real one.
func BenchmarkSessionCheck(b *testing.B) {
	p := principal.Principal{
		Kind: principal.User, UserID: uuid.New(), SessionID: uuid.New(), Email: "ada@example.com", Display: "ada@example.com", AAL: "aal1", AMR: []string{"pwd"},
		AuthTime: fixedTime, CreatedAt: fixedTime, ExpiresAt: fixedTime,
	}
	compare := func(b *testing.B, sessions principal.Sessions, token string) {
		run := func(name string, h http.Handler) {
			b.Run(name, func(b *testing.B) {
				r := httptest.NewRequest("GET", "/v1/session", nil)
				r.Header.Set("Cookie", cookie.Session+"="+token)
				w := &discard{http.Header{}}
				b.ReportAllocs()
				for b.Loop() {
					clear(w.h)
					h.ServeHTTP(w, r)
				}
			})
		}
		run("bare", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := sessions.Resolve(r.Context(), cookie.SessionCookie{}.Token(r))
			if err != nil {
				w.WriteHeader(401)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(httpapi.SessionInfo{Kind: string(p.Kind), UserID: p.UserID, SessionID: p.SessionID, Email: p.Email, Display: p.Display,
				AAL: p.AAL, AMR: p.AMR, Scopes: p.Scopes, AuthTime: p.AuthTime, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt})
		}))
		run("sigra", must2(httpapi.New(httpapi.Config{Callers: callersOf(sessions, applications{}), Administrators: allowed{}}))(b).Handler())
		router := mux.NewRouter()
		api := humamux.New(router, huma.DefaultConfig("bench", "1"))
		huma.Register(api, huma.Operation{Method: "GET", Path: "/v1/session"}, func(ctx context.Context, in *struct {
			Cookie string `cookie:"__Host-sigra_session"`
		}) (*struct{ Body httpapi.SessionInfo }, error) {
			p, err := sessions.Resolve(ctx, in.Cookie)
			if err != nil {
				return nil, err
			}
			return &struct{ Body httpapi.SessionInfo }{httpapi.SessionInfo{Kind: string(p.Kind), UserID: p.UserID, SessionID: p.SessionID, Email: p.Email, Display: p.Display,
				AAL: p.AAL, AMR: p.AMR, Scopes: p.Scopes, AuthTime: p.AuthTime, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt}}, nil
		})
		run("huma", router)
	}
	b.Run("no lookup", func(b *testing.B) { compare(b, somebody{p}, "x") })
	for _, dialect := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			db := storetest.Open(b, dialect, sources...)
			e := newDomain(b, db)
			s := e.signIn("ada@example.com", false)
			compare(b, e.sessions, s.Token)
		})
	}
}
