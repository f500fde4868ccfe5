package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	hashMemoryBench = 19456 << 10 // of one hash, as configured
	floodLines      = 2500        // connections at most
)

// flood sends fifty times as many sign-ins as the machine can hash and looks at what becomes of everybody else.
func (b *bench) flood(t *testing.T) {
	onEach(t, func(t *testing.T, database string) {
		in := b.sigra(t, setup{database: database, extra: "password {" + unscreened + "}\n"}) // with the default queue, not the tests' long one
		people := in.members(t, database, 60)
		s, err := in.signIn(people[0].email)
		if err != nil {
			t.Fatal(err)
		}
		addr, pid := in.addr, in.process().Pid
		places := runtime.GOMAXPROCS(0)

		const calibrate = 120
		began := time.Now()
		if err := drive(addr, places, calibrate, func(i int) []byte { return loginRequest(addr, people[i%len(people)]) }); err != nil {
			t.Fatal(err)
		}
		capacity := calibrate / time.Since(began).Seconds()
		before := watchSession(addr, s.Token, 3*time.Second)
		time.Sleep(35 * time.Second) // the memory of these hashes is given back: at rest there is none

		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil { // the peak begins anew
			t.Fatal(err)
		}
		resting := memory(t, pid, "status", "VmRSS")
		length := 15 * time.Second
		if *soak {
			length = 3 * time.Minute
		}
		var during []time.Duration
		var watching sync.WaitGroup
		watching.Go(func() { during = watchSession(addr, s.Token, length) })
		f := newFlood(addr, people)
		f.run(50*capacity, length)
		watching.Wait()
		peak := memory(t, pid, "status", "VmHWM")

		name := nameOf(database)
		sent := len(f.ok) + len(f.busy) + f.other
		if f.other > 0 {
			t.Errorf("%d answers were neither a sign-in nor a 503 with Retry-After: %s", f.other, f.example)
		}
		b.found(finding{
			what: "flood of sign-ins, offered", database: name, sigra: fmt.Sprintf("%.0f/s", float64(sent+f.dropped)/length.Seconds()), baseline: fmt.Sprintf("capacity %.0f/s", capacity),
			ratio: float64(sent+f.dropped) / length.Seconds() / capacity,
		})
		b.found(finding{
			what: "  signed in", database: name, sigra: fmt.Sprintf("%.0f/s, p99 %s", float64(len(f.ok))/length.Seconds(), ms(orZero(f.ok, 99))), baseline: fmt.Sprintf("capacity %.0f/s", capacity),
			ratio: float64(len(f.ok)) / length.Seconds() / capacity,
		})
		b.found(finding{
			what: "  503 with Retry-After", database: name, sigra: fmt.Sprintf("p50 %s, p99 %s", ms(orZero(f.busy, 50)), ms(orZero(f.busy, 99))),
			baseline: fmt.Sprintf("%d of %d answers; %d found no line", len(f.busy), sent, f.dropped), ratio: float64(len(f.busy)) / float64(max(sent, 1)),
		})
		budget := int64(places) * hashMemoryBench
		b.found(finding{
			what: "  memory above rest", database: name, sigra: mib(peak - resting), baseline: fmt.Sprintf("hash budget %s, resting %s", mib(budget), mib(resting)),
			ratio: float64(peak-resting) / float64(budget),
		})
		b.found(finding{
			what: "  session check meanwhile, p99", database: name, sigra: ms(orZero(during, 99)), baseline: "before " + ms(orZero(before, 99)),
			ratio: float64(orZero(during, 99)) / float64(max(orZero(before, 99), 1)),
		})
	})
}

func orZero(v []time.Duration, p float64) time.Duration {
	if len(v) == 0 {
		return 0
	}
	return percentile(v, p)
}

// watchSession asks for one session every 10 ms and gives how long each answer took.
func watchSession(addr, token string, length time.Duration) []time.Duration {
	w, err := dial(addr)
	if err != nil {
		return []time.Duration{time.Hour}
	}
	defer w.close()
	ask := get("/v1/session", addr, token)
	var out []time.Duration
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		began := time.Now()
		if a, err := w.do(ask); err != nil || a.status != 200 {
			return append(out, time.Hour)
		}
		out = append(out, time.Since(began))
	}
	return out
}

// flood is sign-ins that come at their own pace, whatever became of those before.
type flood struct {
	addr   string
	people []member
	idle   chan *wire
	lines  atomic.Int64

	mu       sync.Mutex
	ok, busy []time.Duration
	other    int
	example  string
	dropped  int // no connection was free
}

func newFlood(addr string, people []member) *flood {
	return &flood{addr: addr, people: people, idle: make(chan *wire, floodLines)}
}

func (f *flood) run(perSecond float64, length time.Duration) {
	var wg sync.WaitGroup
	began := time.Now()
	sent := 0
	for elapsed := time.Duration(0); elapsed < length; elapsed = time.Since(began) {
		for ; float64(sent) < perSecond*elapsed.Seconds(); sent++ {
			w := f.line()
			if w == nil {
				f.mu.Lock()
				f.dropped++
				f.mu.Unlock()
				continue
			}
			request := loginRequest(f.addr, f.people[sent%len(f.people)])
			wg.Go(func() { f.one(w, request) })
		}
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	close(f.idle)
	for w := range f.idle {
		w.close()
	}
}

func (f *flood) line() *wire {
	select {
	case w := <-f.idle:
		return w
	default:
	}
	if f.lines.Load() >= floodLines {
		return nil
	}
	w, err := dial(f.addr)
	if err != nil {
		return nil
	}
	f.lines.Add(1)
	return w
}

func (f *flood) one(w *wire, request []byte) {
	began := time.Now()
	a, err := w.do(request)
	took := time.Since(began)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil && a.status == 200:
		f.ok = append(f.ok, took)
	case err == nil && a.status == 503 && a.retryAfter != "":
		f.busy = append(f.busy, took)
	default:
		f.other++
		f.example = fmt.Sprint(a.status, string(a.body), err)
	}
	if err != nil {
		w.close()
		f.lines.Add(-1)
		return
	}
	f.idle <- w
}
