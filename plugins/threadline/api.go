package threadline

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// routes lists everything Threadline serves. The host lets in only people who are signed in.
func (p *Plugin) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /threadline/v1/timeline", p.api(p.timeline))
	mux.HandleFunc("GET /threadline/v1/actors/{type}/{id}", p.api(p.timelineOf(did)))
	mux.HandleFunc("GET /threadline/v1/resources/{type}/{id}", p.api(p.timelineOf(done)))
	mux.HandleFunc("GET /threadline/v1/entries/{id}", p.api(p.entry))
	mux.HandleFunc("GET /threadline/v1/status", p.api(p.status))
	mux.HandleFunc("GET /threadline", p.page(p.timelinePage))
	mux.HandleFunc("GET /threadline/entries/{id}", p.page(p.entryPage))
	mux.HandleFunc("/threadline/v1/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem{Status: http.StatusNotFound, Code: "not_found", Detail: "Threadline has nothing at this address."})
	})
	return mux
}

// problem is an RFC 9457 problem document.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
}

func (p problem) Error() string { return p.Code + ": " + p.Detail }

var (
	errNotFound = problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is no such entry, or it is not yours to see."}
	errNotAdmin = problem{Status: http.StatusForbidden, Code: "administrator_required", Detail: "Only an administrator of Sigra may see this."}
)

func writeProblem(w http.ResponseWriter, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

// asking is one request: who asks, and what it is answered from.
type asking struct {
	*state
	who *pluginsdk.Principal
}

// viewer is what the one who asks is limited to; nil for administrators.
func (a asking) viewer() *ref {
	if a.who.Administrator {
		return nil
	}
	return &ref{"user", a.who.UserID}
}

// ask resolves who asks. The host has turned away everybody who is not signed in; a request without a user in it is
// refused all the same (ASVS 5.0 8.3.1: checked where it is served, not only in front).
func (p *Plugin) ask(r *http.Request) (asking, error) {
	st := p.state.Load()
	if st == nil {
		return asking{}, problem{Status: http.StatusServiceUnavailable, Code: "starting", Detail: "Threadline is starting."}
	}
	who := pluginsdk.RequestPrincipal(r.Context())
	if who == nil || (who.UserID == "" && !who.Administrator) {
		return asking{}, problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: "Sign in first."}
	}
	return asking{st, who}, nil
}

// api turns a method that gives a value into a JSON endpoint.
func (p *Plugin) api(answer func(asking, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := p.ask(r)
		var v any
		if err == nil {
			v, err = answer(a, r)
		}
		if err != nil {
			writeProblem(w, p.problemOf(a, err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(v); err != nil && a.state != nil {
			a.log.Debug("answer not taken", "error", err)
		}
	}
}

// problemOf maps an error to what may be shown; whatever is not meant for users is logged and becomes "internal".
func (p *Plugin) problemOf(a asking, err error) problem {
	var pr problem
	if errors.As(err, &pr) {
		return pr
	}
	var pe *paramError
	if errors.As(err, &pe) {
		return problem{Status: http.StatusBadRequest, Code: "invalid_parameter", Detail: pe.Error(), Field: pe.param}
	}
	if a.state != nil {
		a.log.Error("request failed", "error", err)
	}
	return problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong on our side."}
}

// timelineAnswer is one page.
type timelineAnswer struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"` // give it as after= for the page that follows
	Prev    string  `json:"prev,omitempty"` // give it as before= for the page that precedes
}

func (p *Plugin) timeline(a asking, r *http.Request) (any, error) {
	f, err := parseFilter(r.URL.Query(), a.settings.PageSize)
	if err != nil {
		return nil, err
	}
	return a.list(r, f)
}

// timelineOf serves the timeline of what somebody did, or of what was done to something.
func (p *Plugin) timelineOf(rel relation) func(asking, *http.Request) (any, error) {
	return func(a asking, r *http.Request) (any, error) {
		f, err := parseFilter(r.URL.Query(), a.settings.PageSize)
		if err != nil {
			return nil, err
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

func (p *Plugin) entry(a asking, r *http.Request) (any, error) { return a.find(r) }

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

func (p *Plugin) status(a asking, r *http.Request) (any, error) {
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

// Health implements pluginsdk.HealthReporter: the figures `sigra plugin info threadline` shows.
func (p *Plugin) Health(context.Context) (map[string]string, error) {
	facts := map[string]string{}
	for name, n := range p.recorded.counts() {
		facts[name] = strconv.FormatInt(n, 10)
	}
	return facts, nil
}
