package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OrganizationSwitch turns a session to an organization; *membership.Service is one.
type OrganizationSwitch interface {
	OrganizationFinder
	Switch(ctx context.Context, p principal.Principal, id uuid.UUID) (principal.Principal, error)
}

type switchInput struct {
	Body struct {
		Organization string `json:"organization" minLength:"1" maxLength:"64" doc:"The id or slug of an organization of whoever asks." example:"acme"`
	} `nameHint:"ActiveOrganization"`
}

type sessionInfoOutput struct{ Body SessionInfo }

// organizationSwitch is the active organization of a session.
type organizationSwitch struct{ flows OrganizationSwitch }

// Mount adds the operations.
func (d organizationSwitch) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodPut, path: "/v1/session/organization", id: "switch-organization", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn, maxBody: smallBody,
		summary:     "Make an organization the active one of the session",
		description: "Without a new sign-in and with the same token. An organization that asks for a second factor, or for other ways to sign in, is answered 403: step_up_required, or sign_in_method_not_allowed.",
		ok:          "The session as it is now.", problems: organizationProblems(nil),
	}, d.turn)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/session/organization", id: "leave-active-organization", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "Have no active organization in the session", description: "The membership stays.", ok: "The session as it is now.",
	}, func(ctx context.Context, who asker, _ *none) (*sessionInfoOutput, error) {
		return d.to(ctx, who, uuid.Nil)
	})
}

func (d organizationSwitch) turn(ctx context.Context, who asker, in *switchInput) (*sessionInfoOutput, error) {
	_, st, err := findOrganization(ctx, who, d.flows, in.Body.Organization)
	if err != nil {
		return nil, err
	}
	return d.to(ctx, who, st.Organization.ID)
}

func (d organizationSwitch) to(ctx context.Context, who asker, id uuid.UUID) (*sessionInfoOutput, error) {
	p, err := d.flows.Switch(ctx, who.principal, id)
	if err != nil {
		return nil, err
	}
	return &sessionInfoOutput{infoOf(p)}, nil
}
