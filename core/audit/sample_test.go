package audit_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// The SDK's test kit has sample rows for every action, and can't ask the core for them. With UPDATE_SAMPLES=1 this test
// writes its list anew.
func TestCatalogue_isKnownToPlugintest(t *testing.T) {
	t.Parallel()
	var want []plugintest.Action
	for _, a := range audit.Catalogue() {
		want = append(want, plugintest.Action{Action: a.Name, Category: a.Category, CRUD: a.CRUD, Outcome: string(a.Outcome)})
	}
	if os.Getenv("UPDATE_SAMPLES") != "" {
		var b bytes.Buffer
		b.WriteString("[\n")
		for i, a := range want {
			line, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("  " + string(line))
			if i < len(want)-1 {
				b.WriteString(",")
			}
			b.WriteString("\n")
		}
		b.WriteString("]\n")
		if err := os.WriteFile("../../pluginsdk/plugintest/testdata/catalogue.json", b.Bytes(), 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
		return
	}
	got := plugintest.Catalogue()
	if len(got) != len(want) {
		t.Fatalf("plugintest has %d actions, the catalogue %d; run UPDATE_SAMPLES=1 go test ./core/audit -run isKnownToPlugintest", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("plugintest has %+v, the catalogue %+v; run UPDATE_SAMPLES=1 go test ./core/audit -run isKnownToPlugintest", got[i], want[i])
		}
	}
}
