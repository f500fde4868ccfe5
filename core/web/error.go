package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
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

var headings = map[fault.Kind]string{
	fault.Invalid: "That did not work", fault.Unauthenticated: "Please sign in", fault.Denied: "This is not allowed",
	fault.NotFound: "Nothing here", fault.Conflict: "That did not work", fault.TooLarge: "That is too much",
	fault.RateLimited: "One moment, please", fault.Unavailable: "Back in a moment",
}

// trouble is what the error page shows.
type trouble struct {
	Heading, Message string
	Wait             string // how long to wait, in words
	RequestID        string
	Ours             bool // not the person's doing
}

// Error answers with an error page. Of an error that is no fault the page tells only the request id; the log the rest.
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody is there to read it
	}
	f := fault.From(err)
	info := request.From(r.Context())
	status := statusOf(f.Kind)
	t := trouble{Heading: headings[f.Kind], Message: f.Message, RequestID: info.ID, Ours: status >= 500}
	if status == http.StatusInternalServerError {
		p.log.Error("request failed", "request_id", info.ID, "error", err)
		t.Heading, t.Message = "Something went wrong", "It is our doing, not yours. Trying again may help."
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
		t.Wait = inWords(f.RetryAfter)
	}
	v := p.view(t.Heading)
	v.Body = t
	p.render(w, r, status, "error", v)
}

// expired tells that a link or a sign-up is over, and how to go on.
func (p *Pages) expired(w http.ResponseWriter, r *http.Request, message, again, label string) {
	v := p.view("This link is over")
	v.Body = struct{ Message, Again, Label string }{message, again, label}
	p.render(w, r, http.StatusGone, "expired", v)
}

// inWords says a time to wait as a person would.
func inWords(d time.Duration) string {
	s := int(math.Ceil(d.Seconds()))
	switch {
	case s <= 1:
		return "a second"
	case s < 90:
		return strconv.Itoa(s) + " seconds"
	case s < 90*60:
		return strconv.Itoa((s+59)/60) + " minutes"
	}
	return strconv.Itoa((s+3599)/3600) + " hours"
}
