package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"

	"github.com/sigra-auth/sigra/core/fault"
)

// ControlKeyHeader carries the control key. Who may read the data folder has it; a plugin in its sandbox may not.
const ControlKeyHeader = "Sigra-Control-Key"

// ControlKey is the path of the control key below a data folder.
func ControlKey(dataDir string) string { return ControlSocket(dataDir) + ".key" }

var errNoControlKey = fault.New(fault.Denied, "control_key_required",
	"The control socket takes requests that carry the key in run/control.sock.key, which only root and the user that Sigra runs as can read.")

// controlKey is what an operator's command line shows beside being the right user: plugins may be that user, too. It is made
// anew by each server, so that nothing which an earlier one gave away opens this one.
type controlKey struct {
	path string
	sum  [sha256.Size]byte
	made fs.FileInfo
}

// newControlKey writes a key beside the socket, in its folder of mode 0700.
func newControlKey(socket string) (*controlKey, error) {
	text := rand.Text()
	k := &controlKey{path: socket + ".key", sum: sha256.Sum256([]byte(text))}
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) { // one that a crashed Sigra left
		return nil, err
	}
	f, err := os.OpenFile(k.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(text)
	k.made, _ = f.Stat()
	return k, errors.Join(err, f.Close())
}

func (k *controlKey) remove() {
	if fi, err := os.Lstat(k.path); err == nil && os.SameFile(fi, k.made) {
		_ = os.Remove(k.path)
	}
}

// requireControlKey refuses what comes over the control socket without its key.
func (s *Server) requireControlKey(l net.Listener, next http.Handler) http.Handler {
	cl, ok := l.(*controlListener)
	if !ok {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.Header.Get(ControlKeyHeader)))
		if subtle.ConstantTimeCompare(sum[:], cl.key.sum[:]) != 1 {
			s.log.Warn("control socket: request without the key refused", "path", r.URL.Path)
			s.Fail(w, r, errNoControlKey)
			return
		}
		r.Header.Del(ControlKeyHeader)
		next.ServeHTTP(w, r)
	})
}
