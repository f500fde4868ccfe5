package accrue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// settings is the config block.
type settings struct {
	UnsubscribedSeats int64                      `sigra:"unsubscribed_seats,optional,default=-1" doc:"seats of an organization that never had a subscription; -1: no limit"`
	PastDueGraceDays  int64                      `sigra:"past_due_grace_days,optional,default=0" doc:"days after a missed payment in which a subscription still entitles, 0 to 365"`
	CountInvitations  bool                       `sigra:"count_invitations,optional,default=true" doc:"an open invitation holds a seat"`
	CountSuspended    bool                       `sigra:"count_suspended,optional,default=true" doc:"a suspended member keeps their seat"`
	CountServices     bool                       `sigra:"count_service_accounts,optional,default=false" doc:"service accounts take seats"`
	Plans             map[string]plan            `sigra:"plan" doc:"what a subscription to the plan of this name includes"`
	Webhooks          map[string]webhookSettings `sigra:"webhook" doc:"webhooks of a provider: stripe, paddle, standard_webhooks or sigra, at /accrue/webhooks/ and its name"`
}

// maxSeats bounds what an event or a plan may say.
const maxSeats = 1_000_000

// plan is what a subscription to it includes.
type plan struct {
	Seats      int64            `sigra:"seats,optional,default=0" doc:"seats where the event names none; 0: the event must, a provider's by the quantity"`
	Prices     []string         `sigra:"prices,optional" doc:"a provider's ids of the prices that make a subscription one to this plan"`
	SeatsPrice string           `sigra:"seats_price,optional" doc:"a provider's id of another price, whose quantity is the number of seats"`
	Features   []string         `sigra:"features,optional" doc:"names of the features it includes"`
	Limits     map[string]int64 `sigra:"limits,optional" doc:"named quantities, such as projects = 10"`
}

// webhookSettings are those of one provider.
type webhookSettings struct {
	Secrets    []pluginsdk.Secret `sigra:"secrets" doc:"what the provider signs with; several while one replaces another"`
	Tolerance  time.Duration      `sigra:"tolerance,optional,default=0s" doc:"how far from now the time of a signature may be; 0s: the provider's own, 5 minutes, of Paddle 5 seconds"`
	AccountKey string             `sigra:"account_key,optional,default=sigra_account" doc:"key of a customer's or subscription's metadata (Paddle: custom data) under which the account stands"`
	Livemode   bool               `sigra:"livemode,optional,default=true" doc:"Stripe: events of live mode are meant; false: those of test mode"`
}

func (w webhookSettings) provider() provider.Config {
	c := provider.Config{Tolerance: w.Tolerance}
	for _, s := range w.Secrets {
		c.Secrets = append(c.Secrets, s.Reveal())
	}
	return c
}

func (w webhookSettings) reading() reading { return reading{w.AccountKey, w.Livemode} }

// maxTolerance bounds how long a message may be sent again.
const maxTolerance = time.Hour

// check finds what no schema can: values out of range.
func (s settings) check() error {
	switch {
	case s.UnsubscribedSeats < -1:
		return pluginsdk.Diagnostic("unsubscribed_seats", "Number of seats out of range", "Use -1 for no limit, or 0 and more.")
	case s.PastDueGraceDays < 0 || s.PastDueGraceDays > 365:
		return pluginsdk.Diagnostic("past_due_grace_days", "Grace period out of range", "Use 0 to 365 days.")
	}
	of := map[string]string{}
	for name, p := range s.Plans {
		if p.Seats < 0 || p.Seats > maxSeats {
			return pluginsdk.Diagnostic("plan."+name+".seats", "Number of seats out of range", fmt.Sprintf("A plan has 0 to %d seats.", maxSeats))
		}
		for _, price := range p.Prices {
			if other, ok := of[price]; ok {
				return pluginsdk.Diagnostic("plan."+name+".prices", "A price of two plans", fmt.Sprintf("%s is a price of %s, too. A price belongs to one plan.", price, other))
			}
			of[price] = name
		}
	}
	for name, w := range s.Webhooks {
		at := "webhook." + name
		if !provider.Known(name) {
			return pluginsdk.Diagnostic(at, "No such provider", "Use one of "+strings.Join(provider.Names, ", ")+".")
		}
		if w.Tolerance < 0 || w.Tolerance > maxTolerance {
			return pluginsdk.Diagnostic(at+".tolerance", "Tolerance out of range", "Use 0s to 1h.")
		}
		if _, err := provider.New(name, w.provider()); err != nil {
			return pluginsdk.Diagnostic(at+".secrets", "Not a secret", err.Error())
		}
	}
	return nil
}

func (s settings) grace() time.Duration { return time.Duration(s.PastDueGraceDays) * 24 * time.Hour }

// plan gives the plan of a subscription and its seats. Without any plan in the settings every name is one, with what its events say; a
// provider's prices must be named there.
func (s settings) plan(sub subscription) (name string, p plan, seats int64, mapped bool) {
	if !sub.Priced {
		name, mapped = sub.Plan, len(s.Plans) == 0
		if !mapped {
			p, mapped = s.Plans[name]
		}
		seats = p.Seats
	} else {
		name, p, seats, mapped = s.priced(sub.Items)
	}
	if sub.Seats != nil {
		seats = *sub.Seats
	}
	return name, p, seats, mapped
}

// priced is plan for a provider's prices.
func (s settings) priced(items []item) (name string, p plan, seats int64, mapped bool) {
	for n, candidate := range s.Plans {
		own, other := int64(0), int64(0)
		found := false
		for _, i := range items {
			switch {
			case slices.Contains(candidate.Prices, i.Price):
				own, found = own+i.Quantity, true
			case candidate.SeatsPrice != "" && i.Price == candidate.SeatsPrice:
				other += i.Quantity
			}
		}
		if !found || mapped && n > name { // of two plans in one subscription the first by name, whatever the order of the map
			continue
		}
		name, p, seats, mapped = n, candidate, own, true
		switch {
		case candidate.SeatsPrice != "":
			seats = other
		case candidate.Seats > 0:
			seats = candidate.Seats
		}
	}
	return name, p, seats, mapped
}
