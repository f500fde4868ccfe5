package unleash_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/internal/suite"
	"github.com/sigra-auth/sigra/plugins/rulestead/unleash"
)

func first(int64) int64 { return 0 }

// TestSuite is all of Unleash's client specification.
func TestSuite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(suite.Dir(t, "unleash-client-spec"), "specifications")
	var index []string
	read(t, filepath.Join(dir, "index.json"), &index)
	ran := 0
	for _, file := range index {
		var spec struct {
			Tests, VariantTests []struct {
				Description, ToggleName string
				Context                 unleash.Context
				ExpectedResult          json.RawMessage
			}
		}
		text := read(t, filepath.Join(dir, file), &spec)
		d, err := unleash.Parse(bytes.NewReader(text))
		if err != nil {
			t.Fatal(file, err)
		}
		for _, c := range spec.Tests {
			r, _ := d.Evaluate(c.ToggleName, c.Context, time.Now(), first)
			if ran++; string(c.ExpectedResult) != map[bool]string{true: "true", false: "false"}[r.Enabled] {
				t.Errorf("%s: %s: %v, want %s\n%q", file, c.Description, r.Enabled, c.ExpectedResult, r.Path)
			}
		}
		for _, c := range spec.VariantTests {
			r, _ := d.Evaluate(c.ToggleName, c.Context, time.Now(), first)
			ran++
			var want unleash.Chosen
			if err := json.Unmarshal(c.ExpectedResult, &want); err != nil {
				t.Fatal(err)
			}
			if got := r.Variant; got.Name != want.Name || got.Enabled != want.Enabled || got.FeatureEnabled != want.FeatureEnabled || compact(got.Payload) != compact(want.Payload) {
				t.Errorf("%s: %s: %+v, want %s\n%q", file, c.Description, got, c.ExpectedResult, r.Path)
			}
		}
	}
	if ran < 279 {
		t.Errorf("%d cases ran, and there are 279", ran)
	}
}

func read(t *testing.T, path string, into any) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(path, err)
	}
	return b
}

func compact(raw json.RawMessage) string {
	var out bytes.Buffer
	_ = json.Compact(&out, raw)
	return out.String()
}
