package pluginsdk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sink is an audit sink made of one function.
type sink struct {
	record func(ctx context.Context, h *pluginsdk.Host) error
	host   *pluginsdk.Host
	stop   func(ctx context.Context) error
}

func (s *sink) Record(ctx context.Context, _ pluginsdk.RecordRequest) (pluginsdk.RecordResponse, error) {
	return pluginsdk.RecordResponse{}, s.record(ctx, s.host)
}

func (s *sink) Stop(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	return s.stop(ctx)
}

func (s *sink) plugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{Name: "sink", Version: "1.0.0", Wants: pluginsdk.Grants()},
		func(_ context.Context, h *pluginsdk.Host, _ struct{}) (*sink, error) {
			return &sink{record: s.record, host: h, stop: s.stop}, nil
		})
}

func sinkOf(record func(context.Context, *pluginsdk.Host) error) *sink { return &sink{record: record} }

func newSink(record func(context.Context, *pluginsdk.Host) error) pluginsdk.Plugin {
	return sinkOf(record).plugin()
}

// Each class of error arrives as one code, and each code means what the contract says.
func TestErrors_codes(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for name, c := range map[string]struct {
		err  error
		code codes.Code
		text string
	}{
		"retryable":         {fmt.Errorf("store: %w", pluginsdk.Retryable(cause)), codes.Unavailable, "store: cause"},
		"retry after":       {pluginsdk.RetryAfter(cause, time.Minute), codes.Unavailable, "cause"},
		"permanent":         {pluginsdk.Permanent(cause), codes.FailedPrecondition, "cause"},
		"denied":            {fmt.Errorf("private: %w", pluginsdk.Denied("x", "No.")), codes.PermissionDenied, "No."},
		"plain":             {cause, codes.Unknown, "cause"},
		"deadline":          {context.DeadlineExceeded, codes.DeadlineExceeded, "context deadline exceeded"},
		"cancelled":         {fmt.Errorf("x: %w", context.Canceled), codes.Canceled, "x: context canceled"},
		"diagnostic":        {pluginsdk.Diagnostic("a.b", "Wrong.", "Be right."), codes.InvalidArgument, "a.b: Wrong. Be right."},
		"a status":          {status.Error(codes.NotFound, "none"), codes.NotFound, "none"},
		"permanent timeout": {pluginsdk.Permanent(context.DeadlineExceeded), codes.FailedPrecondition, "context deadline exceeded"},
	} {
		r := plugintest.Start(t, newSink(func(context.Context, *pluginsdk.Host) error { return c.err }), plugintest.Config{})
		_, err := r.Record(t.Context(), plugintest.RowsFrom(0, 1)...)
		if c.code == codes.PermissionDenied {
			if reason, ok := pluginsdk.IsDenied(err); !ok || reason != "x" || err.Error() != c.text {
				t.Errorf("%s arrived as %v", name, err)
			}
			continue
		}
		var st interface{ GRPCStatus() *status.Status }
		if !errors.As(err, &st) {
			t.Errorf("%s arrived as %v", name, err)
			continue
		}
		if got := st.GRPCStatus(); got.Code() != c.code || got.Message() != c.text {
			t.Errorf("%s arrived as %v", name, err)
		}
	}
}

func TestErrors_nilStaysNil(t *testing.T) {
	t.Parallel()
	if pluginsdk.Retryable(nil) != nil || pluginsdk.Permanent(nil) != nil || pluginsdk.RetryAfter(nil, 1) != nil {
		t.Error("nil became an error")
	}
	if pluginsdk.IsRetryable(nil) || pluginsdk.IsPermanent(nil) || pluginsdk.IsRetryable(io.EOF) {
		t.Error("classified without a class")
	}
	if !pluginsdk.IsPermanent(pluginsdk.Denied("x", "")) {
		t.Error("a denial is not permanent")
	}
}

func TestHost_notGranted(t *testing.T) {
	t.Parallel()
	r := plugintest.Start(t, newSink(func(ctx context.Context, h *pluginsdk.Host) error {
		if h.Granted(pluginsdk.KVUse) || !h.Granted(pluginsdk.AuditRecord) {
			return errors.New("Granted lies")
		}
		_, _, err := h.KV().Get(ctx, "x")
		return err
	}), plugintest.Config{Instance: "mine", Grants: []pluginsdk.Grant{pluginsdk.AuditRecord}})
	h := r.SDK()
	_, _, err := h.KV().Get(t.Context(), "x")
	var missing *pluginsdk.NotGrantedError
	if !errors.As(err, &missing) || missing.Grant != pluginsdk.KVUse {
		t.Fatalf("got %v", err)
	}
	if want := `plugin "mine" is not granted "kv.use"; in its block in sigra.hcl write: grants = ["audit.record", "kv.use"]`; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	// Passed up, it is permanent: trying again won't help.
	if _, err := r.Record(t.Context()); !pluginsdk.IsPermanent(err) {
		t.Errorf("passed up: %v", err)
	}
	// The host is asked each time: it is the one that writes the refusal down for its operator.
	if n := r.Host.Calls(pluginsdk.KVUse); n != 2 {
		t.Errorf("the host heard of %d of 2 calls", n)
	}
}

// What a host service fails with reaches the relay as what it is, when a sink passes it up.
func TestHost_errorsPassUp(t *testing.T) {
	t.Parallel()
	r := plugintest.Start(t, newSink(func(ctx context.Context, h *pluginsdk.Host) error {
		_, err := h.Identity().Users(ctx, "a")
		return err
	}), plugintest.Config{})
	r.Host.Fail(pluginsdk.IdentityRead, pluginsdk.Retryable(errors.New("busy")))
	if _, err := r.Record(t.Context()); !pluginsdk.IsRetryable(err) {
		t.Errorf("retryable passed up: %v", err)
	}
	r.Host.Fail(pluginsdk.IdentityRead, pluginsdk.Permanent(errors.New("wrong")))
	if _, err := r.Record(t.Context()); !pluginsdk.IsPermanent(err) {
		t.Errorf("permanent passed up: %v", err)
	}
	r.Host.Fail(pluginsdk.IdentityRead, pluginsdk.Denied("no", "No."))
	if _, err := r.SDK().Identity().Users(t.Context(), "a"); err == nil || err.Error() != "No." {
		t.Errorf("denied: %v", err)
	}
	r.Host.Fail(pluginsdk.IdentityRead, nil)
	r.Host.Delay(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.SDK().Identity().Users(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || !pluginsdk.IsRetryable(err) {
		t.Errorf("late: %v", err)
	}
}
