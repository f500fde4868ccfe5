package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// maxSocketPath is what fits into sockaddr_un everywhere (104 on BSD, 108 on Linux), with the final NUL.
const maxSocketPath = 103

// socketNameRoom is what go-plugin adds below a folder: "/plugin-dir" + 10 digits + "/plugin" + 10 digits.
const socketNameRoom = 11 + 10 + 7 + 10

// folders hands out one private folder per start, for the sockets of that start.
type folders struct {
	base string // data_dir/run/plugins
	n    atomic.Int64
}

// newFolders makes the base, and removes what earlier runs left there. data_dir belongs to one process at a time.
func newFolders(dataDir string) (*folders, error) {
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	f := &folders{base: filepath.Join(abs, "run", "plugins")}
	if err := os.MkdirAll(f.base, 0o700); err != nil {
		return nil, fmt.Errorf("make the plugins' socket folder: %w", err)
	}
	// MkdirAll leaves a folder that was there as it was.
	if err := os.Chmod(f.base, 0o700); err != nil {
		return nil, fmt.Errorf("make the plugins' socket folder private: %w", err)
	}
	return f, f.sweep()
}

// sweep removes folders whose host is gone, and ends what still runs there: a plugin that keeps no lifeline outlives a
// host that was killed. A folder is named after the plugin, the host's pid and a number.
func (f *folders) sweep() error {
	entries, err := os.ReadDir(f.base)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if owner := folderOwner(e.Name()); owner == os.Getpid() || owner > 0 && alive(owner) {
			continue
		}
		p := filepath.Join(f.base, e.Name())
		// A link is left by make when the base was too long; what it points to is ours as well.
		killMarked(p)
		if target, err := os.Readlink(p); err == nil && strings.HasPrefix(filepath.Base(target), "sigra-") {
			killMarked(target)
			_ = os.RemoveAll(target)
		}
		if err := os.RemoveAll(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a stale socket folder: %w", err)
		}
	}
	return nil
}

func folderOwner(name string) int {
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return 0
	}
	pid, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0
	}
	return pid
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// make gives a fresh folder with mode 0700, which belongs to who the plugin runs as.
func (f *folders) make(name string, as *identity) (string, error) {
	label := fmt.Sprintf("%s-%d-%d", name, os.Getpid(), f.n.Add(1))
	dir := filepath.Join(f.base, label)
	if len(dir)+socketNameRoom <= maxSocketPath && as == nil {
		return dir, os.Mkdir(dir, 0o700)
	}
	// The path would not fit into a socket address, or lies in data_dir, which nobody else may enter. MkdirTemp makes the folder with mode 0700 under a name that can't
	// be guessed; a link in its usual place lets the next run find and remove it.
	short, err := os.MkdirTemp("", "sigra-")
	if err != nil {
		return "", err
	}
	if len(short)+socketNameRoom > maxSocketPath {
		_ = os.RemoveAll(short)
		return "", fmt.Errorf("neither %s nor the temporary folder is short enough for a socket's path", f.base)
	}
	err = as.own(short)
	if err == nil {
		err = os.Symlink(short, dir)
	}
	if err != nil {
		_ = os.RemoveAll(short)
		return "", err
	}
	return short, nil
}

// remove takes a folder of make away again.
func (f *folders) remove(dir string) {
	if dir == "" {
		return
	}
	_ = os.RemoveAll(dir)
	if filepath.Dir(dir) == f.base {
		return
	}
	entries, _ := os.ReadDir(f.base)
	for _, e := range entries {
		p := filepath.Join(f.base, e.Name())
		if target, err := os.Readlink(p); err == nil && target == dir {
			_ = os.Remove(p)
		}
	}
}
