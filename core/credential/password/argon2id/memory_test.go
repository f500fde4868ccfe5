//go:build !argon2_library

package argon2id

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sys/unix"
)

// A region that was used is as good as a fresh one, also for several at once and for other sizes between.
func TestMemory(t *testing.T) {
	m := New(256)
	salt := make([]byte, 16)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				password, memory := fmt.Appendf(nil, "%d %d", w, i), []uint32{256, 250, 64, 300}[i%4]
				if !bytes.Equal(m.Key(password, salt, 1, memory, 1, 32), argon2.IDKey(password, salt, 1, memory, 1, 32)) {
					t.Errorf("another key for %s in %d KiB", password, memory)
				}
			}
		})
	}
	wg.Wait()
	if n := m.kept(t); n > 8 {
		t.Errorf("%d free regions after 8 at once", n)
	}
	m.Key(salt, salt, 1, 16, 1, 32)
	if n := m.kept(t); n < 1 {
		t.Error("the region of the last hash is not kept")
	}
	m.Release()
	if n := m.kept(t); n != 0 {
		t.Errorf("%d regions left", n)
	}
}

// kept counts the free regions and holds that they are wiped.
func (m *Memory) kept(t *testing.T) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.free {
		for i := range r.blocks {
			if r.blocks[i] != (block{}) {
				t.Fatalf("block %d of a free region is not wiped", i)
			}
		}
	}
	return len(m.free)
}

func TestMemory_idle(t *testing.T) {
	t.Parallel()
	m := New(64)
	m.idle = time.Millisecond
	for range 3 {
		m.Key(nil, nil, 1, 64, 1, 32)
		for range 5000 {
			if m.kept(t) == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if n := m.kept(t); n != 0 {
			t.Fatalf("%d regions are kept for nobody", n)
		}
	}
}

// Where nothing can be mapped the heap is used.
func TestMemory_unmapped(t *testing.T) {
	t.Parallel()
	m := New(64)
	m.mmap = func(int, int64, int, int, int) ([]byte, error) { return nil, unix.ENOMEM }
	for _, memory := range []uint32{64, 128} {
		if !bytes.Equal(m.Key(nil, make([]byte, 16), 2, memory, 1, 32), argon2.IDKey(nil, make([]byte, 16), 2, memory, 1, 32)) {
			t.Errorf("another key in %d KiB", memory)
		}
	}
	if n := m.kept(t); n != 0 {
		t.Errorf("%d regions of the heap are kept", n)
	}
}
