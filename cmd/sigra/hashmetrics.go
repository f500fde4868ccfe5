package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/credential/password"
)

// hashMetrics counts what hashing passwords costs, which is nearly all of a sign-in, and what became of looking them up. It also saves
// memory while people are turned away.
func hashMetrics(reg prometheus.Registerer) password.Hooks {
	if reg == nil {
		return password.Hooks{Refused: collector.refused}
	}
	waited := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sigra_password_hash_wait_seconds", Help: "How long a password waited for its turn to be hashed.",
		Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 2, 5},
	})
	hashed := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sigra_password_hash_seconds", Help: "How long hashing a password took.", Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1},
	})
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sigra_password_hash_refused_total", Help: "Passwords that were not hashed because the line was too long, or turned away before anything was read.",
	})
	screened := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sigra_password_breach_checks_total", Help: "New passwords that were looked up among breached ones, by what came of it.",
	}, []string{"outcome"})
	for _, o := range []password.Outcome{password.Clean, password.Breached, password.Unavailable} {
		screened.WithLabelValues(string(o)) // a series that is there from the beginning can be alarmed on
	}
	reg.MustRegister(waited, hashed, refused, screened)
	return password.Hooks{
		Waited: func(d time.Duration) { waited.Observe(d.Seconds()) },
		Hashed: func(d time.Duration) { hashed.Observe(d.Seconds()) },
		Refused: func() {
			refused.Inc()
			collector.refused()
		},
		Screened: func(o password.Outcome) { screened.WithLabelValues(string(o)).Inc() },
	}
}
