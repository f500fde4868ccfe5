package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// start measures from exec to the first "ready", and what a server that nobody uses keeps in memory.
func (b *bench) start(t *testing.T) {
	onEach(t, func(t *testing.T, database string) {
		alone := b.sigra(t, setup{database: database})
		began := time.Now()
		alone.launch()
		ready, err := untilReady(alone.addr, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		first := ready.Sub(began)
		token := alone.admin("root@example.com").Token
		alone.stop()

		var wall, hello, satellite, cpu, helloCPU []time.Duration
		for range rounds(15) {
			d, c := b.helloStart(t)
			hello, helloCPU = append(hello, d), append(helloCPU, c)
			d, c, _ = b.sigraStart(t, alone, "")
			wall, cpu = append(wall, d), append(cpu, c)
			if bundled() {
				alone.configure(setup{database: database, plugins: threadlineBlock})
				_, _, d = b.sigraStart(t, alone, token)
				satellite = append(satellite, d)
				alone.configure(setup{database: database})
			}
		}
		name := nameOf(database)
		b.found(finding{
			what: "exec to ready", database: name, sigra: ms(median(wall)) + ", CPU " + ms(median(cpu)), baseline: "hello server " + ms(median(hello)) + ", CPU " + ms(median(helloCPU)),
			ratio: float64(median(wall)) / float64(median(hello)), target: "50 ms", met: median(wall) <= 50*time.Millisecond,
		})
		b.found(finding{what: "  the very first time", database: name, sigra: ms(first), baseline: "makes every table", ratio: float64(first) / float64(median(wall))})
		if bundled() {
			more := median(satellite) - median(wall)
			b.found(finding{
				what: "  until Threadline answers", database: name, sigra: ms(median(satellite)), baseline: "standalone + " + ms(more),
				ratio: float64(median(satellite)) / float64(median(wall)), target: "+100 ms", met: more <= 100*time.Millisecond,
			})
		}
		b.idle(t, alone, database)
	})
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }

func (b *bench) helloStart(t *testing.T) (wall, cpu time.Duration) {
	addr := freeAddr(t)
	cmd := exec.Command(b.hello, addr)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	ready, err := untilReady(addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	cpu, _ = cpuOf(cmd.Process.Pid)
	return ready.Sub(began), cpu
}

// sigraStart gives how long the core took to be ready and, when there is a token, how long Threadline took to answer.
func (b *bench) sigraStart(t *testing.T, in *instance, token string) (wall, cpu, satellite time.Duration) {
	began := time.Now()
	in.launch()
	ready, err := untilReady(in.addr, 30*time.Second)
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(in.log(), 3000))
	}
	wall = ready.Sub(began)
	cpu, _ = cpuOf(in.process().Pid)
	if token != "" {
		ask := get("/threadline/v1/status", in.addr, token)
		for {
			w, err := dial(in.addr)
			if err == nil {
				var a wireAnswer
				a, err = w.do(ask)
				w.close()
				if err == nil && a.status == http.StatusOK {
					break
				}
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("Threadline does not answer: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
		satellite = time.Since(began)
	}
	in.stop()
	return wall, cpu, satellite
}

// idle runs one server at a time, because processes of one program share pages, and PSS divides those among them.
func (b *bench) idle(t *testing.T, in *instance, database string) {
	const settle = 5 * time.Second
	hello := serve(t, b.hello, func(addr string) []string { return []string{addr} })
	in.start()
	time.Sleep(settle)
	least, alone := pss(t, hello.pid), pss(t, in.process().Pid)
	in.stop()
	b.found(finding{
		what: "idle memory (PSS)", database: nameOf(database), sigra: mib(alone), baseline: "hello server " + mib(least), ratio: float64(alone) / float64(least),
		target: "40 MB", met: alone <= 40e6,
	})
	if !bundled() {
		return
	}
	in.configure(setup{database: database, plugins: threadlineBlock})
	in.start()
	in.awaitPlugin("threadline")
	time.Sleep(settle)
	_, pid, err := in.pluginNow("threadline")
	if err != nil {
		t.Fatal(err)
	}
	host, plugin := pss(t, in.process().Pid), pss(t, pid)
	b.found(finding{
		what: "  with Threadline", database: nameOf(database), sigra: mib(host) + " + " + mib(plugin), baseline: "standalone " + mib(alone), ratio: float64(host+plugin) / float64(alone),
	})
	in.stop()
}
