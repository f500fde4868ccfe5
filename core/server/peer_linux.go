package server

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// peer asks the kernel who connected (SO_PEERCRED, unix(7)); the peer can't lie about it.
func peer(c net.Conn) (uid uint32, pid int, err error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ^uint32(0), 0, errors.New("not a unix connection")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ^uint32(0), 0, err
	}
	uid = ^uint32(0)
	var cerr error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); cerr == nil {
			uid, pid = cred.Uid, int(cred.Pid)
		}
	})
	return uid, pid, errors.Join(err, cerr)
}

// descends reports whether a process is below this one: a plugin, or something that a plugin started. Orphans of plugins
// come back to this process (PR_SET_CHILD_SUBREAPER), so letting go of a child does not hide it.
func descends(pid int) bool {
	own := os.Getpid()
	if pid == own {
		return false
	}
	for range 64 { // deeper than processes nest
		if pid <= 1 {
			return false
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			return false // gone, or of another namespace
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // proc_pid_stat(5): state, ppid; the name before may hold anything
		if len(fields) < 2 {
			return false
		}
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			return false
		}
		if pid == own {
			return true
		}
	}
	return false
}
