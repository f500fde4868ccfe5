package device_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

var sources = []store.Source{account.Migrations, device.Migrations}

const (
	day  = 24 * time.Hour
	home = "192.0.2.7"
)

// world is a store with a clock set by hand.
type world struct {
	*device.Store
	t  testing.TB
	db *store.DB
	us atomic.Int64
}

func (w *world) now() time.Time          { return time.UnixMicro(w.us.Load()).UTC() }
func (w *world) advance(d time.Duration) { w.us.Add(d.Microseconds()) }

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db}
	w.us.Store(1_800_000_000_000_000)
	var err error
	if w.Store, err = device.New(device.Config{DB: db, Now: w.now}); err != nil {
		t.Fatal(err)
	}
	return w
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, newWorld(t, db)) })
}

func (w *world) tx(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Tx(context.Background(), f); err != nil {
		w.t.Error(err)
	}
}

func (w *world) account() (id uuid.UUID) {
	w.t.Helper()
	accounts, err := account.New(account.Config{DB: w.db})
	if err != nil {
		w.t.Fatal(err)
	}
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		a, _, err := accounts.Create(ctx, tx, account.NewAccount{Email: uuid.NewString() + "@example.org", Status: account.Active})
		id = a.ID
		return err
	})
	return id
}

func from(ctx context.Context, ip string) context.Context {
	info := request.Info{UserAgent: "test/1"}
	if ip != "" {
		info.IP = netip.MustParseAddr(ip)
	}
	return request.With(ctx, info)
}

func (w *world) note(id uuid.UUID, token, ip string) (n device.Noted) {
	w.t.Helper()
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = w.Note(from(ctx, ip), tx, id, token)
		return err
	})
	return n
}

func (w *world) trust(id uuid.UUID, token string) (out device.Trusted) {
	w.t.Helper()
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = w.Trust(ctx, tx, id, token)
		return err
	})
	return out
}

func (w *world) look(id uuid.UUID, token string) device.Seen {
	w.t.Helper()
	seen, err := w.Look(context.Background(), w.db, id, token)
	if err != nil {
		w.t.Error(err)
	}
	return seen
}

func (w *world) list(id uuid.UUID) []device.Device {
	w.t.Helper()
	ds, err := w.List(context.Background(), w.db, id)
	if err != nil {
		w.t.Error(err)
	}
	return ds
}

func TestNote_newAndKnown(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada, eve := w.account(), w.account()
		first := w.note(ada, "", home)
		if !first.NewDevice || !first.FirstDevice || !first.NewNetwork || len(first.Token) != 43 {
			t.Fatalf("%+v", first)
		}
		if again := w.note(ada, first.Token, "192.0.2.200"); again != (device.Noted{Token: first.Token, ID: first.ID}) {
			t.Errorf("the same again: %+v", again)
		}
		// Another account in the same browser: the token is kept, and it is new for that one.
		other := w.note(eve, first.Token, home)
		if other.Token != first.Token || other.ID == first.ID || !other.NewDevice || !other.FirstDevice || !other.NewNetwork {
			t.Errorf("another account: %+v", other)
		}
		second := w.note(ada, "", "2001:db8::1")
		if second.Token == first.Token || !second.NewDevice || second.FirstDevice || !second.NewNetwork {
			t.Errorf("another browser: %+v", second)
		}
		if n := w.note(ada, second.Token, "2001:db8:0:ffff::1"); n.NewNetwork || n.NewDevice {
			t.Errorf("the same /48: %+v", n)
		}
		if n := w.note(ada, second.Token, ""); n.NewNetwork || n.NewDevice {
			t.Errorf("from nowhere: %+v", n)
		}
		ds := w.list(ada)
		if len(ds) != 2 || ds[0].ID != second.ID || ds[1].ID != first.ID || ds[0].UserAgent != "test/1" || !ds[0].FirstSeenAt.Equal(w.now()) || !ds[0].TrustedUntil.IsZero() {
			t.Errorf("%+v", ds)
		}
		// Written once an hour and no oftener.
		for _, c := range []struct {
			wait time.Duration
			want time.Time
		}{{time.Hour - time.Microsecond, w.now()}, {time.Microsecond, w.now().Add(time.Hour)}} {
			w.advance(c.wait)
			w.note(ada, first.Token, home)
			for _, d := range w.list(ada) {
				if d.ID == first.ID && !d.LastSeenAt.Equal(c.want) {
					t.Errorf("last seen %s, want %s", d.LastSeenAt, c.want)
				}
			}
		}
	})
}

// A network not used for 90 days is new again; so is one that fell out of the newest fifty.
func TestNote_networksAge(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.account()
		token := w.note(id, "", home).Token
		want := func(ip string, isNew bool) {
			t.Helper()
			if n := w.note(id, token, ip); n.NewNetwork != isNew || n.NewDevice {
				t.Errorf("%s: %+v, want new %v", ip, n, isNew)
			}
		}
		w.advance(90*day - time.Microsecond)
		want(home, false)
		w.advance(90 * day)
		want(home, true)
		want(home, false)
		w.advance(time.Second)
		for i := range 49 {
			want(fmt.Sprintf("10.0.%d.1", i), true)
		}
		want(home, false)
		want("10.1.0.1", true) // the fifty-first
		want(home, true)
		// A clock that was set back makes no network newer than those there are, and this one is kept all the same.
		w.advance(-day)
		want("10.2.0.1", true)
		want("10.2.0.1", false)
		var n int
		if err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM device_network WHERE account_id = $1`, id).Scan(&n); err != nil || n != 50 {
			t.Errorf("%d networks are kept, %v", n, err)
		}
	})
}

func TestNote_keepsTheNewestHundred(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, other := w.account(), w.account()
		kept := w.note(other, "", home)
		var tokens []string
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			tokens = nil
			for range 103 {
				n, err := w.Note(from(ctx, home), tx, id, "")
				if err != nil {
					return err
				}
				tokens = append(tokens, n.Token)
				w.advance(time.Second)
			}
			return nil
		})
		for i, token := range tokens {
			if got := w.look(id, token).Known; got != (i >= 3) {
				t.Errorf("device %d known: %v", i, got)
			}
		}
		if n := len(w.list(id)); n != 100 {
			t.Errorf("%d devices", n)
		}
		if !w.look(other, kept.Token).Known {
			t.Error("somebody else's went")
		}
	})
}

// What is no token of ours is never taken over: nobody can choose what a browser is known by.
func TestNote_badTokens(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.account()
		good := w.note(id, "", home).Token
		w.trust(id, good) // and with that, good is ours no longer
		for name, token := range map[string]string{
			"empty": "", "made up": strings.Repeat("A", 43), "rotated": good, "short": good[1:], "long": good + "A", "padded": good + "=", "huge": strings.Repeat("A", 1<<20),
			"NUL": "\x00" + good[1:], "newline": good[:42] + "\n", "other alphabet": strings.Repeat("/", 43), "invalid UTF-8": "\xff" + good[1:], "quote": "'" + good[1:],
			"trailing bits": good[:42] + "B",
		} {
			if seen := w.look(id, token); seen != (device.Seen{}) {
				t.Errorf("%s: %+v", name, seen)
			}
			err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { _, err := w.Trust(ctx, tx, id, token); return err })
			if !errors.Is(err, device.ErrUnknown) {
				t.Errorf("%s: trusted: %v", name, err)
			}
			if n := w.note(id, token, home); n.Token == token || len(n.Token) != 43 || !n.NewDevice {
				t.Errorf("%s: %+v", name, n)
			}
		}
	})
}

func TestForgetAndErase(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada, eve := w.account(), w.account()
		a := w.note(ada, "", home)
		w.note(eve, a.Token, home)
		b, c := w.note(ada, "", home), w.note(ada, "", home)
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, f := range []struct {
				id, dev uuid.UUID
				want    bool
			}{{eve, a.ID, false}, {ada, a.ID, true}, {ada, a.ID, false}} {
				if ok, err := w.Forget(ctx, tx, f.id, f.dev); ok != f.want || err != nil {
					t.Errorf("Forget = %v, %v; want %v", ok, err, f.want)
				}
			}
			if n, err := w.ForgetOthers(ctx, tx, ada, b.ID); n != 1 || err != nil {
				t.Errorf("ForgetOthers = %d, %v", n, err)
			}
			return nil
		})
		for i, want := range []bool{false, true, false} {
			if got := w.look(ada, []device.Noted{a, b, c}[i].Token).Known; got != want {
				t.Errorf("device %d known: %v", i, got)
			}
		}
		if !w.look(eve, a.Token).Known {
			t.Error("forgotten for another account too")
		}
		// All forgotten: the next device is new, and not the first.
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			_, err := w.ForgetOthers(ctx, tx, ada, uuid.Nil)
			return err
		})
		if n := w.note(ada, a.Token, home); !n.NewDevice || n.FirstDevice || n.NewNetwork || n.Token != a.Token {
			t.Errorf("after all were forgotten: %+v", n)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error { return w.Erase(ctx, tx, ada) })
		for _, table := range []string{"device", "device_network", "device_account"} {
			var n int
			if err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` WHERE account_id = $1`, ada).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s: %d rows left, %v", table, n, err)
			}
		}
		if !w.look(eve, a.Token).Known {
			t.Error("erased for another account too")
		}
	})
}

// Nobody used the account for more than a year: its devices are gone, and whoever comes is a new one that is told of.
func TestClean_afterYears(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, busy := w.account(), w.account()
		old := w.note(id, "", home)
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for range 520 { // more than a batch
				id := uuid.New()
				if _, err := tx.Exec(ctx, `INSERT INTO account (id, email, status, created_at, updated_at) VALUES ($1, $2, 'active', $3, $3)`, id, id.String(), w.now()); err != nil {
					return err
				}
				if _, err := w.Note(from(ctx, home), tx, id, ""); err != nil {
					return err
				}
			}
			return nil
		})
		clean := func(want int64) {
			t.Helper()
			if n, err := w.Clean(t.Context()); n != want || err != nil {
				t.Errorf("Clean = %d, %v; want %d", n, err, want)
			}
		}
		w.advance(90*day - time.Microsecond)
		clean(0)
		w.advance(time.Microsecond)
		clean(521) // networks
		w.advance(100 * day)
		kept := w.note(busy, "", home)
		w.advance(210*day - time.Microsecond)
		clean(1) // busy's network
		w.advance(time.Microsecond)
		clean(521)
		if w.look(id, old.Token).Known || !w.look(busy, kept.Token).Known {
			t.Error("the wrong ones went")
		}
		if n := w.note(id, old.Token, home); n.Token == old.Token || !n.NewDevice || n.FirstDevice || !n.NewNetwork {
			t.Errorf("after years: %+v", n)
		}
	})
}

// At once, on two nodes: a browser is one row and new once, and a network is new once, whichever browser it is seen from.
func TestRace_newOnce(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			nodes := []*world{newWorld(t, storetest.Dial(t, d.URL)), newWorld(t, storetest.Dial(t, d.URL))}
			eve := nodes[0].account()
			race := func(id uuid.UUID, tokens []string, ip string) (devices, firsts, networks int64) {
				var counts [3]atomic.Int64
				var wg sync.WaitGroup
				start := make(chan struct{})
				for i := range 50 {
					wg.Go(func() {
						<-start
						token := tokens[i%len(tokens)]
						n := nodes[i%2].note(id, token, ip)
						if n.Token != token {
							t.Error("another token")
						}
						for k, is := range []bool{n.NewDevice, n.FirstDevice, n.NewNetwork} {
							if is {
								counts[k].Add(1)
							}
						}
					})
				}
				close(start)
				wg.Wait()
				return counts[0].Load(), counts[1].Load(), counts[2].Load()
			}
			for range 2 { // the first time opens the connections, which keeps the racers apart
				ada := nodes[0].account()
				var tokens []string
				for range 10 {
					tokens = append(tokens, nodes[0].note(eve, "", home).Token)
				}
				for k, token := range tokens {
					d, f, n := race(ada, []string{token}, home)
					first := int64(0)
					if k == 0 {
						first = 1
					}
					if d != 1 || f != first || n != first || len(nodes[0].list(ada)) != k+1 {
						t.Errorf("browser %d: %d new, %d first, %d networks, %d rows", k, d, f, n, len(nodes[0].list(ada)))
					}
				}
				if d, f, n := race(ada, tokens, "198.51.100.1"); d != 0 || f != 0 || n != 1 {
					t.Errorf("another network: %d new, %d first, %d networks", d, f, n)
				}
				for _, w := range nodes {
					w.advance(91 * day)
				}
				if d, f, n := race(ada, tokens, home); d != 0 || f != 0 || n != 1 {
					t.Errorf("a network that is new again: %d new, %d first, %d networks", d, f, n)
				}
			}
		})
	}
}

// What lies in the table is no token, and what a browser says of itself can be stored.
func TestTable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.account()
		for _, ua := range []string{"", "Mozilla/5.0 (X11)", "a\x00b\xff", strings.Repeat("ü", 400)} {
			var n device.Noted
			w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = w.Note(request.With(ctx, request.Info{UserAgent: ua}), tx, id, "")
				return err
			})
			var hash []byte
			if err := w.db.QueryRow(t.Context(), `SELECT token_hash FROM device WHERE id = $1`, n.ID).Scan(&hash); err != nil {
				t.Fatal(err)
			}
			raw, err := base64.RawURLEncoding.DecodeString(n.Token)
			if sum := sha256.Sum256(raw); err != nil || !bytes.Equal(hash, sum[:]) || len(raw) != 32 {
				t.Errorf("%x is stored of %s", hash, n.Token)
			}
		}
		for _, d := range w.list(id) {
			if len(d.UserAgent) > 512 || strings.Contains(d.UserAgent, "\x00") || !utf8.ValidString(d.UserAgent) {
				t.Errorf("user agent %q", d.UserAgent)
			}
		}
	})
}

// Look is asked at every sign-in: one search of one index.
func TestLook_usesItsIndex(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	var a, b, c int
	var detail string
	if err := db.QueryRow(t.Context(), `EXPLAIN QUERY PLAN `+device.LookQuery, uuid.New(), []byte{1}).Scan(&a, &b, &c, &detail); err != nil {
		t.Fatal(err)
	}
	if detail != "SEARCH device USING INDEX device_browser (account_id=? AND token_hash=?)" {
		t.Error(detail)
	}
}

func TestNetworkOf(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.255": "192.0.2.0/24", "::ffff:192.0.2.1": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48", "::1": "::/48", "127.0.0.1": "127.0.0.0/24",
	} {
		if got := device.NetworkOf(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
	if got := device.NetworkOf(netip.Addr{}); got != "" {
		t.Errorf("unknown: %q", got)
	}
}
