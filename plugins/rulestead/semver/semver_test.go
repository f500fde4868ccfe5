package semver_test

import (
	"testing"

	"github.com/sigra-auth/sigra/plugins/rulestead/semver"
)

// TestCompare holds the order that the specification prints in §11.
func TestCompare(t *testing.T) {
	t.Parallel()
	order := []string{"0.9.9", "1.0.0-0", "1.0.0-2", "1.0.0-11", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1", "10.0.0"}
	for i, a := range order {
		for j, b := range order {
			v, ok := semver.Parse(a)
			w, also := semver.Parse(b + "+build.7")
			if !ok || !also {
				t.Fatal(a, b)
			}
			if got := semver.Compare(v, w); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "1", "1.2", "1.2.3.4", "1.2.", "01.2.3", "1.02.3", "+1.2.3", "v1.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.3 ", "-1.2.3", "a.b.c", "99999999999999999999.0.0"} {
		if v, ok := semver.Parse(s); ok {
			t.Errorf("%q is %+v", s, v)
		}
	}
	for s, want := range map[string]semver.Version{
		"1": {Major: 1}, "v1.2": {Major: 1, Minor: 2}, "V1.2.3-rc.1+x": {Major: 1, Minor: 2, Patch: 3, Pre: "rc.1"}, "1-a": {Major: 1, Pre: "a"},
	} {
		if v, ok := semver.ParseLoose(s); !ok || v != want {
			t.Errorf("%q is %+v, %v", s, v, ok)
		}
	}
	for _, s := range []string{"", "v", "1.", "2.0.0.0", "vv1", "not-a-version"} {
		if v, ok := semver.ParseLoose(s); ok {
			t.Errorf("%q is %+v", s, v)
		}
	}
}
