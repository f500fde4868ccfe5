package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// stream follows GET /v1/audit/stream in the background.
type stream struct {
	mu   sync.Mutex
	rows []auditRow
}

// streamActions begins to follow the stream. It is open when this returns.
func (in *instance) streamActions(token string) *stream {
	in.t.Helper()
	return in.streamFrom(token, "")
}

func (in *instance) streamFrom(token, lastEventID string) *stream {
	in.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", in.url+"/v1/audit/stream", nil)
	if err != nil {
		in.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		in.t.Fatalf("the stream answered %s", res.Status)
	}
	s := &stream{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sc := bufio.NewScanner(res.Body)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			data, ok := strings.CutPrefix(sc.Text(), "data:")
			if !ok {
				continue
			}
			var row auditRow
			if json.Unmarshal([]byte(strings.TrimSpace(data)), &row) == nil && row.ID != "" {
				s.mu.Lock()
				s.rows = append(s.rows, row)
				s.mu.Unlock()
			}
		}
	}()
	in.t.Cleanup(func() {
		cancel()
		_ = res.Body.Close()
		<-done
	})
	return s
}

func (s *stream) saw(action string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.Action == action {
			return true
		}
	}
	return false
}

func (s *stream) all() []auditRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]auditRow(nil), s.rows...)
}

// waitFor waits until a row of a session came.
func (s *stream) waitFor(t testing.TB, sessionID string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for _, r := range s.all() {
			if r.SessionID == sessionID {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("session %s never came down the stream", sessionID)
		}
	}
}
