package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure it is; the edge maps it to a status.
type Kind uint8

// The kinds, each with the HTTP status the edge gives it.
const (
	Internal        Kind = iota // 500: not the caller's doing; details only in the log
	Invalid                     // 422 (400 for a body that can't be read): the request is wrong
	Unauthenticated             // 401: who is asking is not known
	Denied                      // 403: known, and not allowed
	NotFound                    // 404
	Conflict                    // 409: the state does not allow it now
	TooLarge                    // 413
	RateLimited                 // 429, with RetryAfter
	Unavailable                 // 503, with RetryAfter: try again later
)

var kindNames = [...]string{
	"internal", "invalid", "unauthenticated", "denied", "not_found", "conflict", "too_large", "rate_limited", "unavailable",
}

// String gives the kind's name as used in logs and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error is a failure that may be shown. The zero value is an internal error without a message.
type Error struct {
	Kind       Kind
	Code       string        // stable, for programs: "invalid_credentials"
	Message    string        // a sentence for people, in English
	Field      string        // the input that was wrong, as the client named it; empty when none was
	RetryAfter time.Duration // when to try again; zero when unknown
	cause      error
}

// New makes an error of a kind with a code and a message for people.
func New(k Kind, code, message string) *Error { return &Error{Kind: k, Code: code, Message: message} }

// Newf is New with a formatted message. Nothing secret may be formatted into it.
func Newf(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy that carries a private cause for the log.
func (e *Error) Because(cause error) *Error { c := *e; c.cause = cause; return &c }

// At returns a copy that names the field that was wrong.
func (e *Error) At(field string) *Error { c := *e; c.Field = field; return &c }

// After returns a copy that says when to try again.
func (e *Error) After(d time.Duration) *Error { c := *e; c.RetryAfter = d; return &c }

// Error is the text for logs: code, message and cause.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap gives the private cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports two faults equal when kind and code are, so that errors.Is works with package variables.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// From finds the fault in err's chain, or wraps err as an internal one. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Code: "internal", Message: "Something went wrong on our side.", cause: err}
}

// KindOf is the kind of the fault in err's chain; Internal when there is none, and for nil.
func KindOf(err error) Kind {
	if err == nil {
		return Internal
	}
	return From(err).Kind
}
