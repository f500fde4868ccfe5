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
	for _, f := range s.fields {
		h[f.name] = f.value
	}
}

// field is a header in the form that net/http keeps it in. The slice is shared by all answers: it has no room to append
// to, and nothing writes into one.
type field struct {
	name  string // canonical
	value []string
}

// baseHeaders are the fields of every answer. below says that the hosts below this one speak https, too.
func baseHeaders(https, below bool) []field {
	fields := []field{
		{"Content-Security-Policy", []string{basePolicy}},       // ASVS 5.0 3.4.3, 3.4.6
		{"X-Content-Type-Options", []string{"nosniff"}},         // ASVS 5.0 3.4.4
		{"X-Frame-Options", []string{"DENY"}},                   // for what does not know frame-ancestors
		{"Cross-Origin-Opener-Policy", []string{"same-origin"}}, // ASVS 5.0 3.4.8
		{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
		{"Permissions-Policy", []string{"camera=(), geolocation=(), microphone=(), payment=(), usb=()"}},
		{"Cache-Control", []string{"no-store"}}, // ASVS 5.0 14.3.2; assets replace it
		// ASVS 5.0 3.4.5. Not no-referrer everywhere: under it browsers send "Origin: null" with a form (Fetch §3.2.5), and
		// those without Sec-Fetch-Site would fail the cross-origin check. Pages with a token in their address set it.
		{"Referrer-Policy", []string{"same-origin"}},
	}
	if https {
		hsts := "max-age=31536000" // ASVS 5.0 3.4.1; RFC 6797 §7.2
		if below {
			hsts += "; includeSubDomains"
		}
		fields = append(fields, field{"Strict-Transport-Security", []string{hsts}})
	}
	return fields
}
