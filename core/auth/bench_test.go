package auth_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// cpu is what this process has used of the processor.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A sign-in against the bare hash, interleaved: "beyond-ms" is the CPU of everything but the hash. On SQLite that includes the
// database; on Postgres the server's share is its own.
func BenchmarkSignIn(b *testing.B) {
	for _, dialect := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			w := newWorld(b, storetest.Open(b, dialect, sources...), options{params: password.DefaultParams})
			in := w.member("ada@example.org", horse)
			hash, err := w.passwords.Find(w.ctx(), w.db, in.Principal.UserID)
			if err != nil {
				b.Fatal(err)
			}
			var all, bare time.Duration
			b.ReportAllocs()
			for b.Loop() {
				t0 := cpu()
				if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: "ada@example.org", Password: horse}); err != nil {
					b.Fatal(err)
				}
				t1 := cpu()
				if ok, _, err := w.passwords.Verify(w.ctx(), hash, horse); !ok || err != nil {
					b.Fatal(err)
				}
				all, bare = all+t1-t0, bare+cpu()-t1
			}
			n := float64(b.N) * float64(time.Millisecond)
			b.ReportMetric(float64(all)/n, "signin-cpu-ms")
			b.ReportMetric(float64(bare)/n, "hash-cpu-ms")
			b.ReportMetric(float64(all-bare)/n, "beyond-ms")
			b.ReportMetric(float64(all)/float64(bare), "ratio")
		})
	}
}
