package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/request"
)

// inProcess serves requests by a handler in this process. Answers stream: what the handler writes can be read while
// it runs.
type inProcess struct {
	api      http.Handler
	operator string
	running  sync.WaitGroup // handlers
}

var _ http.RoundTripper = (*inProcess)(nil)

// RoundTrip implements http.RoundTripper.
func (p *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(request.With(r.Context(), request.Info{ID: id.String(), UserAgent: r.UserAgent(), Operator: p.operator}))
	in := r.Clone(ctx)
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &pipeWriter{head: http.Header{}, body: pw, started: make(chan struct{})}
	p.running.Go(func() {
		defer cancel()
		defer func() {
			v := recover()
			w.WriteHeader(http.StatusOK)
			err, _ := v.(error)
			switch {
			case v == nil:
				_ = pw.Close() // never fails
			case errors.Is(err, http.ErrAbortHandler):
				_ = pw.CloseWithError(io.ErrUnexpectedEOF)
			default:
				_ = pw.CloseWithError(fmt.Errorf("panic while answering: %v", v))
			}
		}()
		p.api.ServeHTTP(w, in)
	})
	select {
	case <-w.started:
	case <-r.Context().Done():
		_ = pr.Close() // the handler notices by its context, or by its next write
		return nil, r.Context().Err()
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: &pipeBody{pr, cancel}, ContentLength: -1, Request: r,
	}, nil
}

// pipeBody ends the handler when the answer is closed before its end.
type pipeBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *pipeBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls: it waits for handlers that are still at work.
func (p *inProcess) CloseIdleConnections() { p.running.Wait() }

// pipeWriter is the ResponseWriter of an answer in this process.
type pipeWriter struct {
	head    http.Header
	sent    http.Header // the head as it was when the answer began
	status  int
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.head }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.head.Clone()
		close(w.started)
	})
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush has nothing to do: what is written can be read at once.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }
