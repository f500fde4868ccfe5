package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"

	"github.com/sigra-auth/sigra/core/event"
)

func TestGrants_aRefusalIsTypedAndAuditedOnce(t *testing.T) {
	t.Parallel()
	f := newHost(t, "")
	path, sum := external(t, t.TempDir(), "routed-external")
	f.apply(fmt.Sprintf("plugin \"routed\" {\n source = %q\n sha256 = %q\n grants = [\"seal.use\", \"routes.public:/routed\", \"routes.public:/routed-machine\", \"routes.serve:/routed-in\", \"routes.serve:/routed-admin\"]\n}", path, sum))
	f.wait("routed", pluginhost.Ready)
	for range 20 {
		code, body := f.get("/routed/kv?key=a&value=b")
		if code != 403 || !strings.Contains(body, `"kv.use"`) || !strings.Contains(body, "grants = [") {
			t.Fatalf("%d %s", code, body)
		}
	}
	if n := f.audit.count("admin.plugin.grant_refused"); n != 1 {
		t.Errorf("%d audit rows for one refusal repeated", n)
	}
}

func TestGrants_aBundledPluginGetsItsManifestAndNoMore(t *testing.T) {
	t.Parallel()
	f := ready(t)
	info, _ := f.Info("routed")
	if !slices.Contains(info.Grants, "kv.use") || !slices.Contains(info.Grants, "routes.public:/routed") || slices.Contains(info.Grants, "identity.read") {
		t.Errorf("grants %v", info.Grants)
	}
	if _, body := f.get("/routed/identity"); !strings.Contains(body, "identity.read") {
		t.Errorf("identity without its grant: %s", body)
	}
	if len(info.Settings) == 0 || info.SDK == "" || info.Version != "1.2.3" {
		t.Errorf("info %+v", info)
	}
}

func TestGrants_whatIsRequiredMustBeGranted(t *testing.T) {
	t.Parallel()
	f := newHost(t, "")
	path, sum := external(t, t.TempDir(), "needy-external")
	f.apply(fmt.Sprintf("plugin \"needy\" {\n source = %q\n sha256 = %q\n}", path, sum))
	info := f.wait("needy", pluginhost.Failed)
	if !strings.Contains(info.Detail, `grants = ["identity.read", "routes.public:/needy", "routes.public:/needy-machine"`) {
		t.Errorf("detail %q", info.Detail)
	}
	if info.Failures != 0 {
		t.Error("a block that is wrong was tried again")
	}
}

func TestGate_answersAndFailures(t *testing.T) {
	t.Parallel()
	f := newHost(t, "gatekeeper")
	ask := func(do string) (gate.Answer, error) {
		return f.gates.Ask(context.Background(), gate.Ask{Question: gate.Login, Subject: audit.Ref{Type: "user", ID: "1"}, Context: map[string]any{"method": do}})
	}
	f.apply("plugin \"gatekeeper\" {\n gate \"login\" {\n  on_error = \"deny\"\n timeout = \"3s\"\n }\n}")
	if _, err := ask("allow"); err == nil { // not up yet, or just so
		f.wait("gatekeeper", pluginhost.Ready)
	}
	f.wait("gatekeeper", pluginhost.Ready)
	for do, want := range map[string]gate.Decision{"allow": gate.Allow, "deny": gate.Deny, "step_up": gate.StepUp} {
		a, err := ask(do)
		if err != nil || a.Decision != want || (do == "deny" && (a.Reason != "seat_limit_reached" || a.Message != "All seats are taken." || a.By != "gatekeeper")) {
			t.Errorf("%s: %+v %v", do, a, err)
		}
	}
	// A code that is none is no part of a problem's type.
	if a, err := ask("deny_oddly"); err != nil || a.Decision != gate.Deny || a.Reason != "" {
		t.Errorf("%+v %v", a, err)
	}
	// What is known of the question reaches the plugin, and all of its answer whoever asked.
	a, err := f.gates.Ask(request.With(context.Background(), request.Info{Language: "de"}), gate.Ask{
		Question: gate.Login, Subject: audit.Ref{Type: "user", ID: "1"}, Context: map[string]any{"method": "tell", "new_network": true}, DryRun: true,
		Device: &gate.Device{ID: "d1", Known: true}, Attributes: map[string]any{"plan": "gold", "relyra": map[string]any{"department": "R&D"}},
	})
	if err != nil || a.CacheFor != time.Minute || a.Revision != "7" || a.Explain != "why-7" || len(a.Obligations) != 1 {
		t.Fatalf("%+v %v", a, err)
	}
	if got := fmt.Sprint(a.Obligations[0]); got != "{told map[attributes:map[plan:gold relyra:map[department:R&D]] device:{d1 true false} dry_run:true language:de new_network:true]}" {
		t.Error(got)
	}
	begin := time.Now()
	_, err = ask("hang")
	if took := time.Since(begin); err == nil || took > 20*time.Second {
		t.Errorf("a hanging gate: %v after %s", err, took)
	}
	var fe *fault.Error
	if !errors.As(err, &fe) || fe.Kind != fault.Unavailable || strings.Count(err.Error(), "plugin gatekeeper") != 1 {
		t.Errorf("error %v", err)
	}
	// Five failures in a row open the breaker: no more waiting.
	for range 5 {
		_, _ = ask("fail")
	}
	begin = time.Now()
	if _, err = ask("hang"); err == nil || time.Since(begin) > 2*time.Second {
		t.Errorf("with the breaker open: %v after %s", err, time.Since(begin))
	}
	poll(t, "a good health check to close it", func() (string, bool) {
		_, err := ask("allow")
		return fmt.Sprint(err), err == nil
	})
	f.apply("plugin \"gatekeeper\" {\n gate \"login\" {\n  on_error = \"allow\"\n timeout = \"100ms\"\n }\n}")
	if a, err := ask("hang"); err != nil || a.Decision != gate.Allow {
		t.Errorf("on_error allow: %+v %v", a, err)
	}
	f.apply(``)
	if f.gates.Configured(gate.Login) {
		t.Error("the gate of a removed plugin is still asked")
	}
}

// relayStub takes attachments as the relay does.
type relayStub struct {
	mu    sync.Mutex
	audit map[string]func(context.Context, []audit.Row) (relay.Result, error)
	wants map[string]func(string) bool
}

func (r *relayStub) AttachAudit(name string, wants func(string) bool, deliver func(context.Context, []audit.Row) (relay.Result, error), _ ...relay.Option) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.audit[name] != nil {
		return errors.New("attached already")
	}
	r.audit[name], r.wants[name] = deliver, wants
	return nil
}

func (r *relayStub) AttachEvents(string, func(string) bool, func(context.Context, []event.Event) (relay.Result, error), ...relay.Option) error {
	return nil
}

func (r *relayStub) Detach(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.audit, name)
	return nil
}
func (r *relayStub) Nudge(string)                         {}
func (r *relayStub) Forget(context.Context, string) error { return nil }

func TestSink_batchesOfAnySize(t *testing.T) {
	t.Parallel()
	rs := &relayStub{audit: map[string]func(context.Context, []audit.Row) (relay.Result, error){}, wants: map[string]func(string) bool{}}
	f := newHost(t, "sink", func(c *pluginhost.Config, _ *fixture) { c.Relay = rs })
	src := "plugin \"sink\" {\n events {\n include = [\"auth.login.failure\"]\n exclude = [\"auth.logout\"]\n }\n}"
	f.apply(src)
	f.wait("sink", pluginhost.Ready)
	poll(t, "the sink to be attached", func() (string, bool) {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		return "", rs.audit["plugin.sink"] != nil
	})
	deliver, wants := rs.audit["plugin.sink"], rs.wants["plugin.sink"]
	for action, want := range map[string]bool{"auth.login.success": true, "auth.login.failure": true, "auth.logout": false, "sink.own": false, "greeter.hello": true} {
		if wants(action) != want {
			t.Errorf("wants(%s) = %v", action, !want)
		}
	}
	rows := make([]audit.Row, 1000)
	for i := range rows {
		rows[i] = audit.Row{ID: uuid.New(), OccurredAt: time.Now(), Action: "auth.login.success", Metadata: map[string]any{"method": strings.Repeat("x", 7000), "n": i}}
	}
	rows[500].Reason = "poison"
	res, err := deliver(context.Background(), rows)
	if err != nil || res.Inserted != 999 || len(res.Refused) != 1 || res.Refused[0].ID != rows[500].ID.String() {
		t.Errorf("%+v %v", res, err)
	}
	f.apply(``)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.audit) != 0 {
		t.Error("the sink of a removed plugin is still attached")
	}
}

func TestKV_oneOfManyWins(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		kv := pluginhost.NewKV(db)
		ctx := context.Background()
		const n = 16
		// Only one makes the key.
		var won int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				stored, _, err := kv.Put(ctx, "p", "lock", []byte("x"), 0, 0)
				if err != nil {
					t.Error(err)
				}
				if stored {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d made the same key", won)
		}
		// A counter by compare and swap loses no step.
		if _, _, err := kv.Put(ctx, "p", "n", []byte{0}, -1, 0); err != nil {
			t.Fatal(err)
		}
		for range n {
			wg.Go(func() {
				for {
					v, ver, _, err := kv.Get(ctx, "p", "n")
					if err != nil {
						t.Error(err)
						return
					}
					stored, next, err := kv.Put(ctx, "p", "n", []byte{v[0] + 1}, ver, 0)
					if err != nil {
						t.Error(err)
						return
					}
					if stored {
						if next <= ver {
							t.Errorf("version %d after %d", next, ver)
						}
						return
					}
				}
			})
		}
		wg.Wait()
		if v, _, _, err := kv.Get(ctx, "p", "n"); err != nil || v[0] != n {
			t.Errorf("counted to %v, %v", v, err)
		}
		// Order is that of bytes; plugins see nothing of each other; what has expired is not there.
		for _, k := range []string{"b", "a/2", "a/1", "a/\xff", "a", "Ä", "B"} {
			if _, _, err := kv.Put(ctx, "q", k, nil, -1, 0); err != nil {
				t.Fatal(err)
			}
		}
		keys, err := kv.Keys(ctx, "q", "a/", "", 10)
		if err != nil || !slices.Equal(keys, []string{"a/1", "a/2", "a/\xff"}) {
			t.Errorf("%q %v", keys, err)
		}
		if keys, _ := kv.Keys(ctx, "q", "", "B", 2); !slices.Equal(keys, []string{"a", "a/1"}) {
			t.Errorf("%q", keys)
		}
		if _, _, found, _ := kv.Get(ctx, "q", "n"); found {
			t.Error("a plugin saw another's key")
		}
		if _, _, err := kv.Put(ctx, "q", "soon", nil, -1, time.Microsecond); err != nil {
			t.Fatal(err)
		}
		poll(t, "the key to expire", func() (string, bool) {
			_, _, found, _ := kv.Get(ctx, "q", "soon")
			return "", !found
		})
		if stored, _, err := kv.Put(ctx, "q", "soon", nil, 0, 0); err != nil || !stored {
			t.Errorf("over an expired key: %v %v", stored, err)
		}
		for _, bad := range []string{"", strings.Repeat("k", 513)} {
			if _, _, err := kv.Put(ctx, "q", bad, nil, -1, 0); fault.KindOf(err) != fault.Invalid {
				t.Errorf("key of %d bytes: %v", len(bad), err)
			}
		}
		if _, _, err := kv.Put(ctx, "q", "big", make([]byte, 64<<10+1), -1, 0); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("a large value: %v", err)
		}
	})
}
