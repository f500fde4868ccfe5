package breach

import (
	"context"
	"crypto/sha1" //nolint:gosec // the index of Pwned Passwords
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// File looks passwords up in a breach file. One that is put in its place (by rename, as Build does) is picked up at the next
// look-up, without a restart. Safe for concurrent use.
type File struct {
	path string
	log  hclog.Logger

	mu     sync.RWMutex
	file   *os.File // nil: not open
	info   os.FileInfo
	reader *reader
	failed bool // the last look-up, so that the log says so once
	closed bool
}

// NewFile makes a File. It is opened at the first use; Ready tells whether that will do. Call Close at the end.
func NewFile(path string, log hclog.Logger) *File {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &File{path: path, log: log}
}

// Ready opens the file and reports what is wrong with it.
func (f *File) Ready() (Header, error) {
	var h Header
	err := f.with(func(r *reader) error { h = r.header; return nil })
	return h, err
}

// Count tells whether the password with this SHA-1 is in the file: then it was seen as often as the file demands at least.
func (f *File) Count(_ context.Context, sum [sha1.Size]byte) (int, error) {
	n := 0
	err := f.with(func(r *reader) error {
		found, err := r.has(sum)
		if found {
			n = int(r.header.MinCount)
		}
		return err
	})
	f.tell(err)
	return n, err
}

// tell says in the log that the file fails, or is well again, once.
func (f *File) tell(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil && !f.failed && !f.closed:
		f.log.Error("passwords can't be checked for breaches and are accepted unchecked", "error", err)
	case err == nil && f.failed:
		f.log.Info("passwords are checked for breaches again")
	}
	f.failed = err != nil
}

// with calls use with the file that is there now.
func (f *File) with(use func(*reader) error) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	f.mu.RLock()
	if f.current(info) {
		defer f.mu.RUnlock()
		return use(f.reader)
	}
	f.mu.RUnlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	if !f.current(info) {
		file, r, err := open(f.path)
		if err != nil {
			return err
		}
		if info, err = file.Stat(); err != nil {
			_ = file.Close()
			return err
		}
		if f.file != nil {
			_ = f.file.Close()
			f.log.Info("a new breach file is in use", "entries", r.header.Entries, "built", r.header.Built)
		}
		f.file, f.info, f.reader = file, info, r
	}
	return use(f.reader)
}

// current reports whether what is open is still what lies there; called with a lock held.
func (f *File) current(info os.FileInfo) bool {
	return f.file != nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime())
}

// Close closes the file. Count fails from then on.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}
