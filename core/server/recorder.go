package server

import (
	"net/http"
	"strings"
	"time"
)

// writeStall is how long a client may take no byte of an answer before the connection is given up.
const writeStall = 30 * time.Second

// recorder watches an answer go out: its status, its size, whether it is a stream. It also holds what inner steps
// learn for the outer ones (the route).
type recorder struct {
	http.ResponseWriter
	control  *http.ResponseController
	status   int
	bytes    int64
	route    string
	onStream func() // called once, when the answer turns out to be an event stream
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") && w.onStream != nil {
			w.onStream()
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the answer.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.hurry()
	n, err := w.ResponseWriter.Write(p)
	w.rest()
	w.bytes += int64(n)
	return n, err
}

// Flush sends what is buffered.
func (w *recorder) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.hurry()
	_ = w.control.Flush()
	w.rest()
}

// hurry and rest put a deadline on what is being sent and nothing else. An answer as a whole may last, and a stream may
// be silent for hours; but a client that stops reading may not hold a connection (ASVS 5.0 15.2.2). Between two parts
// there must be none: on HTTP/2 a deadline that passes ends the stream although nobody is writing, and on HTTP/1.1 it
// would still be there when the next request comes over the same connection.
func (w *recorder) hurry() { _ = w.control.SetWriteDeadline(time.Now().Add(writeStall)) } // test recorders have none
func (w *recorder) rest()  { _ = w.control.SetWriteDeadline(time.Time{}) }

// recorderOf finds the recorder below whatever wrapped it.
func recorderOf(w http.ResponseWriter) *recorder {
	for {
		switch v := w.(type) {
		case *recorder:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}
