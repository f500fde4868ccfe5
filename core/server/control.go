package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// maxSocketPath is what fits into sun_path (unix(7)) with its closing zero.
const maxSocketPath = 107

// ControlSocket is the path of the control socket below a data folder.
func ControlSocket(dataDir string) string { return filepath.Join(dataDir, "run", "control.sock") }

// ListenControl opens the control socket at path. Its folder is 0700 and it is 0600, and every peer is asked of the
// kernel who it is: root and the user this process runs as get in, everybody else's connection is closed. So is that of
// a process that this one started, and of one that can't be identified: plugins are no operators, although they may run as
// the same user. What gets in must also carry the control key (see controlKey) in each request.
//
// A socket that nobody answers at is a crashed Sigra's and is removed. One that somebody answers at is left alone.
func ListenControl(ctx context.Context, path string, log hclog.Logger) (net.Listener, error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it may have been made by somebody more generous
		return nil, fmt.Errorf("control socket: %w", err)
	}
	bind, done, err := shortPath(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer done()
	if err := removeStale(ctx, path, bind); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", bind)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // done by Close below, by the full path
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	fi, err := os.Lstat(path)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	key, err := newControlKey(path)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control key: %w", err)
	}
	return &controlListener{Listener: l, path: path, made: fi, key: key, uid: uint32(os.Geteuid()), log: log}, nil
}

// DialControl connects to the control socket at path, however long the path is.
func DialControl(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", short)
}

// shortPath gives a name for path that fits into a socket address: path itself, or one through the open folder.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if _, err := os.Stat(filepath.Dir(short)); err != nil || len(short) > maxSocketPath {
		_ = dir.Close()
		return "", nil, fmt.Errorf("%s is longer than the %d bytes a socket address takes; set data_dir to a shorter path", path, maxSocketPath)
	}
	return short, func() { _ = dir.Close() }, nil
}

func removeStale(ctx context.Context, path, bind string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket; remove it", path)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", bind)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("another Sigra answers at %s; stop it, or set data_dir to another folder", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s may be another Sigra's: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// controlListener lets in who the kernel says is root or this process's own user.
type controlListener struct {
	net.Listener
	path string
	made fs.FileInfo
	key  *controlKey
	uid  uint32
	log  hclog.Logger
	once sync.Once
}

// controlConn is a connection whose peer is known.
type controlConn struct {
	net.Conn
	operator string
}

func (l *controlListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, pid, err := identifyPeer(c)
		if err == nil && !mayControl(uid, l.uid) {
			err = errors.New("neither root nor the user Sigra runs as")
		}
		if err != nil {
			l.log.Warn("control socket: peer refused", "uid", uid, "pid", pid, "reason", err)
			_ = c.Close()
			continue
		}
		return &controlConn{Conn: c, operator: operatorName(uid)}, nil
	}
}

// Close ends listening and removes the socket, unless a successor has already put its own there.
func (l *controlListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		if fi, serr := os.Lstat(l.path); serr == nil && os.SameFile(fi, l.made) {
			_ = os.Remove(l.path)
		}
		l.key.remove()
	})
	return err
}

// mayControl is the rule: the machine's root, or whoever runs Sigra.
func mayControl(peer, own uint32) bool { return peer == 0 || peer == own }

// operatorName names a user for the audit log: "1000/alice", or the number alone.
func operatorName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return id + "/" + u.Username
	}
	return id
}

// operatorOf is who is at the other end of a control connection. A connection of any other kind is somebody unknown,
// which still is not nobody: the control handler is only ever given control connections.
func operatorOf(c net.Conn) string {
	if cc, ok := c.(*controlConn); ok {
		return cc.operator
	}
	return "unknown"
}
