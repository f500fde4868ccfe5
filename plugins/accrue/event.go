package accrue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// The kinds of account that a subscription can belong to.
const (
	organizationAccount = "organization"
	userAccount         = "user"
)

// account is who a subscription belongs to: an organization, or a user of their own.
type account struct {
	Kind string
	ID   string
}

// String writes it as the API and the command line do: "organization:0198…".
func (a account) String() string { return a.Kind + ":" + a.ID }

// parseAccount reads what String writes; an id alone is an organization's.
func parseAccount(s string) (account, error) {
	kind, id, ok := strings.Cut(s, ":")
	if !ok {
		kind, id = organizationAccount, s
	}
	if kind != organizationAccount && kind != userAccount {
		return account{}, fmt.Errorf("an account is organization:ID or user:ID, not %q", s)
	}
	u, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return account{}, fmt.Errorf("%q is not the id of an %s", id, kind)
	}
	return account{kind, u.String()}, nil
}

// change is what one billing event says of its subscription, in the form the events are stored in. A member that is absent
// says nothing.
type change struct {
	Subscription     string     `json:"subscription"`
	OrganizationID   string     `json:"organization_id,omitempty"`
	UserID           string     `json:"user_id,omitempty"`
	Plan             *string    `json:"plan,omitempty"`
	Status           *string    `json:"status,omitempty"`
	Seats            *int64     `json:"seats,omitempty"`
	CurrentPeriodEnd *time.Time `json:"current_period_end,omitempty"`
	CancelAt         *time.Time `json:"cancel_at,omitempty"`
	EndedAt          *time.Time `json:"ended_at,omitempty"`
	PastDueSince     *time.Time `json:"past_due_since,omitempty"`
	CollectionPaused *bool      `json:"collection_paused,omitempty"`
	Feature          string     `json:"feature,omitempty"`
	Quantity         *int64     `json:"quantity,omitempty"`
	ExpiresAt        *time.Time `json:"expires_at,omitempty"`
	Reason           string     `json:"reason,omitempty"`

	// Of a provider's webhook, never of the application's event:
	Snapshot *snapshot `json:"snapshot,omitempty"`
	Upcoming []phase   `json:"upcoming,omitempty"` // with Schedule: what is to come
	Schedule bool      `json:"schedule,omitempty"`
}

// event is a billing event that was read.
type event struct {
	ID         string
	Type       string
	OccurredAt time.Time
	Version    int64
	Holder     string // whose subscription it is: an account as String writes it, or a provider's customer; empty: nothing follows from it
	Change     change
	Data       json.RawMessage
}

// The types of events, with the status that each implies where its data name none. Types that are not here are kept and shown.
var impliedStatus = map[string]string{
	"billing.subscription.created":    statusActive,
	"billing.subscription.upgraded":   "",
	"billing.subscription.downgraded": "",
	"billing.subscription.renewed":    statusActive,
	"billing.subscription.resumed":    statusActive,
	"billing.subscription.paused":     statusPaused,
	"billing.subscription.past_due":   statusPastDue,
	"billing.subscription.canceled":   "",
	"billing.seats.changed":           "",
	"billing.entitlement.granted":     "",
	"billing.entitlement.revoked":     "",
}

// rank orders events of one moment: a subscription is created before it changes and changes before it ends.
func rank(typ string) int {
	switch typ {
	case "billing.subscription.created", "billing.entitlement.granted", "customer.subscription.created", "subscription.created", "subscription.imported":
		return 0
	case "billing.subscription.canceled", "billing.entitlement.revoked", "customer.subscription.deleted", "subscription.canceled":
		return 2
	}
	return 1
}

var subscriptionID = regexp.MustCompile(`^[!-~]{1,255}$`)

// readEvent reads a billing event. known is false for a type that this version has no meaning for.
func readEvent(in pluginsdk.Event) (e event, known bool, err error) {
	e = event{ID: in.ID, Type: in.Type, OccurredAt: in.OccurredAt.UTC().Truncate(time.Microsecond), Version: in.Version, Data: in.Data}
	if _, known = impliedStatus[in.Type]; !known {
		return e, false, nil
	}
	d := json.NewDecoder(bytes.NewReader(in.Data))
	if err := d.Decode(&e.Change); err != nil {
		return e, true, fmt.Errorf("the data of %s can't be read: %w", in.Type, err)
	}
	c := &e.Change
	var acc account
	if c.OrganizationID == "" && c.UserID == "" {
		c.OrganizationID = in.OrganizationID
	}
	c.Snapshot, c.Upcoming, c.Schedule = nil, nil, false
	switch {
	case c.OrganizationID != "" && c.UserID != "":
		return e, true, errors.New("an event is about organization_id or user_id, not both")
	case c.OrganizationID != "":
		acc, err = parseAccount(organizationAccount + ":" + c.OrganizationID)
	case c.UserID != "":
		acc, err = parseAccount(userAccount + ":" + c.UserID)
	default:
		err = errors.New("the data name neither an organization_id nor a user_id")
	}
	if err != nil {
		return e, true, err
	}
	e.Holder = acc.String()
	return e, true, c.check(in.Type)
}

func (c *change) check(typ string) error {
	entitlement := strings.HasPrefix(typ, "billing.entitlement.")
	switch {
	case entitlement && !subscriptionID.MatchString(c.Feature):
		return errors.New("feature must be 1 to 255 printable characters")
	case !entitlement && !subscriptionID.MatchString(c.Subscription):
		return errors.New("subscription must be the subscription's id: 1 to 255 printable characters")
	case c.Status != nil && !validStatus(*c.Status):
		return fmt.Errorf("status %q is none of %s", *c.Status, strings.Join(statuses, ", "))
	case c.Seats != nil && (*c.Seats < 0 || *c.Seats > maxSeats):
		return fmt.Errorf("seats must be 0 to %d, not %d", maxSeats, *c.Seats)
	case typ == "billing.seats.changed" && c.Seats == nil:
		return errors.New("seats are missing")
	}
	return nil
}
