package semver

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// Version is a version as its parts. Its build metadata is dropped: it has no part in precedence.
type Version struct {
	Major, Minor, Patch uint64
	Pre                 string // without the hyphen; empty: a release
}

// prerelease is what may follow the hyphen: numbers have no leading zeros.
var prerelease = regexp.MustCompile(`^(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*$`)

var build = regexp.MustCompile(`^[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*$`)

// Parse reads a version of three numbers. ok is false for everything else.
func Parse(s string) (v Version, ok bool) { return parse(s, 3) }

// ParseLoose reads a version that may begin with v or V and may have only one or two numbers.
func ParseLoose(s string) (v Version, ok bool) {
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		s = s[1:]
	}
	return parse(s, 1)
}

func parse(s string, atLeast int) (v Version, ok bool) {
	s, meta, has := strings.Cut(s, "+")
	if has && !build.MatchString(meta) {
		return Version{}, false
	}
	s, v.Pre, has = strings.Cut(s, "-")
	if has && !prerelease.MatchString(v.Pre) {
		return Version{}, false
	}
	for i, into := range []*uint64{&v.Major, &v.Minor, &v.Patch} {
		if s == "" && i >= atLeast {
			break
		}
		n, rest, more := strings.Cut(s, ".")
		var err error
		if *into, err = strconv.ParseUint(n, 10, 64); err != nil || len(n) > 1 && n[0] == '0' || n[0] == '+' {
			return Version{}, false
		}
		if more && (rest == "" || i == 2) {
			return Version{}, false
		}
		s = rest
	}
	return v, s == ""
}

// Compare is negative where v precedes w, and zero where neither does (§11).
func Compare(v, w Version) int {
	if c := cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch)); c != 0 {
		return c
	}
	switch {
	case v.Pre == w.Pre:
		return 0
	case v.Pre == "":
		return 1
	case w.Pre == "":
		return -1
	}
	a, b := v.Pre, w.Pre
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := identifier(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b)) // what has more identifiers follows
}

// identifier compares two: numbers as numbers and before everything else.
func identifier(x, y string) int {
	nx, ny := digits(x), digits(y)
	switch {
	case nx && ny: // without leading zeros the longer one is greater
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
	case nx:
		return -1
	case ny:
		return 1
	}
	return strings.Compare(x, y)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
