package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// limitsHeld says whether the limits of a block mean anything on this system.
const limitsHeld = true

// clockTick is the kernel's unit in /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// use sums up a process and its living descendants. ok is false when it is gone.
func use(pid int) (u Usage, ok bool) {
	return u, addUse(pid, &u, 0)
}

func addUse(pid int, u *Usage, depth int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name in brackets may hold anything; what follows the last bracket are numbers.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 22 {
		return false
	}
	number := func(n int) int64 { v, _ := strconv.ParseInt(f[n], 10, 64); return v }
	u.CPU += time.Duration(number(11)+number(12)) * clockTick // utime, stime
	u.Memory += number(21) * int64(os.Getpagesize())          // rss
	if depth == 16 {
		return true
	}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		// Without CONFIG_PROC_CHILDREN only the process itself is counted.
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		for _, c := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(c); err == nil {
				addUse(n, u, depth+1)
			}
		}
	}
	return true
}

// limitFiles lowers how many files a process may have open. Its own start may have read the old limit a moment ago and
// raise its soft limit by it, which fails once the hard limit is lower: unless it is privileged.
func limitFiles(pid, n int) error {
	l := unix.Rlimit{Cur: uint64(n), Max: uint64(n)}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &l, nil); err != nil {
		return fmt.Errorf("limit open files: %w", err)
	}
	return nil
}
