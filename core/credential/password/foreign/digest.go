package foreign

import (
	"crypto/hmac"
	"strings"
)

// digestHash is one plain digest, of the password and a salt before it or after it. Nothing slows down who wants to guess
// it, so these are the hashes to be rid of first.
type digestHash struct {
	digest        digest
	before, after []byte // the password
	sum           []byte
}

func (h digestHash) cost(length int) Cost {
	return small(h.digest.sum(float64(len(h.before)+length+len(h.after))), "the length of the password")
}

func (h digestHash) verify(password []byte) bool {
	return same(h.digest.of(h.before, password, h.after), h.sum)
}

// parseRaw reads the marks by which Sigra knows digests that say nothing of themselves; an import writes them.
//
//	$raw-md5$hex                     the password alone
//	$raw-md5$salt-first$base64$hex   salt, password
//	$raw-md5$salt-last$base64$hex    password, salt
//
// The digest is md5, sha1, sha256, sha384 or sha512.
func parseRaw(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) != 3 && len(f) != 5 {
		return nil, errFields
	}
	var h digestHash
	var ok bool
	if h.digest, ok = digestOf(strings.TrimPrefix(f[1], "raw-")); !ok {
		return nil, errAlgorithm
	}
	if len(f) == 5 {
		salt, err := asSalt(unbase64(f[3], 1, maxSalt))
		if err != nil {
			return nil, err
		}
		switch f[2] {
		case "salt-first":
			h.before = salt
		case "salt-last":
			h.after = salt
		default:
			return nil, errParameters
		}
	}
	var err error
	h.sum, err = unhex(f[len(f)-1], h.digest.size)
	return h, err
}

// hmacHash is one HMAC (RFC 2104) of the password, keyed with a salt or a secret of the system's.
type hmacHash struct {
	digest   digest
	key, sum []byte
}

// parseHMAC reads $hmac-sha256$base64 of the key$hex, with the digests of parseRaw.
func parseHMAC(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) != 4 {
		return nil, errFields
	}
	var h hmacHash
	var ok bool
	if h.digest, ok = digestOf(strings.TrimPrefix(f[1], "hmac-")); !ok {
		return nil, errAlgorithm
	}
	var err error
	if h.key, err = asSalt(unbase64(f[2], 1, maxSalt)); err != nil {
		return nil, err
	}
	h.sum, err = unhex(f[3], h.digest.size)
	return h, err
}

func (h hmacHash) cost(length int) Cost {
	return small(h.digest.sum(float64(length+h.digest.block))+h.digest.sum(float64(h.digest.size+h.digest.block)), "the length of the password")
}

func (h hmacHash) verify(password []byte) bool {
	mac := hmac.New(h.digest.new, h.key)
	mac.Write(password)
	return same(mac.Sum(nil), h.sum)
}
