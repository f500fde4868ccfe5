package password

import (
	_ "embed"
	"strings"
)

// common are the 10 000 most used passwords of at least 8 characters, the shortest that any configuration allows, in lower
// case, sorted by bytes, one on a line (ASVS 5.0 6.2.4). docs/dependencies.md says where they come from. It is searched as it
// lies in the binary: no start-up, no memory.
//
//go:embed common.txt
var common string

// isCommon looks a folded password up.
func isCommon(password string) bool {
	lo, hi := 0, len(common) // starts of lines, or the end
	for lo < hi {
		mid := (lo + hi) / 2
		start := lo + strings.LastIndexByte(common[lo:mid], '\n') + 1
		end := start + strings.IndexByte(common[start:], '\n')
		switch line := common[start:end]; {
		case line == password:
			return true
		case line < password:
			lo = end + 1
		default:
			hi = start
		}
	}
	return false
}
