package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
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
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

var sources = []store.Source{audit.Migrations, account.Migrations, org.Migrations, session.Migrations}

type world struct {
	*session.Store
	t        testing.TB
	db       *store.DB
	accounts *account.Store
	audit    *audit.Log
	ada      account.Account
	skew     atomic.Int64
}

func (w *world) now() time.Time          { return time.Now().UTC().Add(time.Duration(w.skew.Load())) }
func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db}
	var err error
	if w.audit, err = audit.New(audit.Config{DB: db}); err != nil {
		t.Fatal(err)
	}
	if w.accounts, err = account.New(account.Config{DB: db}); err != nil {
		t.Fatal(err)
	}
	if w.Store, err = session.New(session.Config{DB: db, Audit: w.audit, Now: w.now}); err != nil {
		t.Fatal(err)
	}
	w.ada = w.account("ada@example.org")
	return w
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, newWorld(t, db)) })
}

func from(ip string) context.Context {
	return request.With(context.Background(), request.Info{IP: netip.MustParseAddr(ip), UserAgent: "browser of " + ip})
}

func (w *world) tx(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Tx(from("192.0.2.1"), f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) account(email string) (a account.Account) {
	w.t.Helper()
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		a, _, err = w.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
		return err
	})
	return a
}

func (w *world) issue(g session.Grant) (out session.Issued) {
	w.t.Helper()
	if g.Account.ID == uuid.Nil {
		g.Account = w.ada
	}
	if g.AAL == "" {
		g.AAL, g.AMR = principal.AAL1, []string{"pwd"}
	}
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) { out, err = w.Issue(ctx, tx, g); return err })
	return out
}

func (w *world) resolves(token string) bool {
	w.t.Helper()
	_, err := w.Resolve(from("192.0.2.9"), token)
	if err != nil && !errors.Is(err, session.ErrUnauthenticated) {
		w.t.Fatal(err)
	}
	return err == nil
}

func TestResolve_givesWhatWasIssued(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{AAL: principal.AAL2, AMR: []string{"pwd", "otp"}, Method: "password", OrganizationID: w.organization("editor"), Role: "editor", ImpersonatorID: uuid.New(), Persistent: true})
		p, err := w.Resolve(t.Context(), in.Token)
		if err != nil || fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", in.Principal) {
			t.Fatalf("issued   %+v\nresolved %+v\n%v", in.Principal, p, err)
		}
	})
}

func TestResolve_foreign(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{})
		for name, token := range map[string]string{
			"empty": "", "short": in.Token[1:], "long": in.Token + "A", "padding": in.Token + "=", "NUL": in.Token[:42] + "\x00", "newline": in.Token[:42] + "\n", "huge": strings.Repeat("A", 1<<20),
			"made up": strings.Repeat("A", 43), "the other alphabet": strings.Repeat("+", 43), "quotes": "' OR '1'='1" + in.Token[11:], "an id": in.Principal.SessionID.String(),
		} {
			if w.resolves(token) {
				t.Errorf("%s resolves", name)
			}
		}
		// The last character carries two unused bits: only one spelling is the token.
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			if tok := in.Token[:42] + string(c); tok != in.Token && w.resolves(tok) {
				t.Errorf("%q resolves too", tok)
			}
		}
		var n int
		if err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM session WHERE token_hash = $1`, []byte(in.Token)).Scan(&n); err != nil || n != 0 {
			t.Errorf("the token itself is stored: %d, %v", n, err)
		}
	})
}

func TestTimeouts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		short, long := w.issue(session.Grant{}), w.issue(session.Grant{Persistent: true})
		for range 40 { // used every 29 minutes: the idle timeout never comes, the absolute one does
			w.advance(29 * time.Minute)
			if !w.resolves(short.Token) {
				t.Fatal("a session in use ended")
			}
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.advance(24*time.Hour - 40*29*time.Minute)
		if w.resolves(short.Token) || !w.resolves(long.Token) {
			t.Fatal("after 24 hours the short one ends and the persistent one goes on")
		}
		idle := w.issue(session.Grant{})
		w.advance(30*time.Minute + time.Second)
		for range 2 { // asking doesn't wake it up
			if w.resolves(idle.Token) {
				t.Fatal("an idle session resolves")
			}
		}
		w.advance(60 * 24 * time.Hour)
		if w.resolves(long.Token) {
			t.Fatal("a persistent session outlives its end")
		}
		if n, err := w.Clean(t.Context()); n != 3 || err != nil {
			t.Fatalf("%d cleaned, %v", n, err)
		}
		page, err := w.audit.Query(t.Context(), audit.Filter{Action: "session.expire"})
		if err != nil || len(page.Rows) != 1 {
			t.Fatalf("%+v, %v", page.Rows, err)
		}
		named := fmt.Sprint(page.Rows[0].Metadata["session_ids"])
		for _, in := range []session.Issued{idle, long} {
			if !strings.Contains(named, in.Principal.SessionID.String()) {
				t.Errorf("the row names %s, and not %s", named, in.Principal.SessionID)
			}
		}
	})
}

// Activity not yet written counts on the node that saw it.
func TestTimeouts_unflushedActivity(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{})
		w.advance(20 * time.Minute)
		if !w.resolves(in.Token) {
			t.Fatal()
		}
		w.advance(20 * time.Minute) // 40 min after the row was written, 20 after it was seen
		if !w.resolves(in.Token) {
			t.Fatal("a session in use ended because its activity was not yet written")
		}
	})
}

func TestTimeouts_clockSetBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{})
		w.advance(-48 * time.Hour)
		if !w.resolves(in.Token) {
			t.Fatal("a clock set back ended a session")
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Resolving writes nothing; activity is written in the background, once a minute at most.
func TestActivity_isDebounced(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{})
		seen := func() session.Session {
			t.Helper()
			l, err := w.List(t.Context(), w.ada.ID)
			if err != nil || len(l) != 1 {
				t.Fatalf("%+v, %v", l, err)
			}
			return l[0]
		}
		first := seen()
		if first.IP != "192.0.2.1" || first.UserAgent != "browser of 192.0.2.1" {
			t.Fatalf("%+v", first)
		}
		for range 100 {
			w.resolves(in.Token)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := seen(); now.LastSeenAt != first.LastSeenAt {
			t.Fatal("activity within a minute was written")
		}
		w.advance(61 * time.Second)
		for range 100 {
			w.resolves(in.Token)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := seen(); now.LastSeenAt.Sub(first.LastSeenAt) < time.Minute || now.IP != "192.0.2.9" || now.UserAgent != "browser of 192.0.2.9" {
			t.Fatalf("%+v", now)
		}
	})
}

func TestRun_flushesAtTheEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{})
		w.advance(2 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		w.resolves(in.Token)
		cancel()
		wg.Wait()
		var at time.Time
		if err := w.db.QueryRow(t.Context(), `SELECT last_seen_at FROM session WHERE id = $1`, in.Principal.SessionID).Scan(&at); err != nil || w.now().Sub(at) > time.Minute {
			t.Fatalf("last seen %s, %v", at, err)
		}
	})
}

func TestStatus_holdsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{})
		for _, c := range []struct {
			name string
			do   func(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error)
			want bool
		}{{"disabled", w.accounts.Disable, false}, {"enabled", w.accounts.Enable, true}, {"erased", w.accounts.Erase, false}} {
			w.tx(func(ctx context.Context, tx *store.Tx) error { _, err := c.do(ctx, tx, w.ada.ID); return err })
			if w.resolves(in.Token) != c.want {
				t.Errorf("%s: resolves is not %v", c.name, c.want)
			}
		}
	})
}

func TestRotate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{Persistent: true})
		var out session.Issued
		w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
			p := in.Principal
			p.AAL, p.AMR, p.AuthTime = principal.AAL2, []string{"pwd", "otp", "mfa"}, w.now()
			out, err = w.Rotate(ctx, tx, p)
			return err
		})
		if w.resolves(in.Token) || !w.resolves(out.Token) || !out.Persistent || out.Principal.SessionID != in.Principal.SessionID || out.Principal.ExpiresAt != in.Principal.ExpiresAt {
			t.Fatalf("%+v", out)
		}
		if p, err := w.Resolve(t.Context(), out.Token); err != nil || p.AAL != principal.AAL2 || strings.Join(p.AMR, " ") != "pwd otp mfa" {
			t.Fatalf("after the rise: %+v %v", p, err)
		}
		if err := w.Revoke(t.Context(), audit.Ref{Type: "user", ID: w.ada.ID.String()}, "", w.ada.ID, in.Principal.SessionID); err != nil {
			t.Fatal(err)
		}
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := w.Rotate(ctx, tx, in.Principal)
			return err
		}); !errors.Is(err, session.ErrGone) {
			t.Fatalf("rotated what is gone: %v", err)
		}
	})
}

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		bob := w.account("bob@example.org")
		a, b, c := w.issue(session.Grant{}), w.issue(session.Grant{}), w.issue(session.Grant{})
		other := w.issue(session.Grant{Account: bob})
		me := audit.Ref{Type: "user", ID: w.ada.ID.String()}
		if err := w.Revoke(t.Context(), me, "", w.ada.ID, other.Principal.SessionID); !errors.Is(err, session.ErrGone) {
			t.Fatalf("revoked somebody else's session: %v", err)
		}
		if err := w.Revoke(t.Context(), me, "", w.ada.ID, a.Principal.SessionID); err != nil || w.resolves(a.Token) || !w.resolves(b.Token) {
			t.Fatal(err)
		}
		d := w.issue(session.Grant{})
		all := func(keep uuid.UUID) (n session.Ended, err error) {
			err = w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = w.RevokeAllIn(ctx, tx, w.ada.ID, keep)
				return err
			})
			return n, err
		}
		if n, err := all(b.Principal.SessionID); len(n) != 2 || err != nil || !w.resolves(b.Token) || w.resolves(c.Token) || w.resolves(d.Token) {
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := all(uuid.Nil); !slices.Equal(n, session.Ended{b.Principal.SessionID}) || err != nil || w.resolves(b.Token) || !w.resolves(other.Token) {
			t.Fatalf("%d, %v", n, err)
		}
		page, err := w.audit.Query(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range page.Rows {
			got = append(got, r.Action)
		}
		if strings.Join(got, " ") != "session.revoke" {
			t.Fatalf("rows %v", got)
		}
	})
}

func TestConfigure_refusesAnIdleTimeoutThatActivityCannotHold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if err := w.Configure(session.Settings{IdleTimeout: 90 * time.Second}); err == nil {
			t.Error("taken")
		}
		if err := w.Configure(session.Settings{IdleTimeout: 2 * time.Minute}); err != nil {
			t.Error(err)
		}
	})
}

// A session check against the bare query it makes, interleaved: "ratio" is what everything around the query costs.
func BenchmarkResolve(b *testing.B) {
	for _, dialect := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			w := newWorld(b, storetest.Open(b, dialect, sources...))
			var tokens []string
			var hashes [][]byte
			for range 200 {
				in := w.issue(session.Grant{})
				raw, _ := base64.RawURLEncoding.DecodeString(in.Token)
				sum := sha256.Sum256(raw)
				tokens, hashes = append(tokens, in.Token), append(hashes, sum[:])
			}
			bare := func(hash []byte) {
				var id, acc uuid.UUID
				var org, imp *uuid.UUID
				var aal, amr, status, email string
				var persistent, admin bool
				var at, created, seen, expires time.Time
				if err := w.db.QueryRow(b.Context(), `SELECT s.id, s.account_id, s.organization_id, s.impersonator_id, s.aal, s.amr, s.persistent,
						s.auth_time, s.created_at, s.last_seen_at, s.expires_at, a.status, a.email, a.administrator
					FROM session s JOIN account a ON a.id = s.account_id WHERE s.token_hash = $1`, hash).
					Scan(&id, &acc, &org, &imp, &aal, &amr, &persistent, &at, &created, &seen, &expires, &status, &email, &admin); err != nil {
					b.Fatal(err)
				}
			}
			var tr, tb time.Duration
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := i % len(tokens)
				start := time.Now()
				if _, err := w.Resolve(b.Context(), tokens[k]); err != nil {
					b.Fatal(err)
				}
				mid := time.Now()
				bare(hashes[k])
				tr, tb = tr+mid.Sub(start), tb+time.Since(mid)
			}
			b.ReportMetric(float64(tr)/float64(tb), "ratio")
			b.ReportMetric(float64(tr)/float64(b.N), "resolve-ns")
			b.ReportMetric(float64(tb)/float64(b.N), "bare-ns")
		})
	}
}
