package foreign

import (
	"errors"
	"fmt"
	"strings"
)

// ErrHash says that a text is not a password hash that can be verified. What wraps it says why, and never repeats the text.
var ErrHash = errors.New("not a password hash that can be verified")

// maxText bounds what Parse looks at. The longest form is Firebase's, with the project's signer key in it.
const maxText = 512

// Hash is a stored hash of another system, parsed and not computed yet.
type Hash struct {
	// Scheme is the algorithm's name, for reports: "bcrypt", "firebase-scrypt" …
	Scheme string
	scheme scheme
}

// scheme is one parsed hash of a family.
type scheme interface {
	// cost is what verifying a password of so many bytes takes. Nothing is computed for it.
	cost(length int) Cost
	// verify recomputes the hash from the password, just as the system did that made it, and compares in constant time.
	verify(password []byte) bool
}

// Cost is what verifying would take.
func (h Hash) Cost(passwordLength int) Cost { return h.scheme.cost(passwordLength) }

// Verify reports whether the password is the one. The caller has held Cost against its bounds before.
func (h Hash) Verify(password []byte) bool { return h.scheme.verify(password) }

// Covers reports whether every byte of the password counts in the hash. A match of one that it does not cover proves only
// the part that counts, so the whole must not replace it.
func (h Hash) Covers(password []byte) bool {
	c, ok := h.scheme.(interface{ covers(length int) bool })
	return !ok || c.covers(len(password))
}

// Parse reads a hash in any of the forms that doc.go lists. It bounds nothing but what would make arithmetic fail: hold
// Cost against Limits before Verify.
func Parse(s string) (Hash, error) {
	if s == "" {
		return Hash{}, fmt.Errorf("%w: empty", ErrHash)
	}
	if len(s) > maxText {
		return Hash{}, fmt.Errorf("%w: longer than %d bytes", ErrHash, maxText)
	}
	name, parse := family(s)
	if parse == nil {
		return Hash{}, fmt.Errorf("%w: an unknown form", ErrHash)
	}
	sch, err := parse(s)
	if err != nil {
		return Hash{}, fmt.Errorf("%w: %s: %w", ErrHash, name, err)
	}
	return Hash{Scheme: name, scheme: sch}, nil
}

type parser func(string) (scheme, error)

// family finds who reads the text, by how it begins.
func family(s string) (name string, parse parser) {
	for _, f := range []struct {
		prefix, name string
		parse        parser
	}{
		{"$argon2", "argon2", parseArgon2},
		{"$2", "bcrypt", parseBcrypt},
		{"$bcrypt-sha256$", "passlib-bcrypt", parsePasslibBcrypt},
		{"$wp$", "wordpress", parseWordPress},
		{"$scrypt$", "scrypt", parseScrypt},
		{"$firescrypt$", "firebase-scrypt", parseFirebase},
		{"$fbscrypt$", "firebase-scrypt", parseFirebase},
		{"$pbkdf2", "pbkdf2", parsePBKDF2},
		{"$5$", "sha256crypt", parseSHA256Crypt},
		{"$6$", "sha512crypt", parseSHA512Crypt},
		{"$1$", "md5crypt", parseMD5Crypt},
		{"$apr1$", "md5crypt", parseMD5Crypt},
		{"$P$", "phpass", parsePHPass},
		{"$H$", "phpass", parsePHPass},
		{"$S$", "drupal7", parseDrupal},
		{"U$S$", "drupal7", parseDrupal},
		{"$raw-", "raw", parseRaw},
		{"$hmac-", "hmac", parseHMAC},
		{"{", "ldap", parseLDAP},
		{"pbkdf2_", "django", parseDjango},
		{"argon2$", "django", parseDjango},
		{"bcrypt$", "django", parseDjango},
		{"bcrypt_sha256$", "django", parseDjango},
		{"scrypt$", "django", parseDjango},
		{"md5$", "django", parseDjango},
		{"sha1$", "django", parseDjango},
		{"scrypt:", "werkzeug", parseWerkzeug},
		{"pbkdf2:", "werkzeug", parseWerkzeug},
		{"A", "aspnet", parseASPNET}, // base64 of a first byte of 0 or 1
	} {
		if strings.HasPrefix(s, f.prefix) {
			return f.name, f.parse
		}
	}
	return "", nil
}
