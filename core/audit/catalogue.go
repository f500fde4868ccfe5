package audit

import (
	"slices"
	"strings"
)

// Action describes one thing that can be recorded.
type Action struct {
	Name        string
	Category    string
	CRUD        string // c, r, u or d: what it did to its target
	Outcome     Outcome
	Description string
	Metadata    []string // the keys its rows may carry
	Webhook     bool     // an endpoint may name it; it gets it then, and only then
	Timeline    bool     // AuditSink plugins get it unless their block says otherwise
}

//go:generate go test -run TestDocs_areCurrent -update .

// Catalogue gives every action of Sigra's own, sorted by category as listed and name as written. The slice is the
// caller's.
func Catalogue() []Action {
	out := make([]Action, len(catalogue))
	for i, a := range catalogue {
		a.Metadata = slices.Clone(a.Metadata)
		out[i] = a
	}
	return out
}

// Lookup finds an action of the catalogue.
func Lookup(name string) (Action, bool) {
	a, ok := byName[name]
	return a, ok
}

// Delivered reports whether AuditSink plugins get an action by default: as the catalogue says, and a plugin's own
// actions always (but never back to the plugin that recorded them, which the plugin host sees to).
func Delivered(name string) bool {
	if a, ok := byName[name]; ok {
		return a.Timeline
	}
	return !Reserved(name)
}

// Reserved reports whether a name lies below one of Sigra's own prefixes: no plugin may record it and no application
// emit it as an event.
func Reserved(name string) bool {
	first, _, _ := strings.Cut(name, ".")
	_, ok := reserved[first]
	return ok
}

// ReservedPrefixes are the first words of Sigra's own names, sorted.
func ReservedPrefixes() []string {
	out := make([]string, 0, len(reserved))
	for p := range reserved {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// Both are made from the catalogue once and never written again.
var (
	byName   = indexCatalogue()
	reserved = reservedPrefixes()
)

func indexCatalogue() map[string]Action {
	m := make(map[string]Action, len(catalogue))
	for _, a := range catalogue {
		m[a.Name] = a
	}
	return m
}

func reservedPrefixes() map[string]struct{} {
	m := map[string]struct{}{"sigra": {}}
	for _, a := range catalogue {
		first, _, _ := strings.Cut(a.Name, ".")
		m[first] = struct{}{}
	}
	return m
}
