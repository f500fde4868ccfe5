package main

import (
	"context"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/membership"
)

func openMembers(_ context.Context, p *parts) (hooks, error) {
	var err error
	if p.members, err = membership.New(membership.Config{Kit: p.kit, Attempts: p.attempts, Settings: memberSettings(p.cfg)}); err != nil {
		return hooks{}, err
	}
	return hooks{Reload: func(next *config.Config) error {
		p.members.Configure(memberSettings(next))
		return nil
	}}, nil
}

func memberSettings(cfg *config.Config) membership.Settings {
	o := cfg.Organizations
	return membership.Settings{Creation: membership.Creation(o.Creation), ManagerRoles: o.ManagerRoles, MaxOwned: o.MaxOwned, InvitationTTL: o.InvitationTTL}
}
