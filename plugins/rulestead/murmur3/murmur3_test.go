package murmur3_test

import (
	"testing"

	"github.com/sigra-auth/sigra/plugins/rulestead/murmur3"
)

// TestSum32 holds the known answers of the reference implementation, and the edges that flagd's suite names by their hashes.
func TestSum32(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    string
		seed uint32
		want uint32
	}{
		{"", 0, 0}, {"", 1, 0x514e28b7}, {"", 0xffffffff, 0x81f16f39}, {"test", 0, 0xba6bd213}, {"test", 0x9747b28c, 0x704b81dc},
		{"Hello, world!", 0, 0xc0363e43}, {"Hello, world!", 0x9747b28c, 0x24884cba}, {"aaa", 0x9747b28c, 0x283e0130},
		{"The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd},
	} {
		if got := murmur3.Sum32(c.s, c.seed); got != c.want {
			t.Errorf("%q with seed %#x: %#x, want %#x", c.s, c.seed, got, c.want)
		}
	}
}
