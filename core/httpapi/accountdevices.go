package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OwnDevices is the browsers that people have used their own account from.
type OwnDevices interface {
	Devices(ctx context.Context, p principal.Principal) ([]device.Device, error)
	ForgetDevice(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// Device is a browser that an account has been used from.
type Device struct {
	ID           uuid.UUID `json:"id" format:"uuid" doc:"The device's id."`
	Browser      string    `json:"browser,omitempty" doc:"What it called itself." example:"Firefox"`
	System       string    `json:"system,omitempty" doc:"What it said it runs on." example:"Linux"`
	FirstSeenAt  time.Time `json:"first_seen_at" doc:"When the account was first used there."`
	LastSeenAt   time.Time `json:"last_seen_at" doc:"When it last was, to about an hour."`
	TrustedUntil time.Time `json:"trusted_until,omitzero" doc:"Until when no second factor is asked for there."`
}

type devicesOutput struct {
	Body struct {
		Devices []Device `json:"devices" doc:"The last used first."`
	} `nameHint:"Devices"`
}

// accountDevices is the browsers that the account of whoever is signed in has been used from.
type accountDevices struct{ flows OwnDevices }

// Mount adds the operations.
func (d accountDevices) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/account/devices", id: "list-devices", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "The browsers that the account has been used from", description: "Trusted ones are asked for no second factor.", ok: "The devices.",
	}, d.listDevices)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/devices/{id}", id: "forget-device", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "Forget a browser", description: "Its next sign-in is asked for a second factor and told of by mail. Its sessions go on.", ok: "It is forgotten.",
		problems: map[int]string{http.StatusNotFound: "There is no such browser on this account."},
	}, func(ctx context.Context, who asker, in *ownIDInput) (*empty, error) {
		return nil, d.flows.ForgetDevice(ctx, who.principal, in.ID)
	})
}

func (d accountDevices) listDevices(ctx context.Context, who asker, _ *none) (*devicesOutput, error) {
	list, err := d.flows.Devices(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	out := &devicesOutput{}
	out.Body.Devices = make([]Device, 0, len(list))
	for _, d := range list {
		v := Device{ID: d.ID, FirstSeenAt: d.FirstSeenAt, LastSeenAt: d.LastSeenAt, TrustedUntil: d.TrustedUntil}
		v.Browser, v.System = device.Describe(d.UserAgent)
		out.Body.Devices = append(out.Body.Devices, v)
	}
	return out, nil
}
