package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/pluginsdk/contract"
)

// inFlightMax bounds the calls of one seam of one plugin at a time.
const inFlightMax = 64

// The deadlines of calls whose block sets none.
const (
	sinkTimeout    = 5 * time.Second
	mailTimeout    = 10 * time.Second
	gateTimeout    = 500 * time.Millisecond
	maxGateTimeout = 30 * time.Second
	offerTimeout   = 300 * time.Millisecond
	findTimeout    = 3 * time.Second // of an offer for somebody who asked for it, and may have no other way in
	claimTimeout   = 200 * time.Millisecond
	headTimeout    = 30 * time.Second // to a response's first byte
	idleTimeout    = 60 * time.Second // between two frames of a response
)

// seam is one thing a plugin can be called for, with its own breaker, bound and figures.
type seam struct {
	name    string
	slots   chan struct{}
	breaker breaker
	latency latency
}

func newSeams() map[string]*seam {
	out := map[string]*seam{}
	for _, s := range contractSeams {
		out[s] = &seam{name: seamLabel(s), slots: make(chan struct{}, inFlightMax)}
	}
	return out
}

// seamLabel is the last part of a full service name: "AuditSink".
func seamLabel(service string) string {
	for i := len(service) - 1; i >= 0; i-- {
		if service[i] == '.' {
			return service[i+1:]
		}
	}
	return service
}

// CallError is a failed call to a plugin. It names the plugin and the seam, once.
type CallError struct {
	Plugin string
	Seam   string
	Code   codes.Code
	Reason string // the plugin's own code, when it denied
	Text   string // what the plugin, or the host on its behalf, said
	Retry  time.Duration

	notCalled bool // the plugin never saw it
	transport bool // the connection broke, so that the plugin may have seen it or not
	answered  bool // the plugin is well, and this is its answer
}

// Error is "plugin threadline: AuditSink: …".
func (e *CallError) Error() string { return fmt.Sprintf("plugin %s: %s: %s", e.Plugin, e.Seam, e.Text) }

// Permanent reports whether the same call would fail again.
func (e *CallError) Permanent() bool {
	switch e.Code {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.PermissionDenied, codes.OutOfRange, codes.NotFound, codes.AlreadyExists, codes.Unauthenticated:
		return true
	}
	return false
}

// As lets the edge show the failure: unavailable unless the plugin's answer was meant for the caller.
func (e *CallError) As(target any) bool {
	t, ok := target.(**fault.Error)
	if !ok {
		return false
	}
	switch e.Code {
	case codes.InvalidArgument:
		*t = fault.New(fault.Invalid, "plugin_refused", e.Text).Because(errors.New(e.Error()))
	case codes.PermissionDenied:
		code := e.Reason
		if code == "" {
			code = "denied"
		}
		*t = fault.New(fault.Denied, code, e.Text).Because(errors.New(e.Error()))
	default:
		retry := e.Retry
		if retry == 0 {
			retry = 2 * time.Second
		}
		*t = fault.New(fault.Unavailable, "plugin_unavailable", "A part of this service is not available right now. Try again shortly.").
			After(retry).Because(errors.New(e.Error()))
	}
	return true
}

// answered is a plugin's proper answer that is an error for the caller: it says nothing against the plugin.
func (p *plugin) answered(s *seam, code codes.Code, text string) *CallError {
	ce := p.fail(s, code, text)
	ce.answered = true
	return ce
}

func (p *plugin) fail(s *seam, code codes.Code, text string) *CallError {
	return &CallError{Plugin: p.name, Seam: s.name, Code: code, Text: text}
}

// call runs f against the plugin's process, within timeout, the seam's bound and its breaker. Its error is a
// *CallError.
func (p *plugin) call(ctx context.Context, service string, timeout time.Duration, f func(context.Context, *instance) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.patience(timeout))
	defer cancel()
	in, done, err := p.enter(ctx, service)
	if err != nil {
		return err
	}
	err = f(ctx, in)
	return done(ctx, err)
}

// enter takes a place among the calls in flight. When it gives no error, done must be called with the call's own
// error; it returns what to tell the caller.
func (p *plugin) enter(ctx context.Context, service string) (*instance, func(context.Context, error) error, error) {
	s := p.seams[service]
	m := p.host.metrics
	refuse := func(result string, err *CallError) (*instance, func(context.Context, error) error, error) {
		m.calls.WithLabelValues(p.name, s.name, result).Inc()
		err.notCalled = true
		return nil, nil, err
	}
	if !s.breaker.allow() {
		return refuse("broken", p.fail(s, codes.Unavailable, "not called, since it failed several times in a row"))
	}
	select {
	case s.slots <- struct{}{}:
	default:
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			s.breaker.done(neither)
			return refuse("full", p.fail(s, codes.ResourceExhausted, fmt.Sprintf("%d calls are in flight already", inFlightMax)))
		}
	}
	in, err := p.acquire()
	if err != nil {
		<-s.slots
		s.breaker.done(neither)
		return refuse("down", p.fail(s, codes.Unavailable, err.Error()))
	}
	if !in.manifest.offers(service) {
		in.release()
		<-s.slots
		s.breaker.done(neither)
		return refuse("down", p.fail(s, codes.Unimplemented, "it does not offer this"))
	}
	gauge := m.inFlight.WithLabelValues(p.name, s.name)
	gauge.Inc()
	begin := time.Now()
	return in, func(ctx context.Context, err error) error {
		took := time.Since(begin)
		gauge.Dec()
		in.release()
		<-s.slots
		s.latency.add(took)
		m.seconds.WithLabelValues(p.name, s.name).Observe(took.Seconds())
		v, ce := p.judge(ctx, s, err)
		opened, closed := s.breaker.done(v)
		if opened {
			m.breaker.WithLabelValues(p.name, s.name).Set(1)
			p.log.Warn("plugin fails, no more calls until it is healthy", "seam", s.name, "failures", breakAfter, "error", err)
		}
		if closed {
			m.breaker.WithLabelValues(p.name, s.name).Set(0)
			p.log.Info("plugin answers again", "seam", s.name)
		}
		if ce == nil {
			m.calls.WithLabelValues(p.name, s.name, "ok").Inc()
			return nil
		}
		m.calls.WithLabelValues(p.name, s.name, ce.Code.String()).Inc()
		return ce
	}, nil
}

// judge tells what a call's error says about the plugin, and makes it one that names the plugin.
func (p *plugin) judge(ctx context.Context, s *seam, err error) (verdict, *CallError) {
	if err == nil {
		return good, nil
	}
	var ce *CallError
	if errors.As(err, &ce) {
		if ce.answered {
			return good, ce
		}
		return bad, ce
	}
	st, ok := status.FromError(err)
	if !ok {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			st = status.New(codes.DeadlineExceeded, "no answer in time")
		case errors.Is(err, context.Canceled):
			st = status.New(codes.Canceled, "cancelled")
		default:
			st = status.New(codes.Internal, err.Error())
		}
	}
	ce = p.fail(s, st.Code(), printable(clip(st.Message(), 1024)))
	// What grpc says of a broken connection is told from what a plugin says by its words; there is no other mark.
	ce.transport = st.Code() == codes.Unavailable && (strings.Contains(ce.Text, "error reading from server") || strings.Contains(ce.Text, "connection error") || strings.Contains(ce.Text, "transport"))
	if ce.transport {
		ce.Text = "it broke the connection" // grpc names the socket's path, which tells nobody anything
	}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.RetryInfo:
			ce.Retry = min(max(d.GetRetryDelay().AsDuration(), 0), time.Hour)
		case *errdetails.ErrorInfo:
			ce.Reason = codeOf(d.GetReason())
		}
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return neither, ce
	case st.Code() == codes.DeadlineExceeded:
		ce.Text = "no answer in time"
		return bad, ce
	case ce.Permanent():
		return good, ce // it answered, and the answer was no
	}
	return bad, ce
}

// codeOf is a plugin's code as programs may see it; what is none, and could mean something where a problem's type is made of it, is left out.
func codeOf(s string) string {
	if !contract.IsCode(s) {
		return ""
	}
	return s
}
