package foreign

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// firebaseHash is Firebase Authentication's own use of scrypt (github.com/firebase/scrypt): the key that scrypt makes
// of the password encrypts the project's signer key, and that ciphertext is the hash.
type firebaseHash struct {
	scryptHash // salt: the account's and the project's separator; key: the ciphertext
	signer     []byte
}

// parseFirebase reads either of the two texts that are in use for what `firebase auth:export` and the project's
// password hash parameters give:
//
//	$firescrypt$ln=MEM_COST,r=ROUNDS,p=1$salt$hash$separator$signer-key
//	$fbscrypt$v=1,n=MEM_COST,r=ROUNDS,p=1,ss=separator,sk=signer-key$salt$hash
func parseFirebase(s string) (scheme, error) {
	f := strings.Split(s, "$")
	var costs, salt, hash, separator, signer string
	switch {
	case f[1] == "firescrypt" && len(f) == 7:
		costs, salt, hash, separator, signer = f[2], f[3], f[4], f[5], f[6]
	case f[1] == "fbscrypt" && len(f) == 5:
		head, sk, ok := strings.Cut(f[2], ",sk=")
		head, ss, ok2 := strings.Cut(head, ",ss=")
		n, ok3 := strings.CutPrefix(head, "v=1,n=")
		if !ok || !ok2 || !ok3 {
			return nil, errParameters
		}
		costs, salt, hash, separator, signer = "ln="+n, f[3], f[4], ss, sk
	default:
		return nil, errFields
	}
	p, err := parameters(costs, "ln", "r", "p")
	if err != nil {
		return nil, err
	}
	var h firebaseHash
	own, err := asSalt(unbase64url(salt, 1, maxSalt))
	if err != nil {
		return nil, err
	}
	sep, err := asSalt(unbase64url(separator, 0, 16))
	if err != nil {
		return nil, err
	}
	if h.signer, err = unbase64url(signer, 16, maxDigest); err != nil {
		return nil, errors.New("the signer key is not in its form")
	}
	key, err := unbase64url(hash, 16, maxDigest)
	if err != nil {
		return nil, err
	}
	if len(key) != len(h.signer) {
		return nil, errors.New("the hash is not as long as the signer key")
	}
	inner, err := scryptOf(p["ln"], p["r"], p["p"], append(own, sep...), key)
	if err != nil {
		return nil, fmt.Errorf("mem_cost and rounds: %w", err)
	}
	h.scryptHash = inner.(scryptHash)
	return h, nil
}

func (h firebaseHash) verify(password []byte) bool {
	key, err := scrypt.Key(password, h.salt, 1<<h.logN, h.r, h.p, 32)
	if err != nil {
		return false
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return false
	}
	got := make([]byte, len(h.signer))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(got, h.signer)
	return same(got, h.key)
}
