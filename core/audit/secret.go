package audit

import (
	"slices"
	"strings"
	"unicode"
)

// Words that name a secret wherever they stand in a key, and words that do so at its end. ASVS 5.0 16.2.5: credentials
// and tokens must not be logged.
var (
	secretAnywhere = []string{"password", "passwd", "passphrase", "passcode", "secret", "credential", "bearer", "apikey", "privatekey", "cookie"}
	secretAtEnd    = []string{"token", "code", "otp", "totp", "pin", "authorization", "jwt", "assertion", "signature", "seed", "hash", "key", "nonce", "verifier", "challenge"}
	// What ends like a secret and is none.
	harmless = []string{"statuscode", "countrycode", "errorcode", "reasoncode", "languagecode", "exitcode", "httpcode", "currencycode"}
)

// Secret reports whether a metadata key names something that must never be recorded, in whatever case and spelling:
// password, accessToken, TOTP_CODE, client-secret. A key that only says something about one, like token_id, is fine,
// but not about a password or secret.
func Secret(key string) bool {
	k := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, key)
	k = strings.TrimRight(k, "0123456789")
	for _, w := range secretAnywhere {
		if strings.Contains(k, w) {
			return true
		}
	}
	one := strings.TrimSuffix(k, "s")
	if slices.Contains(harmless, one) {
		return false
	}
	for _, w := range secretAtEnd {
		if strings.HasSuffix(k, w) || strings.HasSuffix(one, w) {
			return true
		}
	}
	return false
}
