//go:build unix && !linux

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// Without /proc there is no executing a descriptor: the file's size, device and number still tie the hash to what
// was opened, but a swap between check and exec is possible. The folder must be writable by its owner alone.
func stampOf(st *syscall.Stat_t) stamp {
	return stamp{dev: uint64(st.Dev), ino: st.Ino, size: st.Size}
}

var selfPath = func() string { p, _ := os.Executable(); return p }()

func execDescriptor(cmd *exec.Cmd, p *Program) { cmd.Path = p.path }
