package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OwnInvitations is an invitation as the person who has its link sees it; *membership.Service is one.
type OwnInvitations interface {
	LookInvitation(ctx context.Context, token string) (membership.Invited, error)
	Accept(ctx context.Context, by membership.Actor, token string) (org.Membership, error)
	Decline(ctx context.Context, by membership.Actor, token string) error
}

// Invited is what an invitation's link says.
type Invited struct {
	Organization     string    `json:"organization" doc:"The organization's name." example:"Acme Ltd"`
	OrganizationSlug string    `json:"organization_slug" doc:"Its slug." example:"acme"`
	Email            string    `json:"email" doc:"The address that is invited. Sign in with the account that has it, or sign up with it." example:"grace@example.com"`
	Role             string    `json:"role" doc:"What they are to be." example:"member"`
	Kind             org.Kind  `json:"kind" enum:"member,guest" doc:"What sort of member they are to be."`
	ExpiresAt        time.Time `json:"expires_at" doc:"Until when it can be accepted."`
}

// ownInvitations is accepting and declining an invitation.
type ownInvitations struct{ flows OwnInvitations }

// Mount adds the operations.
func (d ownInvitations) Mount(k *kit) {
	off := d.flows == nil
	wrong := "invitation_invalid: the link is wrong, was used, sent anew or revoked, or has expired."
	answers := map[int]string{
		http.StatusForbidden: wrong + " invitation_other_address: it was sent to another address than the account's. A gate that refuses answers with its own code and message.",
		http.StatusConflict:  "They are a member already, or haven't confirmed their address yet.",
	}
	register(k, operation{
		method: http.MethodPost, path: "/v1/invitation", id: "look-invitation", tag: "organizations", off: off,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: smallBody,
		summary: "What an invitation's link invites to", description: "For whoever has the link. It changes nothing.", ok: "The invitation.", problems: map[int]string{http.StatusForbidden: wrong},
	}, d.look)
	register(k, operation{
		method: http.MethodPost, path: "/v1/invitation/accept", id: "accept-invitation", tag: "organizations", off: off, status: http.StatusCreated,
		limit: ratelimit.Guess, access: endpoint.SignedIn, maxBody: smallBody,
		summary:     "Accept an invitation",
		description: "By the account that has the invited address, confirmed, signed in however. The gate member.add is asked, and the session turns to the organization.",
		ok:          "The membership.", problems: answers,
	}, d.accept)
	register(k, operation{
		method: http.MethodPost, path: "/v1/invitation/decline", id: "decline-invitation", tag: "organizations", off: off, status: http.StatusNoContent,
		limit: ratelimit.Guess, access: endpoint.SignedIn, maxBody: smallBody,
		summary: "Decline an invitation", description: "By the account that has the invited address.", ok: "Its link is worth nothing any more.", problems: map[int]string{http.StatusForbidden: answers[http.StatusForbidden]},
	}, d.decline)
}

func (d ownInvitations) look(ctx context.Context, _ asker, in *tokenInput) (*struct{ Body Invited }, error) {
	i, err := d.flows.LookInvitation(ctx, in.Body.Token)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Invited }{Invited{
		Organization: i.Organization.Name, OrganizationSlug: i.Organization.Slug, Email: i.Invitation.Email, Role: i.Invitation.Role, Kind: i.Invitation.Kind, ExpiresAt: i.Invitation.ExpiresAt,
	}}, nil
}

func (d ownInvitations) accept(ctx context.Context, who asker, in *tokenInput) (*memberOutput, error) {
	m, err := d.flows.Accept(ctx, membership.As(who.principal), in.Body.Token)
	if err != nil {
		return nil, err
	}
	return &memberOutput{memberOf(m)}, nil
}

func (d ownInvitations) decline(ctx context.Context, who asker, in *tokenInput) (*empty, error) {
	return nil, d.flows.Decline(ctx, membership.As(who.principal), in.Body.Token)
}
