package httpapi

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
)

// Faults of a request whose sender is known and not allowed.
var (
	errUserNeeded      = fault.New(fault.Denied, "user_required", "This is for a signed-in user. Operators and applications have no account of their own.")
	errApplicationOnly = fault.New(fault.Denied, "application_required", "Only the application with its key, an administrator or an operator may do this.")
	errElsewhere       = fault.New(fault.Denied, "local_only", "This answers requests from the machine that Sigra runs on, and no others.")
)

// administers reports whether an operation is for administrators, among people.
func administers(rules endpoint.Rules) bool {
	return rules.Access == endpoint.Administrator || rules.Access == endpoint.Application
}

// authorize resolves the sender and holds it against what the operation asks for. Whoever is known and not allowed
// comes with the error.
func (k *kit) authorize(r *http.Request, rules endpoint.Rules) (asker, error) {
	switch rules.Access {
	case endpoint.Anyone:
		return asker{}, nil
	case endpoint.ThisMachine:
		if info := request.From(r.Context()); !info.Local && info.Operator == "" {
			return asker{}, errElsewhere
		}
		return asker{}, nil
	}
	p, err := k.callers.Resolve(r)
	if err != nil {
		return asker{}, err
	}
	who := asker{principal: p}
	switch {
	case rules.Access == endpoint.SignedIn && !p.SignedIn():
		return who, errUserNeeded
	case rules.Access == endpoint.Application && p.Kind != principal.Application && !p.Administrator && !p.AdministratorWithheld:
		return who, errApplicationOnly
	case p.Kind == principal.User && administers(rules):
		return who, k.administrators.Check(r.Context(), p, rules.Recent)
	case rules.Access == endpoint.Administrator && !p.Administrator:
		return who, administration.ErrRequired
	case p.Kind == principal.User && rules.Recent:
		return who, k.recent(r.Context(), p)
	}
	return who, nil
}
