package threadline

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

//go:embed templates/*.html
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"words": words,
	"day":   func(t time.Time) string { return t.Format("Monday, 2 January 2006") },
	"clock": func(t time.Time) string { return t.Format("15:04:05") },
	"iso":   func(t time.Time) string { return t.Format(time.RFC3339) },
	"json":  func(v any) (string, error) { b, err := json.MarshalIndent(v, "", "  "); return string(b), err },
}).ParseFS(templateFiles, "templates/*.html"))

// words turns an action's name into something to read: "auth.login.success" → "Login success".
func words(action string) string {
	_, rest, ok := strings.Cut(action, ".")
	if !ok {
		rest = action
	}
	if t, ok := titles[action]; ok {
		return t
	}
	s := strings.NewReplacer(".", " ", "_", " ").Replace(rest)
	return strings.ToUpper(s[:1]) + s[1:]
}

// titles are the actions people meet most, in their words.
var titles = map[string]string{
	"auth.login.success":              "Signed in",
	"auth.login.failure":              "Sign-in failed",
	"auth.logout":                     "Signed out",
	"auth.register.success":           "Signed up",
	"auth.confirmation.success":       "E-mail address confirmed",
	"auth.password_reset.success":     "Password set anew",
	"auth.password_reset_request":     "Password link requested",
	"account.password_change.success": "Password changed",
	"account.deletion_execute":        "Account deleted",
	"session.revoke":                  "Session ended",
	"session.revoke_all":              "All sessions ended",
	"admin.user.create":               "Account created by an administrator",
	"admin.user.disable":              "Account disabled",
	"admin.user.enable":               "Account enabled",
}

// page turns a method that gives a title and a body into a page in the house's layout.
func (p *Plugin) page(render func(asking, *http.Request) (title string, body template.HTML, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := p.ask(r)
		if err != nil {
			writeProblem(w, p.problemOf(a, err))
			return
		}
		title, body, err := render(a, r)
		status := http.StatusOK
		if err != nil {
			pr := p.problemOf(a, err)
			status, title = pr.Status, http.StatusText(pr.Status)
			if body, err = execute("problem.html", pr); err != nil {
				writeProblem(w, p.problemOf(a, err))
				return
			}
		}
		out, err := a.host.Pages().Render(r.Context(), pluginsdk.Page{Title: title, Body: string(body), Principal: a.who, Path: "/threadline"})
		if err != nil {
			writeProblem(w, p.problemOf(a, err))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(out)) // the client is gone if this fails
	}
}

func execute(name string, data any) (template.HTML, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil //nolint:gosec // made by html/template
}

// group is a day of a timeline.
type group struct {
	Day     time.Time
	Entries []line
}

// line is an entry made ready to be shown.
type line struct {
	Entry
	Who string // "You", an address for administrators, or what is known
}

func (p *Plugin) timelinePage(a asking, r *http.Request) (string, template.HTML, error) {
	q := r.URL.Query()
	for name, v := range q { // a form sends its empty fields too
		if len(v) == 1 && v[0] == "" {
			q.Del(name)
		}
	}
	data := struct {
		Admin      bool
		Query      url.Values
		Filtered   bool
		Problem    *problem
		Groups     []group
		Next, Prev string
		Categories []string
	}{Admin: a.who.Administrator, Query: q, Categories: categories}
	data.Filtered = slices.ContainsFunc(paramNames, func(n string) bool { return n != "after" && n != "before" && q.Get(n) != "" })
	f, err := parseFilter(q, a.settings.PageSize)
	if err != nil {
		var pe *paramError
		if !errors.As(err, &pe) {
			return "", "", err
		}
		pr := p.problemOf(a, err)
		data.Problem = &pr
	} else {
		f.viewer = a.viewer()
		pg, err := a.store.list(r.Context(), f)
		if err != nil {
			return "", "", err
		}
		who := a.labels(r, pg.entries)
		for _, e := range pg.entries {
			day := e.OccurredAt.Truncate(24 * time.Hour)
			if n := len(data.Groups); n == 0 || !data.Groups[n-1].Day.Equal(day) {
				data.Groups = append(data.Groups, group{Day: day})
			}
			g := &data.Groups[len(data.Groups)-1]
			g.Entries = append(g.Entries, line{e, who(e.Actor)})
		}
		data.Next, data.Prev = pageLink(q, "after", pg.next), pageLink(q, "before", pg.prev)
	}
	body, err := execute("timeline.html", data)
	return "Activity", body, err
}

func (p *Plugin) entryPage(a asking, r *http.Request) (string, template.HTML, error) {
	e, err := a.find(r)
	if err != nil {
		return "", "", err
	}
	who := a.labels(r, []Entry{*e})
	body, err := execute("entry.html", struct {
		Admin bool
		line
	}{a.who.Administrator, line{*e, who(e.Actor)}})
	return words(e.Action), body, err
}

// categories are those of the catalogue, for the form.
var categories = []string{"account", "admin", "authentication", "device", "impersonation", "mfa", "oauth", "organization", "passkey", "security",
	"session", "token", "webhook"}

// pageLink is the page's own address at another place of the timeline; empty without a place.
func pageLink(q url.Values, param string, c *cursor) string {
	if c == nil {
		return ""
	}
	u := url.Values{}
	for k, v := range q {
		if k != "after" && k != "before" {
			u[k] = v
		}
	}
	u.Set(param, c.String())
	return "/threadline?" + u.Encode()
}

// labels gives a function that names an actor to the one who looks. Only administrators see other people's addresses;
// one call fetches them all, and without it (not granted, or failing) the ids are shown.
func (a asking) labels(r *http.Request, entries []Entry) func(pluginsdk.Ref) string {
	emails := map[string]string{}
	if a.who.Administrator && a.host.Granted(pluginsdk.IdentityRead) {
		var ids []string
		for _, e := range entries {
			if e.Actor.Type == "user" && !slices.Contains(ids, e.Actor.ID) {
				ids = append(ids, e.Actor.ID)
			}
		}
		if len(ids) > 0 {
			users, err := a.host.Identity().Users(r.Context(), ids...)
			if err != nil {
				a.log.Warn("names not available", "error", err)
			}
			for _, u := range users {
				emails[u.ID] = u.Email
			}
		}
	}
	return func(actor pluginsdk.Ref) string {
		switch {
		case actor.Type == "user" && actor.ID == a.who.UserID:
			return "You"
		case actor.Type == "user" && emails[actor.ID] != "":
			return emails[actor.ID]
		case actor.Display != "":
			return actor.Display
		case !a.who.Administrator && actor.Type == "user":
			return "Somebody else"
		case actor.ID == "":
			return strings.ToUpper(actor.Type[:1]) + actor.Type[1:]
		case !a.who.Administrator:
			return "An " + strings.ReplaceAll(actor.Type, "_", " ")
		}
		return actor.Type + " " + actor.ID
	}
}
