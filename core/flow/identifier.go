package flow

import (
	"strings"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
)

// Usernames says whether accounts have a username beside their address, to sign in with either.
type Usernames string

// Whether accounts have usernames.
const (
	NoUsernames       Usernames = ""
	OptionalUsernames Usernames = "optional"
	RequiredUsernames Usernames = "required" // chosen at sign-up, and never given up
)

// On reports whether there are usernames.
func (u Usernames) On() bool { return u != NoUsernames }

// Names is how many names an account can be signed in to by, each of which has its share of what may fail (ratelimit.Quota.Shared).
func (u Usernames) Names() int {
	if u.On() {
		return 2
	}
	return 1
}

var (
	errNoUsernames    = fault.New(fault.Invalid, "no_usernames", "This service has no usernames.").At("username")
	errUsernameNeeded = fault.New(fault.Invalid, "username_needed", "Choose a username.").At("username")
)

// Is tells whether what somebody typed is a username or an address: nothing is both (account.ParseUsername).
func (u Usernames) Is(typed string) bool { return u.On() && !strings.Contains(typed, "@") }

// Chosen reads the username that somebody wants.
func (u Usernames) Chosen(typed string) (account.Username, error) {
	if strings.TrimSpace(typed) == "" {
		if u == RequiredUsernames {
			return account.Username{}, errUsernameNeeded
		}
		return account.Username{}, nil
	}
	if !u.On() {
		return account.Username{}, errNoUsernames
	}
	name, err := account.ParseUsername(typed)
	if err == nil {
		err = name.Chosen()
	}
	return name, err
}

// Given reads a username that an administrator chooses; empty is none.
func (u Usernames) Given(typed string) (account.Username, error) {
	if strings.TrimSpace(typed) == "" {
		return account.Username{}, nil
	}
	if !u.On() {
		return account.Username{}, errNoUsernames
	}
	return account.ParseUsername(typed)
}

// Key names what is counted, where that is no address: in an address there is no colon.
func Key(kind, name string) string { return kind + ":" + name }

// UsernameKey names the bucket that sign-ins by a username are counted in, known or not. It is not the bucket of the account's
// address: see the package comment of core/auth.
func UsernameKey(u account.Username) string { return Key("username", u.Key) }

// EmailDomain is what a gate is told of an address.
func EmailDomain(email string) string {
	_, d, _ := strings.Cut(email, "@")
	return d
}
