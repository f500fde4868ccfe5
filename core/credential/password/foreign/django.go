package foreign

import "strings"

// parseDjango reads what Django's password hashers write (django/contrib/auth/hashers.py): the hasher's name and its
// fields, with $ between. Salts are text.
func parseDjango(s string) (scheme, error) {
	name, rest, _ := strings.Cut(s, "$")
	f := strings.Split(rest, "$")
	switch name {
	case "argon2":
		return parseArgon2("$" + rest)
	case "bcrypt":
		return parseBcrypt(rest)
	case "bcrypt_sha256":
		return bcryptOf(rest, djangoSHA256)
	case "pbkdf2_sha256", "pbkdf2_sha1":
		if len(f) != 3 {
			return nil, errFields
		}
		salt, err := textSalt(f[1], 1, maxSalt)
		if err != nil {
			return nil, err
		}
		key, err := unbase64(f[2], minDigest, maxDigest)
		if err != nil {
			return nil, err
		}
		return newPBKDF2(strings.TrimPrefix(name, "pbkdf2_"), f[0], salt, key)
	case "scrypt":
		return parseDjangoScrypt(f)
	case "md5", "sha1":
		if len(f) != 2 {
			return nil, errFields
		}
		var h digestHash
		var err error
		h.digest, _ = digestOf(name)
		if h.before, err = textSalt(f[0], 0, maxSalt); err != nil {
			return nil, err
		}
		h.sum, err = unhex(f[1], h.digest.size)
		return h, err
	}
	return nil, errAlgorithm
}

// parseDjangoScrypt reads N$salt$r$p$base64.
func parseDjangoScrypt(f []string) (scheme, error) {
	if len(f) != 5 {
		return nil, errFields
	}
	n, err := powerOfTwo(f[0])
	if err != nil {
		return nil, err
	}
	salt, err := textSalt(f[1], 1, maxSalt)
	if err != nil {
		return nil, err
	}
	r, err := number(f[2])
	if err != nil {
		return nil, err
	}
	p, err := number(f[3])
	if err != nil {
		return nil, err
	}
	key, err := unbase64(f[4], minDigest, maxDigest)
	if err != nil {
		return nil, err
	}
	return scryptOf(n, r, p, salt, key)
}
