package config

import (
	"strings"

	"github.com/agext/levenshtein"
)

// Suggest returns the candidate that word was probably meant to be, or nothing when none is close.
func Suggest(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	fold := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(s))
	}
	best, closest := "", 1000
	for _, c := range candidates {
		if c == word {
			continue
		}
		d := levenshtein.Distance(word, c, nil)
		if fold(word) == fold(c) {
			d = 0
		}
		// A short word is close to everything: one wrong letter in three, at most three in all.
		if d <= min(3, max(1, len(c)/3)) && d < closest {
			best, closest = c, d
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates {
		if len(word) >= 4 && (strings.HasPrefix(c, word) || strings.HasSuffix(c, "_"+word) || len(c) >= 4 && strings.HasPrefix(word, c)) {
			return c
		}
	}
	return ""
}
