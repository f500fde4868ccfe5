package foreign

import (
	"encoding/binary"
	"strconv"
)

// parseASPNET reads the column PasswordHash of ASP.NET Identity (PasswordHasher.cs), which is base64 of
//
//	version 2: 0x00, 16 bytes of salt, 32 of PBKDF2 with HMAC-SHA1 and 1000 iterations
//	version 3: 0x01, then the digest, the iterations and the length of the salt as 32-bit numbers, salt, key
func parseASPNET(s string) (scheme, error) {
	b, err := unbase64(s, 1, 13+2*maxSalt)
	if err != nil {
		return nil, err
	}
	switch b[0] {
	case 0:
		if len(b) != 1+16+32 {
			return nil, errDigest
		}
		return newPBKDF2("sha1", "1000", b[1:17], b[17:])
	case 1:
		if len(b) < 13 {
			return nil, errFields
		}
		digests := []string{"sha1", "sha256", "sha512"} // KeyDerivationPrf
		prf, iterations, salted := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:]), binary.BigEndian.Uint32(b[9:])
		if prf >= uint32(len(digests)) {
			return nil, errAlgorithm
		}
		rest := b[13:]
		if salted < 16 || salted > maxSalt || uint64(salted)+16 > uint64(len(rest)) { // as the framework demands
			return nil, errSalt
		}
		return newPBKDF2(digests[prf], strconv.FormatUint(uint64(iterations), 10), rest[:salted], rest[salted:])
	}
	return nil, errAlgorithm
}
