package accrue

import (
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// settings is the config block.
type settings struct {
	UnsubscribedSeats int64           `sigra:"unsubscribed_seats,optional,default=-1" doc:"seats of an organization that never had a subscription; -1: no limit"`
	PastDueGraceDays  int64           `sigra:"past_due_grace_days,optional,default=0" doc:"days after a missed payment in which a subscription still entitles, 0 to 365"`
	CountInvitations  bool            `sigra:"count_invitations,optional,default=true" doc:"an open invitation holds a seat"`
	CountSuspended    bool            `sigra:"count_suspended,optional,default=true" doc:"a suspended member keeps their seat"`
	CountServices     bool            `sigra:"count_service_accounts,optional,default=false" doc:"service accounts take seats"`
	Plans             map[string]plan `sigra:"plan" doc:"what a subscription to the plan of this name includes"`
}

// maxSeats bounds what an event or a plan may say.
const maxSeats = 1_000_000

// plan is what a subscription to it includes.
type plan struct {
	Seats    int64            `sigra:"seats,optional,default=0" doc:"seats where the event names none; 0: the event must"`
	Features []string         `sigra:"features,optional" doc:"names of the features it includes"`
	Limits   map[string]int64 `sigra:"limits,optional" doc:"named quantities, such as projects = 10"`
}

// check finds what no schema can: values out of range.
func (s settings) check() error {
	switch {
	case s.UnsubscribedSeats < -1:
		return pluginsdk.Diagnostic("unsubscribed_seats", "Number of seats out of range", "Use -1 for no limit, or 0 and more.")
	case s.PastDueGraceDays < 0 || s.PastDueGraceDays > 365:
		return pluginsdk.Diagnostic("past_due_grace_days", "Grace period out of range", "Use 0 to 365 days.")
	}
	for name, p := range s.Plans {
		if p.Seats < 0 || p.Seats > maxSeats {
			return pluginsdk.Diagnostic("plan."+name+".seats", "Number of seats out of range", fmt.Sprintf("A plan has 0 to %d seats.", maxSeats))
		}
	}
	return nil
}

func (s settings) grace() time.Duration { return time.Duration(s.PastDueGraceDays) * 24 * time.Hour }

// plan gives the plan of a name. Without any plan in the settings every name is one, with what its events say.
func (s settings) plan(name string) (plan, bool) {
	if len(s.Plans) == 0 {
		return plan{}, true
	}
	p, ok := s.Plans[name]
	return p, ok
}
