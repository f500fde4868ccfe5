package argon2id

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// idle is how long regions are kept without being used.
const idle = 30 * time.Second

// Memory keeps regions to hash in. All that are free have the same size, that of the last one given back: those of another size
// make room first. The zero value is ready; it is safe for concurrent use and must not be copied.
type Memory struct {
	mu   sync.Mutex
	free []region
	gone *time.Timer // unmaps the free ones
}

// region is memory for one hash.
type region struct {
	blocks []block
	mapped []byte // what to unmap; nil when it is on the heap
}

// take gives a zeroed region of so many blocks.
func (m *Memory) take(blocks int) region {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.free); n > 0 && len(m.free[0].blocks) == blocks {
		r := m.free[n-1]
		m.free = m.free[:n-1]
		return r
	}
	m.drop()
	mapped, err := unix.Mmap(-1, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil { // a limit on mappings, say; the heap has another
		return region{blocks: make([]block, blocks)}
	}
	advise(mapped)
	return region{unsafe.Slice((*block)(unsafe.Pointer(&mapped[0])), blocks), mapped}
}

// give takes a region back and wipes it.
func (m *Memory) give(r region) {
	clear(r.blocks)
	if r.mapped == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.free) > 0 && len(m.free[0].blocks) != len(r.blocks) {
		m.drop()
	}
	m.free = append(m.free, r)
	if m.gone == nil {
		m.gone = time.AfterFunc(idle, m.Release)
	} else {
		m.gone.Reset(idle)
	}
}

// Release returns what is free to the system.
func (m *Memory) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop()
}

// drop unmaps the free regions; called with the lock held.
func (m *Memory) drop() {
	for _, r := range m.free {
		_ = unix.Munmap(r.mapped) // it was mapped here and nobody has it
	}
	clear(m.free)
	m.free = m.free[:0]
}
