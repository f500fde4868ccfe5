package main

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/store/storetest"
)

// pluginStates compares how long a sign-in takes while Threadline is well, frozen and crashing all the time with how long
// it takes without it. One server for each, asked in turn.
func (b *bench) pluginStates(t *testing.T) {
	states := []struct {
		name string
		do   syscall.Signal // to the plugin's process whenever there is a new one
	}{{name: "no plugin"}, {name: "healthy"}, {"frozen (SIGSTOP)", syscall.SIGSTOP}, {"crashing (SIGKILL)", syscall.SIGKILL}}
	for i := range storetest.Databases(t) {
		var servers []*wire
		var requests [][]byte
		var name string
		var wg sync.WaitGroup
		stop := make(chan struct{})
		var mu sync.Mutex
		met := map[string]int{}
		for k, s := range states {
			database := storetest.Databases(t)[i]
			name = database.Name
			in := b.sigra(t, setup{database: database.URL, plugins: orNone(k > 0)})
			in.start()
			in.signUp("ada@example.com")
			if k > 0 {
				in.awaitPlugin("threadline")
			}
			w, err := dial(in.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			servers, requests = append(servers, w), append(requests, loginRequest(in.addr, in.known(t, "ada@example.com")))
			wg.Go(func() { // the same questions to all four, so that asking makes no difference
				last := 0
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					state, pid, err := in.pluginNow("threadline")
					if err != nil || s.do == 0 {
						continue
					}
					if state == "quarantined" {
						_, _ = in.control("POST", "/v1/admin/plugins/threadline/restart", nil)
					}
					if pid > 0 && pid != last && syscall.Kill(pid, s.do) == nil {
						last = pid
						mu.Lock()
						met[s.name]++
						mu.Unlock()
					}
				}
			})
		}
		took := make([][]time.Duration, len(states))
		for n := range rounds(200) {
			for k := range states {
				k = (k + n) % len(states)
				began := time.Now()
				a, err := servers[k].do(requests[k])
				if err != nil || a.status != 200 {
					t.Fatalf("sign-in with Threadline %s: %d %s %v", states[k].name, a.status, a.body, err)
				}
				if n >= 5 {
					took[k] = append(took[k], time.Since(began))
				}
			}
		}
		close(stop)
		wg.Wait()
		for k := 1; k < len(states); k++ {
			what := "sign-in, Threadline " + states[k].name
			if n := met[states[k].name]; n > 1 {
				what += fmt.Sprintf(", %d processes", n)
			}
			for _, p := range []float64{50, 99} {
				with, without := percentile(took[k], p), percentile(took[0], p)
				b.found(finding{
					what: fmt.Sprintf("%s, p%.0f", what, p), database: name, sigra: fmt.Sprintf("%.1f ms", with.Seconds()*1e3), baseline: fmt.Sprintf("no plugin %.1f ms", without.Seconds()*1e3),
					ratio: float64(with) / float64(without),
				})
			}
		}
	}
}

func orNone(with bool) string {
	if with {
		return threadlineBlock
	}
	return ""
}
