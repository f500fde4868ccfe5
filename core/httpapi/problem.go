package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
)

// statusOf is the one mapping from a kind of fault to an HTTP status.
func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// statusGone is recorded for a client that went away before its answer was ready. Nobody reads it.
const statusGone = 499

// Problem is every error answer of the API (RFC 9457).
type Problem struct {
	Type      string          `json:"type" format:"uri-reference" doc:"Identifies the problem: a path of this server that ends in the code." example:"/problems/invalid_credentials"`
	Title     string          `json:"title" doc:"A short summary, the same for every problem of this type." example:"Invalid credentials"`
	Status    int             `json:"status" doc:"The HTTP status." example:"401"`
	Detail    string          `json:"detail" doc:"What went wrong this time, for people." example:"The email address or the password is wrong."`
	Code      string          `json:"code" doc:"What went wrong, for programs. Stable." example:"invalid_credentials"`
	Field     string          `json:"field,omitempty" doc:"The input that was wrong, where exactly one was." example:"email"`
	RequestID string          `json:"request_id,omitempty" doc:"Names this request in the server's log." example:"0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"`
	Errors    []ProblemDetail `json:"errors,omitempty" doc:"Each thing that was wrong with the request."`
	Challenge *Challenge      `json:"challenge,omitempty" doc:"With 429: what to solve for the next attempt to be judged sooner. Send the solution as proof."`

	retryAfter time.Duration
	allow      string
}

// ProblemDetail is one thing that was wrong with a request.
type ProblemDetail struct {
	Location string `json:"location" doc:"Where: body, query, path or header, then the member." example:"body.email"`
	Message  string `json:"message" doc:"What is wrong with it." example:"expected string to be RFC 5322 email"`
	Line     int    `json:"line,omitempty" doc:"For a body that can't be read: the line, from 1."`
	Column   int    `json:"column,omitempty" doc:"For a body that can't be read: the column in bytes, from 1."`
	Offset   int64  `json:"offset,omitempty" doc:"For a body that can't be read: bytes read before the mistake."`
}

// Error implements error with the text a client sees.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func newProblem(status int, code, detail string, details ...ProblemDetail) *Problem {
	p := &Problem{Status: status, Code: code, Detail: detail, Errors: details}
	if len(details) == 1 {
		p.Field = fieldOf(details[0].Location)
	}
	return p.named()
}

func (p *Problem) named() *Problem {
	p.Type, p.Title = "/problems/"+p.Code, titleOf(p.Code)
	return p
}

func titleOf(code string) string {
	if code == "" {
		return "Error"
	}
	return strings.ToUpper(code[:1]) + strings.ReplaceAll(code[1:], "_", " ")
}

// fieldOf turns "body.email" into "email"; a place that is no member gives nothing.
func fieldOf(location string) string {
	_, field, _ := strings.Cut(location, ".")
	return field
}

// problemOf makes the answer for any error a domain method returned. What is not a fault says nothing of itself.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	f := fault.From(err)
	code, message := f.Code, f.Message
	if f.Kind == fault.Internal {
		// Even an internal fault with words of its own stays private (ASVS 5.0 16.5.1).
		code, message = "internal", "Something went wrong on our side. The request id names this failure in the server's log."
	}
	p = &Problem{Status: statusOf(f.Kind), Code: code, Detail: message, retryAfter: f.RetryAfter}
	if f.Field != "" {
		p.Errors = []ProblemDetail{{Location: locate(f.Field), Message: message}}
		p.Field = fieldOf(p.Errors[0].Location)
	}
	if p.retryAfter == 0 && (f.Kind == fault.Unavailable || f.Kind == fault.RateLimited) {
		p.retryAfter = time.Second
	}
	var d *ratelimit.Demand
	if errors.As(err, &d) {
		p.Challenge = challengeOf(d)
	}
	return p.named()
}

// locate says where a field a domain method complains of lies: methods name members as the client wrote them.
func locate(field string) string {
	for _, in := range []string{"body", "query", "path", "header"} {
		if field == in || strings.HasPrefix(field, in+".") || strings.HasPrefix(field, in+"[") {
			return field
		}
	}
	if strings.HasPrefix(field, "[") {
		return "body" + field
	}
	return "body." + field
}

// maxDetails bounds the places that a problem names: who sends more mistakes corrects these first.
const maxDetails = 20

// fromHuma makes a problem of what huma found when it held a request against the document. The values it quotes are
// dropped: a body may hold a password.
func fromHuma(m *huma.ErrorModel) *Problem {
	p := &Problem{Status: m.Status}
	for _, d := range m.Errors {
		if d == nil {
			continue
		}
		if len(p.Errors) == maxDetails {
			break
		}
		at := d.Location
		if at == "" {
			at = "body"
		}
		p.Errors = append(p.Errors, ProblemDetail{Location: at, Message: plain(d.Message)})
	}
	if len(p.Errors) == 1 {
		p.Field = fieldOf(p.Errors[0].Location)
	}
	switch m.Status {
	case http.StatusUnprocessableEntity:
		p.Code, p.Detail = "validation_failed", "The request does not fit what this operation takes."
		if len(p.Errors) == 1 {
			p.Detail = "The request does not fit what this operation takes: " + p.Errors[0].Location + ": " + p.Errors[0].Message + "."
		}
	case http.StatusBadRequest:
		p.Code, p.Detail = "malformed_body", "The body can't be read."
	case http.StatusRequestEntityTooLarge:
		p.Code, p.Detail, p.Errors = "body_too_large", "The body is too large for this operation.", nil
	case http.StatusUnsupportedMediaType:
		p.Code, p.Detail, p.Errors = "unsupported_media_type", "Send application/json.", nil
	case http.StatusRequestTimeout:
		p.Code, p.Detail, p.Errors = "body_timeout", "The body took too long to arrive.", nil
	default:
		p.Status, p.Errors = http.StatusInternalServerError, nil
		p.Code, p.Detail = "internal", "Something went wrong on our side. The request id names this failure in the server's log."
	}
	return p.named()
}

// plain keeps a message that was written for people; one that speaks of Go is replaced.
func plain(msg string) string {
	if strings.Contains(msg, "json:") || strings.Contains(msg, "Go ") || strings.Contains(msg, "strconv") || strings.Contains(msg, "parsing ") {
		return "this value can't be used here"
	}
	if strings.HasPrefix(msg, "invalid date/time for format ") { // and then how Go writes the format
		return "expected a time like 2026-01-31T09:30:00Z"
	}
	if strings.Contains(msg, "invalid UUID") {
		return "expected a UUID"
	}
	return msg
}

// transform is huma's last step before an answer is written: every error becomes a Problem here.
func (k *kit) transform(ctx huma.Context, _ string, v any) (any, error) {
	var p *Problem
	switch e := v.(type) {
	case *huma.ErrorModel:
		p = fromHuma(e)
	case *Problem:
		p = e
	default:
		return v, nil
	}
	r, w := humamux.Unwrap(ctx)
	return p.headers(w.Header(), r.Context()), nil
}

// headers sets what belongs to the problem outside of its body, and returns the copy to write.
func (p *Problem) headers(h http.Header, ctx context.Context) *Problem {
	out := *p
	out.RequestID = request.From(ctx).ID
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		s := strconv.FormatInt(int64(math.Ceil(p.retryAfter.Seconds())), 10)
		h.Set("Retry-After", s)
		if p.Status == http.StatusTooManyRequests && h.Get("RateLimit-Reset") == "" {
			h.Set("RateLimit-Remaining", "0")
			h.Set("RateLimit-Reset", s)
		}
	}
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="sigra"`) // RFC 9110 §15.5.2
	case http.StatusMethodNotAllowed:
		h.Set("Allow", p.allow)
	}
	return &out
}

// write answers with the problem outside of huma.
func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	out := p.headers(w.Header(), r.Context())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(out.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out) // the client may be gone; there is nobody to tell
}

// WriteError answers with err as a problem document. It is for the middleware in front of the API, so that every
// error below /v1 has one shape. An internal error is logged here.
func (a *API) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	a.kit.writeError(w, r, err)
}

func (k *kit) writeError(w http.ResponseWriter, r *http.Request, err error) {
	k.fail(r.Context(), r.Method, r.URL.Path, err).write(w, r)
}

// fail turns an error into its problem and logs what the client is not told.
func (k *kit) fail(ctx context.Context, method, path string, err error) *Problem {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return newProblem(statusGone, "canceled", "The client went away.")
	}
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusServiceUnavailable {
		k.log.Error("request failed", "method", method, "path", path, "request_id", request.From(ctx).ID, "error", err)
	}
	return p
}
