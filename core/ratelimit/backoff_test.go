package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func newBackoff(t testing.TB, c *clock, cfg ratelimit.BackoffConfig) *ratelimit.Backoff {
	t.Helper()
	cfg.Name, cfg.Now = "sign_in", c.now
	b, err := ratelimit.NewBackoff(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// five is the default: 5 failures in 15 minutes change nothing, 50 stop everything.
func five(p *ratelimit.Puzzles) ratelimit.BackoffConfig {
	return ratelimit.BackoffConfig{
		After: ratelimit.Quota{Count: 5, Per: 15 * time.Minute}, Hard: ratelimit.Quota{Count: 50, Per: 15 * time.Minute}, Verifier: p,
	}
}

// finish ends an attempt: right or wrong.
func finish(db *store.DB, b *ratelimit.Backoff, pass ratelimit.Pass, right bool) (f ratelimit.Failed, err error) {
	err = db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		if right {
			return b.Reset(ctx, tx, pass)
		}
		f, err = b.Fail(ctx, tx, pass)
		return err
	})
	return f, err
}

// guess is a whole attempt.
func guess(db *store.DB, b *ratelimit.Backoff, key string, proof ratelimit.Proof, right bool) (ratelimit.Failed, error) {
	pass, err := b.Check(context.Background(), db, key, proof)
	if err != nil {
		return ratelimit.Failed{}, err
	}
	return finish(db, b, pass, right)
}

// demand gives what a refusal asks for, and its code.
func demand(t testing.TB, err error) (*ratelimit.Demand, *fault.Error) {
	t.Helper()
	var d *ratelimit.Demand
	if !errors.As(err, &d) {
		t.Fatalf("no challenge: %v", err)
	}
	retryAfter(t, err)
	return d, fault.From(err)
}

func TestBackoff_aDayOfGuessing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		p := newPuzzles(t, c, 6, 8)
		b := newBackoff(t, c, five(p))
		const key = "ada@example.org"
		for i := range 5 {
			f, err := guess(db, b, key, ratelimit.Proof{}, false)
			if err != nil || f.Count != i+1 || f.JustSlowed != (i == 4) || f.JustStopped {
				t.Fatalf("failure %d: %+v, %v", i+1, f, err)
			}
		}
		for i, distance := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			distance *= time.Second
			// Without a proof nothing is judged, right or wrong, and a flood changes nothing.
			for _, right := range []bool{false, true} {
				_, err := guess(db, b, key, ratelimit.Proof{}, right)
				if d, f := demand(t, err); f.Code != "proof_of_work_required" || f.RetryAfter != distance || d.Unproved <= 0 || d.Unproved > 15*time.Minute {
					t.Fatalf("%+v %+v", d, f)
				}
			}
			_, err := guess(db, b, key, ratelimit.Proof{}, false)
			d, _ := demand(t, err)
			if want := 6 + bits.Len(uint((5+i)/5)) - 1; d.Challenge.Difficulty != want {
				t.Fatalf("difficulty %d after %d failures, want %d", d.Challenge.Difficulty, 5+i, want)
			}
			proof := solved(t, d.Challenge)
			c.advance(distance - time.Microsecond)
			_, err = guess(db, b, key, proof, true)
			if _, f := demand(t, err); f.Code != "too_many_attempts" {
				t.Fatalf("too soon: %+v", f)
			}
			c.advance(time.Microsecond)
			if f, err := guess(db, b, key, proof, false); err != nil || f.Count != 6+i || f.JustSlowed { // being too soon has not spent it
				t.Fatalf("%+v, %v", f, err)
			}
			c.advance(time.Minute)
			_, err = guess(db, b, key, proof, true)
			if _, f := demand(t, err); f.Code != "proof_of_work_invalid" {
				t.Fatalf("used twice: %+v", f)
			}
			c.advance(-time.Minute)
		}
		// Another account, a known device of this one, and another limit go on as ever.
		if _, err := guess(db, b, "device:7f", ratelimit.Proof{}, false); err != nil {
			t.Fatal(err)
		}
		if err := newAccount(t, "sign_in", ratelimit.Quota{Count: 5, Per: 15 * time.Minute}, c).Check(t.Context(), db, key); err != nil {
			t.Fatal(err)
		}
		// The owner, with a proof: everything is forgotten.
		c.advance(time.Minute)
		if _, err := guess(db, b, key, solved(t, p.Issue("sign_in\x00"+key, 1)), true); err != nil {
			t.Fatal(err)
		}
		if f, err := guess(db, b, key, ratelimit.Proof{}, false); err != nil || f.Count != 1 {
			t.Fatal(f, err)
		}
	})
}

func TestBackoff_windowAndStop(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		const key = "k"
		// Without a verifier attempts are only slowed.
		b := newBackoff(t, c, ratelimit.BackoffConfig{
			After: ratelimit.Quota{Count: 2, Per: time.Minute}, Hard: ratelimit.Quota{Count: 4, Per: time.Hour}, First: 10 * time.Second, Longest: 15 * time.Second,
		})
		fail := func(slowed, stopped bool) {
			t.Helper()
			if f, err := guess(db, b, key, ratelimit.Proof{}, false); err != nil || f.JustSlowed != slowed || f.JustStopped != stopped {
				t.Fatalf("%+v, %v", f, err)
			}
		}
		refused := func(wait time.Duration) {
			t.Helper()
			for _, right := range []bool{false, true} {
				_, err := guess(db, b, key, ratelimit.Proof{Challenge: "x", Solution: "y"}, right)
				if d := (*ratelimit.Demand)(nil); errors.As(err, &d) || retryAfter(t, err) != wait {
					t.Fatalf("wait %s: %v", wait, err)
				}
			}
		}
		fail(false, false)
		c.advance(40 * time.Second)
		fail(true, false)
		refused(10 * time.Second)
		c.advance(20*time.Second - time.Microsecond)
		refusedNow := func() bool { // at 10 s it may go on, though both still count
			_, err := b.Check(t.Context(), db, key, ratelimit.Proof{})
			return err != nil
		}
		if refusedNow() {
			t.Fatal("still slowed after its distance")
		}
		c.advance(time.Microsecond) // the first is a minute old: it counts no more
		fail(true, false)
		refused(10 * time.Second)
		c.advance(10 * time.Second)
		fail(false, true) // the fourth within the hour
		refused(59*time.Minute - 10*time.Second)
		c.advance(59*time.Minute - 10*time.Second - time.Microsecond)
		refused(time.Second)
		c.advance(time.Microsecond)
		fail(false, true) // one for each that is an hour old
		refused(40 * time.Second)

		if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return b.Clear(ctx, tx, key) }); err != nil {
			t.Fatal(err)
		}
		fail(false, false)
	})
}

func TestBackoff_isPartOfTheCallersTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		p := newPuzzles(t, c, 6, 6)
		b := newBackoff(t, c, ratelimit.BackoffConfig{After: ratelimit.Quota{Count: 1, Per: time.Hour}, Verifier: p})
		undo := errors.New("undo")
		attempt := func(pass ratelimit.Pass, right bool) {
			t.Helper()
			err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				var err error
				if right {
					err = b.Reset(ctx, tx, pass)
				} else {
					_, err = b.Fail(ctx, tx, pass)
				}
				return errors.Join(err, undo)
			})
			if err.Error() != "undo" {
				t.Fatal(err)
			}
		}
		check := func(proof ratelimit.Proof) ratelimit.Pass {
			t.Helper()
			pass, err := b.Check(t.Context(), db, "k", proof)
			if err != nil {
				t.Fatal(err)
			}
			return pass
		}
		attempt(check(ratelimit.Proof{}), false)
		if _, err := finish(db, b, check(ratelimit.Proof{}), false); err != nil {
			t.Fatal("a failure outlived its transaction:", err)
		}
		c.advance(time.Second)
		proof := solved(t, p.Issue("sign_in\x00k", 0))
		attempt(check(proof), false)
		attempt(check(proof), true)
		if _, err := finish(db, b, check(proof), true); err != nil { // neither spent nor cleared before
			t.Fatal(err)
		}
		if _, err := finish(db, b, ratelimit.Pass{}, false); err == nil || fault.KindOf(err) != fault.Internal {
			t.Error("an attempt was judged without a check:", err)
		}
	})
}

// What was let in by Check is looked at again when it ends: right or wrong, it may be too late, and then nothing has happened.
func TestBackoff_rightAndTooLate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		p := newPuzzles(t, c, 6, 6)
		b := newBackoff(t, c, ratelimit.BackoffConfig{After: ratelimit.Quota{Count: 1, Per: time.Hour}, Verifier: p})
		begin := func(proof ratelimit.Proof) ratelimit.Pass {
			t.Helper()
			pass, err := b.Check(t.Context(), db, "k", proof)
			if err != nil {
				t.Fatal(err)
			}
			return pass
		}
		late := func(pass ratelimit.Pass, code string) {
			t.Helper()
			for _, right := range []bool{true, false} {
				_, err := finish(db, b, pass, right)
				if _, f := demand(t, err); f.Code != code {
					t.Fatalf("%+v", f)
				}
			}
		}
		unproved, first := begin(ratelimit.Proof{}), begin(ratelimit.Proof{})
		if _, err := finish(db, b, first, false); err != nil {
			t.Fatal(err)
		}
		late(unproved, "proof_of_work_required")
		c.advance(time.Second)
		mine, same := solved(t, p.Issue("sign_in\x00k", 0)), solved(t, p.Issue("sign_in\x00k", 0))
		pass, a, z := begin(mine), begin(same), begin(same)
		if f, err := finish(db, b, a, false); err != nil || f.Count != 2 || f.Wait != 2*time.Second {
			t.Fatal(f, err)
		}
		late(pass, "too_many_attempts")
		c.advance(2 * time.Second)
		late(z, "proof_of_work_invalid")
		if _, err := finish(db, b, pass, true); err != nil { // being late has not used it up
			t.Fatal(err)
		}
	})
}

// A hundred guesses, all past Check at the same moment, on two nodes, one of them right. Without proofs as many are judged as
// change nothing; then, each with a proof of its own, one.
func TestBackoff_parallelGuesses(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			nodes := []*store.DB{storetest.Dial(t, d.URL), storetest.Dial(t, d.URL)}
			c := newClock()
			p := newPuzzles(t, c, 6, 8)
			b := newBackoff(t, c, five(p))
			const n = 100
			round := func(right int, proof func() ratelimit.Proof) (wrong, rightly int) {
				t.Helper()
				var judgedWrong, judgedRight atomic.Int32
				var checked, wg sync.WaitGroup
				checked.Add(n)
				for i := range n {
					wg.Go(func() {
						pass, err := b.Check(context.Background(), nodes[i%2], "victim@example.org", proof())
						if err != nil {
							t.Error(err)
						}
						checked.Done()
						checked.Wait() // all have passed
						_, err = finish(nodes[i%2], b, pass, i == right)
						switch {
						case err == nil && i == right:
							judgedRight.Add(1)
						case err == nil:
							judgedWrong.Add(1)
						case fault.KindOf(err) != fault.RateLimited:
							t.Error(err)
						}
					})
				}
				wg.Wait()
				return int(judgedWrong.Load()), int(judgedRight.Load())
			}
			none := func() ratelimit.Proof { return ratelimit.Proof{} }
			own := func() ratelimit.Proof { return solved(t, p.Issue("sign_in\x00victim@example.org", 1)) }
			if wrong, _ := round(-1, none); wrong != 5 {
				t.Fatalf("%d guesses were judged", wrong)
			}
			for i := range 3 {
				c.advance(time.Second << i)
				if wrong, _ := round(-1, own); wrong != 1 {
					t.Fatalf("%d guesses with proofs were judged", wrong)
				}
			}
			c.advance(8 * time.Second)
			same := own()
			if wrong, _ := round(-1, func() ratelimit.Proof { return same }); wrong != 1 {
				t.Fatalf("%d guesses with one proof were judged", wrong)
			}
			// The right one, if it came first, cleared what was counted: then five more are judged, of a known password.
			c.advance(16 * time.Second)
			if wrong, right := round(57, own); right == 0 && wrong != 1 || right == 1 && wrong > 6 {
				t.Fatalf("judged: %d wrong, %d right", wrong, right)
			}
		})
	}
}

// rules is the limiter once more, as its documentation reads: a list of failures, looked through each time.
type rules struct {
	after, hard    int
	window, stop   time.Duration
	first, longest time.Duration
	failures       []time.Time
	spent          map[string]bool
}

func (r *rules) within(now time.Time, d time.Duration) (out []time.Time) {
	for _, t := range r.failures {
		if now.Sub(t) < d {
			out = append(out, t)
		}
	}
	return out
}

// judge gives the answer to an attempt: "" when it is judged, and how long it has to wait else.
func (r *rules) judge(now time.Time, proof string) (code string, wait time.Duration) {
	recent := r.within(now, r.window)
	slowed := len(recent) >= r.after
	if slowed {
		gap := r.first
		for range len(recent) - r.after {
			gap = min(2*gap, r.longest)
		}
		wait = max(0, r.failures[len(r.failures)-1].Add(gap).Sub(now))
	}
	switch hard := r.within(now, r.stop); {
	case r.hard > 0 && len(hard) >= r.hard:
		return "too_many_attempts", max(wait, hard[len(hard)-r.hard].Add(r.stop).Sub(now))
	case !slowed:
		return "", 0
	case proof == "":
		return "proof_of_work_required", wait
	case wait > 0:
		return "too_many_attempts", wait
	case r.spent[proof]:
		return "proof_of_work_invalid", 0
	}
	r.spent[proof] = true
	return "", 0
}

// Random schedules on several nodes, with attempts that begin and end at different times, against the rules.
func TestBackoff_equalsItsRules(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		c := newClock()
		p := newPuzzles(t, c, 6, 6)
		r := &rules{
			after: rapid.IntRange(1, 4).Draw(rt, "after"), window: time.Duration(rapid.IntRange(10, 300).Draw(rt, "window")) * time.Second,
			hard: rapid.SampledFrom([]int{0, 1, 3, 8}).Draw(rt, "hard"), stop: time.Duration(rapid.IntRange(10, 600).Draw(rt, "stop")) * time.Second,
			first: time.Second, longest: time.Duration(rapid.IntRange(1, 30).Draw(rt, "longest")) * time.Second, spent: map[string]bool{},
		}
		cfg := ratelimit.BackoffConfig{
			After: ratelimit.Quota{Count: r.after, Per: r.window}, Hard: ratelimit.Quota{Count: r.hard, Per: r.stop}, First: r.first, Longest: r.longest, Verifier: p,
		}
		nodes := []*ratelimit.Backoff{newBackoff(t, c, cfg), newBackoff(t, c, cfg), newBackoff(t, c, cfg)}
		key := fmt.Sprint("k", run)
		type open struct {
			pass  ratelimit.Pass
			proof string
		}
		var begun []open
		var proofs []ratelimit.Proof
		same := func(what string, err error, code string, wait time.Duration) {
			got := ""
			if err != nil {
				got = fault.From(err).Code
			}
			if got != code {
				rt.Fatalf("%s: %q, the rules say %q", what, got, code)
			}
			if code != "" && fault.From(err).RetryAfter != max(wait, time.Second) {
				rt.Fatalf("%s: %s to wait, the rules say %s", what, fault.From(err).RetryAfter, wait)
			}
			if d := (*ratelimit.Demand)(nil); errors.As(err, &d) && len(proofs) < 20 {
				proofs = append(proofs, solved(t, d.Challenge))
			}
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			node := nodes[rapid.IntRange(0, 2).Draw(rt, "node")]
			switch rapid.SampledFrom([]string{"wait", "begin", "begin", "end", "end", "end"}).Draw(rt, "do") {
			case "wait":
				scale := rapid.SampledFrom([]time.Duration{r.first, r.longest, r.window, r.stop}).Draw(rt, "scale")
				c.advance(scale / time.Duration(rapid.IntRange(1, 8).Draw(rt, "part")))
				proofs = slices.DeleteFunc(proofs, func(proof ratelimit.Proof) bool { // expired
					_, err := p.Verify(t.Context(), "sign_in\x00"+key, 0, proof)
					return err != nil
				})
			case "begin":
				var proof ratelimit.Proof
				if len(proofs) > 0 && rapid.Bool().Draw(rt, "proved") {
					proof = rapid.SampledFrom(proofs).Draw(rt, "proof")
				}
				used := r.spent[proof.Challenge]
				code, wait := r.judge(c.now(), proof.Challenge)
				r.spent[proof.Challenge] = used // a check uses nothing up
				pass, err := node.Check(t.Context(), db, key, proof)
				same("begin", err, code, wait)
				if err == nil {
					if len(r.within(c.now(), r.window)) < r.after {
						proof = ratelimit.Proof{} // none was needed, so none was looked at
					}
					begun = append(begun, open{pass, proof.Challenge})
				}
			case "end":
				if len(begun) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(begun)-1).Draw(rt, "which")
				o := begun[i]
				begun = slices.Delete(begun, i, i+1)
				right := rapid.IntRange(0, 5).Draw(rt, "right") == 0
				was := len(r.within(c.now(), r.window)) >= r.after
				code, wait := r.judge(c.now(), o.proof)
				f, err := finish(db, node, o.pass, right)
				same("end", err, code, wait)
				if err != nil {
					continue
				}
				if r.failures = append(r.failures, c.now()); right {
					r.failures = nil
					continue
				}
				slow, stopped := len(r.within(c.now(), r.window)) >= r.after, r.hard > 0 && len(r.within(c.now(), r.stop)) >= r.hard
				if f.JustSlowed != (slow && !was) || f.JustStopped != stopped {
					rt.Fatalf("%+v", f)
				}
			}
		}
	})
}

// Guessers on two nodes as fast as they can, while the clock runs: in no window are more guesses judged than there may be.
func TestBackoff_neverMoreInAnyWindow(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			nodes := []*store.DB{storetest.Dial(t, d.URL), storetest.Dial(t, d.URL)}
			c := newClock()
			p := newPuzzles(t, c, 6, 6)
			cfg := ratelimit.BackoffConfig{
				After: ratelimit.Quota{Count: 3, Per: 30 * time.Second}, Hard: ratelimit.Quota{Count: 10, Per: 2 * time.Minute},
				First: time.Second, Longest: 4 * time.Second, Verifier: p,
			}
			type judged struct {
				at     time.Time
				proved bool
			}
			var mu sync.Mutex
			var all []judged
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					var at time.Time // when this guesser's limiter looked at the clock last
					cfg := cfg
					cfg.Name, cfg.Now = "sign_in", func() time.Time { at = c.now(); return at }
					b, err := ratelimit.NewBackoff(cfg)
					if err != nil {
						t.Error(err)
						return
					}
					for range 60 {
						c.advance(250 * time.Millisecond)
						proof := ratelimit.Proof{}
						if i%4 > 0 {
							proof = solved(t, p.Issue("sign_in\x00k", 0))
						}
						_, err := guess(nodes[i%2], b, "k", proof, false)
						if err == nil {
							mu.Lock()
							all = append(all, judged{at, proof != ratelimit.Proof{}})
							mu.Unlock()
						} else if fault.KindOf(err) != fault.RateLimited {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			slices.SortFunc(all, func(a, b judged) int { return a.at.Compare(b.at) })
			within := func(i int, d time.Duration) (n int) { // those before, that far back
				for j := i - 1; j >= 0 && all[i].at.Sub(all[j].at) < d; j-- {
					n++
				}
				return n
			}
			unproved := 0
			for i, g := range all {
				if !g.proved {
					unproved++
				}
				if n := within(i, cfg.Hard.Per); n >= cfg.Hard.Count {
					t.Errorf("guess %d: %d before it in %s", i, n, cfg.Hard.Per)
				}
				if n := within(i, cfg.After.Per); n >= cfg.After.Count {
					gap := min(cfg.First<<(n-cfg.After.Count), cfg.Longest)
					if !g.proved || g.at.Sub(all[i-1].at) < gap {
						t.Errorf("guess %d, proved %t, came %s after the last of %d", i, g.proved, g.at.Sub(all[i-1].at), n)
					}
				}
			}
			if len(all) < 10 {
				t.Errorf("only %d guesses were judged, %d without proof", len(all), unproved)
			}
		})
	}
}

// A clock that is set back forgets rather than lock out; one that differs a little changes nothing.
func TestBackoff_clocks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		b := newBackoff(t, c, ratelimit.BackoffConfig{After: ratelimit.Quota{Count: 2, Per: time.Minute}, Hard: ratelimit.Quota{Count: 5, Per: 24 * time.Hour}})
		for range 2 {
			if _, err := guess(db, b, "k", ratelimit.Proof{}, false); err != nil {
				t.Fatal(err)
			}
		}
		c.advance(-2 * time.Second) // another node
		if _, err := guess(db, b, "k", ratelimit.Proof{}, false); retryAfter(t, err) != 3*time.Second {
			t.Fatal(err)
		}
		c.advance(-time.Hour)
		if f, err := guess(db, b, "k", ratelimit.Proof{}, false); err != nil || f.Count != 1 {
			t.Fatal(f, err)
		}
	})
}

func TestBackoff_prune(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		b := newBackoff(t, c, ratelimit.BackoffConfig{After: ratelimit.Quota{Count: 2, Per: time.Minute}})
		err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i := range 1200 {
				pass, err := b.Check(ctx, tx, fmt.Sprint(i), ratelimit.Proof{})
				if err != nil {
					return err
				}
				if _, err := b.Fail(ctx, tx, pass); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.advance(2*time.Minute - time.Microsecond) // they count a minute, and a minute more for clocks that differ
		if n, err := b.Prune(t.Context(), db); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		c.advance(time.Microsecond)
		if n, err := b.Prune(t.Context(), db); n != 1200 || err != nil {
			t.Fatal(n, err)
		}
	})
}

// brokenVerifier can't find out anything.
type brokenVerifier struct{ *ratelimit.Puzzles }

func (brokenVerifier) Verify(context.Context, string, int, ratelimit.Proof) (ratelimit.Ticket, error) {
	return ratelimit.Ticket{}, fault.New(fault.Unavailable, "captcha_unavailable", "Try again shortly.").After(time.Second)
}

func TestBackoff_edgesAndNonsense(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	c := newClock()
	off := newBackoff(t, c, ratelimit.BackoffConfig{})
	for range 200 {
		if _, err := guess(db, off, "k", ratelimit.Proof{}, false); err != nil {
			t.Fatal(err)
		}
	}
	b := newBackoff(t, c, ratelimit.BackoffConfig{After: ratelimit.Quota{Count: 1, Per: time.Hour}, Verifier: brokenVerifier{newPuzzles(t, c, 6, 6)}})
	if _, err := guess(db, b, "k", ratelimit.Proof{}, false); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Second)
	if _, err := guess(db, b, "k", ratelimit.Proof{Solution: "x"}, true); fault.KindOf(err) != fault.Unavailable {
		t.Error("what can't be found out is no wrong proof:", err)
	}
	for name, cfg := range map[string]ratelimit.BackoffConfig{
		"no name":             {After: ratelimit.Quota{Count: 1, Per: time.Second}},
		"no period":           {Name: "x", After: ratelimit.Quota{Count: 1}},
		"too many":            {Name: "x", After: ratelimit.Quota{Count: ratelimit.MaxAfter + 1, Per: time.Hour}},
		"too many to stop":    {Name: "x", Hard: ratelimit.Quota{Count: ratelimit.MaxHard + 1, Per: time.Hour}},
		"negative":            {Name: "x", Hard: ratelimit.Quota{Count: -1, Per: time.Hour}},
		"shorter and shorter": {Name: "x", First: time.Minute, Longest: time.Second},
		"no distance":         {Name: "x", First: time.Microsecond},
	} {
		if _, err := ratelimit.NewBackoff(cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// The largest history there may be: its row stays small and what it means does not change.
func TestBackoff_fullHistory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		b := newBackoff(t, c, ratelimit.BackoffConfig{After: ratelimit.Quota{Count: 1, Per: 24 * time.Hour}, First: time.Millisecond, Longest: time.Millisecond})
		var last ratelimit.Failed
		for range 100 {
			c.advance(time.Millisecond)
			var err error
			if last, err = guess(db, b, "k", ratelimit.Proof{}, false); err != nil {
				t.Fatal(err)
			}
		}
		var n int
		if err := db.QueryRow(t.Context(), `SELECT length(failures) FROM ratelimit_failure`).Scan(&n); err != nil || n != 65*8 || last.Count != 65 {
			t.Fatalf("%d bytes, %+v, %v", n, last, err)
		}
	})
}

func BenchmarkBackoff(b *testing.B) {
	for _, dialect := range []store.Dialect{store.SQLite, store.Postgres} {
		db := storetest.Open(b, dialect, sources...)
		c := newClock()
		lim := newBackoff(b, c, five(newPuzzles(b, c, 6, 6)))
		ctx := context.Background()
		for range 5 {
			if _, err := guess(db, lim, "slowed", ratelimit.Proof{}, false); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("check/"+string(dialect), func(b *testing.B) {
			for b.Loop() {
				if _, err := lim.Check(ctx, db, "nobody", ratelimit.Proof{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("refuse/"+string(dialect), func(b *testing.B) {
			for b.Loop() {
				if _, err := lim.Check(ctx, db, "slowed", ratelimit.Proof{}); err == nil {
					b.Fatal("let in")
				}
			}
		})
		b.Run("fail/"+string(dialect), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if _, err := guess(db, lim, fmt.Sprint(i), ratelimit.Proof{}, false); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("reset/"+string(dialect), func(b *testing.B) {
			for b.Loop() {
				if _, err := guess(db, lim, "nobody", ratelimit.Proof{}, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What several names of one account get is together what one would, in guesses and in time.
func TestBackoffConfig_shared(t *testing.T) {
	t.Parallel()
	cfg := ratelimit.BackoffConfig{After: ratelimit.Quota{Count: 5, Per: time.Minute}, Hard: ratelimit.Quota{Count: 50, Per: time.Hour}, First: 3 * time.Second}
	got := cfg.Shared(2)
	want := ratelimit.BackoffConfig{
		After: ratelimit.Quota{Count: 2, Per: time.Minute}, Hard: ratelimit.Quota{Count: 25, Per: time.Hour}, First: 6 * time.Second, Longest: 2 * time.Minute,
	}
	if got.After != want.After || got.Hard != want.Hard || got.First != want.First || got.Longest != want.Longest {
		t.Errorf("%+v, want %+v", got, want)
	}
	for in, want := range map[ratelimit.Quota]ratelimit.Quota{
		{}:                              {},
		{Count: 1, Per: time.Minute}:    {Count: 1, Per: 2 * time.Minute},
		{Count: 2, Per: time.Minute}:    {Count: 1, Per: time.Minute},
		{Count: 10, Per: time.Minute}:   {Count: 5, Per: time.Minute},
		{Count: 1000, Per: time.Second}: {Count: 500, Per: time.Second},
	} {
		if got := in.Shared(2); got != want {
			t.Errorf("%+v shared: %+v, want %+v", in, got, want)
		}
		if got := in.Shared(1); got != in {
			t.Errorf("%+v alone: %+v", in, got)
		}
	}
}
