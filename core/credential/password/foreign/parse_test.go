package foreign_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/credential/password/foreign"
)

// Every way in which a text can fail to be a hash: refused with a reason, and the reason does not repeat the text.
func TestParse_refuses(t *testing.T) {
	t.Parallel()
	const bc = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	hex32, c22, c43, c86 := strings.Repeat("0a", 16), strings.Repeat("A", 22), strings.Repeat("A", 43), strings.Repeat("A", 86)
	for name, s := range map[string]string{
		"empty": "", "plain text": "correct horse battery staple", "hex without a mark": hex32, "DES": "rl.3StKT.4T8M", "locked": "!", "huge": "$2b$10$" + strings.Repeat("a", 1<<20),
		"argon2d": "$argon2d$v=19$m=64,t=1,p=1$" + salt16 + "$" + key32, "argon2, no version": "$argon2i$m=64,t=1,p=1$" + salt16 + "$" + key32,
		"argon2, lanes": "$argon2id$v=19$m=19456,t=1,p=17$" + salt16 + "$" + key32, "argon2, no lanes": "$argon2id$v=19$m=64,t=1,p=0$" + salt16 + "$" + key32,
		"argon2, no time": "$argon2id$v=19$m=64,t=0,p=1$" + salt16 + "$" + key32, "argon2, m below 8p": "$argon2id$v=19$m=31,t=1,p=4$" + salt16 + "$" + key32,
		"argon2, twice m": "$argon2id$v=19$m=64,m=64,p=1$" + salt16 + "$" + key32, "argon2, a secret": "$argon2id$v=19$m=64,t=1,p=1,keyid=x$" + salt16 + "$" + key32,
		"argon2, short tag": "$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$AAAA", "argon2, line break": "$argon2id$v=19$m=64,t=1,p=1$" + salt16[:8] + "\n" + salt16[8:] + "$" + key32,
		"argon2, overflow": "$argon2id$v=19$m=4294967360,t=1,p=1$" + salt16 + "$" + key32, "argon2, loose bits": "$argon2id$v=19$m=64,t=1,p=1$" + salt16[:21] + "B$" + key32,
		"bcrypt, faulty": "$2x$10$" + bc, "bcrypt, no minor": "$2$10$" + bc, "bcrypt, cost 3": "$2b$03$" + bc, "bcrypt, cost 32": "$2b$32$" + bc, "bcrypt, cost 1 digit": "$2b$4$" + bc,
		"bcrypt, short": "$2b$10$" + bc[1:], "bcrypt, alphabet": "$2b$10$+" + bc[1:], "bcrypt, 3 bytes": "$2b", "bcrypt, more": "$2b$10$" + bc + "$",
		"passlib bcrypt": "$bcrypt-sha256$v=3,t=2b,r=10$" + bc[:22] + "$" + bc[22:], "passlib bcrypt, cost": "$bcrypt-sha256$v=2,t=2b,r=99$" + bc[:22] + "$" + bc[22:], "wordpress": "$wp$P$" + bc,
		"scrypt, ln": "$scrypt$ln=0,r=8,p=1$" + salt16 + "$" + key32, "scrypt, ln=31": "$scrypt$ln=31,r=8,p=1$" + salt16 + "$" + key32, "scrypt, r=0": "$scrypt$ln=4,r=0,p=1$" + salt16 + "$" + key32,
		"scrypt, r×p": "$scrypt$ln=4,r=1048576,p=1048576$" + salt16 + "$" + key32, "scrypt, fields": "$scrypt$ln=4,r=8,p=1$" + salt16, "scrypt, no salt": "$scrypt$ln=4,r=8,p=1$$" + key32,
		"firebase, fields": "$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$AAAA", "firebase, signer": "$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$" + key32 + "$Bw==$AAAA",
		"firebase, other length": "$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$" + key32 + "$Bw==$" + salt16, "firebase, parameters": "$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk=" + key32 + "$" + salt16 + "$" + key32,
		"pbkdf2, md5": "$pbkdf2-md5$1000$" + salt16 + "$" + key32, "pbkdf2, 0": "$pbkdf2-sha256$0$" + salt16 + "$" + key32, "pbkdf2, length": "$pbkdf2-sha256$i=1000,l=31$" + salt16 + "$" + key32,
		"pbkdf2, name": "$pbkdf2sha256$1000$" + salt16 + "$" + key32, "pbkdf2, sign": "$pbkdf2-sha256$+1000$" + salt16 + "$" + key32, "pbkdf2, zero": "$pbkdf2-sha256$01000$" + salt16 + "$" + key32,
		"sha512crypt, rounds below": "$6$rounds=999$abc$" + c86, "sha512crypt, rounds above": "$6$rounds=1000000000$abc$" + c86, "sha512crypt, salt": "$6$12345678901234567$" + c86,
		"sha512crypt, short": "$6$abc$" + c43, "sha512crypt, alphabet": "$6$abc$" + c86[1:] + "+", "sha512crypt, nothing": "$6$", "sha512crypt, rounds alone": "$6$rounds=1000", "sha256crypt, long": "$5$abc$" + c86,
		"md5crypt, salt": "$1$123456789$" + c22, "md5crypt, control": "$1$a\tb$" + c22, "apr1": "$apr1$abc", "phpass, rounds": "$P$412345678" + c22, "phpass, rounds above": "$P$T12345678" + c22, "phpass, no rounds": "$P$!12345678" + c22,
		"phpass, short": "$P$B12345678" + c22[1:], "phpass, three bytes": "$P$", "drupal": "$S$D12345678" + c22, "drupal, updated": "U$S$D1234", "ldap, open": "{SSHA", "ldap, unknown": "{FOO}AAAA", "ldap, no name": "{}AAAA",
		"ldap, no salt": "{SSHA}L55TUjtiq8FBorTWAZ0jy6g129A=", "ldap, salt": "{SHA}8o1IC+5KRqZ2ZR/Kk49aM+vY/1a2lrJW", "ldap, DES": "{CRYPT}rl.3StKT.4T8M", "ldap, nested": "{CRYPT}{CRYPT}$1$abc$" + c22, "ldap, argon2 in crypt": "{CRYPT}$argon2id$",
		"ldap, pbkdf2": "{PBKDF2-MD5}1000$" + salt16 + "$" + key32, "django, fields": "pbkdf2_sha256$1000$abc", "django, sha512": "pbkdf2_sha512$1000$abc$" + key32, "django, nested": "bcrypt$bcrypt$$2b$10$" + bc,
		"django, argon2": "argon2$scrypt$", "django, scrypt N": "scrypt$15$abc$8$1$" + key32, "django, hex": "md5$abc$" + hex32[1:], "werkzeug": "scrypt:32:8$abc$" + hex32, "werkzeug, method": "pbkdf2:sha3:1000$abc$" + hex32, "werkzeug, plain": "plain$abc$" + hex32,
		"aspnet, v2 short": "AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggE=", "aspnet, v2 more": "AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJgAAAAAAAAAAAAA=", "aspnet, v3 short": "AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4A=",
		"aspnet, PRF": "AQAAAAMAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw", "aspnet, salt of 4 GiB": "AQAAAAIAAAAy/////+Mwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw", "aspnet, v4": "AgAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw",
		"aspnet, one byte": "AQ==", "raw, unknown": "$raw-crc32$" + hex32, "raw, length": "$raw-sha1$" + hex32, "raw, place": "$raw-md5$middle$" + salt16 + "$" + hex32, "raw, no salt": "$raw-md5$salt-first$$" + hex32, "hmac": "$hmac-sha256$$" + hex32, "hmac, fields": "$hmac-md5$" + hex32,
	} {
		_, err := foreign.Parse(s)
		switch {
		case !errors.Is(err, foreign.ErrHash):
			t.Errorf("%s: %v, want it refused", name, err)
		case repeats(err.Error(), s):
			t.Errorf("%s: %v repeats a part of the hash", name, err)
		}
	}
}

// repeats reports whether twelve bytes in a row of a secret stand in a text.
func repeats(text, secret string) bool {
	for i := 0; i+12 <= min(len(secret), 4096); i++ {
		if strings.Contains(text, secret[i:i+12]) {
			return true
		}
	}
	return false
}

// Whatever the database or an import holds: no panic, one kind of error, and nothing runs that the cost does not admit.
func FuzzParse(f *testing.F) {
	for _, v := range append(published(), made()...) {
		f.Add(v.hash, v.password)
	}
	for _, s := range []string{"$", "$$$$$$$", "{}", "A", "AAAA", "$2b$", "$6$rounds=", "$P$", "U$S$", "$raw-md5$", "scrypt:::", "scrypt$$$$$", "$fbscrypt$v=1,n=,ss=,sk=$$"} {
		f.Add(s, "")
	}
	cheap := foreign.Limits{Work: 0.05, Memory: 2 << 20}
	f.Fuzz(func(t *testing.T, s, password string) {
		h, err := foreign.Parse(s)
		if err != nil {
			if !errors.Is(err, foreign.ErrHash) || h != (foreign.Hash{}) {
				t.Fatalf("%v, %v", h, err)
			}
			return
		}
		if h.Scheme == "" {
			t.Fatal("no name")
		}
		for _, n := range []int{0, len(password), 1 << 20} {
			if c := h.Cost(n); !(c.Work > 0) || !(c.Memory > 0) {
				t.Fatalf("%q costs %+v", s, c)
			}
		}
		if cheap.Check(h.Cost(len(password))) == nil {
			h.Verify([]byte(password))
		}
	})
}
