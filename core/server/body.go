package server

import (
	"io"
	"net/http"
	"time"
)

// readStall is how long a client may send no byte of a body it announced, and readAll how long a core route waits for
// the whole of it. net/http's ReadTimeout would do for bodies but would also end event streams.
const (
	readStall = 15 * time.Second
	readAll   = 60 * time.Second
)

// boundBody limits size and time of a body on a core route (ASVS 5.0 15.2.2): to what the route declares, and never more
// than what is configured.
func (s *Server) boundBody(w http.ResponseWriter, r *http.Request, limit int64) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	inner := w
	if rec := recorderOf(w); rec != nil {
		inner = rec.ResponseWriter // so that net/http sees the limit hit and closes the connection
	}
	r.Body = &pacedBody{
		ReadCloser: http.MaxBytesReader(inner, r.Body, min(limit, s.cfg.MaxBody)),
		control:    http.NewResponseController(w), end: time.Now().Add(readAll),
	}
}

// paceBody lets a plugin take a body of any length, as long as it keeps coming.
func paceBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	r.Body = &pacedBody{ReadCloser: r.Body, control: http.NewResponseController(w)}
}

// pacedBody moves the connection's read deadline along while a body comes in, and lifts it when it is whole.
type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	end     time.Time // zero: no end
	set     time.Time
}

func (b *pacedBody) Read(p []byte) (int, error) {
	now := time.Now()
	if b.set.Sub(now) < readStall/2 {
		b.set = now.Add(readStall)
		if !b.end.IsZero() && b.end.Before(b.set) {
			b.set = b.end
		}
		_ = b.control.SetReadDeadline(b.set) // test recorders have none
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
