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
	deadline time.Time // the write deadline last set
	onStream func()    // called once, when the answer turns out to be an event stream
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

// Write sends a part of the answer. The deadline moves with every part, so a long answer may last, but a client that
// stops reading may not hold a connection (ASVS 5.0 15.2.2).
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if now := time.Now(); w.deadline.Sub(now) < writeStall/2 {
		w.deadline = now.Add(writeStall)
		_ = w.control.SetWriteDeadline(w.deadline) // not every writer has one: HTTP/2 streams do, test recorders don't
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush sends what is buffered.
func (w *recorder) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	_ = w.control.Flush()
}

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
