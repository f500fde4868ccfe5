package pluginsdk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// class is what the other side should make of a failure.
type class int

const (
	retryable class = iota + 1
	permanent
	denied
)

// classified is an error with its class. Its text is that of the error it holds.
type classified struct {
	class      class
	err        error
	reason     string
	retryAfter time.Duration
}

func (e *classified) Error() string { return e.err.Error() }
func (e *classified) Unwrap() error { return e.err }

// Retryable says that the same call may do better later and had no effect now: a sink gets its batch again, a mail was
// surely not sent. It gives nil for nil.
func Retryable(err error) error { return classify(retryable, err) }

// RetryAfter is Retryable with a hint when to come again.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return &classified{class: retryable, err: err, retryAfter: wait}
}

// Permanent says that the same call will never do better: a whole batch goes to the dead letters, a mail is given up.
// It gives nil for nil.
func Permanent(err error) error { return classify(permanent, err) }

// Denied says that a rule forbids it: a code for programs and a sentence that may be shown to people.
func Denied(reason, message string) error {
	if message == "" {
		message = "This is not allowed by a rule of this service."
	}
	return &classified{class: denied, err: errors.New(message), reason: reason}
}

// RejectedError is a mail that can never be sent, with what was wrong with it.
type RejectedError struct {
	Code     string // for programs: "suppressed", "tracking_on_auth_stream"
	Findings []Finding
	Err      error
}

// Error implements error.
func (e *RejectedError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *RejectedError) Unwrap() error { return e.Err }

// Rejected says that a mail can never be sent: Permanent with a code for programs and what was found.
func Rejected(code, reason string, findings ...Finding) error {
	return Permanent(&RejectedError{Code: code, Findings: findings, Err: errors.New(reason)})
}

func classify(c class, err error) error {
	if err == nil {
		return nil
	}
	return &classified{class: c, err: err}
}

// IsRetryable reports whether err says "try again later". Errors from host services are classified alike.
func IsRetryable(err error) bool { return classOf(err) == retryable }

// IsPermanent reports whether err says "never". A missing grant and a denial are permanent too.
func IsPermanent(err error) bool {
	c := classOf(err)
	return c == permanent || c == denied
}

// IsDenied reports whether a rule forbade it, and under which code.
func IsDenied(err error) (reason string, ok bool) {
	var e *classified
	if errors.As(err, &e) && e.class == denied {
		return e.reason, true
	}
	return "", false
}

func classOf(err error) class {
	var e *classified
	var n *NotGrantedError
	var d *DiagnosticError
	switch {
	case errors.As(err, &e):
		return e.class
	case errors.As(err, &n), errors.As(err, &d):
		return permanent
	}
	return 0
}

// errorDomain marks the details that this contract puts on a status.
const errorDomain = "sigra.plugin.v1"

// notGrantedReason is the ErrorInfo reason of a call without its grant.
const notGrantedReason = "NOT_GRANTED"

// toStatus is the only place where a plugin's errors become gRPC codes; the contract says what they mean.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	var e *classified
	var d *DiagnosticError
	switch {
	case errors.As(err, &e):
		switch e.class {
		case retryable:
			st := status.New(codes.Unavailable, err.Error())
			if e.retryAfter > 0 {
				if with, derr := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.retryAfter)}); derr == nil {
					st = with
				}
			}
			return st.Err()
		case denied:
			// The sentence alone: what wraps it was not written for users.
			st := status.New(codes.PermissionDenied, e.err.Error())
			if with, derr := st.WithDetails(&errdetails.ErrorInfo{Reason: e.reason, Domain: errorDomain}); derr == nil {
				st = with
			}
			return st.Err()
		}
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.As(err, &d):
		return status.Error(codes.InvalidArgument, err.Error())
	case classOf(err) == permanent:
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	}
	if st, ok := status.FromError(err); ok {
		return st.Err()
	}
	return status.Error(codes.Unknown, err.Error())
}

// fromStatus is the only place where a host service's status becomes an error of this package.
func (h *Host) fromStatus(op string, s Grant, err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", op, err)
	}
	text := fmt.Errorf("%s: %s", op, st.Message())
	var after time.Duration
	var reason string
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.RetryInfo:
			after = d.GetRetryDelay().AsDuration()
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		}
	}
	switch st.Code() {
	case codes.Canceled:
		return fmt.Errorf("%s: %w", op, context.Canceled)
	case codes.DeadlineExceeded:
		return &classified{class: retryable, err: fmt.Errorf("%s: %w", op, context.DeadlineExceeded)}
	case codes.Unavailable, codes.Aborted, codes.ResourceExhausted:
		return &classified{class: retryable, err: text, retryAfter: after}
	case codes.PermissionDenied:
		if reason == notGrantedReason {
			return h.notGranted(s)
		}
		return &classified{class: denied, err: errors.New(st.Message()), reason: reason}
	case codes.Unknown, codes.Internal, codes.DataLoss:
		return text
	}
	return &classified{class: permanent, err: text, reason: reason}
}
