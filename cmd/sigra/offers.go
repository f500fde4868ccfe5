package main

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/web"
)

// offers asks plugins for ways to sign in. The organization that has proven the domain of an address is looked up here: plugins learn its id and
// the domain, and not who is about to sign in.
type offers struct {
	host    func() *pluginhost.Host // set when the server is put together
	members *membership.Service
}

// Any implements web.Offers.
func (o offers) Any() bool { return o.host() != nil && o.host().OffersLogin() }

// Offers implements web.Offers.
func (o offers) Offers(ctx context.Context, email, returnTo string) ([]web.Offer, error) {
	found, err := o.LoginMethods(ctx, email, returnTo)
	var out []web.Offer
	for _, m := range found {
		out = append(out, web.Offer{Label: m.Label, URL: m.URL, Exclusive: m.Exclusive})
	}
	return out, err
}

// LoginMethods implements httpapi.LoginMethods.
func (o offers) LoginMethods(ctx context.Context, email, returnTo string) (out []httpapi.LoginMethod, err error) {
	if !o.Any() {
		return nil, nil
	}
	domain, organization := "", uuid.Nil
	if email != "" {
		_, domain, _ = strings.Cut(email, "@")
		owner, found, err := o.members.ByEmail(ctx, email)
		if err != nil {
			return nil, err
		}
		if found {
			organization = owner.ID
		}
	}
	found, stale := o.host().LoginMethods(ctx, domain, organization, returnTo)
	if len(found) == 0 && len(stale) > 0 && email != "" { // that nobody has anything for the address can't be said
		return nil, fault.New(fault.Unavailable, "plugin_unavailable", "A part of this service is not available right now. Try again shortly.").After(2 * time.Second)
	}
	for _, m := range found {
		out = append(out, httpapi.LoginMethod(m))
	}
	return out, nil
}
