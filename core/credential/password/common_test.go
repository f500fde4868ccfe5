package password

import (
	"sort"
	"strings"
	"testing"
)

// The search relies on the list's form; every entry is found, and nothing between two entries is.
func TestCommon(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(common, "\n"), "\n")
	if len(lines) != 10_000 || !sort.StringsAreSorted(lines) || !strings.HasSuffix(common, "\n") {
		t.Fatalf("%d lines, sorted %v", len(lines), sort.StringsAreSorted(lines))
	}
	for i, l := range lines {
		if i > 0 && l == lines[i-1] {
			t.Errorf("%q stands there twice", l)
		}
		if len(l) < DefaultMinLength || fold(l) != l || strings.TrimSpace(l) != l {
			t.Errorf("%q could never be asked for", l)
		}
		if !isCommon(l) {
			t.Errorf("%q is not found", l)
		}
		for _, near := range []string{l + "\x00", l[:len(l)-1] + "\x01", l + "\n", "\n" + l} {
			if isCommon(near) {
				t.Errorf("%q is found", near)
			}
		}
	}
	for _, s := range []string{"", "\n", "\x00", "\xff", "zzzzzzzzzzzzz", common[:40]} {
		if isCommon(s) {
			t.Errorf("%q is found", s)
		}
	}
}

func BenchmarkCommon(b *testing.B) {
	for b.Loop() {
		isCommon("correct horse battery staple")
	}
}
