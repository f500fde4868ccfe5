package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/request"
)

// statuses is the one place where the pages map a kind of fault to HTTP.
var statuses = map[fault.Kind]int{
	fault.Invalid: http.StatusUnprocessableEntity, fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied: http.StatusForbidden, fault.NotFound: http.StatusNotFound, fault.Conflict: http.StatusConflict,
	fault.TooLarge: http.StatusRequestEntityTooLarge, fault.RateLimited: http.StatusTooManyRequests,
	fault.Unavailable: http.StatusServiceUnavailable,
}

func statusOf(k fault.Kind) int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// headings are the kinds of faults that have a heading of their own on the error page.
var headings = map[fault.Kind]string{
	fault.Invalid: "invalid", fault.Unauthenticated: "unauthenticated", fault.Denied: "denied", fault.NotFound: "not_found",
	fault.Conflict: "conflict", fault.TooLarge: "too_large", fault.RateLimited: "rate_limited", fault.Unavailable: "unavailable",
}

// trouble is what the error page shows.
type trouble struct {
	Message   string
	Wait      string // how long to wait, in words
	RequestID string
	Ours      bool // not the person's doing
}

// Error answers with an error page. Of an error that is no fault the page tells only the request id; the log the rest.
func (p *renderer) Error(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody is there to read it
	}
	f := fault.From(err)
	info, l := request.From(r.Context()), p.in(r)
	status := statusOf(f.Kind)
	t := trouble{Message: p.say(l, f), RequestID: info.ID, Ours: status >= 500}
	heading, known := headings[f.Kind]
	if !known {
		p.log.Error("request failed", "request_id", info.ID, "error", err)
		heading, t.Message = "internal", l.Text("fault.internal")
	}
	if f.RetryAfter > 0 {
		retryAfter(w, f)
		t.Wait = inWords(l, f.RetryAfter)
	}
	v := p.view(r, "page.error.heading_"+heading)
	if r.Method != http.MethodGet {
		v.Here = "/" // there may be nothing to see at the form's address
	}
	v.Body = t
	p.render(w, r, status, "error", v)
}

// over is what the page of a link or a flow that is over shows.
type over struct{ Message, Again, Label string }

// expired tells that a link or a flow is over, and how to go on. message and label are keys.
func (p *renderer) expired(w http.ResponseWriter, r *http.Request, message, again, label string) {
	v := p.view(r, "page.expired.title")
	v.Body = over{v.L.Language.Text(message), again, v.L.Language.Text(label)}
	p.render(w, r, http.StatusGone, "expired", v)
}

// retryAfter tells programs when to try again (RFC 9110 §10.2.3).
func retryAfter(w http.ResponseWriter, f *fault.Error) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
}

// inWords says a time to wait as a person would.
func inWords(l *lang.Language, d time.Duration) string {
	s := int(math.Ceil(d.Seconds()))
	switch {
	case s < 90:
		return l.Plural("page.error.wait_seconds", max(s, 1))
	case s < 90*60:
		return l.Plural("page.error.wait_minutes", (s+59)/60)
	}
	return l.Plural("page.error.wait_hours", (s+3599)/3600)
}
