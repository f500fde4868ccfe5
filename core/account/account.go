package account

import (
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
)

// Status says what an account may do.
type Status string

// The statuses; doc.go draws how one follows another.
const (
	Unconfirmed Status = "unconfirmed"
	Active      Status = "active"
	Disabled    Status = "disabled"
	Deleted     Status = "deleted"
)

// Valid reports whether s is a status.
func (s Status) Valid() bool {
	switch s {
	case Unconfirmed, Active, Disabled, Deleted:
		return true
	}
	return false
}

// Live reports whether sessions of such an account count. Unconfirmed ones do: with deferred confirmation
// somebody is signed in before the address is confirmed.
func (s Status) Live() bool { return s == Active || s == Unconfirmed }

// Account is one person's row.
type Account struct {
	ID            uuid.UUID
	Email         string // empty once deleted
	Username      string // Username.Display; empty without one
	Display       string // what people call its person; empty without a name
	Status        Status
	Administrator bool
	SecondFactor  bool      // after any first factor, a second one is asked
	ConfirmedAt   time.Time // zero: never
	LastSignInAt  time.Time // zero: never
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DeletedAt     time.Time // zero: not deleted
}

// Name is what people call the account's person: its display name, or else the address.
func (a Account) Name() string {
	if a.Display != "" {
		return a.Display
	}
	return a.Email
}

// MaxDisplay is how many characters a display name may have.
const MaxDisplay = 100

// ErrNotFound says that there is no such account.
var ErrNotFound = fault.New(fault.NotFound, "account_not_found", "There is no such account.")

// ErrEmailTaken says that a live account has the address. It must never reach somebody who is not an administrator.
var ErrEmailTaken = fault.New(fault.Conflict, "email_taken", "An account with this email address exists.").At("email")

// errState says that the account is not in a state from which the change is possible.
func errState(s Status) error {
	return fault.Newf(fault.Conflict, "account_"+string(s), "The account is %s.", s)
}
