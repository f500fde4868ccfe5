package device_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

func TestTrust(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada, eve := w.account(), w.account()
		old := w.note(eve, "", home).Token // eve used this browser first, and kept a copy
		n := w.note(ada, old, home)
		theirs := w.note(ada, "", home)
		out := w.trust(ada, n.Token)
		if out.ID != n.ID || out.Token == old || !out.Until.Equal(w.now().Add(30*day)) {
			t.Fatalf("%+v", out)
		}
		want := func(name string, id uuid.UUID, token string, known, trusted bool) {
			t.Helper()
			if seen := w.look(id, token); seen.Known != known || seen.Trusted != trusted {
				t.Errorf("%s: %+v, want known %v, trusted %v", name, seen, known, trusted)
			}
		}
		want("the browser", ada, out.Token, true, true)
		want("the other account in it", eve, out.Token, true, false)
		want("another browser", ada, theirs.Token, true, false)
		want("eve's copy", ada, old, false, false)
		want("eve's copy for eve", eve, old, false, false)
		want("nobody", uuid.Nil, out.Token, false, false)

		w.advance(30*day - time.Microsecond)
		want("at its end", ada, out.Token, true, true)
		w.advance(time.Microsecond)
		want("past its end", ada, out.Token, true, false)
		if ds := w.list(ada); !ds[0].TrustedUntil.IsZero() || !ds[1].TrustedUntil.IsZero() {
			t.Errorf("listed as trusted: %+v", ds)
		}

		w.Configure(time.Hour)
		out = w.trust(ada, out.Token)
		again := w.trust(ada, theirs.Token)
		gone := w.trust(eve, w.note(eve, "", home).Token)
		if w.TrustFor() != time.Hour || !again.Until.Equal(w.now().Add(time.Hour)) {
			t.Errorf("trusted until %s", again.Until)
		}
		revoke := func(id, dev uuid.UUID, want bool) {
			t.Helper()
			w.tx(func(ctx context.Context, tx *store.Tx) error {
				if ok, err := w.RevokeTrust(ctx, tx, id, dev); ok != want || err != nil {
					t.Errorf("RevokeTrust = %v, %v; want %v", ok, err, want)
				}
				return nil
			})
		}
		revoke(eve, out.ID, false) // not hers
		want("not revoked", ada, out.Token, true, true)
		revoke(ada, out.ID, true)
		revoke(ada, out.ID, false)
		want("revoked", ada, out.Token, true, false)
		w.trust(ada, out.Token)
		w.advance(time.Hour)
		again = w.trust(ada, again.Token)
		revokeAll := func(want int64) {
			t.Helper()
			w.tx(func(ctx context.Context, tx *store.Tx) error {
				if n, err := w.RevokeAllTrust(ctx, tx, ada); n != want || err != nil {
					t.Errorf("RevokeAllTrust = %d, %v; want %d", n, err, want)
				}
				return nil
			})
		}
		revokeAll(1) // the other had run out
		revokeAll(0)
		w.advance(-time.Hour) // and is not back when the clock is
		for _, d := range w.list(ada) {
			if !d.TrustedUntil.IsZero() {
				t.Errorf("trusted: %+v", d)
			}
		}
		want("somebody else's", eve, gone.Token, true, true)
	})
}
