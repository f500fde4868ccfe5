package selfservice

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// Devices lists the browsers that somebody has used.
func (s *own) Devices(ctx context.Context, p principal.Principal) ([]device.Device, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.kit.Devices.List(ctx, s.kit.DB, a.ID)
}

// ForgetDevice makes a browser an unknown one: its next sign-in is asked for a second factor and told of by mail.
func (s *own) ForgetDevice(ctx context.Context, p principal.Principal, id uuid.UUID) error {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		was, err := s.kit.Devices.Forget(ctx, tx, a.ID, id)
		if err != nil {
			return err
		}
		if !was {
			return fault.New(fault.NotFound, "device_not_found", "There is no such browser on this account.")
		}
		e := flow.By(p)
		e.Action, e.Targets = "trusted_device.revoke", []audit.Ref{{Type: "device", ID: id.String()}, flow.User(a.ID)}
		e.Metadata = map[string]any{"cause": "user", "count": 1}
		return s.kit.Record(ctx, tx, e)
	})
}
