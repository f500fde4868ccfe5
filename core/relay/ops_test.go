package relay_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestRelay_metrics(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		reg := prometheus.NewPedanticRegistry()
		r, s := g.relay(t, "a", func(c *relay.Config) { c.Registerer = reg }), newSink()
		ids := g.record(t, "auth.login.success", 4)
		s.trouble = func(rows []audit.Row) (res relay.Result, err error) {
			for _, row := range rows {
				if row.ID == ids[1] {
					res.Refused = []relay.Refusal{{ID: row.ID.String(), Reason: "no"}}
				}
			}
			return res, nil
		}
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		eventually(t, "three rows", func() bool { return len(s.got()) == 3 && status(t, r, "plugin.one").LagRows == 0 })
		value := func(name string, labels ...string) (v float64) {
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					var text []string
					for _, l := range m.GetLabel() {
						text = append(text, l.GetName()+"="+l.GetValue())
					}
					if f.GetName() == name && strings.Join(text, " ") == strings.Join(labels, " ") {
						return m.GetGauge().GetValue() + m.GetCounter().GetValue()
					}
				}
			}
			return -1
		}
		for _, c := range []struct {
			name, labels string
			want         float64
		}{
			{"sigra_relay_rows_total", "result=inserted sink=plugin.one", 3}, {"sigra_relay_rows_total", "result=refused sink=plugin.one", 1},
			{"sigra_relay_dead_letters", "sink=plugin.one", 1}, {"sigra_relay_lag_rows", "sink=plugin.one", 0}, {"sigra_relay_lag_seconds", "sink=plugin.one", 0},
			{"sigra_relay_runner", "sink=plugin.one", 1}, {"sigra_relay_failures", "sink=plugin.one", 0},
		} {
			if got := value(c.name, strings.Split(c.labels, " ")...); got != c.want {
				t.Errorf("%s{%s} is %v; want %v", c.name, c.labels, got, c.want)
			}
		}
	})
}

// Detach does not wait for ever for a sink that hangs; once that has returned, the name can be attached again.
func TestRelay_detachOfHangingSink(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	g := newRig(t, db)
	r, s := g.relay(t, "a"), newSink()
	hang, called := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(let)
	if err := r.AttachAudit("plugin.one", all, func(context.Context, []audit.Row) (relay.Result, error) {
		close(called)
		<-hang
		return relay.Result{}, errors.New("late")
	}); err != nil {
		t.Fatal(err)
	}
	run(t, r)
	want := g.record(t, "auth.login.success", 2)
	<-called
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.Detach(ctx, "plugin.one"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("detach of a hanging sink: %v", err)
	}
	let()
	eventually(t, "the name free again", func() bool { return r.AttachAudit("plugin.one", all, s.deliver) == nil })
	g.same(t, s, want)
}

// What a sink acknowledged while the relay was ending is not sent again.
func TestRelay_endsWithoutLosingAnAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a"), newSink()
		called, answer := make(chan struct{}), make(chan struct{})
		var once sync.Once
		if err := r.AttachAudit("plugin.one", all, func(ctx context.Context, rows []audit.Row) (relay.Result, error) {
			once.Do(func() { close(called); <-answer })
			return s.deliver(ctx, rows)
		}); err != nil {
			t.Fatal(err)
		}
		want := g.record(t, "auth.login.success", 3)
		stop := run(t, r)
		<-called
		ended := make(chan struct{})
		go func() { defer close(ended); stop() }()
		close(answer)
		<-ended
		again := g.relay(t, "b")
		if err := again.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, again)
		g.same(t, s, append(want, g.record(t, "auth.login.success", 2)...))
		if s.duplicates != 0 {
			t.Errorf("%d duplicates after a clean end", s.duplicates)
		}
	})
}
