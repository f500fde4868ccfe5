package gate_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
)

// fixed always answers the same and counts how often it was asked.
type fixed struct {
	answer gate.Answer
	err    error
	asked  int
}

func (f *fixed) Ask(context.Context, gate.Ask) (gate.Answer, error) {
	f.asked++
	return f.answer, f.err
}

func TestTable_firstRefusalWinsAndStepUpBeatsAllow(t *testing.T) {
	t.Parallel()
	allow := gate.Answer{By: "a"}
	deny := gate.Answer{Decision: gate.Deny, Reason: "seat_limit_reached", By: "b"}
	step := gate.Answer{Decision: gate.StepUp, RequiredAAL: "aal2", By: "c"}
	broken := errors.New("broken")
	for _, c := range []struct {
		name    string
		gates   []*fixed
		want    gate.Decision
		by      string
		err     error
		unasked int // gates at the end that must not be asked any more
	}{
		{name: "nobody is asked"},
		{name: "allow", gates: []*fixed{{answer: allow}}},
		{name: "deny", gates: []*fixed{{answer: allow}, {answer: deny}, {answer: step}}, want: gate.Deny, by: "b", unasked: 1},
		{name: "step up", gates: []*fixed{{answer: step}, {answer: allow}}, want: gate.StepUp, by: "c"},
		{name: "deny beats step up", gates: []*fixed{{answer: step}, {answer: deny}}, want: gate.Deny, by: "b"},
		{name: "an error ends it", gates: []*fixed{{err: broken}, {answer: deny}}, err: broken, unasked: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var table gate.Table
			var gates []gate.Gate
			for _, g := range c.gates {
				gates = append(gates, g)
			}
			if len(gates) > 0 {
				table.Set(map[gate.Question][]gate.Gate{gate.Login: gates})
			}
			if got := table.Configured(gate.Login); got != (len(gates) > 0) {
				t.Errorf("Configured: %v", got)
			}
			got, err := table.Ask(t.Context(), gate.Ask{Question: gate.Login})
			if !errors.Is(err, c.err) || got.Decision != c.want || got.By != c.by && c.want != gate.Allow {
				t.Errorf("got %+v, %v", got, err)
			}
			for i, g := range c.gates {
				want := 1
				if i >= len(c.gates)-c.unasked {
					want = 0
				}
				if g.asked != want {
					t.Errorf("gate %d was asked %d times, want %d", i, g.asked, want)
				}
			}
			if other, err := table.Ask(t.Context(), gate.Ask{Question: gate.MemberAdd}); err != nil || other.Decision != gate.Allow {
				t.Errorf("another question: %+v, %v", other, err)
			}
		})
	}
}

func TestTable_replacedWhileAsked(t *testing.T) {
	t.Parallel()
	var table gate.Table
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if _, err := table.Ask(t.Context(), gate.Ask{Question: gate.Login}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 1000 {
		if i%2 == 0 {
			table.Set(nil)
		} else {
			table.Set(map[gate.Question][]gate.Gate{gate.Registration: {&fixed{}}})
		}
	}
	wg.Wait()
}

func TestDenied(t *testing.T) {
	t.Parallel()
	f := fault.From(gate.Denied(gate.Answer{Reason: "seat_limit_reached", Message: "All seats are taken."}))
	if f.Kind != fault.Denied || f.Code != "seat_limit_reached" || f.Message != "All seats are taken." {
		t.Errorf("%+v", f)
	}
	if f := fault.From(gate.Denied(gate.Answer{})); f.Code != "denied" || f.Message == "" {
		t.Errorf("a silent gate: %+v", f)
	}
}

// BenchmarkAsk_nobody is the price of the seam where no gate is configured.
func BenchmarkAsk_nobody(b *testing.B) {
	var table gate.Table
	b.ReportAllocs()
	for b.Loop() {
		if table.Configured(gate.Login) {
			b.Fatal("configured")
		}
	}
}
