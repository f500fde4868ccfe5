package factor

import (
	"context"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
)

// PasskeyUser is who a passkey is made for.
func PasskeyUser(a account.Account) passkey.User {
	return passkey.User{ID: a.ID, Name: a.Email, DisplayName: a.Email}
}

// AddPasskey keeps a registered passkey, in the transaction of the change.
func (s *Service) AddPasskey(ctx context.Context, tx *store.Tx, a account.Account, reg passkey.Registration, name string, e audit.Entry) error {
	k, err := s.kit.Passkeys.Add(ctx, tx, reg, name)
	if err != nil {
		return err
	}
	e.Action, e.Targets = "passkey.register.success", []audit.Ref{{Type: "passkey", ID: k.ID.String()}, flow.User(a.ID)}
	e.Metadata = map[string]any{
		"aaguid": k.AAGUID.String(), "discoverable": k.Discoverable, "user_verified": reg.UserVerified, "backed_up": k.BackedUp, "conditional": reg.Conditional,
	}
	if err := s.kit.Record(ctx, tx, e); err != nil {
		return err
	}
	return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.PasskeyAdded, Name: k.Name})
}
