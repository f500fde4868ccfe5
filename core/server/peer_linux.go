package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var errPlugin = errors.New("a plugin, or started by one")

// identifyPeer asks the kernel who connected (SO_PEERCRED, unix(7)); the peer can't lie about it. The error says why it may not
// control Sigra, whoever it is: it is this process's child or below one, a plugin's from before, or can't be told.
//
// A process that connects, hands the connection on and ends would leave a number that names nobody, or somebody else. So
// the process must be there: where the kernel gives a descriptor of it (SO_PEERPIDFD, Linux 6.5) it is asked after the look at its ancestors
// whether it still lives, which ties the number to it all the while.
func identifyPeer(c net.Conn) (uid uint32, pid int, err error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ^uint32(0), 0, errors.New("not a unix connection")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ^uint32(0), 0, err
	}
	uid = ^uint32(0)
	pidfd := -1
	var cerr error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); cerr != nil {
			return
		}
		uid, pid = cred.Uid, int(cred.Pid)
		pidfd, cerr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		if errors.Is(cerr, unix.ENOPROTOOPT) { // an older kernel
			pidfd, cerr = -1, nil
		}
	})
	if err := errors.Join(err, cerr); err != nil {
		return uid, pid, fmt.Errorf("can't be identified: %w", err)
	}
	if pidfd >= 0 {
		defer func() { _ = unix.Close(pidfd) }()
	}
	if uid == 0 && os.Geteuid() != 0 {
		return uid, pid, nil // root, which no plugin of ours can be; where /proc is mounted with hidepid it can't be looked at
	}
	if err := noPlugin(pid); err != nil {
		return uid, pid, err
	}
	if pidfd >= 0 {
		if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil && !errors.Is(err, unix.EPERM) { // EPERM: of somebody else, and there
			return uid, pid, fmt.Errorf("can't be identified: it has ended: %w", err)
		}
	}
	return uid, pid, nil
}

// noPlugin refuses a process that is below this one, or that carries the marks of a plugin in its environment or its cgroup:
// it may have outlived the server that started it. Orphans of plugins come back to this process (PR_SET_CHILD_SUBREAPER),
// so letting go of a child does not hide it.
func noPlugin(pid int) error {
	own := os.Getpid()
	if pid == own {
		return nil
	}
	if pid <= 0 {
		return errors.New("can't be identified: it is of another process namespace")
	}
	if err := noMark(pid); err != nil {
		return err
	}
	for at := pid; at > 1; {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(at) + "/stat")
		if err != nil {
			return fmt.Errorf("can't be identified: %w", err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // proc_pid_stat(5): state, ppid; the name before may hold anything
		if len(fields) < 2 {
			return errors.New("can't be identified: its parent is not known")
		}
		if at, err = strconv.Atoi(fields[1]); err != nil {
			return fmt.Errorf("can't be identified: %w", err)
		}
		if at == own {
			return errPlugin
		}
	}
	return nil
}

// marks are what core/pluginhost/process leaves on every process of a plugin. A process can take the first out of its
// environment, and out of the second only with the rights of whoever owns the cgroup.
var marks = map[string]string{"environ": "SIGRA_PLUGIN_COOKIE=", "cgroup": "/sigra-plugin-"}

func noMark(pid int) error {
	for file, mark := range marks {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
		if errors.Is(err, os.ErrPermission) {
			continue // somebody else's: root, or nobody that may control Sigra
		}
		if err != nil {
			return fmt.Errorf("can't be identified: %w", err)
		}
		if bytes.Contains(b, []byte(mark)) {
			return errPlugin
		}
	}
	return nil
}
