package lockspire

import (
	"encoding/json"
	"os"
	"testing"
)

// TestRedirect_vectors compares and registers what testdata/redirect-uris.json lists.
func TestRedirect_vectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/redirect-uris.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Matching []struct {
			Registered, Asked, Why string
			Allowed                bool
			ApplicationType        string `json:"application_type"`
		}
		Registration []struct {
			URI, Why        string
			OK              bool
			ApplicationType string `json:"application_type"`
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Matching) < 80 || len(v.Registration) < 25 {
		t.Fatalf("%d and %d vectors", len(v.Matching), len(v.Registration))
	}
	for _, c := range v.Matching {
		if got := matchRedirect(c.Registered, c.Asked, c.ApplicationType == "native"); got != c.Allowed {
			t.Errorf("registered %q, asked %q (%s): %v (%s)", c.Registered, c.Asked, c.ApplicationType, got, c.Why)
		}
	}
	for _, c := range v.Registration {
		if err := checkRedirect(c.URI, c.ApplicationType == "native", false); (err == nil) != c.OK {
			t.Errorf("register %q (%s): %v (%s)", c.URI, c.ApplicationType, err, c.Why)
		}
	}
}
