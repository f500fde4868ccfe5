package plugintest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigra-auth/sigra/pluginsdk"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// deliver brings rows until they are taken, as the relay does, and fails the test when they are not.
func deliver(t *testing.T, r *Running, rows []pluginsdk.AuditRow) pluginsdk.RecordResponse {
	t.Helper()
	var err error
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var rec pluginsdk.RecordResponse
		rec, err = r.Record(ctx, rows...)
		cancel()
		if err == nil {
			account(t, rows, rec)
			return rec
		}
	}
	t.Fatalf("%d rows were not taken: %v", len(rows), err)
	return pluginsdk.RecordResponse{}
}

// account sees that the answer speaks of the rows that were sent. A sink need not count, but then it must not count half.
func account(t *testing.T, rows []pluginsdk.AuditRow, rec pluginsdk.RecordResponse) {
	t.Helper()
	for _, f := range rec.Refused {
		if !slices.ContainsFunc(rows, func(r pluginsdk.AuditRow) bool { return r.ID == f.ID }) {
			t.Errorf("it refused row %q, which it was not given", f.ID)
		}
	}
	if n := rec.Inserted + rec.Duplicate + rec.Conflict; n != 0 && n+len(rec.Refused) != len(rows) {
		t.Errorf("%d rows were sent, it speaks of %d inserted, %d duplicate, %d in conflict, %d refused",
			len(rows), rec.Inserted, rec.Duplicate, rec.Conflict, len(rec.Refused))
	}
}

// effects is what the plugin has made so far; ok is false when nobody can tell.
func (s *suite) effects(t *testing.T, r *Running) (n int, ok bool) {
	t.Helper()
	if s.o.Effects == nil {
		return 0, false
	}
	n, err := s.o.Effects(t.Context(), r.SDK())
	if err != nil {
		t.Fatalf("count effects: %v", err)
	}
	return n, true
}

// settled delivers all rows once more and sees that this adds nothing to what is there.
func (s *suite) settled(t *testing.T, r *Running, rows []pluginsdk.AuditRow) {
	t.Helper()
	deliver(t, r, rows)
	before, counted := s.effects(t, r)
	again := deliver(t, r, rows)
	if again.Inserted > 0 || again.Conflict > 0 {
		t.Errorf("redelivery counted %d inserted, %d in conflict", again.Inserted, again.Conflict)
	}
	if after, _ := s.effects(t, r); counted && after != before {
		t.Errorf("redelivery had an effect: %d, then %d", before, after)
	}
	// The same rows on a plugin that saw nothing go wrong come to the same.
	if counted {
		clean := Start(t, s.fresh(), Config{Settings: s.o.Settings, Storage: s.at(t)})
		deliver(t, clean, rows)
		if want, _ := s.effects(t, clean); want != before {
			t.Errorf("the effects are %d, an undisturbed plugin has %d", before, want)
		}
		if err := clean.Stop(stopWithin); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

func (s *suite) auditRedelivery(t *testing.T, r *Running) {
	rows := Rows()
	first := deliver(t, r, rows)
	again := deliver(t, r, rows)
	if len(again.Refused) != len(first.Refused) {
		t.Errorf("it refused %d rows first, %d then", len(first.Refused), len(again.Refused))
	}
	deliver(t, r, rows[len(rows)/2:]) // cut otherwise
	deliver(t, r, nil)
	s.settled(t, r, rows)
}

func (s *suite) auditRestart(t *testing.T, r *Running) {
	rows := RowsFrom(0, 60)
	deliver(t, r, rows[:40])
	if err := r.Stop(stopWithin); err != nil {
		t.Errorf("stop: %v", err)
	}
	next := r.Restart(s.fresh())
	late := slices.Clone(rows[20:])
	rand.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
	deliver(t, next, late[:25])
	deliver(t, next, late[20:])
	s.settled(t, next, rows)
	if err := next.Stop(stopWithin); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func (s *suite) auditConcurrent(t *testing.T, r *Running) {
	rows := RowsFrom(0, 200)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for from := i * 10; from < 160; from += 40 {
				if _, err := r.Record(t.Context(), rows[from:from+40]...); err != nil && !pluginsdk.IsRetryable(err) {
					t.Errorf("concurrent batches: %v", err)
				}
			}
		})
		group.Go(func() {
			if _, err := r.Health(t.Context()); err != nil {
				t.Errorf("health meanwhile: %v", err)
			}
		})
	}
	group.Wait()
	s.settled(t, r, rows)
}

func (s *suite) auditCancelled(t *testing.T, r *Running) {
	rows := RowsFrom(0, 300)
	for _, after := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 3 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		rec, err := r.Record(ctx, rows...)
		cancel()
		if err == nil {
			account(t, rows, rec)
		}
	}
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _ = r.Record(ctx, rows...)
		cancel()
	}
	s.settled(t, r, rows)
}

func (s *suite) auditShutdown(t *testing.T, r *Running) {
	rows := RowsFrom(0, 500)
	var taken bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := r.Record(t.Context(), rows...)
		taken = err == nil
	}()
	r.awaitCall(done)
	if err := r.Stop(stopWithin); err != nil {
		t.Errorf("stop in the middle of a batch: %v", err)
	}
	<-done
	next := r.Restart(s.fresh())
	s.recovered(t, next, rows, taken)
}

func (s *suite) auditCrash(t *testing.T, r *Running) {
	rows := RowsFrom(0, 500)
	var taken bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := r.Record(t.Context(), rows...)
		taken = err == nil
	}()
	r.awaitCall(done)
	r.Crash()
	<-done
	next := r.Restart(s.fresh())
	s.recovered(t, next, rows, taken)
}

// awaitCall waits until a call is in flight or over.
func (r *Running) awaitCall(done <-chan struct{}) {
	for r.srv.InFlight() == 0 {
		select {
		case <-done:
			return
		case <-time.After(50 * time.Microsecond):
		}
	}
}

// recovered delivers what was in flight once more. What was acknowledged must be there already.
func (s *suite) recovered(t *testing.T, r *Running, rows []pluginsdk.AuditRow, taken bool) {
	t.Helper()
	rec := deliver(t, r, rows)
	if taken && rec.Inserted > 0 {
		t.Errorf("%d rows that had been acknowledged were lost", rec.Inserted)
	}
	s.settled(t, r, rows)
	if err := r.Stop(stopWithin); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func (s *suite) eventRedelivery(t *testing.T, r *Running) {
	typ := "sample.event"
	if p := r.desc.GetEventPatterns(); len(p) > 0 {
		typ = strings.ReplaceAll(p[0], "*", "sample")
	}
	events := Events(typ, 20)
	first, err := r.Receive(t.Context(), events...)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	before, counted := s.effects(t, r)
	again, err := r.Receive(t.Context(), events...)
	if err != nil {
		t.Fatalf("receive again: %v", err)
	}
	if len(again.Refused) != len(first.Refused) {
		t.Errorf("it refused %d events first, %d then", len(first.Refused), len(again.Refused))
	}
	late := slices.Clone(events[5:])
	slices.Reverse(late)
	if err := r.Stop(stopWithin); err != nil {
		t.Errorf("stop: %v", err)
	}
	next := r.Restart(s.fresh())
	if _, err := next.Receive(t.Context(), late...); err != nil {
		t.Errorf("receive after a restart: %v", err)
	}
	if after, _ := s.effects(t, next); counted && after != before {
		t.Errorf("redelivery had an effect: %d, then %d", before, after)
	}
	if err := next.Stop(stopWithin); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func (s *suite) mailRepeated(t *testing.T, r *Running) {
	m := pluginsdk.Message{
		IdempotencyKey: "conform-1", Purpose: "confirm_email", From: pluginsdk.Address{Address: "sigra@example.com"},
		To: pluginsdk.Address{Address: "ada@example.com", Name: "Ada"}, Subject: "Hello", Text: "Hello", HTML: "<p>Hello</p>",
		Deadline: time.Now().Add(time.Hour),
	}
	_, first := r.Send(t.Context(), m)
	before, counted := s.effects(t, r)
	m.PossibleDuplicate = true
	_, again := r.Send(t.Context(), m)
	if first == nil && again != nil {
		t.Errorf("the same message again: %v", again)
	}
	if after, _ := s.effects(t, r); counted && after != before {
		t.Errorf("one message was sent as several: %d, then %d", before, after)
	}
}

func (s *suite) gateRepeats(t *testing.T, r *Running) {
	for _, gq := range r.desc.GetGateQuestions() {
		q := pluginsdk.Question(gq.GetName())
		ask := SampleAsk(q)
		first, err := r.Ask(t.Context(), ask)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		if again, err := r.Ask(t.Context(), ask); err != nil || cmp.Diff(first, again) != "" {
			t.Errorf("%s: answered %+v, then %+v, %v", q, first, again, err)
		}
		if first.ReservationID != "" {
			for range 2 { // it is told until it answers, so perhaps twice
				if err := r.Settle(t.Context(), pluginsdk.Settlement{Question: q, AttemptID: ask.AttemptID, ReservationID: first.ReservationID}); err != nil {
					t.Errorf("%s: settle: %v", q, err)
				}
			}
		}
		dry := ask
		dry.DryRun, dry.AttemptID = true, "attempt-2"
		if v, err := r.Ask(t.Context(), dry); err == nil && v.ReservationID != "" {
			t.Errorf("%s: a dry run made the reservation %s", q, v.ReservationID)
		}
		// Nobody is signed in, nothing is known: an answer or an error, but no panic.
		_, err = r.Ask(t.Context(), pluginsdk.Ask{Question: q})
		noPanic(t, string(q), err)
	}
}

// erasedTwice: an erasure that was interrupted comes again.
func (s *suite) erasedTwice(t *testing.T, r *Running) {
	for range 2 {
		if _, err := r.Export(t.Context(), pluginsdk.ExportRequest{UserID: Ada.UserID, Email: Ada.Email}); err != nil {
			t.Errorf("export: %v", err)
		}
		if err := r.Erase(t.Context(), pluginsdk.EraseRequest{UserID: Ada.UserID, Email: Ada.Email}); err != nil {
			t.Errorf("erase: %v", err)
		}
	}
	if err := r.Erase(t.Context(), pluginsdk.EraseRequest{UserID: "0198c0de-0000-7000-8000-00000000dead"}); err != nil {
		t.Errorf("erase somebody of whom nothing is held: %v", err)
	}
}

func (s *suite) gateUnknown(t *testing.T, r *Running) {
	_, err := r.Ask(t.Context(), pluginsdk.Ask{Question: "a.question.of.the.future"})
	noPanic(t, "an unknown question", err)
}

func noPanic(t *testing.T, what string, err error) {
	t.Helper()
	var st interface{ GRPCStatus() *status.Status }
	if errors.As(err, &st) && st.GRPCStatus().Code() == codes.Internal {
		t.Errorf("%s: %v", what, err)
	}
}

func (s *suite) routesConcurrent(t *testing.T, r *Running) {
	var group sync.WaitGroup
	for _, path := range s.paths(r) {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
			for _, p := range []*pluginsdk.Principal{nil, Ada, Root} {
				for _, tail := range []string{"", "/", "/no/such/page", "?q=%00&cursor=%ff", "/..%2f"} {
					group.Go(func() { s.visit(t, r, method, path+tail, p) })
				}
			}
		}
	}
	group.Wait()
}

func (s *suite) visit(t *testing.T, r *Running, method, target string, p *pluginsdk.Principal) {
	var body *strings.Reader
	if method == http.MethodPost {
		body = strings.NewReader("a=b&c=d")
	} else {
		body = strings.NewReader("")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://sigra"+target, body)
	if err != nil {
		t.Errorf("%s %s: %v", method, target, err)
		return
	}
	resp, err := r.Client(p).Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, target, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode == http.StatusInternalServerError {
		t.Errorf("%s %s: %s", method, target, resp.Status)
	}
	for _, c := range resp.Cookies() {
		if strings.HasPrefix(strings.ToLower(c.Name), "__host-sigra") || strings.HasPrefix(strings.ToLower(c.Name), "sigra") {
			t.Errorf("%s %s: it sets the cookie %q, which is Sigra's", method, target, c.Name)
		}
	}
}

// routesAbandoned: clients go away in the middle; the handlers must end.
func (s *suite) routesAbandoned(t *testing.T, r *Running) {
	for _, path := range s.paths(r) {
		for range 5 {
			s.abandon(t, r, path)
		}
	}
	for end := time.Now().Add(3 * time.Second); r.srv.InFlight() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d handlers still run after their clients went away", r.srv.InFlight())
		}
	}
}

// abandon asks for a page and goes away as soon as the plugin has the request.
func (s *suite) abandon(t *testing.T, r *Running, path string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sigra"+path, nil)
	if err != nil {
		t.Error(err)
		return
	}
	done := make(chan error, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		resp, err := r.Client(Ada).Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	r.awaitCall(over)
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		noPanic(t, path, err)
	}
}
