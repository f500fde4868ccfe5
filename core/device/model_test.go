package device_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// model is what the store should hold, in the plainest form: devices by account and token.
type model struct {
	rows map[uuid.UUID]map[string]*modelRow
	nets map[uuid.UUID]map[string]time.Time
	ever map[uuid.UUID]bool
}

type modelRow struct {
	id                   uuid.UUID
	first, last, trusted time.Time
}

func (m *model) known(token string) bool {
	for _, rows := range m.rows {
		if rows[token] != nil {
			return true
		}
	}
	return false
}

// A few people with a few browsers do everything there is to do, in any order, with tokens that are theirs, others', made up or
// long replaced; after each step every account sees of every token what the model says.
func TestModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		rapid.Check(t, func(rt *rapid.T) {
			w := newWorld(t, db)
			m := &model{rows: map[uuid.UUID]map[string]*modelRow{}, nets: map[uuid.UUID]map[string]time.Time{}, ever: map[uuid.UUID]bool{}}
			accounts := []uuid.UUID{w.account(), w.account()}
			for _, id := range accounts {
				m.rows[id], m.nets[id] = map[string]*modelRow{}, map[string]time.Time{}
			}
			tokens := []string{"", "nonsense", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} // all there ever were
			steps := map[string]func(ctx context.Context, tx *store.Tx, id uuid.UUID, token string) error{
				"note": func(ctx context.Context, tx *store.Tx, id uuid.UUID, token string) error {
					ip := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.9", "198.51.100.1", "2001:db8::1", ""}).Draw(rt, "ip")
					n, err := w.Note(from(ctx, ip), tx, id, token)
					if err != nil {
						return err
					}
					now := w.now()
					row := m.rows[id][token]
					want := device.Noted{Token: token, ID: n.ID, NewDevice: row == nil, FirstDevice: !m.ever[id]}
					switch {
					case row != nil:
						want.ID = row.id
						if now.Sub(row.last) >= time.Hour {
							row.last = now
						}
					case !m.known(token):
						if slices.Contains(tokens, n.Token) {
							rt.Fatalf("a token came twice: %q", n.Token)
						}
						want.Token = n.Token
						tokens = append(tokens, n.Token)
						fallthrough
					default:
						m.rows[id][want.Token] = &modelRow{id: n.ID, first: now, last: now}
					}
					m.ever[id] = true
					if ip != "" {
						network := device.NetworkOf(netip.MustParseAddr(ip))
						last, ok := m.nets[id][network]
						want.NewNetwork = !ok || now.Sub(last) >= 90*day
						if !ok || now.Sub(last) >= time.Hour {
							m.nets[id][network] = now
						}
					}
					if n != want {
						rt.Fatalf("Note = %+v, want %+v", n, want)
					}
					return nil
				},
				"trust": func(ctx context.Context, tx *store.Tx, id uuid.UUID, token string) error {
					out, err := w.Trust(ctx, tx, id, token)
					row := m.rows[id][token]
					if row == nil {
						if !errors.Is(err, device.ErrUnknown) {
							rt.Fatalf("trusted an unknown device: %v", err)
						}
						return nil
					}
					if err != nil {
						return err
					}
					if slices.Contains(tokens, out.Token) || out.ID != row.id || !out.Until.Equal(w.now().Add(30*day)) {
						rt.Fatalf("Trust = %+v", out)
					}
					tokens = append(tokens, out.Token)
					row.trusted = out.Until
					for _, rows := range m.rows {
						if r := rows[token]; r != nil {
							rows[out.Token] = r
							delete(rows, token)
						}
					}
					return nil
				},
				"revoke": func(ctx context.Context, tx *store.Tx, id uuid.UUID, token string) error {
					row := m.rows[id][token]
					if row == nil {
						row = &modelRow{id: uuid.New()}
					}
					ok, err := w.RevokeTrust(ctx, tx, id, row.id)
					if ok != !row.trusted.IsZero() {
						rt.Fatalf("RevokeTrust = %v", ok)
					}
					row.trusted = time.Time{}
					return err
				},
				"revoke all": func(ctx context.Context, tx *store.Tx, id uuid.UUID, _ string) error {
					want := int64(0)
					for _, r := range m.rows[id] {
						if r.trusted.After(w.now()) {
							want++
						}
						r.trusted = time.Time{}
					}
					n, err := w.RevokeAllTrust(ctx, tx, id)
					if n != want {
						rt.Fatalf("RevokeAllTrust = %d, want %d", n, want)
					}
					return err
				},
				"forget": func(ctx context.Context, tx *store.Tx, id uuid.UUID, token string) error {
					row := m.rows[id][token]
					delete(m.rows[id], token)
					if row == nil {
						row = &modelRow{}
					}
					ok, err := w.Forget(ctx, tx, id, row.id)
					if ok != (row.id != uuid.Nil) {
						rt.Fatalf("Forget = %v", ok)
					}
					return err
				},
				"forget others": func(ctx context.Context, tx *store.Tx, id uuid.UUID, token string) error {
					keep := uuid.Nil
					if row := m.rows[id][token]; row != nil {
						keep = row.id
					}
					maps.DeleteFunc(m.rows[id], func(_ string, r *modelRow) bool { return r.id != keep })
					_, err := w.ForgetOthers(ctx, tx, id, keep)
					return err
				},
				"erase": func(ctx context.Context, tx *store.Tx, id uuid.UUID, _ string) error {
					clear(m.rows[id])
					clear(m.nets[id])
					m.ever[id] = false
					return w.Erase(ctx, tx, id)
				},
			}
			names := slices.Sorted(maps.Keys(steps))
			names = append(names, "note", "note", "note", "trust", "wait", "wait", "clean")
			for range rapid.IntRange(1, 15).Draw(rt, "steps") {
				id, token := rapid.SampledFrom(accounts).Draw(rt, "account"), rapid.SampledFrom(tokens).Draw(rt, "token")
				switch name := rapid.SampledFrom(names).Draw(rt, "step"); name {
				case "wait":
					w.advance(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 29 * day, 30 * day, 90 * day, 400 * day}).Draw(rt, "time"))
				case "clean":
					for _, id := range accounts {
						maps.DeleteFunc(m.rows[id], func(_ string, r *modelRow) bool { return w.now().Sub(r.last) >= 400*day })
						maps.DeleteFunc(m.nets[id], func(_ string, last time.Time) bool { return w.now().Sub(last) >= 90*day })
					}
					if _, err := w.Clean(t.Context()); err != nil {
						rt.Fatal(err)
					}
				default:
					if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return steps[name](ctx, tx, id, token) }); err != nil {
						rt.Fatal(err)
					}
				}
				compare(rt, w, m, accounts, tokens)
			}
		})
	})
}

func compare(rt *rapid.T, w *world, m *model, accounts []uuid.UUID, tokens []string) {
	for _, id := range accounts {
		for _, token := range tokens {
			want := device.Seen{}
			if r := m.rows[id][token]; r != nil {
				want = device.Seen{ID: r.id, Known: true, Trusted: r.trusted.After(w.now())}
			}
			if seen := w.look(id, token); seen != want {
				rt.Fatalf("Look(%q) = %+v, want %+v", token, seen, want)
			}
		}
		listed := w.list(id)
		if len(listed) != len(m.rows[id]) {
			rt.Fatalf("%d listed, want %d", len(listed), len(m.rows[id]))
		}
		for _, r := range m.rows[id] {
			want := device.Device{ID: r.id, UserAgent: "test/1", FirstSeenAt: r.first, LastSeenAt: r.last}
			if r.trusted.After(w.now()) {
				want.TrustedUntil = r.trusted
			}
			if !slices.Contains(listed, want) {
				rt.Fatalf("%+v is not listed: %+v", want, listed)
			}
		}
	}
}
