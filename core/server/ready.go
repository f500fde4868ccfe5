package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/fault"
)

// Check is one thing that must hold before traffic is welcome.
type Check struct {
	Name string // "database", "migrations", "plugin threadline"
	// Ready returns nil when it holds. A *fault.Error's message is shown to whoever asks; of any other error only the
	// log learns.
	Ready func(ctx context.Context) error
}

// CheckResult is one check's outcome as /readyz shows it.
type CheckResult struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Detail string `json:"detail,omitempty"`
}

const (
	checkTimeout = 2 * time.Second
	checkFresh   = 250 * time.Millisecond // answers may be this old, so that probes cannot be used to load the database
)

type readiness struct {
	checks []Check
	now    func() time.Time
	log    hclog.Logger

	mu   sync.Mutex
	at   time.Time
	last []CheckResult
}

func newReadiness(checks []Check, now func() time.Time, log hclog.Logger) *readiness {
	return &readiness{checks: checks, now: now, log: log}
}

// results runs every check, all at once, each with a deadline.
func (r *readiness) results(ctx context.Context) []CheckResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); !r.at.IsZero() && now.Sub(r.at) < checkFresh && now.After(r.at.Add(-checkFresh)) {
		return r.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	out := make([]CheckResult, len(r.checks))
	var wg sync.WaitGroup
	for i, c := range r.checks {
		wg.Go(func() { out[i] = r.run(ctx, c) })
	}
	wg.Wait()
	r.at, r.last = r.now(), out
	return out
}

func (r *readiness) run(ctx context.Context, c Check) (res CheckResult) {
	res.Name = c.Name
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("readiness check panicked", "check", c.Name, "panic", fmt.Sprint(v))
			res.Ready, res.Detail = false, "the check itself failed; see the log"
		}
	}()
	err := c.Ready(ctx)
	if err == nil {
		res.Ready = true
		return res
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		res.Detail = f.Message
	case errors.Is(err, context.DeadlineExceeded):
		res.Detail = "no answer within " + checkTimeout.String()
	default:
		res.Detail = "not working; see the log"
	}
	r.log.Warn("not ready", "check", c.Name, "error", err)
	return res
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readyz names what is not ready, as JSON or, to a client that prefers it, as text.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	var checks []CheckResult
	if s.draining.Load() {
		checks = []CheckResult{{Name: "server", Detail: "shutting down"}}
	} else {
		checks = s.ready.results(r.Context())
	}
	status, word := http.StatusOK, "ready"
	for _, c := range checks {
		if !c.Ready {
			status, word = http.StatusServiceUnavailable, "not ready"
		}
	}
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "text/") && !strings.Contains(accept, "json") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintln(w, word)
		for _, c := range checks {
			mark := "ok"
			if !c.Ready {
				mark = "NOT READY: " + c.Detail
			}
			_, _ = fmt.Fprintf(w, "  %s: %s\n", c.Name, mark)
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": strings.ReplaceAll(word, " ", "_"), "checks": checks})
}
