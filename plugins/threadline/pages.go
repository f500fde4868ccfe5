package threadline

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

//go:embed templates/*.html
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"words": words, "plain": plain, "clock": clock, "iso": iso, "browser": browser, "method": method, "number": number, "reason": reason,
}).ParseFS(templateFiles, "templates/*.html"))

// page turns a method that gives a title and a body into a page in the house's layout.
func (p *Timeline) page(render func(asking, *http.Request) (title string, body template.HTML, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := p.ask(r)
		if err != nil {
			writeProblem(w, p.problem(r.Context(), err))
			return
		}
		status := http.StatusOK
		title, body, err := render(a, r)
		var shown *shownProblem
		if errors.As(err, &shown) {
			status = shown.problem.Status
		} else if err != nil {
			pr := p.problem(r.Context(), err)
			pr.headers(w.Header())
			status, title = pr.Status, http.StatusText(pr.Status)
			if body, err = execute("problem.html", pr); err != nil {
				writeProblem(w, p.problem(r.Context(), err))
				return
			}
		}
		out, err := p.host.Pages().Render(r.Context(), pluginsdk.Page{Title: title, BodyHTML: string(body), Principal: a.who, Path: "/threadline"})
		if err != nil {
			writeProblem(w, p.problem(r.Context(), err))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(out.HTML)) // the client is gone if this fails
	}
}

// shownProblem comes with a page that says already what is wrong.
type shownProblem struct{ problem problem }

func (s *shownProblem) Error() string { return s.problem.Error() }

func execute(name string, data any) (template.HTML, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil //nolint:gosec // made by html/template
}

// group is a day of a timeline.
type group struct {
	Day     string
	Entries []line
	date    string
}

// line is an entry made ready to be shown.
type line struct {
	Entry
	Who, Behind string   // the actor, and who acted in their name
	Whom        []string // who or what else it was done to
}

func (l labels) line(e Entry) line {
	out := line{Entry: e, Who: l.name(e.Actor)}
	if e.Impersonator != nil {
		out.Behind = l.name(*e.Impersonator)
	}
	for _, t := range e.Targets {
		if !same(t, e.Actor) && t.Type != "session" {
			out.Whom = append(out.Whom, l.name(t))
		}
	}
	return out
}

func same(a, b pluginsdk.Ref) bool { return a.Type == b.Type && a.ID == b.ID }

// timelineData is what timeline.html shows.
type timelineData struct {
	Admin      bool
	Query      url.Values
	Active     []chip   // the filters in force
	Hidden     []string // those that the form has no field for, and keeps
	Problem    *problem
	Groups     []group
	Prev, Next string // addresses; empty at the ends
	Start      string // the first page, when this is another
	Ascending  bool
	Categories []string
	Conflicts  int64
}

// FieldTime is a parameter's time as a datetime-local field takes it.
func (d timelineData) FieldTime(name string) string {
	v := d.Query.Get(name)
	us, err := parseTime(v)
	if err != nil || us == 0 {
		return v
	}
	return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05")
}

// chip is a filter in force, with the address of the page without it.
type chip struct{ Label, Value, Remove string }

// formFields are the parameters that the form has fields for.
var formFields = []string{"actor", "target", "action", "category", "outcome", "ip", "from", "to", "order"}

// label is what the page calls a parameter.
func label(param string) string {
	switch param {
	case "actor":
		return "done by"
	case "target":
		return "done to"
	case "ip":
		return "address or network"
	case "to":
		return "until"
	case "action_prefix":
		return "actions that begin with"
	}
	return param
}

// without is the page's address with one filter less.
func without(q url.Values, param string) string {
	u := maps.Clone(q)
	u.Del(param)
	if param == "about" {
		u.Del("relation")
	}
	return pageLink(u, "", nil)
}

// Invalid marks the field that the problem is about.
func (d timelineData) Invalid(name string) template.HTMLAttr {
	if d.Problem == nil || d.Problem.Field != name {
		return ""
	}
	return ` aria-invalid="true"`
}

func (p *Timeline) timelinePage(a asking, r *http.Request) (string, template.HTML, error) {
	data := timelineData{Admin: a.who.Administrator, Categories: categories}
	err := p.fillTimeline(a, r, &data)
	var pe *paramError
	var pr problem
	if errors.As(err, &pe) || errors.As(err, &pr) {
		pr = p.problem(r.Context(), err)
		if pe != nil {
			pr.Detail = capital(label(pe.param)) + ": " + pe.detail + "."
		}
		data.Problem = &pr
		err = nil
	}
	if err != nil {
		return "", "", err
	}
	body, err := execute("timeline.html", data)
	if err == nil && data.Problem != nil {
		err = &shownProblem{pr}
	}
	return "Activity", body, err
}

func (p *Timeline) fillTimeline(a asking, r *http.Request, data *timelineData) error {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	maps.DeleteFunc(q, func(_ string, v []string) bool { return len(v) == 1 && v[0] == "" }) // a form sends its empty fields too
	data.Query, data.Ascending = q, q.Get("order") == "asc"
	for _, n := range paramNames {
		v := q[n]
		if n == "after" || n == "before" || len(v) != 1 {
			continue
		}
		if !slices.Contains(formFields, n) {
			data.Hidden = append(data.Hidden, n)
		}
		if n != "order" && n != "limit" {
			data.Active = append(data.Active, chip{label(n), plain(cut(v[0], 80)), without(q, n)})
		}
	}
	f, err := parseFilter(q, a.settings.PageSize)
	if err != nil {
		return err
	}
	f.viewer = a.viewer()
	pg, err := a.store.list(r.Context(), f)
	if err != nil {
		return err
	}
	l, now := a.labels(r, pg.entries), p.now().UTC()
	for _, e := range pg.entries {
		date := e.OccurredAt.Format(time.DateOnly)
		if n := len(data.Groups); n == 0 || data.Groups[n-1].date != date {
			data.Groups = append(data.Groups, group{Day: day(e.OccurredAt, now), date: date})
		}
		g := &data.Groups[len(data.Groups)-1]
		g.Entries = append(g.Entries, l.line(e))
	}
	data.Next, data.Prev = pageLink(q, "after", pg.next), pageLink(q, "before", pg.prev)
	if f.after != nil || f.before != nil {
		data.Start = pageLink(q, "", nil)
	}
	if a.who.Administrator {
		st, err := a.store.status(r.Context())
		if err != nil {
			return err
		}
		data.Conflicts = st.Conflicts
	}
	return nil
}

// pageLink is the page's own address at another place of the timeline: without a parameter at its start, empty without a
// place.
func pageLink(q url.Values, param string, c *cursor) string {
	if c == nil && param != "" {
		return ""
	}
	u := maps.Clone(q)
	u.Del("after")
	u.Del("before")
	if c != nil {
		u.Set(param, c.String())
	}
	if len(u) == 0 {
		return "/threadline"
	}
	return "/threadline?" + u.Encode()
}

func (p *Timeline) entryPage(a asking, r *http.Request) (string, template.HTML, error) {
	e, err := a.find(r)
	if err != nil {
		return "", "", err
	}
	l := a.labels(r, []Entry{*e})
	data := struct {
		Admin bool
		line
		Targets []named
		Facts   []fact
		Other   []Conflict
		Day     string
	}{Admin: a.who.Administrator, line: l.line(*e), Day: day(e.OccurredAt, p.now().UTC())}
	for _, t := range e.Targets {
		if t.Role != "" || !same(t, e.Actor) {
			data.Targets = append(data.Targets, named{t, l.name(t)})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(e.Metadata)) {
		data.Facts = append(data.Facts, fact{plain(k), pretty(e.Metadata[k])})
	}
	if a.who.Administrator {
		if data.Other, err = a.store.conflicts(r.Context(), e.AuditID); err != nil {
			return "", "", err
		}
	}
	body, err := execute("entry.html", data)
	return words(e.Action), body, err
}

// named is a target with what it is called.
type named struct {
	pluginsdk.Ref
	Name string
}

func (p *Timeline) statusPage(a asking, r *http.Request) (string, template.HTML, error) {
	if !a.who.Administrator {
		return "", "", errNotAdmin
	}
	st, err := a.store.status(r.Context())
	if err != nil {
		return "", "", err
	}
	cs, err := a.store.conflicts(r.Context(), "")
	if err != nil {
		return "", "", err
	}
	body, err := execute("status.html", struct {
		Status
		Since map[string]int64
		Other []Conflict
	}{st, p.recorded.counts(), cs})
	return "Timeline status", body, err
}

// categories are those of the catalogue, for the form.
var categories = []string{"account", "admin", "authentication", "device", "impersonation", "mfa", "oauth", "organization", "passkey", "security",
	"session", "system", "token", "webhook"}
