package pluginhost_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/pluginhost"
)

// A gate asked through the facade against a bare go-plugin call in the same run; and with no gate configured.
func BenchmarkGate(b *testing.B) {
	f := newHost(b, "gatekeeper")
	f.apply("plugin \"gatekeeper\" {\n gate \"login\" {\n  on_error = \"deny\"\n timeout = \"5s\"\n }\n}")
	f.wait("gatekeeper", pluginhost.Ready)
	ctx := context.Background()
	b.Run("bare", func(b *testing.B) {
		_ = f.Inside("gatekeeper", func(_ context.Context, call func() error) error {
			timed(b, call)
			return nil
		})
	})
	b.Run("ask", func(b *testing.B) {
		a := gate.Ask{Question: gate.Login, Subject: audit.Ref{Type: "user", ID: "1"}, Context: map[string]any{"method": "allow"}}
		timed(b, func() error { _, err := f.gates.Ask(ctx, a); return err })
	})
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if f.gates.Configured(gate.Registration) {
				b.Fatal("configured")
			}
			if _, err := f.gates.Ask(ctx, gate.Ask{Question: gate.Registration}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A route through a plugin against the same handler in this process, both behind a real server.
func BenchmarkRoute(b *testing.B) {
	f := newHost(b, "routed")
	f.apply(`plugin "routed" {}`)
	f.wait("routed", pluginhost.Ready)
	inProcess := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer inProcess.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for name, url := range map[string]string{"in-process": inProcess.URL, "plugin": f.web.URL + "/routed/hello"} {
		b.Run(name, func(b *testing.B) {
			timed(b, func() error {
				resp, err := client.Get(url)
				if err != nil {
					return err
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				return resp.Body.Close()
			})
		})
	}
}

// timed reports the median and the 99th percentile beside the mean.
func timed(b *testing.B, f func() error) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// Six plugins from the first Apply to the last of them being ready.
func BenchmarkSixReady(b *testing.B) {
	const names = "routed other third fourth fifth sixth"
	src := ""
	for name := range strings.FieldsSeq(names) {
		src += fmt.Sprintf("plugin %q {}\n", name)
	}
	for b.Loop() {
		f := newHost(b, names)
		f.apply(src)
		f.Settle(context.Background())
		b.StopTimer()
		for _, s := range f.Status() {
			if s.State != pluginhost.Ready {
				b.Fatalf("%s is %s: %s", s.Name, s.State, s.Detail)
			}
		}
		if err := f.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// Stopping a plugin whose process is stopped itself.
func BenchmarkStopWedged(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		f := newHost(b, "routed")
		f.Hasten(time.Hour, time.Second, 0)
		f.apply(`plugin "routed" {}`)
		info := f.wait("routed", pluginhost.Ready)
		_ = syscall.Kill(info.PID, syscall.SIGSTOP)
		b.StartTimer()
		if err := f.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// Where no gate is configured, asking costs no allocation; that there is a plugin host changes nothing about it.
func TestGate_noneConfiguredCostsNothing(t *testing.T) {
	f := newHost(t, "gatekeeper")
	f.apply("plugin \"gatekeeper\" {\n gate \"member.add\" {}\n}")
	f.wait("gatekeeper", pluginhost.Ready)
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		if f.gates.Configured(gate.Login) {
			t.Error("configured")
		}
		if a, err := f.gates.Ask(ctx, gate.Ask{Question: gate.Login}); err != nil || a.Decision != gate.Allow {
			t.Error(a, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
