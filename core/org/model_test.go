package org_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// place is what the model knows of a membership.
type place struct{ owner, suspended bool }

// model is an organization as the package comment describes it.
type model map[uuid.UUID]place

func (m model) owners() (n int) {
	for _, p := range m {
		if p.owner && !p.suspended {
			n++
		}
	}
	return n
}

// after gives the error that a change must have, and makes it where there is none.
func (m model) after(who uuid.UUID, next *place) error {
	was, ok := m[who]
	if !ok {
		return org.ErrNotMember
	}
	counted := was.owner && !was.suspended
	if counted && m.owners() == 1 && (next == nil || !next.owner || next.suspended) {
		return org.ErrLastOwner
	}
	if next == nil {
		delete(m, who)
	} else {
		m[who] = *next
	}
	return nil
}

// TestMembership_followsTheModel runs random changes against the state machine of the package comment.
func TestMembership_followsTheModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var people []uuid.UUID
		for _, email := range []string{"a@example.org", "b@example.org", "c@example.org", "d@example.org"} {
			people = append(people, w.person(email))
		}
		rapid.Check(t, func(t *rapid.T) {
			founder := rapid.SampledFrom(people).Draw(t, "founder")
			o := w.organization("Acme", founder)
			m := model{founder: {owner: true}}
			who := func(t *rapid.T) uuid.UUID { return rapid.SampledFrom(people).Draw(t, "who") }
			same := func(t *rapid.T, got, want error) {
				if !errors.Is(got, want) {
					t.Fatalf("got %v, want %v; members are %v", got, want, m)
				}
			}
			set := func(change org.MemberChange, next func(place) place) func(*rapid.T) {
				return func(t *rapid.T) {
					id := who(t)
					is := next(m[id])
					same(t, w.change(o.ID, id, change), m.after(id, &is))
				}
			}
			t.Repeat(map[string]func(*rapid.T){
				"add": func(t *rapid.T) {
					id, want := who(t), error(nil)
					if _, is := m[id]; is {
						want = org.ErrMember
					} else {
						m[id] = place{}
					}
					same(t, w.add(o.ID, id), want)
				},
				"remove":  func(t *rapid.T) { id := who(t); same(t, w.remove(o.ID, id), m.after(id, nil)) },
				"promote": set(org.MemberChange{Owner: to(true)}, func(p place) place { p.owner = true; return p }),
				"demote":  set(org.MemberChange{Owner: to(false)}, func(p place) place { p.owner = false; return p }),
				"suspend": set(org.MemberChange{Status: to(org.Suspended)}, func(p place) place { p.suspended = true; return p }),
				"resume":  set(org.MemberChange{Status: to(org.Active)}, func(p place) place { p.suspended = false; return p }),
				"": func(t *rapid.T) {
					is, err := w.Get(w.t.Context(), o.ID)
					if err != nil {
						t.Fatal(err)
					}
					if is.Members != int64(len(m)) || is.Owners != int64(m.owners()) || is.Owners < 1 {
						t.Fatalf("%d members and %d owners are counted, there are %v", is.Members, is.Owners, m)
					}
					for id, p := range m {
						got, err := w.Find(w.t.Context(), db, o.ID, id)
						if err != nil || got.Owner != p.owner || (got.Status == org.Suspended) != p.suspended {
							t.Fatalf("%+v, %v; want %+v", got, err, p)
						}
					}
				},
			})
		})
	})
}
