package auth_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// samples are the durations of one side of a comparison.
type samples []time.Duration

// compare says how two sides differ: their medians, the Kolmogorov-Smirnov distance and its critical value at 1 %, and
// the common-language effect size of Mann-Whitney (0.5: a coin toss). It judges nothing: on a shared machine a threshold would
// fail for reasons of its own.
func compare(t *testing.T, what string, a, b samples) {
	t.Helper()
	slices.Sort(a)
	slices.Sort(b)
	var d, less float64
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		if a[i] <= b[j] {
			i++
		} else {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	j = 0
	for _, x := range a {
		for j < len(b) && b[j] < x {
			j++
		}
		less += float64(j)
	}
	n, m := float64(len(a)), float64(len(b))
	t.Logf("%s: median %v against %v (ratio %.3f), KS %.3f (critical at 1%%: %.3f), effect %.3f", what,
		a[len(a)/2], b[len(b)/2], float64(a[len(a)/2])/float64(b[len(b)/2]), d, 1.63*math.Sqrt((n+m)/(n*m)), less/(n*m))
}

// With a real hash, known and unknown addresses interleaved. SIGRA_TEST_SAMPLES sets how many per side.
func TestEnumeration_timing(t *testing.T) {
	n := 40
	if s := os.Getenv("SIGRA_TEST_SAMPLES"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() {
		t.Skip("hashes for seconds")
	}
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, options{params: password.DefaultParams, failures: noFailureLimit})
		w.member("known@example.org", horse)
		timed := func(f func()) time.Duration { start := time.Now(); f(); return time.Since(start) }
		var known, unknown, taken, fresh samples
		for i := range n {
			known = append(known, timed(func() { _, _ = w.signIn("known@example.org", staple) }))
			unknown = append(unknown, timed(func() { _, _ = w.signIn(fmt.Sprintf("u%05d@example.org", i), staple) }))
			taken = append(taken, timed(func() { w.register("known@example.org", staple) }))
			fresh = append(fresh, timed(func() { w.register(fmt.Sprintf("f%05d@example.org", i), staple) }))
		}
		compare(t, "sign-in, wrong password: known against unknown", known, unknown)
		compare(t, "sign-up: taken against new", taken, fresh)
	})
}

// The work is the same by count, which no noise can hide: hashes, rows written, mails, audit rows.
func TestEnumeration_work(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		w.member("known@example.org", horse)
		w.register("unconfirmed@example.org", horse)
		work := func(f func()) string {
			t.Helper()
			var s string
			tables := []string{"onetime", "mail_queue", "audit_log", "audit_target", "session", "ratelimit_bucket", "credential_password"}
			before := map[string]int{}
			for _, table := range tables {
				before[table] = w.count(`SELECT count(*) FROM ` + table)
			}
			f()
			for _, table := range tables {
				s += fmt.Sprintf("%s+%d ", table, w.count(`SELECT count(*) FROM `+table)-before[table])
			}
			return s
		}
		var flows []int
		reg := func(email string) func() {
			return func() { flows = append(flows, len(fmt.Sprintf("%+v", w.register(email, staple)))) }
		}
		a, b, c := work(reg("known@example.org")), work(reg("unconfirmed@example.org")), work(reg("new@example.org"))
		if a != b || b != c || flows[0] != flows[1] || flows[1] != flows[2] {
			t.Errorf("sign-up\nknown       %s\nunconfirmed %s\nunknown     %s\nanswers %v", a, b, c, flows)
		}
		in := func(email string) func() {
			return func() { _, _ = w.SignIn(w.ctx(), auth.Credentials{Email: email, Password: unicorn}) }
		}
		if a, b, c := work(in("known@example.org")), work(in("unconfirmed@example.org")), work(in("unknown@example.org")); a != b || b != c {
			t.Errorf("sign-in\nknown       %s\nunconfirmed %s\nunknown     %s", a, b, c)
		}
	})
}
