package foreign

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
)

// parseWordPress reads what WordPress writes since 6.8: $wp and a bcrypt hash. Older ones are phpass's.
func parseWordPress(s string) (scheme, error) { return bcryptOf(s[len("$wp"):], wordPressSHA384) }

// wordPressSHA384 is wp_hash_password of WordPress 6.8 (wp-includes/pluggable.php). White space around a password, and
// NUL, are cut off, when it is set and when it is typed in.
func wordPressSHA384(password []byte) []byte {
	mac := hmac.New(sha512.New384, []byte("wp-sha384"))
	mac.Write(bytes.Trim(password, " \t\n\r\x00\x0b")) // PHP's trim()
	return []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
