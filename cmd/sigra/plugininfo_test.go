package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/httpapi"
)

func TestPluginInfo_saysAllThereIs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out bytes.Buffer
	showPlugin(&out, httpapi.PluginInfo{
		PluginStatus: httpapi.PluginStatus{Name: "greeter", State: "failed", Version: "1.2.3", Source: "/opt/greeter", Seams: []string{"Gate", "Routes"}, Restarts: 4, LastError: "it ended with status 5"},
		SDK:          "go/1.0.0", Contract: "sigra.plugin.v1", SHA256: strings.Repeat("5f", 32), PinnedBy: "lock",
		Grants: []string{"kv.use"}, Requires: []string{"kv.use"}, Wants: []string{"seal.use"}, Claims: []string{"plan"}, Env: []string{"TZ"}, Storage: true,
		Routes:    []httpapi.PluginRoute{{Path: "/greeter", Access: "signed_in", Machine: true, Title: "Greeter"}},
		Settings:  json.RawMessage(`[{"path":"token","type":"string","required":true,"secret":true,"description":"of the API"}]`),
		LastCrash: "it ended with status 5\npanic: \x1b[2Jboom", CrashedAt: at, Failures: 2, NextStart: at.Add(time.Minute),
		Latencies: []httpapi.PluginLatency{{Seam: "Gate", Calls: 12, P50MS: 0.256, P99MS: 1.024}}, Broken: []string{"Gate"},
		Facts: []httpapi.PluginFact{{Name: "queue", Value: "3"}}, Log: []string{"last line"},
	})
	text := out.String()
	for _, want := range []string{
		"state        failed", "detail       it ended with status 5", "contract     sigra.plugin.v1", "sdk          go/1.0.0", "pinned       by the lock file",
		"failures     2", "next start   2026-01-02 03:05:05", "not called   Gate (failed several times", "storage      a database of its own", "claims       plan",
		"environment  TZ", "/greeter  signed in, for programs  Greeter", "token    string  required, secret", "Gate  12     ≤ 0.256 ms  ≤ 1.02 ms",
		"queue  3", "last crash, 2026-01-02 03:04:05 UTC:", "panic: \uFFFD[2Jboom", "last lines it wrote:\n  last line",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	// Of a plugin that was never up there is little to say, and nothing is made up.
	out.Reset()
	showPlugin(&out, httpapi.PluginInfo{PluginStatus: httpapi.PluginStatus{Name: "new", State: "declared", Source: "bundled"}})
	if n := strings.Count(out.String(), "\n"); n > 6 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
