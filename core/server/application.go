package server

import (
	"net/http"
	"strings"
)

// applicationKeyHeader is where an application shows its key beside what a visitor of its has shown it: the session's cookie or bearer token.
const applicationKeyHeader = "Sigra-Application-Key"

// fromApplication reports whether a request carries the key of an application, in its own header or as the bearer token.
func (s *Server) fromApplication(r *http.Request) bool {
	if s.cfg.Application == nil {
		return false
	}
	key := r.Header.Get(applicationKeyHeader)
	if key == "" {
		scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
		if !ok || !strings.EqualFold(scheme, "bearer") {
			return false
		}
		key = token
	}
	return s.cfg.Application(r.Context(), key)
}

// internal reports whether a request came by a name that only applications use, and may. Pages are not for them.
func (s *Server) internal(r *http.Request) bool {
	if !s.internalHosts[canonicalHost(r.Host, s.base.Scheme)] {
		return false
	}
	return r.URL.Path == "/.well-known/jwks.json" || strings.HasPrefix(r.URL.Path, "/v1/") && s.fromApplication(r)
}
