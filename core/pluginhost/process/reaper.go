package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// reaper knows the processes that the launcher started, and kills what those left behind.
//
// A process that leaves its group (setsid) is found by its environment when its plugin ends (see killMarked). One that
// hides its environment as well is found only when the kernel hands orphans to this process instead of to init: that is
// what enable asks for. Then a child of this process that nobody here started is somebody's orphan: one that carries the
// mark of a living plugin is left to it, any other is killed. A program that starts children of its own beside the
// launcher must not ask for it.
type reaper struct {
	mu      sync.Mutex
	enabled bool
	living  map[int]*Process
}

// start forks p. No orphan is looked for meanwhile, so that p is not taken for one before it is known.
func (r *reaper) start(p *Process) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid = p.cmd.Process.Pid
	if r.living == nil {
		r.living = map[int]*Process{}
	}
	r.living[p.pid] = p
	return nil
}

// ended is told after p was reaped.
func (r *reaper) ended(p *Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.living, p.pid)
	r.reapLocked()
}

// reap kills orphans that belong to nobody, and takes note of the dead.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reapLocked()
}

func (r *reaper) reapLocked() {
	if !r.enabled {
		return
	}
	// What an orphan that dies leaves behind comes here in turn; the bound is for a program that forks faster than this.
	for range 64 {
		found := false
		for _, pid := range children() {
			if r.living[pid] != nil || r.marked(pid) {
				continue
			}
			found = true
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
		if !found {
			return
		}
	}
}

// marked reports whether a process carries the socket folder of a living plugin in its environment. A zombie has none.
func (r *reaper) marked(pid int) bool {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for _, p := range r.living {
		if strings.Contains(string(env), mark(p.folder)) {
			return true
		}
	}
	return false
}

// mark is what every process of a plugin has in its environment, unless it takes it out.
func mark(folder string) string {
	return "PLUGIN_UNIX_SOCKET_DIR=" + folder + string(filepath.Separator)
}
