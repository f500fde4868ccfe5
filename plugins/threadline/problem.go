package threadline

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// problem is an RFC 9457 problem document, and the only kind of error that reaches anybody.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
}

func (p problem) Error() string { return p.Code + ": " + p.Detail }

var (
	errUnauthenticated = problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: "Sign in first."}
	// One answer for both, or the ids of other people's entries could be found by trying.
	errNotFound    = problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is no such entry, or it is not yours to see."}
	errNowhere     = problem{Status: http.StatusNotFound, Code: "not_found", Detail: "Threadline has nothing at this address."}
	errNotAdmin    = problem{Status: http.StatusForbidden, Code: "administrator_required", Detail: "Only an administrator of Sigra may see this."}
	errMethod      = problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "Threadline is only read."}
	errUnavailable = problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "The timeline can't be read just now. Try again in a moment."}
	errTooSlow     = problem{Status: http.StatusServiceUnavailable, Code: "too_slow",
		Detail: "Too many entries would have to be looked through for this. Narrow it with from and to, or name an actor, a target or an action."}
)

func writeProblem(w http.ResponseWriter, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	p.headers(w.Header())
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

func (p problem) headers(h http.Header) {
	switch p.Status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD")
	}
}

// problem maps an error to what may be shown; whatever is not meant for people is logged and becomes "internal".
func (p *Timeline) problem(ctx context.Context, err error) problem {
	var pr problem
	if errors.As(err, &pr) {
		return pr
	}
	var pe *paramError
	if errors.As(err, &pe) {
		return problem{Status: http.StatusBadRequest, Code: "invalid_parameter", Detail: pe.Error(), Field: pe.param}
	}
	if ctx.Err() != nil { // whoever asked has gone: nothing is wrong here
		return errUnavailable
	}
	p.log.Error("request failed", "error", err)
	if pluginsdk.IsRetryable(err) {
		return errUnavailable
	}
	return problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong on our side."}
}
