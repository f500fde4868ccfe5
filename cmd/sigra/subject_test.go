//go:build !core_only

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestSubject exports what is held of a person, a plugin's share included, and has the plugin forget them when they are deleted.
func TestSubject(t *testing.T) {
	t.Parallel()
	onEither(t, func(t *testing.T, database string) {
		t.Parallel()
		in := newInstance(t, setup{database: database, plugins: `plugin "lockspire" {}` + "\n"})
		in.start()
		in.pluginReady("lockspire")
		const alice = "alice@example.org"
		in.signUp(alice)
		var out struct {
			Held    map[string]any `json:"held"`
			Plugins map[string]struct {
				Consents []any `json:"consents"`
			} `json:"plugins"`
			Missing []string `json:"missing"`
		}
		text := in.cli("user", "export", alice)
		if err := json.Unmarshal([]byte(text), &out); err != nil || !strings.Contains(text, alice) || out.Held["account"] == nil || out.Plugins["lockspire"].Consents == nil || len(out.Missing) > 0 {
			t.Fatalf("%v: %s", err, text)
		}
		if log := in.cli("audit", "list", "--action", "account.export"); !strings.Contains(log, "account.export") {
			t.Errorf("%s", log)
		}
		in.cli("user", "delete", alice, "--yes")
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			log := in.cli("audit", "list", "--action", "account.plugin_erase")
			if strings.Contains(log, "account.plugin_erase") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the plugin has not forgotten: %s", log)
			}
		}
	})
}
