package pluginhost_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Before, two sinks that each recorded a row for every row fed each other until the disk was full.
func TestHops_aCircleOfSinksEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		rs := &relayStub{audit: map[string]func(context.Context, []audit.Row) (relay.Result, error){}, wants: map[string]func(string) bool{}}
		f := newHost(t, "raw_a raw_b", func(c *pluginhost.Config, _ *fixture) { c.DB, c.Relay = db, rs })
		f.apply("plugin \"raw_a\" {}\nplugin \"raw_b\" {}")
		f.wait("raw_a", pluginhost.Ready)
		f.wait("raw_b", pluginhost.Ready)
		deliver := func(to, action string, id uuid.UUID) relay.Result {
			t.Helper()
			got, err := rs.audit["plugin.raw_"+to](context.Background(), []audit.Row{{ID: id, OccurredAt: time.Now(), Action: action}})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		// echo is the newest row that a plugin recorded, of so many.
		echo := func(n int) (string, uuid.UUID) {
			t.Helper()
			var action string
			var id uuid.UUID
			poll(t, "the plugin's row", func() (string, bool) {
				f.audit.mu.Lock()
				defer f.audit.mu.Unlock()
				mine := 0
				for i, e := range f.audit.entries {
					if strings.HasSuffix(e.Action, ".echo") {
						mine++
						action, id = e.Action, f.audit.ids[i]
					}
				}
				return action, mine == n
			})
			return action, id
		}
		for round := range 2 { // what comes of an act of Sigra's begins anew
			action, id := "auth.login.success", uuid.New()
			hops := 0
			for ; hops < 50; hops++ {
				got := deliver(string("ab"[hops%2]), action, id)
				if len(got.Refused) > 0 {
					if !strings.Contains(got.Refused[0].Reason, "circle of plugins") || got.Refused[0].ID != id.String() || got.Inserted != 0 {
						t.Errorf("refused: %+v", got)
					}
					break
				}
				action, id = echo(8*round + hops + 1)
			}
			if hops != 8 {
				t.Errorf("%d rows came of one", hops)
			}
		}
	})
}
