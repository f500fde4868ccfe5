package httpapi

import (
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
)

// User is an account as an administrator sees it.
type User struct {
	ID            uuid.UUID      `json:"id" format:"uuid" doc:"The account's id."`
	Email         string         `json:"email,omitempty" doc:"The address; empty once deleted." example:"ada@example.com"`
	Username      string         `json:"username,omitempty" doc:"The username; absent without one." example:"ada"`
	Status        account.Status `json:"status" enum:"unconfirmed,active,disabled,deleted" doc:"What the account may do."`
	Administrator bool           `json:"administrator" doc:"May administer this server."`
	SecondFactor  bool           `json:"second_factor" doc:"A second factor is asked for after every first one."`
	ConfirmedAt   time.Time      `json:"confirmed_at,omitzero" doc:"When the address was confirmed."`
	LastSignInAt  time.Time      `json:"last_sign_in_at,omitzero" doc:"The last sign-in."`
	CreatedAt     time.Time      `json:"created_at" doc:"When the account was made."`
	UpdatedAt     time.Time      `json:"updated_at" doc:"The last change."`
	DeletedAt     time.Time      `json:"deleted_at,omitzero" doc:"When it was deleted."`
}

func userOf(a account.Account) User {
	return User{ID: a.ID, Email: a.Email, Username: a.Username, Status: a.Status, Administrator: a.Administrator, SecondFactor: a.SecondFactor, ConfirmedAt: a.ConfirmedAt,
		LastSignInAt: a.LastSignInAt, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, DeletedAt: a.DeletedAt}
}

// UserSession is one live session as an administrator sees it.
type UserSession struct {
	ID         uuid.UUID `json:"id" format:"uuid" doc:"The session's id."`
	AAL        string    `json:"aal" doc:"Assurance: aal1 or aal2."`
	AMR        []string  `json:"amr" doc:"Methods used (RFC 8176)."`
	Persistent bool      `json:"persistent" doc:"Outlives the browser."`
	CreatedAt  time.Time `json:"created_at" doc:"When it began."`
	LastSeenAt time.Time `json:"last_seen_at" doc:"When it was last used, to about a minute."`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends whatever happens."`
	IP         string    `json:"ip,omitempty" doc:"Where it was last used from."`
	UserAgent  string    `json:"user_agent,omitempty" doc:"What it was last used with."`
}

// UserPage is a part of the list of accounts.
type UserPage struct {
	Users []User `json:"users" doc:"Newest first."`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

// UserDetail is one account with its sessions.
type UserDetail struct {
	User     User          `json:"user" doc:"The account."`
	Sessions []UserSession `json:"sessions" doc:"Its live sessions, newest first."`
}

// Invitation is an account with the one-time link to set its password.
type Invitation struct {
	User User   `json:"user" doc:"The account."`
	Link string `json:"link" doc:"The one-time link to set the password. It is shown once and is as good as a password." example:"http://localhost:8484/set-password?token=…"`
}

// Revoked says how many sessions were ended.
type Revoked struct {
	Sessions int64 `json:"sessions" doc:"How many sessions were ended."`
}
