package threadline

import (
	"slices"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// ref names somebody or something.
type ref struct{ typ, id string }

func (r ref) is(o pluginsdk.Ref) bool { return r.typ == o.Type && r.id == o.ID }

// A viewer who is no administrator sees the entries that are linked to them, and of those that somebody else stood
// behind only what concerns themselves: what happened, when, that it was done to them. Not who the other one is, nor
// from which address, in which session and request it was done, nor who else was affected. Impersonated, they learn that
// they were. (ASVS 5.0 8.2.3: access to fields, not only to records.)
//
// What is hidden must not be findable either, or asking for one network after another would tell the administrator's
// address: a filter sees an entry as the viewer does. query.go asks for the link's own where a hidden field is filtered by.

// actors are the types that act. Everything else (a session, an organization) may be shown to whoever is linked beside it.
var actors = []string{"user", "service_account", "operator", "plugin"}

// masked is the entry as viewer may see it; own says that nobody else stood behind it.
func (e Entry) masked(viewer ref, own bool) Entry {
	if own {
		return e
	}
	e.IP, e.UserAgent, e.SessionID, e.RequestID, e.CorrelationID, e.AuthMethod, e.Metadata = "", "", "", "", "", "", nil
	if !viewer.is(e.Actor) {
		e.Actor = pluginsdk.Ref{Type: e.Actor.Type}
	}
	if e.Impersonator != nil && !viewer.is(*e.Impersonator) {
		e.Impersonator = &pluginsdk.Ref{Type: e.Impersonator.Type}
	}
	var targets []pluginsdk.Ref
	for _, t := range e.Targets {
		if viewer.is(t) || !slices.Contains(actors, t.Type) {
			targets = append(targets, t)
		}
	}
	e.Targets = targets
	return e
}
