package foreign

import (
	"errors"
	"strings"
)

// parseLDAP reads the values of userPassword (RFC 2307 §5.3, and what directories added): {SCHEME}, in capitals or not,
// and base64 of the digest, followed by the salt in the salted ones. {CRYPT} holds a hash of crypt(3), {PBKDF2…}
// iterations$salt$key.
func parseLDAP(s string) (scheme, error) {
	name, value, ok := strings.Cut(s[1:], "}")
	if !ok {
		return nil, errFields
	}
	name = strings.ToLower(name)
	switch name {
	case "crypt":
		return parseLDAPCrypt(value)
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		f := strings.Split(value, "$")
		if len(f) != 3 {
			return nil, errFields
		}
		digest := "sha1"
		if _, named, ok := strings.Cut(name, "-"); ok {
			digest = named
		}
		return pbkdf2Of(digest, f[0], f[1], f[2])
	}
	digests := map[string]string{"md5": "md5", "sha": "sha1", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}
	salted := name == "smd5" || strings.HasPrefix(name, "ssha")
	if salted {
		name = name[1:]
	}
	var h digestHash
	if h.digest, ok = digestOf(digests[name]); !ok {
		return nil, errAlgorithm
	}
	least, most := h.digest.size, h.digest.size
	if salted {
		least, most = least+1, most+maxSalt
	}
	b, err := unbase64(value, least, most)
	if err != nil {
		return nil, err
	}
	h.sum, h.after = b[:h.digest.size], b[h.digest.size:]
	return h, nil
}

// parseLDAPCrypt reads what stands in {CRYPT}: only what crypt(3) itself makes, no wrapping without end.
func parseLDAPCrypt(s string) (scheme, error) {
	for _, f := range []struct {
		prefix string
		parse  parser
	}{
		{"$1$", parseMD5Crypt}, {"$5$", parseSHA256Crypt}, {"$6$", parseSHA512Crypt}, {"$2", parseBcrypt},
	} {
		if strings.HasPrefix(s, f.prefix) {
			return f.parse(s)
		}
	}
	return nil, errors.New("of crypt(3) only $1$, $2a$, $2b$, $2y$, $5$ and $6$ are known; DES is too weak to keep")
}
