//go:build unix

package pluginsdk

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// stdio keeps what the plugin prints away from the handshake, which go-plugin writes as one line to standard output.
//
// Descriptor 1 is made a second standard error for good, so that nothing, not even C code or a child, can write to the
// host's handshake pipe; the pipe itself moves to a descriptor that only go-plugin's one Printf sees.
type stdio struct {
	stderr *os.File // descriptor 2, which the host reads
	pipe   *os.File // where the handshake goes; nil when it could not be moved
	once   sync.Once
	kept   [2]*os.File // go-plugin's pipes, which must not be collected: it spins when they close
}

func takeStdio() *stdio {
	s := &stdio{stderr: os.Stderr}
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		s.pipe = os.Stdout
		return s
	}
	s.pipe = os.NewFile(uintptr(fd), "handshake")
	if err := unix.Dup2(2, 1); err != nil {
		return s
	}
	os.Stdout = s.stderr
	return s
}

// handshake lends go-plugin the pipe.
func (s *stdio) handshake() { os.Stdout = s.pipe }

// settle is called with the first call from the host, when go-plugin has put pipes of its own in place: what is
// printed from now on goes to standard error, which the host reads, and not into a stream that it may not.
func (s *stdio) settle() {
	s.once.Do(func() {
		s.kept = [2]*os.File{os.Stdout, os.Stderr}
		os.Stdout, os.Stderr = s.stderr, s.stderr
	})
}

func openLifeline(fd uintptr) *os.File {
	syscall.CloseOnExec(int(fd))
	_ = syscall.SetNonblock(int(fd), true) // so that waiting costs no thread
	return os.NewFile(fd, "lifeline")
}
