package foreign

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
)

// parseDrupal reads $S$: phpass with SHA-512, of which the first 43 characters are kept (Drupal 7, includes/password.inc). U
// before it marks a hash that Drupal 7 made of Drupal 6's MD5.
func parseDrupal(s string) (scheme, error) {
	inner, updated := strings.CutPrefix(s, "U")
	if len(inner) != 55 {
		return nil, errFields
	}
	h, err := stretchedOf("sha512", inner, 43)
	if err != nil {
		return nil, err
	}
	if updated {
		h.prepare = func(password []byte) []byte {
			sum := md5.Sum(password)
			return hex.AppendEncode(nil, sum[:])
		}
	}
	return h, nil
}
