package accrue

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

func (in *instance) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accrue", in.accountsPage)
	mux.HandleFunc("GET /accrue/accounts/{account}", in.accountPage)
	mux.HandleFunc("GET /accrue/events", in.eventsPage)
	mux.HandleFunc("POST /accrue/events/replay", in.replayEvent)
	mux.HandleFunc("POST /accrue/webhooks/{provider}", in.receiveWebhook)
	mux.HandleFunc("GET /accrue/v1/accounts", in.listAccounts)
	mux.HandleFunc("GET /accrue/v1/entitlements/{account}", in.getEntitlements)
	mux.HandleFunc("GET /accrue/v1/seats/{organization}", in.listSeats)
	mux.HandleFunc("POST /accrue/v1/check", in.check)
	return mux
}

// listed is one page of a list.
type listed[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // the value of "after" that gives the next page
}

const pageLimit = 100

// page cuts a list that was read with one item more than a page has.
func page[T any](items []T, after func(T) string) listed[T] {
	out := listed[T]{Items: items}
	if len(items) > pageLimit {
		out.Items = items[:pageLimit]
		out.Next = after(out.Items[pageLimit-1])
	}
	if out.Items == nil {
		out.Items = []T{}
	}
	return out
}

func (in *instance) listAccounts(w http.ResponseWriter, r *http.Request) {
	accounts, err := in.store.accounts(r.Context(), r.URL.Query().Get("after"), pageLimit+1)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	var names []string
	for _, a := range accounts {
		names = append(names, a.String())
	}
	answer(w, page(names, func(s string) string { return s }))
}

// getEntitlements answers what an account may use.
func (in *instance) getEntitlements(w http.ResponseWriter, r *http.Request) {
	acc, err := parseAccount(r.PathValue("account"))
	if err != nil {
		problem(w, http.StatusBadRequest, "invalid_account", err.Error())
		return
	}
	e, err := in.entitlementsOf(r, acc)
	var bad *time.ParseError
	if errors.As(err, &bad) {
		problem(w, http.StatusBadRequest, "invalid_time", "at must be a time such as 2026-11-30T12:00:00Z")
		return
	}
	if err != nil {
		in.fail(w, r, err)
		return
	}
	answer(w, e)
}

// entitlementsOf decides as of now, or of the time that the query names as "at".
func (in *instance) entitlementsOf(r *http.Request, acc account) (entitlements, error) {
	text := r.URL.Query().Get("at")
	if text == "" {
		return in.entitlements(r.Context(), in.store.db, acc)
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return entitlements{}, err
	}
	return in.entitlementsAt(r.Context(), in.store.db, acc, at.UTC())
}

func (in *instance) listSeats(w http.ResponseWriter, r *http.Request) {
	acc, err := parseAccount(r.PathValue("organization"))
	if err == nil && acc.Kind != organizationAccount {
		err = errors.New("only organizations have seats")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "invalid_account", err.Error())
		return
	}
	seats, err := in.store.seats(r.Context(), acc.ID, r.URL.Query().Get("after"), pageLimit+1)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	answer(w, page(seats, func(s seat) string { return s.Holder }))
}

// question is the body of POST /accrue/v1/check: a feature, or a named limit with a quantity.
type question struct {
	Account  string `json:"account"`
	Feature  string `json:"feature"`
	Limit    string `json:"limit"`
	Quantity *int64 `json:"quantity"`
}

// check answers one question. Whatever nobody granted is denied.
func (in *instance) check(w http.ResponseWriter, r *http.Request) {
	var q question
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		problem(w, http.StatusBadRequest, "invalid_body", "The body must be JSON with account, and feature or limit: "+err.Error())
		return
	}
	acc, err := parseAccount(q.Account)
	switch {
	case err != nil:
	case (q.Feature == "") == (q.Limit == ""):
		err = errors.New("name a feature or a limit, one of them")
	case q.Limit != "" && q.Quantity == nil:
		err = errors.New("a limit needs a quantity")
	case q.Limit != "" && *q.Quantity < 0:
		err = errors.New("quantity must not be negative")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "invalid_question", err.Error())
		return
	}
	e, err := in.entitlements(r.Context(), in.store.db, acc)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	if q.Feature != "" {
		answer(w, e.feature(q.Feature))
		return
	}
	answer(w, e.limit(q.Limit, *q.Quantity))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// problem writes a problem document (RFC 9457).
func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if detail != "" {
		detail = strings.ToUpper(detail[:1]) + detail[1:]
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "code": code, "detail": detail})
}

func (in *instance) fail(w http.ResponseWriter, r *http.Request, err error) {
	in.log.Error("request failed", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", "5")
	problem(w, http.StatusServiceUnavailable, "unavailable", "Accrue's database can't be reached or is too busy. Try again shortly.")
}
