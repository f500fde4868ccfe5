package process

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// Program is an open, checked program file; the zero value is this very program. What is executed is this descriptor, not
// the path it was opened by: between a check and an exec of a path somebody can swap the file.
type Program struct {
	file  *os.File
	path  string
	sum   string // sha256, hex
	stamp stamp
}

// Close closes the file; a process that was started by it is not affected.
func (p *Program) Close() {
	if p != nil && p.file != nil {
		_ = p.file.Close()
	}
}

// SHA256 is the checksum of the file in hex; empty for this very program.
func (p *Program) SHA256() string { return p.sum }

// Same reports whether other is the same state of the same file.
func (p *Program) Same(other *Program) bool { return p.stamp == other.stamp }

// stamp identifies a state of a file. A file with the same stamp has the same content unless the kernel lies.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime syscall.Timespec
}

// programs checks program files and remembers the hashes of those it has seen.
type programs struct {
	mu   sync.Mutex
	sums map[stamp]string
}

// open checks and opens an external program. pin is the expected sha256 in hex; empty means the block allows any.
func (v *programs) open(path, pin string) (_ *Program, err error) {
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
	p := &Program{file: f, path: path, stamp: stampOf(st)}
	if p.sum, err = v.sum(f, p.stamp); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if pin != "" && subtle.ConstantTimeCompare([]byte(pin), []byte(p.sum)) != 1 {
		return nil, &MismatchError{path: path, want: pin, got: p.sum}
	}
	return p, nil
}

// Command makes a command of an external program, for a run beside the host: the file is checked as at a start, and what is executed is the file that was
// checked. done must be called when it has ended.
func Command(ctx context.Context, path, pin string, args ...string) (cmd *exec.Cmd, done func(), err error) {
	p, err := (&programs{}).open(path, pin)
	if err != nil {
		return nil, nil, err
	}
	cmd = exec.CommandContext(ctx, path, args...)
	execDescriptor(cmd, p)
	return cmd, p.Close, nil
}

// MismatchError says that a file is not the one that was pinned.
type MismatchError struct {
	path, want, got string
	plugin, lock    string // of which plugin's line in the lock file it is
}

func (e *MismatchError) Error() string {
	if e.lock != "" {
		return fmt.Sprintf("%s has sha256 %s, but %s has %s: if the change is yours, run `sigra plugin lock %s`", e.path, e.got, e.lock, e.want, e.plugin)
	}
	return fmt.Sprintf("%s has sha256 %s, but the block pins %s", e.path, e.got, e.want)
}

func (v *programs) sum(f *os.File, s stamp) (string, error) {
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
