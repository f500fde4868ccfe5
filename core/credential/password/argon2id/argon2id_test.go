package argon2id

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/argon2"
)

// The fill is linked to by name, so this is what shows that it is still the right one: the library's own keys.
func TestKey(t *testing.T) {
	t.Parallel()
	m := New(1024)
	defer m.Release()
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for _, lanes := range []uint8{1, 2, 3, 4, 16} {
		for _, memory := range []uint32{8, 9, 11, 15, 16, 64, 200} {
			memory *= uint32(lanes)
			for time := uint32(1); time < 4; time++ {
				for _, size := range []int{1, 16, 31, 32, 63, 64, 65, 95, 96, 97, 128, 1024, 1025} {
					password, salt := some(random.IntN(100)), some(random.IntN(64))
					got := m.Key(password, salt, time, memory, lanes, size)
					if want := argon2.IDKey(password, salt, time, memory, lanes, uint32(size)); !bytes.Equal(got, want) {
						t.Fatalf("m=%d t=%d p=%d, %d bytes: %x, want %x", memory, time, lanes, size, got, want)
					}
				}
			}
		}
	}
}

// What the reference implementation says: echo -n "correct horse" | argon2 somesaltsomesalt -id -t T -k M -p P -r
func TestKey_asReference(t *testing.T) {
	t.Parallel()
	m := New(1024)
	defer m.Release()
	for _, c := range []struct {
		time, memory uint32
		lanes        uint8
		want         string
	}{
		{1, 8, 1, "7c66e822fce592dd5e53b2675a9685a02885750aa3e35c4a256ff1e870b81eee"},
		{2, 1024, 1, "e019e57292f3e4c46ad08cecd84db322aa4814849e2bf9bd0c52a601ceeeab96"},
		{3, 4096, 4, "8f1ec770e0b68cbdc0a899684c7dbab06c32c758981b3142c096e435718832b0"},
		{2, 19456, 1, "93da21ae87a3672d4f37913549b1cd3ee83abc1f1e4006a16f948e029ea2185e"},
		{1, 100, 3, "3f53a54b21aa301e5463ffebc5c521a1b5c04c27dca9274da740953878d2aac3"},
	} {
		if got := hex.EncodeToString(m.Key([]byte("correct horse"), []byte("somesaltsomesalt"), c.time, c.memory, c.lanes, 32)); got != c.want {
			t.Errorf("m=%d t=%d p=%d: %s, want %s", c.memory, c.time, c.lanes, got, c.want)
		}
	}
}

func TestKey_panics(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		time, memory uint32
		lanes        uint8
	}{{0, 64, 1}, {1, 64, 0}, {1, 7, 1}, {1, 31, 4}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v is taken", c)
				}
			}()
			New(64).Key(nil, nil, c.time, c.memory, c.lanes, 32)
		}()
	}
}

func BenchmarkKey(b *testing.B) {
	password, salt := []byte("correct horse battery staple"), make([]byte, 16)
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			argon2.IDKey(password, salt, 2, 19456, 1, 32)
		}
	})
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		m := New(19456)
		defer m.Release()
		for b.Loop() {
			m.Key(password, salt, 2, 19456, 1, 32)
		}
	})
}
