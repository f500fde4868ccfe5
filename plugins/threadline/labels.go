package threadline

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// labels names refs to the one who looks. Only administrators see other people's addresses; one call fetches them all,
// and without it (not granted, or failing) the ids are shown.
type labels struct {
	admin  bool
	me     string // user id of the one who looks
	emails map[string]string
}

func (a asking) labels(r *http.Request, entries []Entry) labels {
	l := labels{admin: a.who.Administrator, me: a.who.UserID, emails: map[string]string{}}
	if !l.admin || !a.host.Granted(pluginsdk.IdentityRead) {
		return l
	}
	var ids []string
	add := func(refs ...pluginsdk.Ref) {
		for _, r := range refs {
			if r.Type == "user" && r.ID != "" && r.ID != l.me && !slices.Contains(ids, r.ID) {
				ids = append(ids, r.ID)
			}
		}
	}
	for _, e := range entries {
		add(e.Actor)
		if e.Impersonator != nil {
			add(*e.Impersonator)
		}
		add(e.Targets...)
	}
	if len(ids) == 0 {
		return l
	}
	users, err := a.host.Identity().Users(r.Context(), ids...)
	if err != nil {
		a.log.Warn("names not available", "error", err)
	}
	for _, u := range users {
		l.emails[u.ID] = plain(u.Email)
	}
	return l
}

// name is what a ref is called.
func (l labels) name(r pluginsdk.Ref) string {
	typ := plain(strings.ReplaceAll(r.Type, "_", " "))
	switch {
	case r.Type == "user" && r.ID != "" && r.ID == l.me:
		return "You"
	case r.Type == "user" && l.emails[r.ID] != "":
		return l.emails[r.ID]
	case r.Display != "":
		return plain(r.Display)
	case r.ID != "" && l.admin:
		return typ + " " + short(r.ID)
	case r.Type == "anonymous":
		return "Somebody not signed in"
	case r.Type == "system":
		return "Sigra itself"
	case r.Type == "operator":
		return "An operator of this service"
	case r.Type == "user":
		return "Somebody else"
	case r.ID != "":
		return typ + " " + short(r.ID)
	}
	return capital(typ)
}

// short is an id cut to what tells it from its neighbours: the end of a UUIDv7 is its random part.
func short(id string) string {
	if len(id) == 36 && strings.Count(id, "-") == 4 {
		return "…" + id[24:]
	}
	return plain(cut(id, 40))
}
