package server

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peerUID asks the kernel who connected (SO_PEERCRED, unix(7)); the peer can't lie about it.
func peerUID(c net.Conn) (uint32, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ^uint32(0), errors.New("not a unix connection")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ^uint32(0), err
	}
	uid, cerr := ^uint32(0), error(nil)
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); cerr == nil {
			uid = cred.Uid
		}
	})
	return uid, errors.Join(err, cerr)
}
