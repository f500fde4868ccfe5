package accrue

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// snapshot is all that a provider says of a subscription at one moment. What is absent is not.
type snapshot struct {
	Status           string    `json:"status"`
	Items            []item    `json:"items"`
	PeriodEnd        time.Time `json:"period_end,omitzero"`
	CancelAt         time.Time `json:"cancel_at,omitzero"`
	PauseAt          time.Time `json:"pause_at,omitzero"`
	EndedAt          time.Time `json:"ended_at,omitzero"`
	CollectionPaused bool      `json:"collection_paused,omitempty"`
	Scheduled        bool      `json:"scheduled,omitempty"` // a schedule of changes to come is attached
	Before           *snapshot `json:"before,omitempty"`    // what it said before this change; nil: not told
}

// item is one price of a subscription.
type item struct {
	Price    string `json:"price"`
	Quantity int64  `json:"quantity"`
}

// phase is what a subscription will be from a time on.
type phase struct {
	At    time.Time `json:"at"`
	Items []item    `json:"items"`
}

// members are a snapshot's by their names, without what was before.
func (s *snapshot) members() map[string]string {
	then := *s
	then.Before = nil
	b, err := json.Marshal(then)
	if err != nil {
		return nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return nil
	}
	out := map[string]string{}
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

// succeeds reports whether s can be the change that comes after other: what it says was before is what other says. whole is true when that
// holds of all, and not only of what s has changed.
func (s *snapshot) succeeds(other *snapshot) (can, whole bool) {
	if s.Before == nil {
		return false, false
	}
	now, was, then := s.members(), s.Before.members(), other.members()
	can, whole = true, maps.Equal(was, then)
	for k := range merged(now, was) {
		if now[k] != was[k] && was[k] != then[k] {
			can = false
		}
	}
	return can, whole
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// follows reports whether s comes after other, as far as the two tell.
func (s *snapshot) follows(other *snapshot) bool {
	can, whole := s.succeeds(other)
	back, backWhole := other.succeeds(s)
	if whole != backWhole {
		return whole
	}
	return can && !back
}

// chain puts changes of one moment, whose clock can't tell them apart, into the order in which each follows the one before. events
// are in an order that doesn't depend on arrival; what no order is known of keeps it.
func chain(events []event) {
	for i := range events {
		for j := i; j < len(events); j++ {
			first := !slices.ContainsFunc(events[i:], func(e event) bool {
				return e.ID != events[j].ID && events[j].Change.Snapshot.follows(e.Change.Snapshot)
			})
			if first {
				e := events[j]
				copy(events[i+1:j+1], events[i:j])
				events[i] = e
				break
			}
		}
	}
}

// chainMoments does that to each run of changes of one moment.
func chainMoments(events []event) {
	same := func(a, b event) bool {
		return a.Change.Snapshot != nil && b.Change.Snapshot != nil && a.OccurredAt.Equal(b.OccurredAt) && rank(a.Type) == rank(b.Type)
	}
	for i := 0; i < len(events); {
		j := i + 1
		for j < len(events) && same(events[i], events[j]) {
			j++
		}
		if j-i > 1 {
			chain(events[i:j])
		}
		i = j
	}
}

// take makes the subscription what the snapshot says.
func (s *subscription) take(e event) {
	n := e.Change.Snapshot
	if n.Status == statusPastDue && s.Status != statusPastDue {
		s.PastDueSince = e.OccurredAt
	}
	if n.Status != statusPastDue {
		s.PastDueSince = time.Time{}
	}
	s.Status, s.Priced, s.Items, s.Paused = n.Status, true, n.Items, n.CollectionPaused
	s.PeriodEnd, s.CancelAt, s.PauseAt, s.EndedAt = n.PeriodEnd, n.CancelAt, n.PauseAt, n.EndedAt
	if !n.Scheduled {
		s.Upcoming = nil
	}
}
