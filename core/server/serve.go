package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/request"
)

// Against clients that hold connections without using them (ASVS 5.0 15.2.2). Bodies and answers have paces of their
// own, see body.go and recorder.go.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 32 << 10
)

// Listeners are the open doors. Serve closes them.
type Listeners struct {
	Public  []net.Listener // TCP, wrapped in TLS where configured
	Control net.Listener   // from ListenControl; nil: none
	Metrics net.Listener   // a door for /metrics alone; nil: none
}

// Serve answers requests until ctx ends, then drains: /readyz fails and every answer ends its connection, so that a proxy in front goes elsewhere;
// after Config.DrainDelay listeners close, streams are told to end, and what is in flight has Config.Grace to finish. It returns nil after a complete drain, and an error when a listener
// failed or requests had to be cut off.
func (s *Server) Serve(ctx context.Context, ls Listeners) error {
	// Requests outlive ctx by the grace, so their base is another context, ended when the grace is over.
	base, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()

	type door struct {
		srv *http.Server
		l   net.Listener
	}
	var doors []door
	for _, l := range ls.Public {
		doors = append(doors, door{s.httpServer(base, s.public), l})
	}
	if ls.Metrics != nil {
		doors = append(doors, door{s.httpServer(base, s.scrape), ls.Metrics})
	}
	if ls.Control != nil {
		srv := s.httpServer(base, s.requireControlKey(ls.Control, s.control))
		srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return request.With(ctx, request.Info{Operator: operatorOf(c)})
		}
		doors = append(doors, door{srv, ls.Control})
	}
	failed := make(chan error, len(doors))
	for _, d := range doors {
		go func() { failed <- d.srv.Serve(d.l) }()
	}

	running := len(doors)
	var first error
	select {
	case <-ctx.Done():
	case first = <-failed:
		running--
		first = fmt.Errorf("serve: %w", first)
	}

	s.draining.Store(true)
	s.log.Info("draining", "delay", s.cfg.DrainDelay.String(), "grace", s.cfg.Grace.String())
	if s.cfg.DrainDelay > 0 && first == nil {
		announced := time.NewTimer(s.cfg.DrainDelay)
		select {
		case <-announced.C:
		case first = <-failed:
			running--
			first = fmt.Errorf("serve: %w", first)
		}
		announced.Stop()
	}
	for _, f := range s.cfg.OnDrain {
		f()
	}
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Grace)
	defer done()
	shut := make(chan error, len(doors))
	for _, d := range doors {
		go func() { shut <- d.srv.Shutdown(grace) }()
	}
	if n := s.endStreams(); n > 0 {
		s.log.Info("streams told to end", "streams", n)
	}
	var late bool
	for range doors {
		if err := <-shut; err != nil {
			late = true
		}
	}
	if late {
		s.log.Warn("grace is over; requests in flight are cut off")
		abort()
		for _, d := range doors {
			_ = d.srv.Close()
		}
		first = errors.Join(first, errors.New("serve: requests in flight were cut off when the grace was over"))
	}
	for range running {
		if err := <-failed; err != nil && !errors.Is(err, http.ErrServerClosed) && first == nil {
			first = fmt.Errorf("serve: %w", err)
		}
	}
	return first
}

// Draining reports whether the end has begun.
func (s *Server) Draining() bool { return s.draining.Load() }

func (s *Server) httpServer(base context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		// net/http's own complaints are about clients: handshakes that failed, connections that broke.
		ErrorLog: s.log.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
}
