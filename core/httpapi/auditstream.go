package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
)

const (
	maxStreams  = 256                    // open at once on a node
	streamPoll  = 400 * time.Millisecond // how late a row of another node may be
	streamBeat  = 15 * time.Second       // a sign of life at least this often; also how long a stream outlives its session
	streamStall = 20 * time.Second       // how long a client may take nothing
	streamChunk = 32 << 10               // bytes put together before they are written
)

type streamInput struct {
	Action      string         `query:"action" maxLength:"128" pattern:"^([a-z0-9_-]+\\.)*([a-z0-9_-]+|\\*)$" patternDescription:"an action, or dotted words and a star" doc:"Only this action, or, with a star as the last word, all that begin so." example:"auth.*"`
	After       audit.Position `query:"after" doc:"Send what follows this position. Without it and without Last-Event-ID, what happens from now on."`
	LastEventID string         `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last message received; browsers send it when they reconnect. It wins over after."`
}

type streamOutput struct {
	Body func(huma.Context)
}

// errStreams says that there are as many streams as the node takes.
var errStreams = fault.New(fault.Unavailable, "too_many_streams", "This server has as many open streams as it takes.").After(5 * time.Second)

// auditStream sends the audit log as it is written.
type auditStream struct {
	kit     *kit
	log     AuditLog
	closing <-chan struct{}
	places  chan struct{}
}

// Mount adds the operations.
func (d auditStream) Mount(k *kit) {
	register(k, operation{
		method: http.MethodGet, path: "/v1/audit/stream", id: "stream-audit", tag: "audit", off: d.log == nil,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Follow the audit log",
		description: "Server-sent events, one for each committed row, in commit order, from every node. The id of a message is the row's position: a client that " +
			"reconnects with Last-Event-ID gets what it missed, without gap or duplicate. The event is \"audit\" and the data is the row as GET /v1/audit gives it. " +
			"Comments keep the connection alive; a message with an id and no data moves the position past rows that were filtered out. " +
			"The stream ends when the session ends, when the server shuts down, or when the client stops reading.",
		ok: "The stream.", content: []string{"text/event-stream"},
	}, d.stream)
}

func (d auditStream) stream(ctx context.Context, who asker, in *streamInput) (*streamOutput, error) {
	after := in.After
	fromNow := after == (audit.Position{}) && !strings.Contains("&"+who.r.URL.RawQuery, "&after=")
	if in.LastEventID != "" {
		p, err := audit.ParsePosition(in.LastEventID)
		if err != nil {
			return nil, fault.New(fault.Invalid, "invalid_position", "Last-Event-ID is not a position of this log.").At("header.Last-Event-ID")
		}
		after, fromNow = p, false
	}
	if fromNow {
		head, err := d.log.Head(ctx)
		if err != nil {
			return nil, err
		}
		after = head
	}
	select {
	case d.places <- struct{}{}:
	default:
		return nil, errStreams
	}
	return &streamOutput{Body: func(hc huma.Context) {
		defer func() { <-d.places }()
		r, w := humamux.Unwrap(hc)
		s := &stream{kit: d.kit, log: d.log, closing: d.closing, w: w, rc: http.NewResponseController(w), after: after, match: actionMatcher(in.Action)}
		s.still = func(ctx context.Context) bool {
			_, err := d.kit.authorize(r, endpoint.Rules{Access: endpoint.Administrator})
			return err == nil || fault.KindOf(err) == fault.Unavailable && ctx.Err() == nil
		}
		s.run(r.Context())
	}}, nil
}

// stream is one open audit stream. It holds one batch of rows at most: what a slow client has not taken stays in the
// database, and the write deadline ends a client that takes nothing.
type stream struct {
	kit     *kit
	log     AuditLog
	closing <-chan struct{}
	w       http.ResponseWriter
	rc      *http.ResponseController
	match   func(action string) bool
	still   func(context.Context) bool // the session is good

	mu    sync.Mutex     // guards what follows, and writing
	after audit.Position // of the last row read
	sent  audit.Position // of the last id sent
	buf   bytes.Buffer
}

func (s *stream) run(ctx context.Context) {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the rows back
	s.w.WriteHeader(http.StatusOK)
	s.sent = s.after
	fmt.Fprintf(&s.buf, "retry: 1000\nid: %s\n\n", s.after)
	if s.flush() != nil {
		return
	}

	ctx, cancel := context.WithCancel(ctx)
	var beat sync.WaitGroup
	beat.Go(func() { s.beat(ctx, cancel) })
	err := s.log.Follow(ctx, s.after, streamPoll, s.send)
	if err != nil && ctx.Err() == nil && !errors.Is(err, errGone) {
		// An error can't be told in the middle of a stream. The client reconnects and goes on from where it was.
		s.kit.log.Warn("audit stream ended", "request_id", request.From(ctx).ID, "error", err)
	}
	cancel()
	beat.Wait()
}

// beat gives signs of life, and ends the stream with its session or with the server.
func (s *stream) beat(ctx context.Context, end context.CancelFunc) {
	defer end()
	tick := time.NewTicker(streamBeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		case <-tick.C:
			if !s.still(ctx) || s.alive() != nil {
				return
			}
		}
	}
}

func (s *stream) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.WriteString(": still here\n")
	if s.sent != s.after {
		fmt.Fprintf(&s.buf, "id: %s\n", s.after) // a client that reconnects need not go through what was filtered out again
		s.sent = s.after
	}
	s.buf.WriteByte('\n')
	return s.flush()
}

// send writes a batch of rows.
func (s *stream) send(rows []audit.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rows {
		r := &rows[i]
		s.after = r.Position
		if !s.match(r.Action) {
			continue
		}
		data, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode audit row: %w", err)
		}
		// JSON has no line breaks of its own, so one data line holds it.
		fmt.Fprintf(&s.buf, "id: %s\nevent: audit\ndata: %s\n\n", r.Position, data)
		s.sent = r.Position
		if s.buf.Len() > streamChunk {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return s.flush()
}

// errGone says that the client took nothing more.
var errGone = errors.New("the client is gone")

func (s *stream) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(streamStall)) // a ResponseWriter without deadlines is a test's
	_, err := s.w.Write(s.buf.Bytes())
	s.buf.Reset()
	if err == nil {
		err = s.rc.Flush()
	}
	if err != nil {
		return errGone
	}
	return nil
}

// actionMatcher reads "auth.login.success", "auth.*" or nothing.
func actionMatcher(pattern string) func(string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return func(action string) bool { return strings.HasPrefix(action, prefix) }
	}
	return func(action string) bool { return pattern == "" || action == pattern }
}
