package server

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
)

// Limiter is one bucket per client address; *ratelimit.IP is one.
type Limiter interface {
	// Allow takes one from the address's bucket, or says that it is empty.
	Allow(ip netip.Addr) ratelimit.Decision
	// Return gives back what Allow has taken.
	Return(ip netip.Addr)
}

// Limits are the buckets in front of the routes, one for each class but ratelimit.Exempt. A class without one is not limited.
type Limits map[ratelimit.Class]Limiter

// limit stands in front of everything that costs something (ASVS 5.0 6.3.1): it draws from the address's general bucket, and
// from that of the class that the matched route declares. False means that the answer is given.
func (s *Server) limit(w http.ResponseWriter, r *http.Request, class ratelimit.Class) bool {
	switch {
	case class == ratelimit.Exempt, class == ratelimit.Check && s.fromApplication(r):
		return true
	}
	ip := request.From(r.Context()).IP
	name := ratelimit.General
	allowed, d := take(s.cfg.Limits[name], ip)
	var q quotas
	q.add(string(name), d)
	if limiter := s.cfg.Limits[class]; allowed && class != ratelimit.General && class != ratelimit.Check && limiter != nil {
		name = class
		allowed, d = take(limiter, ip)
		q.add(string(name), d)
	}
	q.write(w.Header(), d)
	if !allowed {
		s.metrics.limited.WithLabelValues(string(name)).Inc()
		s.Fail(w, r, fault.New(fault.RateLimited, "rate_limited",
			"Too many requests from your network. Please wait a moment.").After(max(d.RetryAfter, time.Second)))
	}
	return allowed
}

// settle gives back what a session check took from the address's bucket, where there is a session: one address may be an application that asks for all of
// its visitors. What tells of nobody stays counted, so that tokens can't be tried without end.
func (s *Server) settle(w http.ResponseWriter, r *http.Request, class ratelimit.Class) {
	if limiter := s.cfg.Limits[ratelimit.General]; class == ratelimit.Check && limiter != nil && !s.fromApplication(r) {
		if rec := recorderOf(w); rec != nil && rec.status == http.StatusOK {
			limiter.Return(request.From(r.Context()).IP)
		}
	}
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
