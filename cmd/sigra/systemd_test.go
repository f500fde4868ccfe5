package main

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A unit with Type=notify is told when people can come, and when the server begins to stop.
func TestSystemd(t *testing.T) {
	t.Parallel()
	in := newInstance(t, setup{})
	socket := filepath.Join(in.dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	in.env = append(in.env, "NOTIFY_SOCKET="+socket)
	next := func() string {
		t.Helper()
		_ = l.SetReadDeadline(time.Now().Add(60 * time.Second))
		b := make([]byte, 100)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	in.launch()
	if got := next(); got != "READY=1" {
		t.Errorf("at the start: %q", got)
	}
	if r, err := in.call("GET", "/healthz", "", nil); err != nil || r.status != 200 {
		t.Errorf("said to be ready, and answers %d, %v", r.status, err)
	}
	in.stop()
	if got := next(); got != "STOPPING=1" {
		t.Errorf("at the end: %q", got)
	}
}
