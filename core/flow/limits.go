package flow

import (
	"context"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// ClearLimits lifts the pauses that failures brought on an account. The account's devices must still be there.
func (k *Kit) ClearLimits(ctx context.Context, tx *store.Tx, who part.Subject) error {
	known, err := k.Devices.List(ctx, tx, who.UserID)
	if err != nil {
		return err
	}
	keys := []string{who.Email}
	if who.Username != "" {
		keys = append(keys, UsernameKey(account.Username{Key: who.Username}))
	}
	for _, d := range known {
		keys = append(keys, Key("device", d.ID.String()))
	}
	for _, key := range keys {
		if err := k.Failures.Clear(ctx, tx, key); err != nil {
			return err
		}
	}
	for _, key := range []string{who.UserID.String(), Key("change", who.UserID.String()), Key("username", who.UserID.String())} {
		if err := k.Factors.Clear(ctx, tx, key); err != nil {
			return err
		}
	}
	return nil
}

// EraseLimits forgets everything that was counted of somebody who is deleted: failures, and mails sent to their address.
func (k *Kit) EraseLimits(ctx context.Context, tx *store.Tx, who part.Subject) error {
	if err := k.ClearLimits(ctx, tx, who); err != nil {
		return err
	}
	for _, key := range []string{who.Email, Key("step_up", who.Email)} {
		if err := k.Mails.Clear(ctx, tx, key); err != nil {
			return err
		}
	}
	return nil
}
