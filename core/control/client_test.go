package control_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/control"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// server is the API over the real domain.
type server struct {
	t        *testing.T
	db       *store.DB
	log      *audit.Log
	accounts *account.Store
	api      *httpapi.API
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newServer(t *testing.T, db *store.DB) *server {
	t.Helper()
	s := &server{t: t, db: db}
	s.log = must(audit.New(audit.Config{DB: db}))(t)
	s.accounts = must(account.New(account.Config{DB: db}))(t)
	sessions := must(session.New(session.Config{DB: db, Audit: s.log}))(t)
	events := must(event.New(event.Config{DB: db}))(t)
	leases := must(lease.New(db, "test"))(t)
	s.api = must(httpapi.New(httpapi.Config{Callers: principal.NewChain(cookie.SessionCookie{}.Token, principal.ControlSocket, principal.BearerSession(sessions)), Recent: nobodyAsks, Administrators: noAdministrators{}, Services: httpapi.Services{
		Accounts: s.accounts, UserSessions: sessions, Audit: s.log, Events: events, System: system{},
		Relay: must(relay.New(relay.Config{DB: db, Audit: s.log, Events: events, Leases: leases, Node: "test"}))(t),
	}}))(t)
	return s
}

// system is a server whose configuration is wrong.
type system struct{}

func (system) Reload(context.Context, audit.Ref) (httpapi.Reloaded, error) {
	return httpapi.Reloaded{Diagnostics: []httpapi.Diagnostic{{Severity: "error", Summary: "Unsupported argument", Detail: "Did you mean listen?", File: "sigra.hcl", Line: 3, Column: 5}}}, nil
}
func (system) Status(context.Context) (httpapi.Status, error) {
	return httpapi.Status{Version: "1", Ready: true}, nil
}
func (system) Migrations(context.Context) ([]store.Migration, error) { return nil, nil }

// listen serves on a socket, as core/server does, until the test or stop ends it.
func (s *server) listen(socket string) (stop func()) {
	s.t.Helper()
	l := must(net.Listen("unix", socket))(s.t)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.api.Handler().ServeHTTP(w, r.WithContext(request.With(r.Context(), request.Info{ID: "r-1", Operator: "1000/alice"})))
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	var once sync.Once
	stop = func() { once.Do(func() { _ = srv.Close(); <-done }) }
	s.t.Cleanup(stop)
	return stop
}

// nobodyAsks is for operators alone, who are not asked for a recent proof.
func nobodyAsks(context.Context, principal.Principal) error {
	return errors.New("only operators ask here")
}

// noAdministrators lets operators through, who alone ask here.
type noAdministrators struct{}

func (noAdministrators) Check(context.Context, principal.Principal, bool) error {
	return errors.New("only operators ask here")
}

func (noAdministrators) Guard(ctx context.Context, _ principal.Principal, _ bool) context.Context {
	return ctx
}

// each runs a test over the socket and in the process, on both databases.
func each(t *testing.T, f func(t *testing.T, s *server, c *control.Client)) {
	t.Helper()
	sources := []store.Source{audit.Migrations, event.Migrations, account.Migrations, org.Migrations, session.Migrations, lease.Migrations, relay.Migrations}
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		s := newServer(t, db)
		t.Run("socket", func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "c.sock")
			s := &server{t: t, db: s.db, log: s.log, accounts: s.accounts, api: s.api}
			s.listen(socket)
			c := control.Dial(socket)
			t.Cleanup(c.Close)
			f(t, s, c)
		})
		t.Run("process", func(t *testing.T) {
			c := control.In(s.api.Handler(), "0/root")
			t.Cleanup(c.Close)
			f(t, &server{t: t, db: s.db, log: s.log, accounts: s.accounts, api: s.api}, c)
		})
	})
}

func (s *server) user(email string) account.Account {
	s.t.Helper()
	var a account.Account
	err := s.db.Tx(s.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		a, _, err = s.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *server) record(n int) {
	s.t.Helper()
	for range n {
		err := s.db.Tx(s.t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := s.log.Record(ctx, tx, audit.Entry{Action: "auth.logout", Actor: audit.Ref{Type: "user", ID: "u"}})
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestClient_operations(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server, c *control.Client) {
		ctx := t.Context()
		if st := must(c.Status(ctx))(t); !st.Ready {
			t.Errorf("status %+v", st)
		}
		a := s.user("ada@example.com")
		if got := must(c.FindUser(ctx, "ADA@example.com"))(t); got.User.ID != a.ID {
			t.Errorf("by address: %+v", got)
		}
		if got := must(c.FindUser(ctx, a.ID.String()))(t); got.User.Email != "ada@example.com" {
			t.Errorf("by id: %+v", got)
		}
		var refused *control.Error
		if _, err := c.FindUser(ctx, "nobody@example.com"); !errors.As(err, &refused) || refused.Code != "account_not_found" || err.Error() != `There is no account "nobody@example.com".` {
			t.Errorf("unknown: %v", err)
		}
		if _, err := c.User(ctx, uuid.New()); !errors.As(err, &refused) || refused.Status != 404 {
			t.Errorf("unknown: %v", err)
		}
		if page := must(c.Users(ctx, control.UserQuery{Query: "ada", Limit: 10}))(t); len(page.Users) != 1 {
			t.Errorf("list: %+v", page)
		}
		if _, err := c.RevokeSessions(ctx, a.ID); !errors.As(err, &refused) || refused.Status != 503 { // this server can't change accounts
			t.Errorf("revoke: %v", err)
		}
		ev := []httpapi.NewEvent{{ID: uuid.NewString(), Type: "billing.invoice.paid", Data: []byte(`{"a":1}`)}}
		if got := must(c.PublishEvents(ctx, ev))(t); got.Accepted != 1 {
			t.Errorf("publish: %+v", got)
		}
		// On Postgres a row can be read once every older transaction of the cluster has ended, other tests' included.
		var stored httpapi.EventPage
		for end := time.Now().Add(60 * time.Second); len(stored.Events) == 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			stored = must(c.Events(ctx, audit.Position{}, 500))(t)
		}
		if len(stored.Events) == 0 {
			t.Error("the event is not listed")
		}
		if got := must(c.RelayCursors(ctx))(t); len(got) != 0 {
			t.Errorf("cursors: %+v", got)
		}
		if got := must(c.DeadLetters(ctx, "plugin.threadline", audit.Position{}, 0))(t); len(got.DeadLetters) != 0 {
			t.Errorf("dead letters: %+v", got)
		}
		if _, err := c.ReplayDeadLetters(ctx, "plugin.threadline"); !errors.As(err, &refused) || refused.Code != "sink_not_attached" {
			t.Errorf("replay: %v", err)
		}
		if got := must(c.DropDeadLetters(ctx, "plugin.threadline"))(t); got.Dropped != 0 {
			t.Errorf("drop: %+v", got)
		}
		_, err := c.Reload(ctx)
		if !errors.As(err, &refused) || err.Error() != "The configuration is invalid. Nothing was changed.\n  sigra.hcl:3:5: Unsupported argument: Did you mean listen?" {
			t.Errorf("reload: %v", err)
		}
		if _, err := c.Plugins(ctx); !errors.As(err, &refused) || refused.Code != "not_available" {
			t.Errorf("plugins: %v", err)
		}
	})
}

func TestClient_auditAndExport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server, c *control.Client) {
		s.record(1200)
		page := must(c.Audit(t.Context(), control.AuditQuery{Action: "auth.*", Limit: 100, From: time.Now().Add(-time.Hour)}))(t)
		if len(page.Rows) != 100 || page.Next == "" {
			t.Errorf("%d rows", len(page.Rows))
		}
		var out bytes.Buffer
		if err := c.ExportAudit(t.Context(), control.AuditQuery{Action: "auth.logout"}, "ndjson", &out); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n < 1200 {
			t.Errorf("%d lines", n)
		}
		full := errors.New("disk full")
		if err := c.ExportAudit(t.Context(), control.AuditQuery{}, "csv", failing{full}); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		var refused *control.Error
		if err := c.ExportAudit(t.Context(), control.AuditQuery{}, "xml", &out); !errors.As(err, &refused) || refused.Field != "format" {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestClient_tail(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server, c *control.Client) {
		s.record(5)
		page := must(c.Audit(t.Context(), control.AuditQuery{Limit: 5}))(t)
		after := page.Rows[4].Position // the oldest of the five
		enough := errors.New("enough")
		n := 0
		err := c.TailAudit(t.Context(), "auth.*", &after, func(httpapi.AuditRow) error {
			if n++; n == 4 {
				s.record(1)
			}
			if n == 5 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("got %v after %d rows", err, n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = c.TailAudit(ctx, "", &after, func(httpapi.AuditRow) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// A tail lives through a restart of the server.
func TestTail_reconnects(t *testing.T) {
	t.Parallel()
	sources := []store.Source{audit.Migrations, event.Migrations, account.Migrations, session.Migrations, lease.Migrations, relay.Migrations}
	s := newServer(t, storetest.Open(t, store.SQLite, sources...))
	socket := filepath.Join(t.TempDir(), "c.sock")
	stop := s.listen(socket)
	c := control.Dial(socket)
	defer c.Close()
	enough := errors.New("enough")
	seen := map[uuid.UUID]bool{}
	s.record(1)
	err := c.TailAudit(t.Context(), "", &audit.Position{}, func(r httpapi.AuditRow) error {
		if seen[r.ID] {
			t.Errorf("row %s came twice", r.ID)
		}
		seen[r.ID] = true
		switch len(seen) {
		case 1, 3:
			stop()
			s.record(2)
			_ = os.Remove(socket)
			stop = s.listen(socket)
		case 5:
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
}

func TestClient_nobodyThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := filepath.Join(dir, "none.sock")
	stale := filepath.Join(dir, "stale.sock")
	l := must(net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"}))(t)
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for socket, words := range map[string]string{none: "no Sigra runs here: there is no control socket at " + none, stale: "no Sigra runs here: nobody listens on " + stale} {
		c := control.Dial(socket)
		_, err := c.Status(t.Context())
		if !errors.Is(err, control.ErrNotRunning) || !strings.HasPrefix(err.Error(), words) {
			t.Errorf("got %v", err)
		}
		if err := c.TailAudit(t.Context(), "", nil, nil); !errors.Is(err, control.ErrNotRunning) {
			t.Errorf("tail: %v", err)
		}
		c.Close()
	}
}

// Something that is no Sigra on the socket is named as such.
func TestClient_somethingElse(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"a page":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"a 500":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", 500) },
		"a panic": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := control.In(h, "0/root")
			defer c.Close()
			if _, err := c.Status(t.Context()); err == nil || strings.Contains(err.Error(), "<html>") {
				t.Errorf("got %v", err)
			}
		})
	}
}
