//go:build !unix

package pluginsdk

import (
	"os"
	"sync"
)

// stdio keeps what the plugin prints away from the handshake; see stdio_unix.go.
type stdio struct {
	stdout, stderr *os.File
	once           sync.Once
	kept           [2]*os.File
}

func takeStdio() *stdio {
	s := &stdio{stdout: os.Stdout, stderr: os.Stderr}
	os.Stdout = os.Stderr
	return s
}

func (s *stdio) handshake() { os.Stdout = s.stdout }

func (s *stdio) settle() {
	s.once.Do(func() {
		s.kept = [2]*os.File{os.Stdout, os.Stderr}
		os.Stdout, os.Stderr = s.stderr, s.stderr
	})
}

func openLifeline(fd uintptr) *os.File { return os.NewFile(fd, "lifeline") }
