package process

import (
	"fmt"
	"os/exec"
	"syscall"
)

func stampOf(st *syscall.Stat_t) stamp {
	return stamp{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
}

// selfPath is the running program, even after the file it was started from has been replaced.
const selfPath = "/proc/self/exe"

// execDescriptor makes cmd run the open file instead of a path. The descriptor is handed down as the next extra file:
// only there is its number certain in the child, and the interpreter of a script must be able to open it once more.
func execDescriptor(cmd *exec.Cmd, p *Program) {
	cmd.ExtraFiles = append(cmd.ExtraFiles, p.file)
	cmd.Path = fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles))
}
