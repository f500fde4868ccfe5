package server

import (
	"net/http"
	"net/netip"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/request"
)

// requestIDHeader carries the id of a request in and out.
const requestIDHeader = "X-Request-Id"

// maxUserAgent bounds what is kept of a User-Agent.
const maxUserAgent = 512

// edge finds out who asks and puts it in the context, for everything behind it.
func (s *Server) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := request.From(r.Context()) // a control-socket connection brings its operator
		if info.Operator == "" {
			peer := peerAddr(r.RemoteAddr)
			trusted := s.trusts(peer)
			info.Local = local(r, peer) // before judge: it takes the headers away
			info.IP = s.judge(r, peer, trusted, &info.Asked)
			info.ID = incomingID(r, trusted)
		} else {
			dropForwarded(r.Header)
			info.Local = true
			info.ID = incomingID(r, true)
		}
		if info.ID == "" {
			info.ID = newRequestID()
		}
		info.UserAgent = cleanUserAgent(r.UserAgent())
		info.Traceparent = request.ValidTraceparent(r.Header.Get("Traceparent"))
		if s.cfg.Language != nil && info.Operator == "" {
			info.Language = s.cfg.Language(r)
		}
		w.Header().Set(requestIDHeader, info.ID)
		if s.draining.Load() {
			w.Header().Set("Connection", "close") // the next request comes over another connection, and so to another node (RFC 9110 §7.6.1)
		}
		next.ServeHTTP(w, r.WithContext(request.With(r.Context(), info)))
	})
}

// incomingID takes over a request id only from a peer that is trusted to make them, so that nobody can make two
// requests look like one in the log, and only when it is well-formed.
func incomingID(r *http.Request, trusted bool) string {
	ids := r.Header.Values(requestIDHeader)
	if !trusted || len(ids) != 1 || len(ids[0]) == 0 || len(ids[0]) > 64 {
		return ""
	}
	for i := range len(ids[0]) {
		if c := ids[0][i]; c <= ' ' || c > '~' {
			return ""
		}
	}
	return ids[0]
}

func newRequestID() string {
	id, err := uuid.NewV7()
	if err != nil { // no randomness left: an id is still better than none
		return uuid.NewString()
	}
	return id.String()
}

func cleanUserAgent(ua string) string {
	if len(ua) > maxUserAgent {
		ua = ua[:maxUserAgent]
	}
	for i := range len(ua) { // header values may hold bytes that are not text
		if ua[i] < ' ' || ua[i] > '~' {
			b := []byte(ua)
			for j := range b {
				if b[j] < ' ' || b[j] > '~' {
					b[j] = '?'
				}
			}
			return string(b)
		}
	}
	return ua
}

func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
