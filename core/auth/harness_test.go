package auth_test

import (
	"bytes"
	"context"
	"net/netip"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

var sources = authtest.Sources()

const base = "https://auth.example.test"

// world is everything the flows stand on, for real, with a clock that can be moved.
type world struct {
	*authtest.Parts
	t         testing.TB
	db        *store.DB
	accounts  *account.Store
	passwords *password.Store
	sessions  *session.Store
	audit     *audit.Log
	inbox     *mail.Inbox
	queue     *mail.Queue
	gates     *gate.Table
	root      keyring.Secret
	skew      *atomic.Int64
	still     time.Time // the clock stands there; zero: it runs
	dump      string    // the query of tables
	params    password.Params
}

func (w *world) now() time.Time {
	now := w.still
	if now.IsZero() {
		now = time.Now()
	}
	return now.UTC().Add(time.Duration(w.skew.Load()))
}

func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

type options struct {
	settings flow.Settings
	params   password.Params // zero: the cheapest there is
	places   int
	failures ratelimit.Quota    // zero: 5 in 15 min
	factors  ratelimit.Quota    // zero: 5 in 15 min
	mails    ratelimit.Quota    // zero: no limit
	root     keyring.Secret     // zero: a new one
	block    bool               // refuse passkeys whose counter does not rise
	clock    *atomic.Int64      // nil: its own
	still    time.Time          // where the clock stands; zero: it runs
	backoff  *ratelimit.Backoff // instead of failures
	beat     time.Duration      // of answers about an address; zero: none
}

func newWorld(t testing.TB, db *store.DB, o options) *world {
	t.Helper()
	w := &world{t: t, db: db, skew: o.clock, still: o.still, params: o.params}
	if w.skew == nil {
		w.skew = new(atomic.Int64)
	}
	o.settings.BaseURL, o.settings.MagicLinks = base, true
	w.Parts = authtest.Open(t, db, authtest.Options{
		Settings: o.settings, Now: w.now, Root: o.root, Password: password.Config{Params: o.params, Places: o.places},
		Padding: o.beat, Failures: o.failures, Backoff: o.backoff, Factors: o.factors, Mails: o.mails, Passkeys: passkey.Settings{RPID: "auth.example.test", Origin: base, BlockOnRegression: o.block},
	})
	w.accounts, w.passwords, w.sessions, w.audit, w.inbox, w.queue = w.Accounts, w.Passwords, w.Sessions, w.Audit, w.Inbox, w.Queue
	w.gates, w.root = w.Gates, w.Root
	return w
}

// each runs f on both databases.
func each(t *testing.T, o options, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, newWorld(t, db, o)) })
}

func (w *world) ctx() context.Context {
	return request.With(context.Background(), request.Info{ID: "req-1", IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "test/1"})
}

var (
	tokenIn = regexp.MustCompile(`token=([A-Za-z0-9_-]{43})`)
	codeIn  = regexp.MustCompile(`Your code: (\d{6})`)
)

// mails sends what is queued and gives what an address got so far, newest first.
func (w *world) mails(to string) []mail.Received {
	w.t.Helper()
	for {
		n, err := w.queue.Dispatch(w.ctx())
		if err != nil {
			w.t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	out, err := w.inbox.List(w.ctx(), to)
	if err != nil {
		w.t.Fatal(err)
	}
	// By when they were queued: what is sent at once may arrive in any order.
	slices.SortFunc(out, func(a, b mail.Received) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	return out
}

// confirmMail gives the secrets of the newest mail to an address.
func (w *world) confirmMail(to string) (token, code string) {
	w.t.Helper()
	in := w.mails(to)
	if len(in) == 0 || in[0].Purpose != mail.ConfirmEmail {
		w.t.Fatalf("no mail to confirm %s: %+v", to, in)
	}
	return tokenIn.FindStringSubmatch(in[0].Text)[1], codeIn.FindStringSubmatch(in[0].Text)[1]
}

func (w *world) register(email, pw string) auth.Registered {
	w.t.Helper()
	r, err := w.Register(w.ctx(), auth.Registration{Email: email, Password: pw})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// member signs somebody up and in.
func (w *world) member(email, pw string) auth.SignedIn {
	w.t.Helper()
	r := w.register(email, pw)
	_, code := w.confirmMail(email)
	in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: r.Flow, Code: code})
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

func (w *world) signIn(email, pw string) (auth.SignedIn, error) {
	return w.SignIn(w.ctx(), auth.Credentials{Email: email, Password: pw})
}

// mark is what was in the audit log at some moment.
type mark map[uuid.UUID]bool

// rows gives the audit rows there are beyond a mark, oldest first, and each as "action/reason". Query shows what is committed
// at once, where the log's readers wait for older transactions anywhere on the server.
func (w *world) rows(at mark) ([]audit.Row, []string) {
	w.t.Helper()
	var rows []audit.Row
	for cursor := ""; ; {
		p, err := w.audit.Query(w.ctx(), audit.Filter{Limit: 200, Cursor: cursor})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range p.Rows {
			if !at[r.ID] {
				rows = append(rows, r)
			}
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	slices.Reverse(rows)
	var out []string
	for _, r := range rows {
		s := r.Action
		if r.Reason != "" {
			s += "/" + r.Reason
		}
		out = append(out, s)
	}
	return rows, out
}

func (w *world) end() mark {
	w.t.Helper()
	rows, _ := w.rows(nil)
	m := mark{}
	for _, r := range rows {
		m[r.ID] = true
	}
	return m
}

// wantRows checks that f leaves exactly these audit rows, in any order within one transaction's worth.
func (w *world) wantRows(f func(), want ...string) []audit.Row {
	w.t.Helper()
	at := w.end()
	f()
	rows, got := w.rows(at)
	a, b := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(a, b) {
		w.t.Errorf("audit rows\n got %v\nwant %v", got, want)
	}
	return rows
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	if err := w.db.QueryRow(w.ctx(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) resolves(token string) bool {
	w.t.Helper()
	_, err := w.sessions.Resolve(w.ctx(), token)
	if err != nil && fault.KindOf(err) != fault.Unauthenticated {
		w.t.Fatal(err)
	}
	return err == nil
}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	f := fault.From(err)
	if f.Kind == fault.Internal {
		return "internal: " + err.Error()
	}
	return f.Code
}

var noFailureLimit = ratelimit.Quota{Count: 1000, Per: time.Second}

// operator is who administers in these tests.
var operator = audit.Ref{Type: "operator", ID: "1000/alice"}

type gateFunc func(context.Context, gate.Ask) (gate.Answer, error)

func (f gateFunc) Ask(ctx context.Context, a gate.Ask) (gate.Answer, error) { return f(ctx, a) }

func wrongCode(code string) string {
	if code == "111111" {
		return "111112"
	}
	return "111111"
}

const (
	horse   = "correct horse battery"
	staple  = "another staple entirely"
	unicorn = "a third, unrelated secret"
)
