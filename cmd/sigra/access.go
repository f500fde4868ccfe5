package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/forwardauth"
	"github.com/sigra-auth/sigra/core/org"
)

// openAccess makes the rules for proxies that ask.
func openAccess(ctx context.Context, p *parts) (hooks, error) {
	set := func(ctx context.Context, cfg *config.Config) error {
		rules, err := accessRules(ctx, cfg.Access, p.orgs)
		if err == nil {
			p.access.Store(&rules)
		}
		return err
	}
	return hooks{Reload: func(next *config.Config) error { return set(context.Background(), next) }}, set(ctx, p.cfg)
}

// accessRules reads the rules. An organization that does not exist lets nobody in: it may be made later, and a rule that then counts for
// everybody would be worse.
func accessRules(ctx context.Context, list []config.AccessRule, orgs *org.Store) (forwardauth.Rules, error) {
	out := forwardauth.Rules{}
	for _, r := range list {
		rule := forwardauth.Rule{
			Name: r.Name, Hosts: r.Hosts, Paths: r.Paths, Methods: r.Methods, Access: forwardauth.Access(r.Allow), AAL: r.AAL, MaxAge: r.MaxAge,
			Organization: r.Organization, Roles: r.Roles, AskPlugins: r.AskPlugins,
		}
		if _, err := uuid.Parse(r.Organization); err != nil && r.Organization != "" {
			o, err := orgs.GetBySlug(ctx, r.Organization)
			switch {
			case err == nil:
				rule.Organization = o.ID.String()
			case fault.KindOf(err) != fault.NotFound:
				return nil, fmt.Errorf("organization %q of access rule %q: %w", r.Organization, r.Name, err)
			}
		}
		out = append(out, rule)
	}
	return out, nil
}
