package rulestead

import (
	"bytes"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

var pages = template.Must(template.Must(template.New("").Parse(changePages)).Parse(`
{{define "list"}}<h1>Rules</h1>
{{if .Applied}}<p role="status">Version {{.Version}} is in force.</p>{{end}}
{{if .Flags}}<table><thead><tr><th scope="col">Flag</th><th scope="col">Kind</th><th scope="col">On</th><th scope="col">Gate</th><th scope="col">Review by</th></tr></thead><tbody>
{{range .Flags}}<tr><td><a href="/rulestead/flags/{{.Key}}">{{.Key}}</a></td><td>{{.Kind}}</td><td>{{if .Enabled}}Yes{{else}}No{{end}}</td><td>{{.Question}}</td><td>{{.ReviewBy}}</td></tr>
{{end}}</tbody></table>{{else}}<p>No flags yet.</p>{{end}}
<p><a href="/rulestead/edit">Edit the definitions</a> · <a href="/rulestead/changes">Changes</a></p>
{{if .History}}<h2>History</h2><table><thead><tr><th scope="col">Version</th><th scope="col">When</th><th scope="col">Who</th><th scope="col">Comment</th></tr></thead><tbody>
{{range .History}}<tr><td><a href="/rulestead/versions/{{.Number}}">{{.Number}}</a></td><td>{{.CreatedAt.UTC.Format "2006-01-02 15:04 UTC"}}</td><td>{{.Author}}</td><td>{{.Comment}}</td></tr>{{end}}</tbody></table>{{end}}{{end}}

{{define "edit"}}<h1>Edit the definitions</h1>
{{if .Mistake}}<div role="alert"><p>Please fix the following:</p><pre>{{.Mistake}}</pre></div>{{end}}
<form method="post" action="/rulestead/edit"><input type="hidden" name="base" value="{{.Base}}">
<p><label for="definitions">Definitions</label><br><textarea id="definitions" name="definitions" rows="30" cols="80" spellcheck="false">{{.Text}}</textarea></p>
<p><label for="comment">Comment</label><br><input id="comment" name="comment" value="{{.Comment}}" maxlength="500"></p>
<p><button type="submit">Apply</button></p></form><p><a href="/rulestead">All flags</a></p>{{end}}

{{define "flag"}}<h1>{{.Flag.Key}}</h1>
<form method="get"><p><label for="context">Attributes, one NAME=VALUE a line</label><br><textarea id="context" name="context" rows="6" cols="60">{{.Context}}</textarea></p>
<p><button type="submit">Explain</button></p></form>
<h2>Decision</h2><pre>{{range .Lines}}{{.}}
{{end}}</pre>
<p>Attributes: {{.Names}}</p>
{{if .Flag.Enabled}}<form method="post" action="/rulestead/flags/{{.Flag.Key}}/kill"><p>Off, it has the value {{.Flag.Off}}. That is so at once, everywhere and without approval.</p><p><button type="submit">Turn it off now</button></p></form>{{end}}
<p><a href="/rulestead">All flags</a></p>{{end}}`))

func (in *instance) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rulestead", in.listPage)
	mux.HandleFunc("GET /rulestead/edit", in.editPage)
	mux.HandleFunc("POST /rulestead/edit", in.edit)
	mux.HandleFunc("GET /rulestead/flags/{key}", in.flagPage)
	mux.HandleFunc("POST /rulestead/flags/{key}/kill", in.killPage)
	mux.HandleFunc("GET /rulestead/versions/{version}", in.versionPage)
	mux.HandleFunc("POST /rulestead/versions/{version}/rollback", in.rollbackPage)
	mux.HandleFunc("GET /rulestead/changes", in.changesPage)
	mux.HandleFunc("GET /rulestead/changes/{change}", in.changePage)
	mux.HandleFunc("POST /rulestead/changes/{change}/{decision}", in.decidePage)
	return mux
}

func (in *instance) listPage(w http.ResponseWriter, r *http.Request) {
	s, err := in.current()
	if err != nil {
		in.fail(w, err)
		return
	}
	history, err := in.store.history(r.Context(), 20)
	if err != nil {
		in.fail(w, err)
		return
	}
	in.render(w, r, http.StatusOK, "list", "Rules", map[string]any{"Flags": s.Flags(), "History": history, "Version": s.Version, "Applied": r.URL.Query().Has("applied")})
}

// form is what the editor shows.
type form struct {
	Base                   int64
	Text, Comment, Mistake string
}

func (in *instance) editPage(w http.ResponseWriter, r *http.Request) {
	n, err := in.store.latest(r.Context())
	f := form{Base: n, Text: "{\n  \"flags\": {}\n}\n"}
	if err == nil && n > 0 {
		var v version
		if v, err = in.store.get(r.Context(), n); err == nil {
			var out bytes.Buffer
			err = json.Indent(&out, v.Definitions, "", "  ")
			f.Text = out.String()
		}
	}
	if err != nil {
		in.fail(w, err)
		return
	}
	in.render(w, r, http.StatusOK, "edit", "Edit the definitions", f)
}

func (in *instance) edit(w http.ResponseWriter, r *http.Request) {
	base, err := strconv.ParseInt(r.PostFormValue("base"), 10, 64)
	if err != nil {
		http.Error(w, "The form can't be read. Go back and try again.", http.StatusBadRequest)
		return
	}
	f := form{Base: base, Text: r.PostFormValue("definitions"), Comment: r.PostFormValue("comment")}
	d, err := rule.Parse(strings.NewReader(f.Text))
	var s submitted
	if err == nil {
		s, err = in.submit(r.Context(), d, base, visitor(r), f.Comment, nil)
	}
	var conflict conflictError
	switch {
	case pluginsdk.IsRetryable(err):
		in.fail(w, err)
	case errors.As(err, &conflict):
		f.Mistake = conflict.Error()
		in.render(w, r, http.StatusConflict, "edit", "Edit the definitions", f)
	case err != nil:
		f.Mistake = err.Error()
		in.render(w, r, http.StatusUnprocessableEntity, "edit", "Edit the definitions", f)
	case s.change != nil:
		http.Redirect(w, r, changePath(s.change.ID), http.StatusSeeOther)
	default:
		http.Redirect(w, r, "/rulestead?applied", http.StatusSeeOther)
	}
}

func (in *instance) flagPage(w http.ResponseWriter, r *http.Request) {
	s, err := in.current()
	if err != nil {
		in.fail(w, err)
		return
	}
	text := r.URL.Query().Get("context")
	a := rule.Map{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			a[strings.TrimSpace(name)] = attributeOf(strings.TrimSpace(value))
		}
	}
	key := r.PathValue("key")
	result, lines := s.Explain(key, a, in.store.now())
	if result.Reason == rule.ReasonNotFound {
		http.NotFound(w, r)
		return
	}
	off, enabled := s.Off(key)
	shown := struct {
		Key, Off string
		Enabled  bool
	}{key, off, enabled}
	in.render(w, r, http.StatusOK, "flag", key, map[string]any{"Flag": shown, "Context": text, "Lines": lines, "Names": strings.Join(attributeNames, ", ")})
}

func (in *instance) render(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		in.fail(w, err)
		return
	}
	out, err := in.host.Pages().Render(r.Context(), pluginsdk.Page{
		Title: title, BodyHTML: body.String(), Principal: pluginsdk.RequestPrincipal(r.Context()), Path: "/rulestead", Request: pluginsdk.RequestInfoFrom(r.Context()),
	})
	if err != nil {
		in.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(out.HTML))
}

func (in *instance) fail(w http.ResponseWriter, err error) {
	in.log.Error("request failed", "error", err)
	w.Header().Set("Retry-After", "5")
	http.Error(w, "Rulestead can't answer right now. Try again shortly.", http.StatusServiceUnavailable)
}
