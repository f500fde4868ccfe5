package main

import (
	"net"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// What systemd is told of the service (sd_notify(3)).
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notifySystemd tells systemd how the service stands, where it runs as a unit with Type=notify; elsewhere it does nothing.
func notifySystemd(state string, log hclog.Logger) {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return
	}
	if name, abstract := strings.CutPrefix(address, "@"); abstract {
		address = "\x00" + name
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close()
	}
	if err != nil {
		log.Warn("systemd was not told", "state", state, "error", err)
	}
}
