package server

import "net/http"

// basePolicy is the Content-Security-Policy of everything that is not a page: nothing may load, nothing may frame it.
const basePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// headers sets the security headers before anything is answered. A page replaces the policy with its own; nothing
// removes one (ASVS 5.0 3.4).
func (s *Server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.setHeaders(w.Header())
		next.ServeHTTP(w, r)
	})
}

func (s *Server) setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", basePolicy)       // ASVS 5.0 3.4.3, 3.4.6
	h.Set("X-Content-Type-Options", "nosniff")         // ASVS 5.0 3.4.4
	h.Set("X-Frame-Options", "DENY")                   // for what does not know frame-ancestors
	h.Set("Cross-Origin-Opener-Policy", "same-origin") // ASVS 5.0 3.4.8
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store") // ASVS 5.0 14.3.2; assets replace it
	// ASVS 5.0 3.4.5. Not no-referrer everywhere: under it browsers send "Origin: null" with a form (Fetch §3.2.5), and
	// those without Sec-Fetch-Site would fail the cross-origin check. Pages with a token in their address set it.
	h.Set("Referrer-Policy", "same-origin")
	if s.base.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000") // ASVS 5.0 3.4.1; RFC 6797 §7.2
	}
}
