package store

import (
	"strings"
	"testing"
)

// No server that old is at hand, so this one looks inside.
func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for v, ok := range map[int]bool{90624: false, 120022: false, 130000: true, 150008: true, 180001: true} {
		err := checkVersion("postgres://h:5432/x", v)
		if (err == nil) != ok {
			t.Errorf("%d: %v", v, err)
		}
	}
	if err := checkVersion("postgres://h:5432/x", 120022); !strings.Contains(err.Error(), "is Postgres 12.22; Sigra needs 13 or newer") {
		t.Error(err)
	}
}
