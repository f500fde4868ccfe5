package unleash_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/rulestead/internal/suite"
	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
	"github.com/sigra-auth/sigra/plugins/rulestead/unleash"
)

// attributes are a context as Sigra would have it: named by it, and numbers as numbers where a test compares numbers.
func attributes(c unleash.Context) rule.Map {
	a := rule.Map{}
	put := func(name string, v any) {
		if s, ok := v.(string); ok && (name == "someValue" || name == "customNumber" || name == "slicesLeft") {
			if n, err := strconv.ParseFloat(s, 64); err == nil {
				v = n
			}
		}
		if to, ok := map[string]string{"userId": "user.id", "sessionId": "session.id", "remoteAddress": "ip"}[name]; ok {
			name = to
		}
		a[name] = v
	}
	for name, v := range c {
		if p, ok := v.(map[string]any); ok && name == "properties" {
			for name, v := range p {
				put(name, v)
			}
			continue
		}
		put(name, v)
	}
	return a
}

// TestImport imports every feature of the client specification that can be said in rules, and has the same decided by both.
func TestImport(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(suite.Dir(t, "unleash-client-spec"), "specifications")
	var index []string
	read(t, filepath.Join(dir, "index.json"), &index)
	same, refused := 0, map[string]bool{}
	for _, file := range index {
		var spec struct {
			State struct {
				Features []json.RawMessage
				Segments json.RawMessage
			}
			Tests, VariantTests []struct {
				ToggleName string
				Context    unleash.Context
			}
		}
		read(t, filepath.Join(dir, file), &spec)
		whole := map[string]*unleash.Definitions{}
		snapshots := map[string]*rule.Snapshot{}
		all := map[string]json.RawMessage{}
		for _, f := range spec.State.Features {
			var named struct{ Name string }
			_ = json.Unmarshal(f, &named)
			all[named.Name] = f
		}
		for name, f := range all {
			list := []json.RawMessage{f}
			var deps struct{ Dependencies []struct{ Feature string } }
			_ = json.Unmarshal(f, &deps)
			for _, d := range deps.Dependencies {
				if parent, ok := all[d.Feature]; ok {
					list = append(list, parent)
				}
			}
			text, _ := json.Marshal(map[string]any{"features": list, "segments": spec.State.Segments})
			d, err := unleash.Parse(bytes.NewReader(text))
			if err != nil {
				t.Fatal(file, name, err)
			}
			imported, _, err := d.Import("ada", "2027-01-01")
			if err != nil {
				refused[name] = true
				continue
			}
			s, err := rule.Compile(1, imported)
			if err != nil {
				t.Fatal(file, name, err)
			}
			whole[name], snapshots[name] = d, s
		}
		for _, c := range append(spec.Tests, spec.VariantTests...) {
			s := snapshots[c.ToggleName]
			if s == nil {
				continue
			}
			now := time.Now()
			if at, ok := c.Context["currentTime"].(string); ok {
				now, _ = time.Parse(time.RFC3339, at)
			}
			want, _ := whole[c.ToggleName].Evaluate(c.ToggleName, c.Context, now, first)
			got, _ := s.Evaluate(c.ToggleName, attributes(c.Context), now)
			is := string(got.Value) == "true" || strings.Contains(string(got.Value), `"enabled":true`)
			variant := got.Variant
			if variant == "off" || variant == "" {
				variant = "disabled"
			}
			if is != want.Enabled || variant != want.Variant.Name {
				if _, known := c.Context["userId"]; !known && !is && want.Variant.Enabled {
					continue // a variant at random, as the notes say
				}
				_, path := s.Explain(c.ToggleName, attributes(c.Context), now)
				t.Errorf("%s %s %v: %s, want %v %s\n%q", file, c.ToggleName, c.Context, got.Value, want.Enabled, want.Variant.Name, path)
			}
			same++
		}
	}
	if same < 220 {
		t.Errorf("%d cases are the same; refused: %v", same, refused)
	}
}

// TestImport_groups: of an experiment that moves, everybody keeps their share and their variant.
func TestImport_groups(t *testing.T) {
	t.Parallel()
	const text = `{"version": 1, "features": [{"name": "checkout", "enabled": true, "strategies": [{"name": "flexibleRollout", "parameters": {"rollout": "40", "stickiness": "userId", "groupId": "g"},
		"variants": [{"name": "a", "weight": 333, "stickiness": "userId"}, {"name": "b", "weight": 667, "stickiness": "userId"}]}]}]}`
	d, err := unleash.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	imported, _, err := d.Import("ada", "2027-01-01")
	if err != nil {
		t.Fatal(err)
	}
	s, err := rule.Compile(1, imported)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		id := fmt.Sprintf("Zoë-%d", i)
		want, _ := d.Evaluate("checkout", unleash.Context{"userId": id}, time.Now(), first)
		got, _ := s.Evaluate("checkout", rule.Map{"user.id": id}, time.Now())
		if want.Enabled && got.Variant != want.Variant.Name || !want.Enabled && got.Variant != "off" {
			t.Fatalf("%s: %s, want %+v", id, got.Variant, want)
		}
	}
}

// TestImport_refuses: what can't be said is named, with its place.
func TestImport_refuses(t *testing.T) {
	t.Parallel()
	for want, feature := range map[string]string{
		"feature f: strategy gradualRolloutRandom": `{"name": "f", "enabled": true, "strategies": [{"name": "gradualRolloutRandom", "parameters": {"percentage": "5"}}]}`,
		"there is no operator LIKE":                `{"name": "f", "enabled": true, "strategies": [{"name": "default", "constraints": [{"contextName": "a", "operator": "LIKE", "value": "b"}]}]}`,
		"a value that NUM_GT can't take":           `{"name": "f", "enabled": true, "strategies": [{"name": "default", "constraints": [{"contextName": "a", "operator": "NUM_GT", "value": "b"}]}]}`,
		"the dependency g is missing":              `{"name": "f", "enabled": true, "dependencies": [{"feature": "g"}]}`,
	} {
		d, err := unleash.Parse(strings.NewReader(`{"features": [` + feature + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.Import("ada", "2027-01-01"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// FuzzParse: whatever is read can be decided, and what can be imported decides without failing.
func FuzzParse(f *testing.F) {
	f.Add(`{"features": [{"name": "f", "enabled": true, "strategies": [{"name": "flexibleRollout", "parameters": {"rollout": "50"}, "constraints": [{"contextName": "a", "operator": "NOT_IN", "values": ["b"], "inverted": true}], "segments": [1]}]}], "segments": [{"id": 1, "constraints": []}]}`, `{"userId": "7"}`)
	f.Add(`{"events": [{"type": "feature-updated", "feature": {"name": "f", "enabled": true, "variants": [{"name": "a", "weight": 1, "overrides": [{"contextName": "userId", "values": ["1"]}]}]}}]}`, `{}`)
	f.Fuzz(func(t *testing.T, text, context string) {
		d, err := unleash.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		var c unleash.Context
		_ = json.Unmarshal([]byte(context), &c)
		for _, name := range d.Names() {
			d.Evaluate(name, c, time.Unix(0, 0), first)
		}
		imported, _, err := d.Import("ada", "2027-01-01")
		if err != nil {
			return
		}
		if s, err := rule.Compile(1, imported); err == nil {
			for _, key := range s.Keys() {
				s.Evaluate(key, attributes(c), time.Unix(0, 0))
			}
		}
	})
}
