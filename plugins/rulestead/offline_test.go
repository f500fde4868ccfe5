package rulestead_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/plugins/rulestead"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// offline runs a command that needs no server; status is that of a process.
func offline(t *testing.T, asJSON bool, name string, args ...string) (out string, status int, err error) {
	t.Helper()
	for _, c := range rulestead.New().Manifest().Commands {
		if c.Name != name {
			continue
		}
		var b bytes.Buffer
		err := c.Offline(t.Context(), &pluginsdk.CommandCall{Name: name, Arguments: args, Stdout: &b, Stderr: &b, JSON: asJSON})
		var exit *pluginsdk.ExitError
		switch {
		case errors.As(err, &exit):
			return b.String(), exit.Status, exit.Err
		case err != nil:
			return b.String(), 1, err
		}
		return b.String(), 0, nil
	}
	t.Fatalf("there is no command %s", name)
	return "", 0, nil
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	ofUnleash = `{"version": 1, "features": [{"name": "checkout", "type": "experiment", "enabled": true, "strategies": [{"name": "flexibleRollout", "parameters": {"rollout": "100", "stickiness": "default", "groupId": "checkout"},
		"constraints": [{"contextName": "country", "operator": "NOT_IN", "values": ["NO"]}]}], "variants": [{"name": "blue", "weight": 1000, "payload": {"type": "string", "value": "b"}}]}]}`
	ofFlagd = `{"flags": {"color": {"state": "ENABLED", "variants": {"red": "#f00", "blue": "#00f"}, "defaultVariant": "red", "metadata": {"team": "web"},
		"targeting": {"if": [{"ends_with": [{"var": "email"}, "@example.com"]}, {"fractional": [["red", 1], ["blue", 1]]}, null]}}}}`
)

// TestOffline: files of all three kinds are checked, evaluated with value, reason and path, compared and imported without a server.
func TestOffline(t *testing.T) {
	t.Parallel()
	good, bad := file(t, closed), file(t, `{"flags": {"f": {}}}`)
	theirs, flagd := file(t, ofUnleash), file(t, ofFlagd)
	for _, c := range []struct {
		words  string
		status int
		wants  []string
	}{
		{"validate " + good, 0, []string{`"valid":true`}},
		{"validate " + good + " " + bad, 1, []string{`"valid":true`, `"valid":false`, "kind is one of"}},
		{"validate --mode unleash " + theirs, 0, []string{`"valid":true`}},
		{"validate --mode flagd " + flagd, 0, []string{`"valid":true`}},
		{"validate --mode flagd " + file(t, `{"if": [true, "a"]}`), 0, []string{`"valid":true`}},
		{"validate --mode flagd " + file(t, `{"fractional": [["a", 0.5]]}`), 1, []string{"a weight is a whole number"}},
		{"validate --mode flagd " + good, 1, []string{"state is ENABLED or DISABLED"}},
		{"validate --mode odd " + good, 2, nil},
		{"eval --flags " + good + " --context " + file(t, `{"organization": {"id": "`+acme+`"}}`) + " acme-login", 0, []string{`"value":"deny"`, `"reason":"rule"`, `"rule":"acme"`, `"path":["flag acme-login`}},
		{"eval --flags " + good + " acme-login none", 1, []string{`"value":"allow"`, `"reason":"default"`, `"reason":"flag_not_found"`}},
		{"eval --flags " + bad, 1, nil},
		{"eval --flags " + good + " --at soon", 2, nil},
		{"eval --mode unleash --flags " + theirs + " --context " + file(t, `{"userId": "7"}`), 0, []string{`"value":true`, `"reason":"enabled"`, `"name":"blue"`, `"value":"b"`, "constraint country NOT_IN"}},
		{"eval --mode unleash --flags " + theirs + " --context " + file(t, `{"properties": {"country": "NO"}}`), 0, []string{`"value":false`, `"reason":"disabled"`, `"name":"disabled"`}},
		{"eval --mode flagd --flags " + flagd + " --context " + file(t, `{"targetingKey": "ada", "email": "ada@example.com"}`), 0, []string{`"reason":"TARGETING_MATCH"`, `"team":"web"`}},
		{"eval --mode flagd --flags " + flagd, 0, []string{`"value":"#f00"`, `"variant":"red"`, `"reason":"DEFAULT"`, "targeting gives null"}},
		{"eval --mode flagd --type boolean --flags " + flagd, 0, []string{`"value":null`, `"error_code":"TYPE_MISMATCH"`}},
		{"diff " + good + " " + good, 0, nil},
		{"diff " + good + " " + file(t, strings.Replace(strings.Replace(closed, `"enabled": true`, `"enabled": false`, 1), `"name": "admin pages", `, "", 1)), 1, []string{
			`{"path":["flags","acme-login","enabled"],"from":true,"to":false}`, `{"path":["flags","admin-route","rules","0","name"],"from":"admin pages"}`}},
		{"import --mode unleash --owner ada --review-by 2027-06-30 " + theirs, 0, []string{`"checkout"`, `"hash": "unleash"`}},
		{"import --mode flagd --owner ada --review-by 2027-06-30 " + flagd, 0, []string{`"hash": "flagd"`, `"ends_with"`}},
		{"import --mode flagd --owner ada --review-by soon " + flagd, 1, nil},
		{"import --mode flagd " + flagd, 2, nil},
	} {
		words := strings.Fields(c.words)
		out, status, err := offline(t, true, words[0], words[1:]...)
		if status != c.status {
			t.Errorf("%s: status %d, want %d: %v\n%s", c.words, status, c.status, err, out)
		}
		for _, want := range c.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %s\nis missing %s", c.words, out, want)
			}
		}
	}
	out, _, err := offline(t, true, "import", "--mode", "flagd", "--owner", "ada", "--review-by", "2027-06-30", flagd)
	if err != nil || !json.Valid([]byte(out)) {
		t.Fatal(err, out)
	}
	if _, status, err := offline(t, false, "validate", file(t, out)); status != 0 {
		t.Errorf("what is imported is not valid: %v", err)
	}
	for _, words := range [][]string{{"eval", "--flags", good, "acme-login"}, {"diff", good, file(t, `{"flags": {}}`)}} {
		if out, _, _ := offline(t, false, words[0], words[1:]...); !strings.Contains(out, "acme-login: ") {
			t.Errorf("%v: %s", words, out)
		}
	}
}
