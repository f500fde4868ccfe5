package pluginhost

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/sigra-auth/sigra/core/config"
)

// executable is an open, checked program file. What is executed is this descriptor, not the path it was opened by:
// between a check and an exec of a path somebody can swap the file.
type executable struct {
	file  *os.File
	path  string
	sum   string // sha256, hex
	stamp stamp
}

func (e *executable) close() {
	if e != nil && e.file != nil {
		_ = e.file.Close()
	}
}

// stamp identifies a state of a file. A file with the same stamp has the same content unless the kernel lies.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime syscall.Timespec
}

// verifier checks program files and remembers the hashes of those it has seen.
type verifier struct {
	mu   sync.Mutex
	sums map[stamp]string
}

// open checks and opens an external program. pin is the expected sha256 in hex; empty means the block allows any.
func (v *verifier) open(path, pin string) (_ *executable, err error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("the source must be an absolute path")
	}
	// Non-blocking, so that a named pipe in the file's place can't hold the host up.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Unwrap(err))
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case fi.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s can be written by its group or by everybody (mode %04o): chmod go-w", path, fi.Mode().Perm())
	case fi.Mode().Perm()&0o111 == 0:
		return nil, fmt.Errorf("%s is not executable", path)
	case !ok:
		return nil, fmt.Errorf("the owner of %s can't be determined", path)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return nil, fmt.Errorf("%s belongs to user %d: it must belong to root or to the user Sigra runs as", path, st.Uid)
	}
	e := &executable{file: f, path: path, stamp: stampOf(st)}
	if e.sum, err = v.sum(f, e.stamp); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if pin != "" && subtle.ConstantTimeCompare([]byte(pin), []byte(e.sum)) != 1 {
		return nil, &mismatchError{path: path, want: pin, got: e.sum}
	}
	return e, nil
}

// mismatchError says that a file is not the one that was pinned.
type mismatchError struct {
	path, want, got string
	plugin, lock    string // of which plugin's line in the lock file it is
}

func (e *mismatchError) Error() string {
	if e.lock != "" {
		return fmt.Sprintf("%s has sha256 %s, but %s has %s: if the change is yours, run `sigra plugin lock %s`", e.path, e.got, e.lock, e.want, e.plugin)
	}
	return fmt.Sprintf("%s has sha256 %s, but the block pins %s", e.path, e.got, e.want)
}

// namePin adds where the checksum stands, when that is the lock file.
func namePin(b config.Plugin, err error) error {
	if m := (*mismatchError)(nil); errors.As(err, &m) {
		m.plugin, m.lock = b.Name, b.Locked
	}
	return err
}

func (v *verifier) sum(f *os.File, s stamp) (string, error) {
	v.mu.Lock()
	sum, ok := v.sums[s]
	v.mu.Unlock()
	if ok {
		return sum, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, s.size)); err != nil {
		return "", err
	}
	// The file may have been written to while it was read: only a sum of one state is remembered.
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || stampOf(st) != s {
		return "", errors.New("the file changed while it was read")
	}
	sum = hex.EncodeToString(h.Sum(nil))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sums == nil || len(v.sums) > 256 {
		v.sums = map[stamp]string{}
	}
	v.sums[s] = sum
	return sum, nil
}
