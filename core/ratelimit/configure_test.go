package ratelimit_test

import (
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Failures that were counted under other rules count on, and are judged by those of the moment.
func TestBackoff_configure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		cfg := ratelimit.BackoffConfig{Name: "sign_in", After: ratelimit.Quota{Count: 5, Per: time.Hour}, Now: c.now}
		b := newBackoff(t, c, cfg)
		for range 3 {
			if _, err := guess(db, b, "ada", ratelimit.Proof{}, false); err != nil {
				t.Fatal(err)
			}
		}
		cfg.After.Count = 3
		if err := b.Configure(cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := guess(db, b, "ada", ratelimit.Proof{}, true); err == nil {
			t.Error("three failures change nothing where they should")
		}
		for name, bad := range map[string]ratelimit.BackoffConfig{"another name": {Name: "y"}, "too much": {Name: "sign_in", After: ratelimit.Quota{Count: ratelimit.MaxAfter + 1, Per: time.Hour}}} {
			if b.Configure(bad) == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		if _, err := guess(db, b, "ada", ratelimit.Proof{}, true); err == nil {
			t.Error("what was refused took effect")
		}
		cfg.After.Count = 5
		if err := b.Configure(cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := guess(db, b, "ada", ratelimit.Proof{}, true); err != nil {
			t.Error(err)
		}
	})
}
