package flagd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/plugins/rulestead/flagd"
	"github.com/sigra-auth/sigra/plugins/rulestead/internal/suite"
)

// TestCheck holds every sample of flagd's schemas: those that are valid and those that are not.
func TestCheck(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(suite.Dir(t, "flagd"), "schemas-tests", "json", "test")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.json"))
	if err != nil || len(files) < 30 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		valid := strings.Contains(file, string(filepath.Separator)+"positive"+string(filepath.Separator))
		if err := flagd.Check(text); (err == nil) != valid {
			t.Errorf("%s: %v", file, err)
		}
	}
}
