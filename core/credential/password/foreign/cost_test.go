package foreign_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/credential/password/foreign"
)

var limits = foreign.Limits{Work: 50, Memory: 128 << 20}

const (
	salt16 = "c29tZXNhbHRzb21lc2FsdA"
	key32  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	bcr53  = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
)

// What is admitted and what is not, at the edges, and that the message names the parameter.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, good, bad, names string
	}{
		{"argon2id memory", "$argon2id$v=19$m=131072,t=1,p=1$%s$%s", "$argon2id$v=19$m=131073,t=1,p=1$%s$%s", "m=131073 takes 129 MiB"},
		{"argon2i passes", "$argon2i$v=19$m=65536,t=29,p=4$%s$%s", "$argon2i$v=19$m=65536,t=30,p=4$%s$%s", "m=65536, t=30"},
		{"argon2id, 2^31 KiB", "", "$argon2id$v=19$m=2147483647,t=1,p=1$%s$%s", "m=2147483647"},
		{"bcrypt", "$2b$14$" + bcr53, "$2b$15$" + bcr53, "cost=15"},
		{"bcrypt of LDAP", "{CRYPT}$2b$14$" + bcr53, "{CRYPT}$2b$31$" + bcr53, "cost=31"},
		{"bcrypt of WordPress", "$wp$2y$12$" + bcr53, "$wp$2y$31$" + bcr53, "cost=31"},
		{"scrypt memory", "$scrypt$ln=16,r=8,p=1$%s$%s", "$scrypt$ln=17,r=8,p=1$%s$%s", "N=2^17, r=8"},
		{"scrypt, 1 TiB", "", "$scrypt$ln=30,r=8,p=1$%s$%s", "N=2^30, r=8"},
		{"scrypt by p", "$scrypt$ln=14,r=8,p=8$%s$%s", "$scrypt$ln=14,r=8,p=64$%s$%s", "N=2^14, r=8, p=64"},
		{"scrypt by p alone", "", "$scrypt$ln=1,r=1,p=1048576$%s$%s", "N=2^1, r=1"},
		{"pbkdf2", "$pbkdf2-sha256$1200000$%s$%s", "$pbkdf2-sha256$i=2147483647,l=32$%s$%s", "i=2147483647"},
		{"pbkdf2 of Django", "pbkdf2_sha256$1200000$abc$" + key32, "pbkdf2_sha256$100000000$abc$" + key32, "i=100000000"},
		{"sha512crypt", "$6$rounds=656000$abc$" + strings.Repeat("A", 86), "$6$rounds=999999999$abc$" + strings.Repeat("A", 86), "rounds=999999999"},
		{"phpass", "$P$B12345678" + strings.Repeat("A", 22), "$P$S12345678" + strings.Repeat("A", 22), "2^30 rounds"},
		{"drupal", "$S$D12345678" + strings.Repeat("A", 43), "$S$S12345678" + strings.Repeat("A", 43), "2^30 rounds"},
		{"aspnet", "AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg+enHTtaNXHi8Ii+uYFGPy46hVW0aomq1S/YnluGLNJCw==", "AQAAAAJ/////AAAAEAABAgMEBQYHCAkKCwwNDg9enHTtaNXHi8Ii+uYFGPy46hVW0aomq1S/YnluGLNJCw==", "i=2147483647"},
	} {
		fill := func(s string) string {
			if strings.Contains(s, "%s") {
				return fmt.Sprintf(s, salt16, key32)
			}
			return s
		}
		if c.good != "" {
			if err := admit(fill(c.good)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		switch err := admit(fill(c.bad)); {
		case !errors.Is(err, foreign.ErrHash):
			t.Errorf("%s: %v, want it refused", c.name, err)
		case !strings.Contains(err.Error(), c.names):
			t.Errorf("%s: %v, want it to name %q", c.name, err, c.names)
		}
	}
}

func admit(s string) error {
	h, err := foreign.Parse(s)
	if err != nil {
		return err
	}
	return limits.Check(h.Cost(0))
}

// What a long password adds is counted where it adds something.
func TestCost_growsWithThePassword(t *testing.T) {
	t.Parallel()
	for s, grows := range map[string]bool{
		"$6$rounds=100000$abc$" + strings.Repeat("A", 86):               true,
		"$S$D12345678" + strings.Repeat("A", 43):                        true,
		"$2b$12$" + bcr53:                                               false,
		fmt.Sprintf("$pbkdf2-sha256$100000$%s$%s", salt16, key32):       false,
		fmt.Sprintf("$argon2id$v=19$m=64,t=1,p=1$%s$%s", salt16, key32): false,
	} {
		h, err := foreign.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if short, long := h.Cost(8).Work, h.Cost(4096).Work; (long > 2*short) != grows {
			t.Errorf("%s: %g for 8 bytes, %g for 4096", h.Scheme, short, long)
		}
	}
}

// cpu is what this process has used of the processor.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The figures in cost.go against the processor: "unit-ms" is what one unit of work took of it, and should be about the same
// on every line.
func BenchmarkCost(b *testing.B) {
	for _, c := range []struct{ name, hash string }{
		{"argon2id", fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$%s$%s", salt16, key32)},
		{"bcrypt", "$2b$08$" + bcr53},
		{"scrypt", fmt.Sprintf("$scrypt$ln=14,r=8,p=1$%s$%s", salt16, key32)},
		{"scrypt, small r", fmt.Sprintf("$scrypt$ln=14,r=1,p=1$%s$%s", salt16, key32)},
		{"pbkdf2-sha1", fmt.Sprintf("$pbkdf2$20000$%s$AAAAAAAAAAAAAAAAAAAAAAAAAAA", salt16)},
		{"pbkdf2-sha256", fmt.Sprintf("$pbkdf2-sha256$20000$%s$%s", salt16, key32)},
		{"pbkdf2-sha512", fmt.Sprintf("$pbkdf2-sha512$20000$%s$%s", salt16, key32)},
		{"sha256crypt", "$5$rounds=20000$abcdefgh$" + strings.Repeat("A", 43)},
		{"sha512crypt", "$6$rounds=20000$abcdefgh$" + strings.Repeat("A", 86)},
		{"md5crypt", "$1$abcdefgh$" + strings.Repeat("A", 22)},
		{"phpass", "$P$B12345678" + strings.Repeat("A", 22)},
		{"drupal7", "$S$D12345678" + strings.Repeat("A", 43)},
	} {
		for _, n := range []int{12, 512} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				h, err := foreign.Parse(c.hash)
				if err != nil {
					b.Fatal(err)
				}
				pw := []byte(strings.Repeat("p", n))
				before := cpu()
				for b.Loop() {
					h.Verify(pw)
				}
				each := float64(cpu()-before) / float64(b.N) / float64(time.Millisecond)
				b.ReportMetric(each/h.Cost(n).Work, "unit-ms")
				b.ReportMetric(h.Cost(n).Work, "units")
			})
		}
	}
}
