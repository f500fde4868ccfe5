package accrue

import (
	"cmp"
	"slices"
	"time"
)

// The statuses of a subscription.
const (
	statusTrialing          = "trialing"
	statusActive            = "active"
	statusPastDue           = "past_due"
	statusCanceled          = "canceled"
	statusUnpaid            = "unpaid"
	statusIncomplete        = "incomplete"
	statusIncompleteExpired = "incomplete_expired"
	statusPaused            = "paused"
)

var statuses = []string{
	statusTrialing, statusActive, statusPastDue, statusCanceled, statusUnpaid, statusIncomplete, statusIncompleteExpired, statusPaused,
}

func validStatus(s string) bool { return slices.Contains(statuses, s) }

// subscription is what the events of one subscription add up to.
type subscription struct {
	ID           string    `json:"id"`
	Plan         string    `json:"plan,omitempty"`
	Status       string    `json:"status"`
	Seats        *int64    `json:"seats,omitempty"` // nil: the plan's
	PeriodEnd    time.Time `json:"current_period_end,omitzero"`
	CancelAt     time.Time `json:"cancel_at,omitzero"`
	EndedAt      time.Time `json:"ended_at,omitzero"`
	PastDueSince time.Time `json:"past_due_since,omitzero"`
	Paused       bool      `json:"collection_paused,omitempty"`
	PauseAt      time.Time `json:"pause_at,omitzero"`
	Priced       bool      `json:"priced,omitempty"`   // the settings know the plan by Items
	Items        []item    `json:"items,omitempty"`    // a provider's prices
	Upcoming     []phase   `json:"upcoming,omitempty"` // changes that are scheduled
	Revision     int64     `json:"revision"`           // how many of its events counted
}

// sortEvents puts the events of one subscription into their own order. Versions decide where every event has one: a clock may go
// back, a version doesn't. The result does not depend on the order of arrival.
func sortEvents(events []event) {
	versioned := !slices.ContainsFunc(events, func(e event) bool { return e.Version <= 0 })
	slices.SortFunc(events, func(a, b event) int {
		byVersion, byTime := cmp.Compare(a.Version, b.Version), a.OccurredAt.Compare(b.OccurredAt)
		if !versioned {
			byVersion, byTime = byTime, byVersion
		}
		return cmp.Or(byVersion, byTime, cmp.Compare(rank(a.Type), rank(b.Type)), cmp.Compare(a.ID, b.ID))
	})
	chainMoments(events)
}

// fold adds up the events of one subscription, in their own order.
func fold(id string, events []event) subscription {
	s := subscription{ID: id, Status: statusIncomplete}
	for _, e := range events {
		if s.ended() {
			break // only a new subscription follows
		}
		s.apply(e)
		s.Revision++
	}
	return s
}

// ended reports a state that a subscription does not leave.
func (s *subscription) ended() bool {
	return s.Status == statusCanceled || s.Status == statusIncompleteExpired || !s.EndedAt.IsZero()
}

func (s *subscription) apply(e event) {
	c := e.Change
	switch {
	case c.Schedule:
		s.Upcoming = c.Upcoming
		return
	case c.Snapshot != nil:
		s.take(e)
		return
	}
	status := impliedStatus[e.Type]
	if c.Status != nil {
		status = *c.Status
	}
	set := func(to *time.Time, from *time.Time) {
		if from != nil {
			*to = from.UTC()
		}
	}
	if c.Plan != nil {
		s.Plan = *c.Plan
	}
	if c.Seats != nil {
		n := *c.Seats
		s.Seats = &n
	}
	set(&s.PeriodEnd, c.CurrentPeriodEnd)
	set(&s.CancelAt, c.CancelAt)
	set(&s.EndedAt, c.EndedAt)
	if c.CollectionPaused != nil {
		s.Paused = *c.CollectionPaused
	}
	if e.Type == "billing.subscription.canceled" && c.Status == nil {
		// Canceled at the period's end where that is still to come, at once otherwise.
		switch {
		case c.CancelAt == nil:
			status = statusCanceled
		case c.CancelAt.After(e.OccurredAt):
		default:
			status = statusCanceled
		}
	}
	if e.Type == "billing.subscription.resumed" || e.Type == "billing.subscription.renewed" {
		if c.CancelAt == nil {
			s.CancelAt = time.Time{}
		}
		if c.CollectionPaused == nil {
			s.Paused = false
		}
	}
	if status != "" {
		if status == statusPastDue && s.Status != statusPastDue {
			s.PastDueSince = e.OccurredAt
		}
		s.Status = status
	}
	set(&s.PastDueSince, c.PastDueSince)
	if s.Status != statusPastDue {
		s.PastDueSince = time.Time{}
	}
}

// until is when a subscription that entitles now stops to, as far as is known; the zero time: that is open.
func (s *subscription) until() time.Time {
	out := time.Time{}
	for _, t := range []time.Time{s.CancelAt, s.PauseAt, s.EndedAt} {
		if !t.IsZero() && (out.IsZero() || t.Before(out)) {
			out = t
		}
	}
	return out
}

// entitles is the truth table: whether a subscription gives what its plan includes at a time, and why.
func (s *subscription) entitles(now time.Time, grace time.Duration) (bool, string) {
	switch {
	case s.Status == statusCanceled, s.Status == statusIncompleteExpired, !s.EndedAt.IsZero() && !now.Before(s.EndedAt), !s.CancelAt.IsZero() && !now.Before(s.CancelAt):
		return false, "subscription_ended"
	case s.Status == statusPaused || s.Paused || !s.PauseAt.IsZero() && !now.Before(s.PauseAt):
		return false, "subscription_paused"
	case s.Status == statusTrialing, s.Status == statusActive:
		return true, "entitled"
	case s.Status == statusPastDue:
		switch {
		case grace <= 0:
			return false, "payment_overdue"
		case s.PastDueSince.IsZero() || now.Sub(s.PastDueSince) > grace:
			return false, "grace_period_over"
		}
		return true, "past_due_grace"
	case s.Status == statusUnpaid:
		return false, "payment_overdue"
	}
	return false, "subscription_incomplete"
}
