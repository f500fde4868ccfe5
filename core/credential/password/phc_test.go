package password_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/credential/password"
)

// A hash by another implementation: echo -n "correct horse" | argon2 somesaltsomesalt -id -t 2 -k 19456 -p 1 -e
const (
	salt = "c29tZXNhbHRzb21lc2FsdA"
	tag  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

func TestParse(t *testing.T) {
	t.Parallel()
	good := "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag
	h, err := password.Parse(good)
	if err != nil || h.String() != good || h.Params != password.DefaultParams {
		t.Fatalf("Parse = %v, %v", h, err)
	}
	for name, s := range map[string]string{
		"empty": "", "argon2i": "$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + tag, "bcrypt": "$2b$10$abcdefghijklmnopqrstuv", "version": "$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + tag,
		"no version": "$argon2id$m=19456,t=2,p=1$" + salt + "$" + tag, "order": "$argon2id$v=19$t=2,m=19456,p=1$" + salt + "$" + tag,
		"2^32 memory":      "$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + tag,
		"2^32+19456 wraps": "$argon2id$v=19$m=4294986752,t=2,p=1$" + salt + "$" + tag, "time": "$argon2id$v=19$m=19456,t=4294967295,p=1$" + salt + "$" + tag,
		"lanes": "$argon2id$v=19$m=19456,t=2,p=255$" + salt + "$" + tag, "lanes wrap": "$argon2id$v=19$m=19456,t=2,p=257$" + salt + "$" + tag,
		"zero lanes": "$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + tag, "zero time": "$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + tag, "m below 8p": "$argon2id$v=19$m=31,t=2,p=4$" + salt + "$" + tag,
		"plus": "$argon2id$v=19$m=+19456,t=2,p=1$" + salt + "$" + tag, "leading zero": "$argon2id$v=19$m=019456,t=2,p=1$" + salt + "$" + tag, "negative": "$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + tag,
		"short salt": "$argon2id$v=19$m=19456,t=2,p=1$c29tZQ$" + tag, "short tag": "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$AAAA", "long tag": "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("A", 100),
		"padding": "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "==$" + tag, "newline in base64": "$argon2id$v=19$m=19456,t=2,p=1$" + salt[:10] + "\n" + salt[10:] + "$" + tag,
		"loose bits": "$argon2id$v=19$m=19456,t=2,p=1$" + salt[:len(salt)-1] + "B$" + tag, "more fields": good + "$x", "keyid": "$argon2id$v=19$m=19456,t=2,p=1,keyid=x$" + salt + "$" + tag,
		"huge": "$argon2id$v=19$" + strings.Repeat("m=1,", 1<<20), "NUL": good + "\x00",
	} {
		if _, err := password.Parse(s); !errors.Is(err, password.ErrHash) {
			t.Errorf("%s: %v, want it refused", name, err)
		} else if s != "" && strings.Contains(err.Error(), tag[:20]) {
			t.Errorf("%s: the error repeats the hash", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + tag)
	f.Add("$argon2id$v=19$m=131072,t=5,p=16$" + salt + "$" + tag)
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := password.Parse(s)
		if err != nil {
			if !errors.Is(err, password.ErrHash) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		if h.String() != s {
			t.Fatalf("%q is not canonical: %q", s, h.String())
		}
		if h.Parallelism > 16 || h.Time == 0 || h.Parallelism == 0 || h.MemoryKiB < 8*uint32(h.Parallelism) {
			t.Fatalf("%q can't be computed", s)
		}
	})
}
