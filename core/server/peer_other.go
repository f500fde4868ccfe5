//go:build !linux

package server

import (
	"errors"
	"net"
	"os"
)

// peerUID has no kernel to ask here; the socket's mode and its folder's (0600 in 0700) let nobody else connect.
func peerUID(c net.Conn) (uint32, error) {
	if _, ok := c.(*net.UnixConn); !ok {
		return ^uint32(0), errors.New("not a unix connection")
	}
	return uint32(os.Geteuid()), nil
}
