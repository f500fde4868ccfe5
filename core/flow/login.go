package flow

import (
	"context"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
)

// Link binds a login elsewhere to an account, and tells the person.
func (k *Kit) Link(ctx context.Context, tx *store.Tx, a account.Account, c federation.Claims) error {
	_, made, err := k.Logins.Link(ctx, tx, a.ID, c)
	if err != nil || !made {
		return err
	}
	if err := k.Record(ctx, tx, audit.Entry{
		Action: "oauth.link.success", Actor: User(a.ID), Targets: []audit.Ref{User(a.ID)}, AuthMethod: "fed", Metadata: map[string]any{"provider": c.Provider},
	}); err != nil {
		return err
	}
	return k.Notice(ctx, tx, a, mail.Letter{Purpose: mail.OAuthLinked, Provider: k.ProviderTitle(c.Provider)})
}

// ProviderTitle is what people call a provider.
func (k *Kit) ProviderTitle(name string) string {
	for _, p := range k.Logins.Providers() {
		if p.Name == name {
			return p.Title
		}
	}
	return name
}
