package server

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
)

// Limiter is one bucket per client address; *ratelimit.IP is one.
type Limiter interface {
	// Allow takes one from the address's bucket, or says that it is empty.
	Allow(ip netip.Addr) ratelimit.Decision
}

// Limits are the buckets in front of the routes. A nil one does not limit.
type Limits struct {
	General Limiter // every request but probes and assets
	SignIn  Limiter // what tries a credential, a code or a link
	SignUp  Limiter // what makes an account or sends a mail
}

// guessed are the requests that try something secret, and signUps those that cost a mail, by method and path.
var (
	guessed = map[string]bool{
		"POST /login": true, "POST /confirm": true, "POST /register/check-mail": true, "POST /set-password": true,
		"POST /login/second-factor": true, "POST /login/second-factor/passkey/finish": true, "POST /login/passkey/finish": true,
		"POST /login/link/sent": true, "POST /login/link/open": true, "POST /login/link/approve": true, "POST /reset/sent": true,
		"POST /step-up": true, "POST /step-up/passkey/finish": true,
		"POST /account/password": true, "POST /v1/login": true, "POST /v1/confirm": true, "POST /v1/password/set": true,
		"PUT /v1/account/password": true,
	}
	signUps = map[string]bool{
		"POST /register": true, "POST /register/resend": true, "POST /reset": true, "POST /login/link": true, "POST /step-up/mail": true, "POST /v1/register": true,
	}
)

// limit stands in front of everything that costs something (ASVS 5.0 6.3.1).
func (s *Server) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if probes[r.URL.Path] || strings.HasPrefix(r.URL.Path, "/assets/") {
			next.ServeHTTP(w, r)
			return
		}
		ip := request.From(r.Context()).IP
		name, limiter := "general", s.cfg.Limits.General
		allowed, d := take(limiter, ip)
		var q quotas
		q.add(name, d)
		if allowed {
			key := r.Method + " " + r.URL.Path
			switch {
			case guessed[key] && s.cfg.Limits.SignIn != nil:
				name = "sign_in"
				allowed, d = take(s.cfg.Limits.SignIn, ip)
				q.add(name, d)
			case signUps[key] && s.cfg.Limits.SignUp != nil:
				name = "sign_up"
				allowed, d = take(s.cfg.Limits.SignUp, ip)
				q.add(name, d)
			}
		}
		q.write(w.Header(), d)
		if !allowed {
			s.metrics.limited.WithLabelValues(name).Inc()
			s.Fail(w, r, fault.New(fault.RateLimited, "rate_limited",
				"Too many requests from your network. Please wait a moment.").After(max(d.RetryAfter, time.Second)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// quotas are the limits that a request has passed, as draft-ietf-httpapi-ratelimit-headers-11 writes them: what is allowed (§3)
// and what is left (§4).
type quotas struct{ policy, left []byte }

func (q *quotas) add(name string, d ratelimit.Decision) {
	if d.Limit == 0 {
		return
	}
	item := func(b []byte, param string, n int, time string, sec int) []byte {
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, '"'), name...), '"')
		b = strconv.AppendInt(append(b, param...), int64(n), 10)
		return strconv.AppendInt(append(b, time...), int64(sec), 10)
	}
	q.policy = item(q.policy, ";q=", d.Limit, ";w=", max(wholeSeconds(d.Window), 1))
	// Within that time no more than what is left: then there is one more. Retry-After ends no earlier (§6).
	q.left = item(q.left, ";r=", d.Remaining, ";t=", wholeSeconds(d.Next))
}

// write sets the fields. The three that are known from -03 tell of the narrowest limit, for clients that read no newer ones.
func (q *quotas) write(h http.Header, narrowest ratelimit.Decision) {
	if len(q.policy) > 0 {
		h.Set("RateLimit-Policy", string(q.policy))
		h.Set("RateLimit", string(q.left))
	}
	if narrowest.Limit > 0 {
		h.Set("RateLimit-Limit", strconv.Itoa(narrowest.Limit))
		h.Set("RateLimit-Remaining", strconv.Itoa(max(narrowest.Remaining, 0)))
		h.Set("RateLimit-Reset", strconv.Itoa(wholeSeconds(narrowest.Reset)))
	}
}

func take(l Limiter, ip netip.Addr) (bool, ratelimit.Decision) {
	if l == nil {
		return true, ratelimit.Decision{}
	}
	d := l.Allow(ip)
	return d.Allowed, d
}

func wholeSeconds(d time.Duration) int { return int(math.Ceil(max(d, 0).Seconds())) }
