package pluginhost_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

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
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
			return nil
		})
	})
	b.Run("ask", func(b *testing.B) {
		a := gate.Ask{Question: gate.Login, Subject: audit.Ref{Type: "user", ID: "1"}, Context: map[string]any{"do": "allow"}}
		for b.Loop() {
			if _, err := f.gates.Ask(ctx, a); err != nil {
				b.Fatal(err)
			}
		}
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
			for b.Loop() {
				resp, err := client.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
