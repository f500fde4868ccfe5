package mailglass

import (
	"bytes"
	"database/sql"
	"errors"
	"html/template"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

var pages = template.Must(template.New("").Funcs(template.FuncMap{"at": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }}).Parse(`
{{define "list"}}<h1>Email</h1>
{{if .Inbox}}<p>No mail server is set, so messages stay here.</p>{{end}}
{{if .Messages}}<table><thead><tr><th scope="col">Created</th><th scope="col">To</th><th scope="col">Subject</th><th scope="col">State</th></tr></thead><tbody>
{{range .Messages}}<tr><td>{{at .CreatedAt}}</td><td>{{.To}}</td><td><a href="/mailglass/messages/{{.ID}}">{{.Subject}}</a></td><td>{{.State}}</td></tr>
{{end}}</tbody></table>{{else}}<p>No messages yet.</p>{{end}}{{end}}

{{define "message"}}<h1>{{.M.Subject}}</h1>
<dl><dt>To</dt><dd>{{.M.To}}</dd><dt>From</dt><dd>{{.M.From}}</dd><dt>Purpose</dt><dd>{{.M.Purpose}}</dd><dt>State</dt><dd>{{.M.State}}</dd>
<dt>Attempts</dt><dd>{{.M.Attempts}}</dd>{{if .M.Answer}}<dt>Answer</dt><dd>{{.M.Answer}}</dd>{{end}}<dt>Created</dt><dd>{{at .M.CreatedAt}}</dd></dl>
{{if .Text}}<h2>Text</h2><pre>{{.Text}}</pre>{{end}}
<p><a href="/mailglass">All messages</a></p>{{end}}`))

func (in *instance) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /mailglass", in.listPage)
	mux.HandleFunc("GET /mailglass/messages/{id}", in.messagePage)
	return mux
}

func (in *instance) listPage(w http.ResponseWriter, r *http.Request) {
	list, err := in.outbox.list(r.Context(), `1 = 1 ORDER BY created_at DESC LIMIT 100`)
	if err != nil {
		in.fail(w, err)
		return
	}
	in.render(w, r, "list", "Email", map[string]any{"Messages": list, "Inbox": in.sender == nil})
}

// messagePage shows a message. Its text is there for as long as it waits, and in the inbox: what was sent is wiped.
func (in *instance) messagePage(w http.ResponseWriter, r *http.Request) {
	m, err := in.outbox.get(r.Context(), r.PathValue("id"))
	if errors.Is(err, sql.ErrNoRows) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		in.fail(w, err)
		return
	}
	text := ""
	if m.State == stateInbox { // of one on its way, the code is nobody's business but the recipient's
		raw, err := in.unseal(r.Context(), m.Sealed)
		if err != nil {
			in.fail(w, err)
			return
		}
		text = textOf(raw)
	}
	in.render(w, r, "message", m.Subject, map[string]any{"M": m, "Text": text})
}

// textOf is the text part of a message that was composed here.
func textOf(raw []byte) string {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return string(raw)
	}
	kind, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	var body io.Reader = m.Body
	encoding := m.Header.Get("Content-Transfer-Encoding")
	if strings.HasPrefix(kind, "multipart/") {
		p, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
		if err != nil {
			return ""
		}
		body, encoding = p, p.Header.Get("Content-Transfer-Encoding")
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	b, _ := io.ReadAll(body)
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func (in *instance) render(w http.ResponseWriter, r *http.Request, name, title string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		in.fail(w, err)
		return
	}
	out, err := in.host.Pages().Render(r.Context(), pluginsdk.Page{
		Title: title, BodyHTML: body.String(), Principal: pluginsdk.RequestPrincipal(r.Context()), Path: "/mailglass", Request: pluginsdk.RequestInfoFrom(r.Context()),
	})
	if err != nil {
		in.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(out.HTML))
}

func (in *instance) fail(w http.ResponseWriter, err error) {
	in.log.Error("request failed", "error", err)
	w.Header().Set("Retry-After", "5")
	http.Error(w, "Mailglass can't answer right now. Try again shortly.", http.StatusServiceUnavailable)
}
