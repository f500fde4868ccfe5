package accrue

import (
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// eventsPage lists webhooks with what came of them.
func (in *instance) eventsPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	list, err := in.store.webhooks(r.Context(), q.Get("state"), q.Get("alerts") != "", listLimit)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	orphans, err := in.store.orphans(r.Context(), listLimit)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	in.render(w, r, "events", "Billing events", map[string]any{"Webhooks": list, "Orphans": orphans})
}

// replayEvent has one webhook applied once more.
func (in *instance) replayEvent(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("event")
	if !strings.Contains(name, "/") {
		problem(w, http.StatusBadRequest, "invalid_event", "Name the webhook as provider/event.")
		return
	}
	by := pluginsdk.Ref{Type: "user"}
	if p := pluginsdk.RequestPrincipal(r.Context()); p != nil {
		by.ID, by.Display = p.UserID, p.Email
	}
	if err := in.again(r.Context(), by, pluginsdk.RequestInfoFrom(r.Context()), name); err != nil {
		in.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/accrue/events", http.StatusSeeOther)
}
