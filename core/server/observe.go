package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/request"
)

// observe writes one log line and counts, when a request ends, and lets drain reach it while it runs.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ctx, cancel := context.WithCancel(r.Context())
		rec := &recorder{ResponseWriter: w, control: http.NewResponseController(w)}
		rec.onStream = func() { s.addStream(rec, cancel) }
		s.metrics.inFlight.Inc()
		rec.rest() // of the deadline that the request before left on this connection
		defer func() {
			rec.hurry() // net/http sends what is left when the handler has returned
			cancel()
			s.dropStream(rec)
			s.metrics.inFlight.Dec()
			s.account(rec, r, time.Since(start))
		}()
		next.ServeHTTP(rec, r.WithContext(ctx))
	})
}

// account is the access log and the metrics. The query never appears: it may hold a token. Addresses of mailboxes
// never appear either (ASVS 5.0 16.2.5).
func (s *Server) account(rec *recorder, r *http.Request, took time.Duration) {
	if rec.status == 0 {
		rec.status = http.StatusOK // net/http sends it when a handler wrote nothing
	}
	route := rec.route
	if route == "" {
		route = unmatched
	}
	s.metrics.observe(r.Method, route, rec.status, took)

	level := hclog.Info
	switch {
	case rec.status >= 500:
		level = hclog.Warn
	case quiet[route]:
		level = hclog.Debug
	}
	if s.log.GetLevel() > level { // what nobody reads is not put together either
		return
	}
	info := request.From(r.Context())
	fields := []any{
		"request_id", info.ID, "method", knownMethod(r.Method), "route", route, "status", rec.status,
		"bytes", rec.bytes, "duration_ms", float64(took.Microseconds()) / 1000,
	}
	if info.Operator != "" {
		fields = append(fields, "operator", info.Operator)
	} else {
		fields = append(fields, "ip", info.IPString())
	}
	if p := r.URL.Path; (route == unmatched || strings.HasPrefix(route, pluginLabel)) && len(p) <= 128 && !strings.ContainsRune(p, '@') {
		fields = append(fields, "path", p)
	}
	s.log.Log(level, "request", fields...)
}

// Route labels that are no template of the router.
const (
	unmatched   = "unmatched"
	pluginLabel = "plugin:" // then the first segment of the path
)

// quiet are the routes that programs ask all the time.
var quiet = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "/assets/": true, "/v1/session": true}

func (s *Server) addStream(rec *recorder, cancel context.CancelFunc) {
	s.mu.Lock()
	s.streams[rec] = cancel
	s.mu.Unlock()
	if s.draining.Load() {
		cancel()
	}
}

func (s *Server) dropStream(rec *recorder) {
	s.mu.Lock()
	delete(s.streams, rec)
	s.mu.Unlock()
}

// endStreams tells every long-lived answer to end; each was made to be resumed elsewhere.
func (s *Server) endStreams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.streams {
		cancel()
	}
	return len(s.streams)
}
