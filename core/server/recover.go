package server

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

// recover turns a handler's panic into an answer. The stack goes to the log and nowhere else (ASVS 5.0 16.5.1).
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // the handler's way to say: cut the connection, say nothing
			}
			s.metrics.panics.Inc()
			s.log.Error("panic while answering", "request_id", request.From(r.Context()).ID,
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if rec := recorderOf(w); rec != nil && rec.status != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: cut it off, so that nobody takes it for a whole one
			}
			clear(w.Header())
			w.Header().Set(requestIDHeader, request.From(r.Context()).ID)
			s.setHeaders(w.Header())
			s.Fail(w, r, fault.From(errors.New("panic")))
		}()
		next.ServeHTTP(w, r)
	})
}
