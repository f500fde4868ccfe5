package endpoint

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Access is who may use an endpoint.
type Access string

// Who may use an endpoint.
const (
	Anyone        Access = "anyone"
	SignedIn      Access = "signed_in"     // a person with a session of their own
	Authenticated Access = "authenticated" // whoever shows a credential that is good: a person, the application, an operator
	Application   Access = "application"   // the application by its key, an administrator, an operator
	Administrator Access = "administrator" // an administrator, an operator
	ThisMachine   Access = "this_machine"  // whoever asks from the machine that Sigra runs on
)

func (a Access) known() bool {
	switch a {
	case Anyone, SignedIn, Authenticated, Application, Administrator, ThisMachine:
		return true
	}
	return false
}

// Rules are what an endpoint declares.
type Rules struct {
	Limit  ratelimit.Class
	Access Access
	Body   int64 // bytes of the body it takes at most; 0: it takes none
	Recent bool  // only for somebody who has proved who they are in the last minutes
}

// Check says what is missing or contradicts itself.
func (r Rules) Check() error {
	switch {
	case !r.Limit.Known():
		return errors.New("no limit class is declared")
	case !r.Access.known():
		return errors.New("it is not declared who may use it")
	case r.Body < 0:
		return errors.New("the body limit is negative")
	case r.Recent && (r.Access == Anyone || r.Access == ThisMachine):
		return errors.New("nobody has to sign in, so nobody can have done so recently")
	}
	return nil
}

// Table holds the rules of the routes that are mounted, by method and path template.
type Table map[string]Rules

// Add declares a route.
func (t Table) Add(method, template string, r Rules) error {
	key := method + " " + template
	if err := r.Check(); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if _, twice := t[key]; twice {
		return fmt.Errorf("%s is declared twice", key)
	}
	t[key] = r
	return nil
}

// Find gives the rules of a route. HEAD has those of GET.
func (t Table) Find(method, template string) (Rules, bool) {
	if method == "HEAD" {
		method = "GET"
	}
	var key strings.Builder // on the way of every request
	key.Grow(len(method) + 1 + len(template))
	key.WriteString(method)
	key.WriteByte(' ')
	key.WriteString(template)
	r, ok := t[key.String()]
	return r, ok
}

// Join puts tables together.
func Join(tables ...Table) (Table, error) {
	out := Table{}
	for _, t := range tables {
		for key, r := range t {
			method, template, _ := strings.Cut(key, " ")
			if err := out.Add(method, template, r); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
