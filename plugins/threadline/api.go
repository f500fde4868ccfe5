package threadline

import (
	"encoding/json"
	"html/template"
	"net/http"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// routes lists everything Threadline serves. The host lets in only people who are signed in.
func (p *Timeline) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for path, answer := range map[string]answer{
		"/threadline/v1/timeline":              p.timeline,
		"/threadline/v1/actors/{type}/{id}":    p.timelineOf(did),
		"/threadline/v1/resources/{type}/{id}": p.timelineOf(done),
		"/threadline/v1/entries/{id}":          p.entry,
		"/threadline/v1/status":                p.status,
		"/threadline/v1/conflicts":             p.conflicts,
	} {
		mux.HandleFunc(path, p.api(answer))
	}
	mux.HandleFunc("/threadline/v1/", func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, errNowhere) })
	mux.HandleFunc("/threadline", p.page(p.timelinePage))
	mux.HandleFunc("/threadline/entries/{id}", p.page(p.entryPage))
	mux.HandleFunc("/threadline/status", p.page(p.statusPage))
	mux.HandleFunc("/threadline/", p.page(func(asking, *http.Request) (string, template.HTML, error) { return "", "", errNowhere }))
	return mux
}

// asking is one request: who asks, and what it is answered from.
type asking struct {
	*Timeline
	who *pluginsdk.Principal
}

// viewer is what the one who asks is limited to; nil for administrators.
func (a asking) viewer() *ref {
	if a.who.Administrator {
		return nil
	}
	return &ref{a.who.Kind, a.who.UserID}
}

// ask resolves who asks. The host has turned away everybody who is not signed in; a request without a user in it is
// refused all the same (ASVS 5.0 8.3.1: checked where it is served, not only in front).
func (p *Timeline) ask(r *http.Request) (asking, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return asking{}, errMethod
	}
	who := pluginsdk.RequestPrincipal(r.Context())
	switch {
	case who == nil:
		return asking{}, errUnauthenticated
	case who.Administrator: // sees everything, by whatever name
	case who.UserID == "", who.Kind != "user" && who.Kind != "service_account":
		return asking{}, errUnauthenticated
	}
	return asking{p, who}, nil
}

// answer gives the value of one JSON endpoint.
type answer func(asking, *http.Request) (any, error)

// api turns a method that gives a value into a JSON endpoint.
func (p *Timeline) api(answer answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := p.ask(r)
		var v any
		if err == nil {
			v, err = answer(a, r)
		}
		if err != nil {
			writeProblem(w, p.problem(r.Context(), err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			p.log.Debug("answer not taken", "error", err)
		}
	}
}

// timelineAnswer is one page.
type timelineAnswer struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"` // give it as after= for the page that follows
	Prev    string  `json:"prev,omitempty"` // give it as before= for the page that precedes
}

func (p *Timeline) timeline(a asking, r *http.Request) (any, error) {
	f, err := a.filter(r)
	if err != nil {
		return nil, err
	}
	return a.list(r, f)
}

func (a asking) filter(r *http.Request) (Filter, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return Filter{}, err
	}
	return parseFilter(q, a.settings.PageSize)
}

// timelineOf serves the timeline of what somebody did, or of what was done to something.
func (p *Timeline) timelineOf(rel relation) answer {
	return func(a asking, r *http.Request) (any, error) {
		f, err := a.filter(r)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{"type", "id"} {
			if wrong := checkText(r.PathValue(name)); wrong != "" {
				return nil, &paramError{name, wrong}
			}
		}
		f.subjects = append([]subject{{ref{r.PathValue("type"), r.PathValue("id")}, rel}}, f.subjects...)
		return a.list(r, f)
	}
}

func (a asking) list(r *http.Request, f Filter) (any, error) {
	f.viewer = a.viewer()
	pg, err := a.store.list(r.Context(), f)
	if err != nil {
		return nil, err
	}
	return timelineAnswer{Entries: pg.entries, Next: pg.next.String(), Prev: pg.prev.String()}, nil
}

func (p *Timeline) entry(a asking, r *http.Request) (any, error) { return a.find(r) }

func (a asking) find(r *http.Request) (*Entry, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return nil, errNotFound
	}
	e, err := a.store.get(r.Context(), id.String(), a.viewer())
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, errNotFound
	}
	return e, nil
}

func (p *Timeline) status(a asking, r *http.Request) (any, error) {
	if !a.who.Administrator {
		return nil, errNotAdmin
	}
	st, err := a.store.status(r.Context())
	if err != nil {
		return nil, err
	}
	return struct {
		Status
		Since map[string]int64 `json:"since_start"`
	}{st, p.recorded.counts()}, nil
}

func (p *Timeline) conflicts(a asking, r *http.Request) (any, error) {
	if !a.who.Administrator {
		return nil, errNotAdmin
	}
	cs, err := a.store.conflicts(r.Context(), "")
	if err != nil {
		return nil, err
	}
	return struct {
		Conflicts []Conflict `json:"conflicts"`
	}{cs}, nil
}
