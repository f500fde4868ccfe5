package httpapi

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

type sessionOutput struct{ Body SessionInfo }

// sessionCheck is the operation that every request to the application may cost. It goes past huma: its input is empty, and writing
// the one shape by hand costs a fraction of what reflection does (see BenchmarkSessionCheck). The document has it like any
// other, and a test holds the two encoders together.
type sessionCheck struct{ kit *kit }

// Mount adds the operation.
func (d sessionCheck) Mount(k *kit) {
	op := operation{
		method: http.MethodGet, path: "/v1/session", id: "get-session", tag: "sign-in",
		limit: ratelimit.Check, access: endpoint.Authenticated,
		summary:     "Who is signed in",
		description: "The session check: answers for the session cookie or the bearer token with one indexed read. A session that was revoked is refused by the very next check.",
		ok:          "The session is live; this is whose it is.",
	}
	if !k.declare(op) {
		return
	}
	k.documentOnly(op, sessionOutput{})
	k.router.Path(op.path).Methods(op.method).HandlerFunc(d.get)
}

var bufs = sync.Pool{New: func() any { b := make([]byte, 0, 768); return &b }}

func (d sessionCheck) get(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Cache-Control"] = noStore
	if r.URL.RawQuery != "" {
		queryRefused(w, r)
		return
	}
	p, err := d.kit.callers.Resolve(r)
	if err != nil {
		d.kit.writeError(w, r, err)
		return
	}
	buf := bufs.Get().(*[]byte)
	b := infoOf(p).append((*buf)[:0])
	h["Content-Type"] = jsonType
	_, _ = w.Write(b) // the client may be gone
	*buf = b
	bufs.Put(buf)
}

// Shared header values: net/http reads them and never writes.
var (
	noStore  = []string{"no-store"}
	jsonType = []string{"application/json"}
)

// append writes what encoding/json writes, with a newline.
func (p SessionInfo) append(b []byte) []byte {
	b = append(b, `{"kind":`...)
	b = appendText(b, p.Kind)
	id := func(name string, v uuid.UUID) {
		if v != uuid.Nil {
			b = append(b, ',', '"')
			b = append(b, name...)
			b = append(b, `":"`...)
			b = appendUUID(b, v)
			b = append(b, '"')
		}
	}
	text := func(name, v string) {
		if v != "" {
			b = append(b, ',', '"')
			b = append(b, name...)
			b = append(b, `":`...)
			b = appendText(b, v)
		}
	}
	at := func(name string, v time.Time) {
		if !v.IsZero() {
			b = append(b, ',', '"')
			b = append(b, name...)
			b = append(b, `":"`...)
			b = v.AppendFormat(b, time.RFC3339Nano)
			b = append(b, '"')
		}
	}
	list := func(name string, v []string) {
		for i, s := range v {
			if i == 0 {
				b = append(b, ',', '"')
				b = append(b, name...)
				b = append(b, `":[`...)
			} else {
				b = append(b, ',')
			}
			b = appendText(b, s)
		}
		if len(v) > 0 {
			b = append(b, ']')
		}
	}
	id("user_id", p.UserID)
	id("session_id", p.SessionID)
	id("organization_id", p.OrganizationID)
	text("role", p.Role)
	id("impersonator_id", p.ImpersonatorID)
	text("email", p.Email)
	text("display", p.Display)
	if p.Administrator {
		b = append(b, `,"administrator":true`...)
	} else {
		b = append(b, `,"administrator":false`...)
	}
	text("aal", p.AAL)
	list("amr", p.AMR)
	list("scopes", p.Scopes)
	at("auth_time", p.AuthTime)
	at("created_at", p.CreatedAt)
	at("expires_at", p.ExpiresAt)
	return append(b, '}', '\n')
}

func appendUUID(b []byte, v uuid.UUID) []byte {
	const digits = "0123456789abcdef"
	for i, c := range v {
		switch i {
		case 4, 6, 8, 10:
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// appendText writes a JSON string. Plain ASCII, which nearly everything is, is copied; the rest is left to the library.
func appendText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			out, err := json.Marshal(s)
			if err != nil { // a string always marshals
				return append(b, `""`...)
			}
			return append(b, out...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// queryRefused answers a session check that came with a query: it takes no parameters.
func queryRefused(w http.ResponseWriter, r *http.Request) {
	if p := checkQuery(r.URL.RawQuery, nil); p != nil {
		p.write(w, r)
		return
	}
	p := newProblem(http.StatusUnprocessableEntity, "validation_failed", "The session check takes no parameters.")
	for name := range r.URL.Query() {
		if len(p.Errors) == maxDetails {
			break
		}
		p.Errors = append(p.Errors, ProblemDetail{Location: "query." + clip(name), Message: "unknown query parameter"})
	}
	p.write(w, r)
}
