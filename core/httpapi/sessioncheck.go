package httpapi

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/principal"
)

// SessionInfo is a principal as a client sees it.
type SessionInfo struct {
	Kind           string    `json:"kind" enum:"user,service_account,operator" doc:"What is signed in."`
	UserID         uuid.UUID `json:"user_id,omitzero" format:"uuid" doc:"The account's id."`
	SessionID      uuid.UUID `json:"session_id,omitzero" format:"uuid" doc:"The session's id. It stays the same when the token is renewed."`
	OrganizationID uuid.UUID `json:"organization_id,omitzero" format:"uuid" doc:"The active organization."`
	ImpersonatorID uuid.UUID `json:"impersonator_id,omitzero" format:"uuid" doc:"The administrator who acts in the user's name."`
	Email          string    `json:"email,omitempty" doc:"The account's e-mail address." example:"ada@example.com"`
	Display        string    `json:"display,omitempty" doc:"A name for people."`
	Administrator  bool      `json:"administrator" doc:"May administer this server."`
	AAL            string    `json:"aal,omitempty" enum:"aal1,aal2" doc:"Assurance: one factor or two (NIST SP 800-63B)."`
	AMR            []string  `json:"amr,omitempty" doc:"How the person proved who they are (RFC 8176)." example:"[\"pwd\"]"`
	AuthTime       time.Time `json:"auth_time,omitzero" doc:"When they last did."`
	CreatedAt      time.Time `json:"created_at,omitzero" doc:"When the session began."`
	ExpiresAt      time.Time `json:"expires_at,omitzero" doc:"When the session ends whatever happens."`
}

func infoOf(p principal.Principal) SessionInfo {
	return SessionInfo{
		Kind: string(p.Kind), UserID: p.UserID, SessionID: p.SessionID, OrganizationID: p.OrganizationID, ImpersonatorID: p.ImpersonatorID,
		Email: p.Email, Display: p.Display, Administrator: p.Administrator, AAL: p.AAL, AMR: p.AMR,
		AuthTime: p.AuthTime, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
	}
}

type sessionOutput struct{ Body SessionInfo }

// mountSession mounts the session check, the operation that every request to the application may cost. It goes past
// huma: its input is empty, and writing the one shape by hand costs a fraction of what reflection does (see
// BenchmarkSessionCheck). The document has it like any other, and a test holds the two encoders together.
func (a *API) mountSession() {
	op := operation{
		method: http.MethodGet, path: "/v1/session", id: "get-session", tag: "sign-in", access: user,
		summary:     "Who is signed in",
		description: "The session check: answers for the session cookie or the bearer token with one indexed read. A session that was revoked is refused by the very next check.",
		ok:          "The session is live; this is whose it is.",
	}
	a.documentOnly(op, sessionOutput{})
	a.router.Path(op.path).Methods(op.method).HandlerFunc(a.getSession)
}

var bufs = sync.Pool{New: func() any { b := make([]byte, 0, 768); return &b }}

func (a *API) getSession(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Cache-Control"] = noStore
	if r.URL.RawQuery != "" {
		a.queryRefused(w, r)
		return
	}
	var p principal.Principal
	if isOperator(r.Context()) {
		p = operator(r.Context())
	} else {
		var err error
		if p, err = Authenticate(a.cfg.Sessions, r); err != nil {
			a.fail(r.Context(), r.Method, r.URL.Path, err).write(w, r)
			return
		}
	}
	buf := bufs.Get().(*[]byte)
	b := appendSession((*buf)[:0], p)
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

// appendSession writes what encoding/json writes for infoOf(p), with a newline.
func appendSession(b []byte, p principal.Principal) []byte {
	b = append(b, `{"kind":`...)
	b = appendText(b, string(p.Kind))
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
	id("user_id", p.UserID)
	id("session_id", p.SessionID)
	id("organization_id", p.OrganizationID)
	id("impersonator_id", p.ImpersonatorID)
	text("email", p.Email)
	text("display", p.Display)
	if p.Administrator {
		b = append(b, `,"administrator":true`...)
	} else {
		b = append(b, `,"administrator":false`...)
	}
	text("aal", p.AAL)
	if len(p.AMR) > 0 {
		b = append(b, `,"amr":[`...)
		for i, m := range p.AMR {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, m)
		}
		b = append(b, ']')
	}
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
func (a *API) queryRefused(w http.ResponseWriter, r *http.Request) {
	if p := checkQuery(r.URL.RawQuery, nil); p != nil {
		p.write(w, r)
		return
	}
	p := newProblem(http.StatusUnprocessableEntity, "validation_failed", "The session check takes no parameters.")
	for name := range r.URL.Query() {
		p.Errors = append(p.Errors, ProblemDetail{Location: "query." + clip(name), Message: "unknown query parameter"})
	}
	p.write(w, r)
}
