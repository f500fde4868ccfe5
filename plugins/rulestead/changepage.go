package rulestead

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

const changePages = `
{{define "diff"}}{{if .}}<table><thead><tr><th scope="col">Where</th><th scope="col">Before</th><th scope="col">After</th></tr></thead><tbody>
{{range .}}<tr><td>{{.Where}}</td><td><code>{{.From}}</code></td><td><code>{{.To}}</code></td></tr>
{{end}}</tbody></table>{{else}}<p>Nothing is different.</p>{{end}}{{end}}

{{define "version"}}<h1>Version {{.Version.Number}}</h1>
<p>{{.Version.Author}}, {{.Version.CreatedAt.UTC.Format "2006-01-02 15:04 UTC"}}{{if .Version.Comment}}: {{.Version.Comment}}{{end}}</p>
<h2>What it changed</h2>{{template "diff" .Diff}}
<form method="post" action="/rulestead/versions/{{.Version.Number}}/rollback"><p><button type="submit">Go back to this version</button></p></form>
<p><a href="/rulestead">All flags</a></p>{{end}}

{{define "changes"}}<h1>Changes</h1>
<p>{{if .Approvals}}A change is in force after {{.Approvals}} of those who administer Sigra, besides its author, approved it.{{else}}Changes are in force at once: no approvals are needed.{{end}}</p>
{{if .Changes}}<table><thead><tr><th scope="col">Change</th><th scope="col">State</th><th scope="col">When</th><th scope="col">Who</th><th scope="col">Comment</th></tr></thead><tbody>
{{range .Changes}}<tr><td><a href="/rulestead/changes/{{.ID}}">{{.ID}}</a></td><td>{{.State}}</td><td>{{.CreatedAt.UTC.Format "2006-01-02 15:04 UTC"}}</td><td>{{.AuthorName}}</td><td>{{.Comment}}</td></tr>
{{end}}</tbody></table>{{else}}<p>No changes yet.</p>{{end}}<p><a href="/rulestead">All flags</a></p>{{end}}

{{define "change"}}<h1>Change {{.Change.ID}}</h1>
{{if .Mistake}}<div role="alert"><p>{{.Mistake}}</p></div>{{end}}
<p>{{.Sentence}}</p><p>{{.Change.AuthorName}}, {{.Change.CreatedAt.UTC.Format "2006-01-02 15:04 UTC"}}{{if .Change.Comment}}: {{.Change.Comment}}{{end}}</p>
{{if .Change.Approvals}}<h2>Approved by</h2><ul>{{range .Change.Approvals}}<li>{{.}}</li>{{end}}</ul>{{end}}
<h2>What it changes</h2>{{template "diff" .Diff}}
{{if eq .Change.State "open"}}{{if not .Own}}<form method="post" action="/rulestead/changes/{{.Change.ID}}/approve"><p><button type="submit">Approve</button></p></form>{{end}}
<form method="post" action="/rulestead/changes/{{.Change.ID}}/reject"><p><button type="submit">{{if .Own}}Withdraw{{else}}Reject{{end}}</button></p></form>{{end}}
<p><a href="/rulestead/changes">All changes</a></p>{{end}}`

// line is a place of a difference as a page shows it.
type line struct{ Where, From, To string }

func lines(changes []rule.Change) []line {
	out := make([]line, len(changes))
	for i, c := range changes {
		out[i] = line{strings.Join(c.Path, "/"), string(c.From), string(c.To)}
	}
	return out
}

func changePath(id int64) string { return "/rulestead/changes/" + strconv.FormatInt(id, 10) }

// visitor is who sent a request.
func visitor(r *http.Request) actor {
	p := pluginsdk.RequestPrincipal(r.Context())
	ref := p.Ref()
	ref.Display = p.Email
	return actor{ref: ref, impersonal: p.ImpersonatorID != "", info: pluginsdk.RequestInfoFrom(r.Context())}
}

// number reads a number of the path; 0: it is none.
func number(r *http.Request, name string) int64 {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

func (in *instance) versionPage(w http.ResponseWriter, r *http.Request) {
	v, changes, err := in.changed(r.Context(), number(r, "version"))
	switch {
	case errors.Is(err, errNoVersion):
		http.NotFound(w, r)
	case err != nil:
		in.fail(w, err)
	default:
		in.render(w, r, http.StatusOK, "version", "Version "+strconv.FormatInt(v.Number, 10), map[string]any{"Version": v, "Diff": lines(changes)})
	}
}

func (in *instance) rollbackPage(w http.ResponseWriter, r *http.Request) {
	n := number(r, "version")
	d, err := in.store.definitions(r.Context(), n)
	if n == 0 || errors.Is(err, errNoVersion) {
		http.NotFound(w, r)
		return
	}
	var s submitted
	if err == nil {
		s, err = in.submit(r.Context(), d, -1, visitor(r), "back to version "+strconv.FormatInt(n, 10), nil)
	}
	switch {
	case err != nil:
		in.fail(w, err)
	case s.change != nil:
		http.Redirect(w, r, changePath(s.change.ID), http.StatusSeeOther)
	default:
		http.Redirect(w, r, "/rulestead?applied", http.StatusSeeOther)
	}
}

func (in *instance) killPage(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	s, err := in.current()
	if err != nil {
		in.fail(w, err)
		return
	}
	if _, on := s.Off(key); !on {
		http.NotFound(w, r)
		return
	}
	if _, _, err := in.kill(r.Context(), key, visitor(r), ""); err != nil {
		if pluginsdk.IsRetryable(err) {
			in.fail(w, err)
			return
		}
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	http.Redirect(w, r, "/rulestead/flags/"+key, http.StatusSeeOther)
}

func (in *instance) changesPage(w http.ResponseWriter, r *http.Request) {
	list, err := in.store.changes(r.Context(), 100)
	if err != nil {
		in.fail(w, err)
		return
	}
	in.render(w, r, http.StatusOK, "changes", "Changes", map[string]any{"Changes": list, "Approvals": in.settings.Approvals})
}

func (in *instance) changePage(w http.ResponseWriter, r *http.Request) {
	in.showChange(w, r, http.StatusOK, "")
}

func (in *instance) showChange(w http.ResponseWriter, r *http.Request, status int, mistake string) {
	c, changes, err := in.proposed(r.Context(), number(r, "change"))
	switch {
	case errors.Is(err, errNoChange):
		http.NotFound(w, r)
	case err != nil:
		in.fail(w, err)
	default:
		in.render(w, r, status, "change", "Change "+strconv.FormatInt(c.ID, 10), map[string]any{
			"Change": c, "Diff": lines(changes), "Sentence": in.sentence(c), "Own": c.Author == person(visitor(r).ref), "Mistake": mistake,
		})
	}
}

func (in *instance) decidePage(w http.ResponseWriter, r *http.Request) {
	var err error
	switch id := number(r, "change"); r.PathValue("decision") {
	case "approve":
		_, err = in.approve(r.Context(), id, visitor(r))
	case "reject":
		_, err = in.reject(r.Context(), id, visitor(r))
	default:
		err = errNoChange
	}
	var closed closedError
	switch {
	case errors.Is(err, errNoChange):
		http.NotFound(w, r)
	case errors.Is(err, errOwnChange), errors.Is(err, errImpersonal):
		in.showChange(w, r, http.StatusForbidden, sentenceOf(err))
	case errors.Is(err, errApproved), errors.As(err, &closed):
		in.showChange(w, r, http.StatusConflict, sentenceOf(err))
	case err != nil:
		in.fail(w, err)
	default:
		http.Redirect(w, r, changePath(number(r, "change")), http.StatusSeeOther)
	}
}

// sentenceOf makes a sentence of an error.
func sentenceOf(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
