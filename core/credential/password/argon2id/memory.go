//go:build !argon2_library

package argon2id

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory keeps regions to hash in: as many as were used at a time lately, each for one hash of up to the size it was made
// for. Safe for concurrent use.
type Memory struct {
	blocks int           // of a region that is kept
	idle   time.Duration // how long free ones are kept after the last one was used
	mmap   func(fd int, offset int64, length, prot, flags int) ([]byte, error)

	mu   sync.Mutex
	free []region
	gone *time.Timer // calls Release
}

// region is memory for one hash.
type region struct {
	blocks []block
	mapped []byte // what to unmap; nil when it is on the heap
}

// New makes a Memory for hashes of up to memoryKiB; those that need more get a region of their own each time.
func New(memoryKiB uint32) *Memory {
	return &Memory{blocks: int(memoryKiB), idle: 30 * time.Second, mmap: unix.Mmap}
}

// take gives a zeroed region of at least so many blocks.
func (m *Memory) take(blocks int) region {
	if blocks > m.blocks {
		return m.make(blocks)
	}
	m.mu.Lock()
	if n := len(m.free) - 1; n >= 0 {
		r := m.free[n]
		m.free[n], m.free = region{}, m.free[:n]
		m.mu.Unlock()
		return r
	}
	m.mu.Unlock()
	return m.make(m.blocks)
}

func (m *Memory) make(blocks int) region {
	mapped, err := m.mmap(-1, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil { // a limit on mappings, say; the heap has another
		return region{blocks: make([]block, blocks)}
	}
	advise(mapped)
	return region{unsafe.Slice((*block)(unsafe.Pointer(&mapped[0])), blocks), mapped}
}

// give takes a region back of which so many blocks were used, and wipes them.
func (m *Memory) give(r region, used int) {
	clear(r.blocks[:used])
	switch {
	case r.mapped == nil:
	case len(r.blocks) != m.blocks:
		unmap(r)
	default:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.free = append(m.free, r)
		if m.gone == nil {
			m.gone = time.AfterFunc(m.idle, m.Release)
		} else {
			m.gone.Reset(m.idle)
		}
	}
}

// Release returns what is free to the system.
func (m *Memory) Release() {
	m.mu.Lock()
	free := m.free
	m.free = nil
	m.mu.Unlock()
	for _, r := range free {
		unmap(r)
	}
}

func unmap(r region) { _ = unix.Munmap(r.mapped) } // it was mapped here, and nobody has it
