package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

// Fail answers an error, as a page to a browser and as a problem document to a program.
func (s *Server) Fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	wait := f.RetryAfter
	if wait <= 0 && (f.Kind == fault.RateLimited || f.Kind == fault.Unavailable) {
		wait = time.Second // no refusal for the time being is without it (RFC 6585 §4, RFC 9110 §15.6.4)
	}
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(wait)))
	}
	switch {
	case s.cfg.Page != nil && wantsPage(r):
		s.cfg.Page(w, r, err)
	case s.cfg.Problem != nil:
		s.cfg.Problem(w, r, err)
	default:
		plainProblem(w, r, err)
	}
}

// wantsPage reports whether the answer should be HTML: the client names it, likes it no less than JSON, and asks for
// something that is not the JSON API.
func wantsPage(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/v1/") || r.URL.Path == "/openapi.json" || request.From(r.Context()).Operator != "" {
		return false
	}
	html, json := 0.0, 0.0
	for _, part := range splitList(r.Header.Values("Accept")) {
		media, params, _ := strings.Cut(part, ";")
		q := 1.0
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				if f, err := strconv.ParseFloat(v, 64); err == nil {
					q = f
				}
			}
		}
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "text/html", "application/xhtml+xml":
			html = max(html, q)
		case "application/json", "application/problem+json":
			json = max(json, q)
		}
	}
	return html > 0 && html >= json
}

// statuses maps a kind of fault to HTTP, for the answers the server makes itself.
var statuses = map[fault.Kind]int{
	fault.Invalid: http.StatusUnprocessableEntity, fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied: http.StatusForbidden, fault.NotFound: http.StatusNotFound, fault.Conflict: http.StatusConflict,
	fault.TooLarge: http.StatusRequestEntityTooLarge, fault.RateLimited: http.StatusTooManyRequests,
	fault.Unavailable: http.StatusServiceUnavailable,
}

// plainProblem is the smallest problem document (RFC 9457), for a server without an API mounted.
func plainProblem(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	status, ok := statuses[f.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	problem(w, r, status, f.Code, f.Message)
}

func problem(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"detail": detail, "code": code, "request_id": request.From(r.Context()).ID,
	})
}

// refuse answers what concerns HTTP itself and no kind of fault. A browser that does such a thing gets the sentence alone:
// a page would link to an address that may not be ours.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	if !wantsPage(r) {
		problem(w, r, status, code, detail)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, detail+"\n")
}
