package password

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
)

// hold takes n places for d and reports in done which waiter it was.
func hold(t *testing.T, ctx context.Context, a *admission, n int, d time.Duration, name string, mu *sync.Mutex, order *[]string) error {
	t.Helper()
	release, err := a.acquire(ctx, demand{n, 1})
	if err != nil {
		return err
	}
	mu.Lock()
	*order = append(*order, name)
	mu.Unlock()
	time.Sleep(d)
	release()
	return nil
}

func TestAdmission_firstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(2, time.Hour, 0)
		var mu sync.Mutex
		var order []string
		for _, w := range []struct {
			name   string
			places int
		}{{"a", 1}, {"b", 1}, {"large", 2}, {"c", 1}, {"d", 1}} {
			go func() {
				if err := hold(t, t.Context(), a, w.places, time.Second, w.name, &mu, &order); err != nil {
					t.Errorf("%s: %v", w.name, err)
				}
			}()
			synctest.Wait()
		}
		if l := a.load(); l != (Load{Places: 2, InUse: 2, Waiting: 3}) {
			t.Fatalf("load %+v", l)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := [5]string(order); got[2] != "large" {
			t.Fatalf("order %v: the large one was overtaken", order)
		}
		if l := a.load(); l != (Load{Places: 2}) || a.ahead != 0 {
			t.Fatalf("places lost: %+v, ahead %g", l, a.ahead)
		}
	})
}

func TestAdmission_deadlineAndRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(1, 2*time.Second, 2*time.Second)
		release, _ := a.acquire(t.Context(), demand{1, 1})
		start := time.Now()
		_, err := a.acquire(t.Context(), demand{1, 1})
		f := fault.From(err)
		if f.Kind != fault.Unavailable || f.RetryAfter < time.Second || time.Since(start) != 2*time.Second {
			t.Fatalf("after %s: %v, retry after %s", time.Since(start), err, f.RetryAfter)
		}
		release()
		// Hashes take 2 s by now: whoever would wait longer than allowed is told at once.
		release, _ = a.acquire(t.Context(), demand{1, 1})
		start = time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, _ = a.acquire(t.Context(), demand{1, 1}) })
			synctest.Wait()
		}
		if time.Since(start) != 0 || a.load().Waiting != 1 {
			t.Fatalf("after %s, %d waiting: the second should have been refused at once", time.Since(start), a.load().Waiting)
		}
		wg.Wait()
		release()
		if a.load() != (Load{Places: 1}) {
			t.Fatalf("places lost: %+v", a.load())
		}
	})
}

func TestAdmission_givingUpLeavesTheLineAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(2, time.Hour, 0)
		r1, _ := a.acquire(t.Context(), demand{1, 1})
		ctx, cancel := context.WithCancel(t.Context())
		var large error
		go func() { _, large = a.acquire(ctx, demand{2, 1}) }() // head of the line, wants both places
		synctest.Wait()
		served := false
		go func() {
			r, err := a.acquire(t.Context(), demand{1, 1})
			if err == nil {
				served = true
				r()
			}
		}()
		synctest.Wait()
		if served {
			t.Fatal("the large one was overtaken")
		}
		cancel()
		synctest.Wait()
		if !errors.Is(large, context.Canceled) || !served {
			t.Fatalf("after giving up: %v, the one behind served: %v", large, served)
		}
		r1()
		if a.load() != (Load{Places: 2}) {
			t.Fatalf("places lost: %+v", a.load())
		}
		dead, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.acquire(dead, demand{1, 1}); !errors.Is(err, context.Canceled) {
			t.Fatalf("a dead context was served: %v", err)
		}
	})
}

// Everything at once, many times: no place is ever lost or given twice.
func TestAdmission_storm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(3, 50*time.Millisecond, 0)
		var mu sync.Mutex
		inUse := 0
		var wg sync.WaitGroup
		for i := range 2000 {
			wg.Go(func() {
				time.Sleep(time.Duration(i%97) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%71)*time.Millisecond)
				defer cancel()
				n := 1 + i%3
				release, err := a.acquire(ctx, demand{n, 1})
				if err != nil {
					return
				}
				mu.Lock()
				if inUse += n; inUse > 3 {
					t.Errorf("%d places in use", inUse)
				}
				mu.Unlock()
				time.Sleep(time.Duration(i%7) * time.Millisecond)
				mu.Lock()
				inUse -= n
				mu.Unlock()
				release()
			})
		}
		wg.Wait()
		if a.load() != (Load{Places: 3}) || a.ahead != 0 {
			t.Fatalf("places lost: %+v, ahead %g", a.load(), a.ahead)
		}
	})
}

func TestAdmission_announceRefusesBeforeAnythingIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(2, 10*time.Second, time.Second)
		var leave []func()
		for range 20 { // two at a time for a second each: twenty take ten seconds
			l, err := a.announce()
			if err != nil {
				t.Fatalf("number %d was refused: %v", len(leave)+1, err)
			}
			leave = append(leave, l)
		}
		_, err := a.announce()
		if f := fault.From(err); f.Kind != fault.Unavailable || f.RetryAfter < time.Second {
			t.Fatalf("the twenty-first got %v", err)
		}
		leave[0]()
		leave[0]() // twice counts once
		if l, err := a.announce(); err != nil {
			t.Fatalf("after one had gone: %v", err)
		} else {
			defer l()
		}
		if _, err := a.announce(); err == nil {
			t.Fatal("one that left twice made room for two")
		}
	})
}

// A hash of much work counts for much in the line, and one of much memory for all the places that it takes.
func TestAdmission_reckonsWithWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(2, 10*time.Second, time.Second)
		r1, _ := a.acquire(t.Context(), demand{2, 1})
		var wg sync.WaitGroup
		for _, d := range []demand{{1, 8}, {2, 4}} { // 8 and 8 place-seconds: 8 s on two places
			wg.Go(func() {
				if r, err := a.acquire(t.Context(), d); err != nil {
					t.Errorf("%+v: %v", d, err)
				} else {
					r()
				}
			})
			synctest.Wait()
		}
		_, err := a.acquire(t.Context(), demand{2, 3}) // 6 more: 11 s
		if f := fault.From(err); f.Kind != fault.Unavailable || f.RetryAfter != 11*time.Second {
			t.Errorf("told %v, after %s: want it refused for 11 s", err, f.RetryAfter)
		}
		wg.Go(func() {
			if r, err := a.acquire(t.Context(), demand{2, 1}); err != nil { // 2 more: 9 s
				t.Errorf("the last: %v", err)
			} else {
				r()
			}
		})
		synctest.Wait()
		r1()
		wg.Wait()
		if a.load() != (Load{Places: 2}) || a.ahead != 0 {
			t.Fatalf("places lost: %+v, ahead %g", a.load(), a.ahead)
		}
	})
}

// However long a hash takes, as many as there are places may always try.
func TestAdmission_announceOnASlowMachine(t *testing.T) {
	a := newAdmission(1, time.Millisecond, time.Hour)
	leave, err := a.announce()
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if _, err := a.announce(); err == nil {
		t.Fatal("the second would have waited an hour")
	}
}
