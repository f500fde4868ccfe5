package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// application is what a person has allowed one application.
type application struct {
	Client *Client
	Scopes []string
	Since  time.Time
	Used   time.Time // the last time tokens were issued; zero: not any more
}

func (in *people) applicationsPage(w http.ResponseWriter, r *http.Request) error {
	who := person(r.Context())
	if who == nil {
		return &pageError{Status: http.StatusForbidden, Code: "people_only"}
	}
	list, err := in.applications(r.Context(), who.UserID)
	if err != nil {
		return err
	}
	return in.page(w, r, http.StatusOK, "lockspire.applications.title", "applications.html", map[string]any{
		"Applications": list, "Action": applicationsPath, "Withdrawn": r.URL.Query().Has("withdrawn"),
	})
}

// applications joins what a person consented to and what stands without consent, as for applications of the same house.
func (in *people) applications(ctx context.Context, user string) ([]*application, error) {
	consents, err := in.store.consents(ctx, in.store.db, user, "")
	if err != nil {
		return nil, err
	}
	standing, err := in.grants.standing(ctx, user, in.now(), 1000)
	if err != nil {
		return nil, err
	}
	byID, order := map[string]*application{}, []string{}
	at := func(client string, since time.Time) *application {
		if byID[client] == nil {
			byID[client] = &application{Since: since}
			order = append(order, client)
		}
		return byID[client]
	}
	for _, c := range consents {
		at(c.ClientID, c.GrantedAt.UTC()).Scopes = c.Scopes
	}
	for _, g := range standing {
		a := at(g.ClientID, g.CreatedAt)
		a.Scopes = union(a.Scopes, g.Detail.Scopes)
		if g.UsedAt.After(a.Used) {
			a.Used = g.UsedAt
		}
	}
	var out []*application
	for _, id := range order {
		c, err := in.store.client(ctx, id)
		switch {
		case errors.Is(err, errNoClient):
			continue
		case err != nil:
			return nil, err
		}
		byID[id].Client = c
		out = append(out, byID[id])
	}
	return out, nil
}

// withdraw takes an application's access away: the consent, and all that stands.
func (in *people) withdraw(w http.ResponseWriter, r *http.Request) error {
	who := person(r.Context())
	if who == nil || who.ImpersonatorID != "" {
		return &pageError{Status: http.StatusForbidden, Code: "people_only"}
	}
	params, err := form(w, r)
	if err != nil {
		return &pageError{Status: http.StatusBadRequest, Code: "invalid_request", Why: err.Error()}
	}
	c, err := in.store.client(r.Context(), params.Get("client"))
	if err != nil {
		return err
	}
	err = storage.Tx(r.Context(), in.store.db, func(tx *sql.Tx) error {
		if _, err := deleteConsent(r.Context(), tx, who.UserID, c.ID); err != nil {
			return err
		}
		if err := endBetween(r.Context(), tx, who.UserID, c.ID, endConsent, in.now()); err != nil {
			return err
		}
		return in.record(r.Context(), pluginsdk.AuditEntry{Request: pluginsdk.RequestInfoFrom(r.Context())}.By(who), "consent.withdraw", c, nil)
	})
	if err != nil {
		return err
	}
	http.Redirect(w, r, applicationsPath+"?"+url.Values{"withdrawn": {"1"}}.Encode(), http.StatusSeeOther)
	return nil
}
