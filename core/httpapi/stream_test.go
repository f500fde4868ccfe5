package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/store"
)

// message is one message of a stream.
type message struct {
	id, event, data string
	comment         string
}

// follow opens a stream; next gives its messages, and false at its end.
func (e *env) follow(ctx context.Context, who as, path string, header ...string) (next func() (message, bool), res *http.Response) {
	e.t.Helper()
	r := must2(http.NewRequestWithContext(ctx, "GET", e.URL+path, nil))(e.t)
	who(e, r.Header)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res = must2(e.Client().Do(r))(e.t)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return func() (message, bool) {
		var m message
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case lines.Text() == "":
				return m, true
			case name == "":
				m.comment = value
			case name == "id":
				m.id = value
			case name == "event":
				m.event = value
			case name == "data":
				m.data += value
			}
		}
		return m, false
	}, res
}

// A client that is cut off again and again while several writers write sees every row once, in order.
func TestStream_resumesWithoutGapOrDuplicate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		const writers, rows = 4, 100
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()

		next, res := e.follow(ctx, administrator, "/v1/audit/stream?action=auth.*")
		if ct := res.Header.Get("Content-Type"); res.StatusCode != 200 || ct != "text/event-stream" {
			t.Fatalf("%d %s", res.StatusCode, ct)
		}
		first, ok := next()
		if !ok || first.id == "" || first.data != "" {
			t.Fatalf("the first message is %+v", first)
		}
		last := first.id

		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range rows {
					e.record(1, "auth.logout")
					e.record(1, "session.revoke") // filtered out
				}
			})
		}
		seen := map[uuid.UUID]bool{}
		for n := 0; len(seen) < writers*rows; {
			m, ok := next()
			if !ok {
				t.Fatal("the stream ended by itself")
			}
			if m.id != "" && m.id <= last && m.data != "" {
				t.Fatalf("position %s after %s", m.id, last)
			}
			if m.data != "" {
				var row httpapi.AuditRow
				if err := json.Unmarshal([]byte(m.data), &row); err != nil {
					t.Fatal(err)
				}
				if m.event != "audit" || row.Action != "auth.logout" || row.Position.String() != m.id {
					t.Fatalf("message %+v", m)
				}
				if seen[row.ID] {
					t.Fatalf("row %s came twice", row.ID)
				}
				seen[row.ID] = true
				n++
			}
			if m.id != "" {
				last = m.id
			}
			if n%37 == 36 && m.data != "" { // cut off in the middle
				_ = res.Body.Close()
				next, res = e.follow(ctx, theOperator, "/v1/audit/stream?action=auth.*", "Last-Event-ID", last)
			}
		}
		_ = res.Body.Close()
		wg.Wait()
	})
}

func TestStream_endsWithTheServer(t *testing.T) {
	t.Parallel()
	e := protocolEnv(t)
	next, res := e.follow(t.Context(), administrator, "/v1/audit/stream")
	if _, ok := next(); !ok {
		t.Fatal("no first message")
	}
	e.api.Close()
	if m, ok := next(); ok {
		t.Errorf("got %+v", m)
	}
	_ = res.Body.Close()
}

// A stream from a position gives what follows it, and positions survive the round trip.
func TestStream_after(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		e.record(3, "auth.logout")
		next, res := e.follow(t.Context(), administrator, "/v1/audit/stream?after="+audit.Position{}.String())
		defer func() { _ = res.Body.Close() }()
		for n := 0; n < 3; {
			m, ok := next()
			if !ok {
				t.Fatal("ended")
			}
			if m.data != "" {
				n++
			}
		}
	})
}

// A client that reads nothing costs one batch and gets no further; it holds nobody else up.
func TestStream_slowClient(t *testing.T) {
	t.Parallel()
	e := protocolEnv(t)
	conn := must2(net.Dial("tcp", e.Listener.Addr().String()))(t)
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET /v1/audit/stream?after=" + audit.Position{}.String() + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + e.admin.Token + "\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	bulk(t, e, 20000)
	next, res := e.follow(t.Context(), administrator, "/v1/audit/stream?after="+audit.Position{}.String())
	defer func() { _ = res.Body.Close() }()
	for n := 0; n < 20000; {
		m, ok := next()
		if !ok {
			t.Fatalf("ended after %d rows", n)
		}
		if m.data != "" {
			n++
		}
	}
}

// bulk writes n rows in few transactions.
func bulk(t testing.TB, e *env, n int) {
	t.Helper()
	for n > 0 {
		batch := min(n, 2000)
		err := e.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for range batch {
				if _, err := e.log.Record(ctx, tx, audit.Entry{
					Action: "auth.logout", Actor: audit.Ref{Type: "user", ID: strings.Repeat("u", 180), Display: strings.Repeat("d", 120)},
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		n -= batch
	}
}
