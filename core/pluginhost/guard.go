package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

const (
	hostCallTimeout = 10 * time.Second // of one question to the host
	hostCalls       = 64               // of one plugin at a time
	hostStreams     = 32               // what one plugin may watch at a time
	refusalEvery    = time.Minute      // between two audit rows on the same refusal
)

// guard stands between the plugins and the host services: it looks at grants and bounds, and turns errors into statuses.
type guard struct {
	h        *Host
	refusals refusals
	shares   *shares
}

func newGuard(h *Host) *guard {
	return &guard{h: h, refusals: refusals{now: h.now, seen: map[refusalKey]*refusal{}}, shares: newShares()}
}

// server is the one gRPC server of one process of one plugin. What it answers is decided by that process's grants.
func (g *guard) server(in *instance, creds credentials.TransportCredentials) *grpc.Server {
	srv := grpc.NewServer(grpc.Creds(creds), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(hostCalls+hostStreams),
		grpc.ConnectionTimeout(5*time.Second), grpc.UnaryInterceptor(g.unary(in)), grpc.StreamInterceptor(g.stream(in)), grpc.WaitForHandlers(false))
	svc := &hostServices{h: g.h, in: in}
	hostv1.RegisterIdentityServer(srv, identityService{hostServices: svc})
	hostv1.RegisterMembersServer(srv, membersService{hostServices: svc})
	hostv1.RegisterRateLimitServer(srv, rateLimitService{hostServices: svc})
	hostv1.RegisterClaimsServer(srv, claimsService{hostServices: svc})
	hostv1.RegisterGatesServer(srv, gatesService{hostServices: svc})
	hostv1.RegisterDomainsServer(srv, domainsService{hostServices: svc})
	hostv1.RegisterSessionsServer(srv, sessionsService{hostServices: svc})
	hostv1.RegisterAuditServer(srv, auditService{hostServices: svc})
	hostv1.RegisterAuditLogServer(srv, auditLogService{hostServices: svc})
	hostv1.RegisterEventsServer(srv, eventsService{hostServices: svc})
	hostv1.RegisterMailServer(srv, mailService{hostServices: svc})
	hostv1.RegisterSealServer(srv, sealService{hostServices: svc})
	hostv1.RegisterLeaseServer(srv, leaseService{hostServices: svc})
	hostv1.RegisterKVServer(srv, kvService{hostServices: svc})
	hostv1.RegisterPagesServer(srv, pagesService{hostServices: svc})
	hostv1.RegisterTopicsServer(srv, topicsService{hostServices: svc})
	hostv1.RegisterLinksServer(srv, linksService{hostServices: svc})
	hostv1.RegisterNoticesServer(srv, noticesService{hostServices: svc})
	hostv1.RegisterDirectoryServer(srv, directoryService{hostServices: svc})
	return srv
}

// hostServices is what every host service needs: whose process asks.
type hostServices struct {
	h  *Host
	in *instance
}

func (s *hostServices) name() string { return s.in.name }

// unary stands in front of every host service: grant, bound, deadline, panic, and the one place where a fault becomes
// a gRPC status.
func (g *guard) unary(in *instance) grpc.UnaryServerInterceptor {
	slots := make(chan struct{}, hostCalls)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		grant := grantOf(info.FullMethod)
		if grant == "" || !in.grants().allows(grant) {
			return nil, g.refuse(ctx, in, grant, strings.TrimPrefix(info.FullMethod, "/"))
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return nil, status.Errorf(codes.ResourceExhausted, "%d questions to the host are being answered already", hostCalls)
		}
		ctx, cancel := context.WithTimeout(ctx, hostCallTimeout)
		defer cancel()
		done, err := g.shares.of(in.name).enter(ctx, info.FullMethod, req)
		if err != nil {
			g.h.metrics.refused.WithLabelValues(in.name, "share").Inc()
			return nil, err
		}
		defer func() { done(resp) }()
		defer func() {
			if r := recover(); r != nil {
				g.h.log.Error("host service panicked", "plugin", in.name, "method", info.FullMethod, "panic", r, "stack", string(debug.Stack()))
				resp, err = nil, status.Error(codes.Internal, "internal error")
			}
		}()
		resp, err = next(ctx, req)
		if err != nil {
			return nil, g.toStatus(in, info.FullMethod, err)
		}
		return resp, nil
	}
}

// stream is unary for what a plugin watches: without a deadline, and with places of its own, so that watching takes none from questions.
func (g *guard) stream(in *instance) grpc.StreamServerInterceptor {
	slots := make(chan struct{}, hostStreams)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		grant := grantOf(info.FullMethod)
		if grant == "" || !in.grants().allows(grant) {
			return g.refuse(stream.Context(), in, grant, strings.TrimPrefix(info.FullMethod, "/"))
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return status.Errorf(codes.ResourceExhausted, "%d streams of the host are open already", hostStreams)
		}
		defer func() {
			if r := recover(); r != nil {
				g.h.log.Error("host service panicked", "plugin", in.name, "method", info.FullMethod, "panic", r, "stack", string(debug.Stack()))
				err = status.Error(codes.Internal, "internal error")
			}
		}()
		if err = next(srv, stream); err != nil {
			return g.toStatus(in, info.FullMethod, err)
		}
		return nil
	}
}

// toStatus is the only place where the core's errors become gRPC codes. What is not a fault stays in the host's log.
func (g *guard) toStatus(in *instance, method string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		if st, ok := status.FromError(err); ok && st.Code() != codes.Unknown {
			return st.Err()
		}
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return status.Error(codes.DeadlineExceeded, "the host did not answer in time")
		case errors.Is(err, context.Canceled):
			return status.Error(codes.Canceled, "cancelled")
		}
		g.h.log.Error("host service failed", "plugin", in.name, "method", method, "error", err)
		return status.Error(codes.Internal, "internal error")
	}
	code := map[fault.Kind]codes.Code{
		fault.Internal: codes.Internal, fault.Invalid: codes.InvalidArgument, fault.Unauthenticated: codes.Unauthenticated, fault.Denied: codes.PermissionDenied,
		fault.NotFound: codes.NotFound, fault.Conflict: codes.FailedPrecondition, fault.TooLarge: codes.InvalidArgument,
		fault.RateLimited: codes.ResourceExhausted, fault.Unavailable: codes.Unavailable,
	}[f.Kind]
	if code == codes.Internal {
		g.h.log.Error("host service failed", "plugin", in.name, "method", method, "error", err)
		return status.Error(codes.Internal, "internal error")
	}
	text := f.Message
	if f.Field != "" {
		text = f.Field + ": " + text
	}
	st := status.New(code, text)
	if with, derr := st.WithDetails(&errdetails.ErrorInfo{Reason: f.Code, Domain: g.h.contracts[0]}); derr == nil {
		st = with
	}
	if f.RetryAfter > 0 {
		if with, derr := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)}); derr == nil {
			st = with
		}
	}
	return st.Err()
}

type refusalKey struct{ plugin, grant string }

type refusal struct {
	at    time.Time
	count int // since the last audit row
}

// refusals bounds how often the same refusal is audited, so that a plugin can't fill the log by being refused.
type refusals struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[refusalKey]*refusal
}

// note counts a refusal, and says how many to write now; 0 means none.
func (r *refusals) note(k refusalKey) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	x := r.seen[k]
	if x == nil {
		if len(r.seen) > 4096 {
			clear(r.seen)
		}
		x = &refusal{}
		r.seen[k] = x
	}
	x.count++
	if !x.at.IsZero() && now.Sub(x.at) < refusalEvery {
		return 0
	}
	n := x.count
	x.at, x.count = now, 0
	return n
}

// refuse answers a call without its grant: typed for the plugin, counted, logged and audited for the operator.
func (g *guard) refuse(ctx context.Context, in *instance, grant, service string) error {
	name := in.name
	if grant == "" {
		return status.Errorf(codes.Unimplemented, "this Sigra has no service %s", printable(clip(service, 120)))
	}
	g.h.metrics.refused.WithLabelValues(name, grant).Inc()
	if n := g.refusals.note(refusalKey{name, grant}); n > 0 {
		g.h.log.Warn("plugin called a host service without its grant", "plugin", name, "grant", grant, "count", n)
		g.auditRefusal(ctx, in, grant, service, n)
	}
	st := status.Newf(codes.PermissionDenied, "plugin %q is not granted %q: add it to grants in its block", name, grant)
	if with, err := st.WithDetails(&errdetails.ErrorInfo{Reason: "NOT_GRANTED", Domain: g.h.contracts[0], Metadata: map[string]string{"grant": grant, "plugin": name}}); err == nil {
		st = with
	}
	return st.Err()
}

func (g *guard) auditRefusal(ctx context.Context, in *instance, grant, service string, n int) {
	if g.h.cfg.Audit == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostCallTimeout)
	defer cancel()
	err := g.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := g.h.cfg.Audit.Record(ctx, tx, audit.Entry{
			Action: "admin.plugin.grant_refused", Actor: pluginRef(in.name), Targets: []audit.Ref{pluginRef(in.name)},
			Reason: "not_granted", Metadata: map[string]any{"plugin": in.name, "grant": grant, "service": service, "count": n},
		})
		return err
	})
	if err != nil {
		g.h.log.Error("refusal not audited", "plugin", in.name, "grant", grant, "error", err)
	}
}

func pluginRef(name string) audit.Ref { return audit.Ref{Type: "plugin", ID: name} }

func missing(what string) error {
	return status.Error(codes.Unimplemented, fmt.Sprintf("this Sigra does not offer %s yet", what))
}
