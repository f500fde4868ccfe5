package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Listen opens a TCP address for people and programs. Its errors say what to do about them.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, "server.listen")
}

// ListenMetrics opens the TCP address of telemetry.metrics_listen.
func ListenMetrics(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, "telemetry.metrics_listen")
}

func listen(ctx context.Context, addr, setting string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		by := "another process"
		if who := holder(addr); who != "" {
			by = who
		}
		return nil, fmt.Errorf("%s is in use by %s; stop it, or set %s to another address: %w", addr, by, setting, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s; set %s to a port of 1024 or above, or grant CAP_NET_BIND_SERVICE: %w", addr, setting, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is no address of this machine; set %s to one that is: %w", addr, setting, err)
	}
	return nil, fmt.Errorf("listen on %s (%s): %w", addr, setting, err)
}

// holder finds which process listens on a port, where /proc tells: "sigra (process 4711)". Empty when it can't be known.
func holder(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, n, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(target, "socket:[") || !inodes[strings.TrimSuffix(target[len("socket:["):], "]")] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		comm, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(comm)), pid)
	}
	return ""
}

// listeners adds the socket inodes that listen on a port, from a table of proc(5).
func listeners(table string, port int, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	want := fmt.Sprintf(":%04X", port)
	for scan := bufio.NewScanner(f); scan.Scan(); {
		fields := strings.Fields(scan.Text())
		if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], want) { // 0A is TCP_LISTEN
			inodes[fields[9]] = true
		}
	}
}
