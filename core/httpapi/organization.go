package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OrganizationFinder finds an organization as somebody may see it; *membership.Service is one. To whoever may not see it, it isn't there.
type OrganizationFinder interface {
	Get(ctx context.Context, by membership.Actor, id uuid.UUID) (membership.Standing, error)
	GetBySlug(ctx context.Context, by membership.Actor, slug string) (membership.Standing, error)
}

// Organizations makes, lists, changes and deletes organizations; *membership.Service is one.
type Organizations interface {
	OrganizationFinder
	Create(ctx context.Context, by membership.Actor, n membership.NewOrganization) (org.Organization, error)
	List(ctx context.Context, by membership.Actor, f org.Filter) (org.Page, error)
	Mine(ctx context.Context, by membership.Actor, cursor string, limit int) (membership.StandingPage, error)
	Update(ctx context.Context, by membership.Actor, id uuid.UUID, c org.Change) (org.Organization, error)
	Delete(ctx context.Context, by membership.Actor, id uuid.UUID) error
}

// Organization is an organization as its members see it.
type Organization struct {
	ID                  uuid.UUID       `json:"id" format:"uuid" doc:"The organization's id."`
	Slug                string          `json:"slug" doc:"Its name in addresses. Unique; it may change." example:"acme"`
	Name                string          `json:"name" doc:"Its name for people." example:"Acme Ltd"`
	RequireSecondFactor bool            `json:"require_second_factor" doc:"A session is active here only with two factors."`
	SignInMethods       []org.Method    `json:"sign_in_methods" enum:"password,email,passkey,social,sso" doc:"The ways to sign in that it allows. Empty: any."`
	PublicMetadata      json.RawMessage `json:"public_metadata" doc:"A JSON object that its members may read."`
	Members             int64           `json:"members" doc:"How many members it has, of any status."`
	Owners              int64           `json:"owners" doc:"How many active owners it has."`
	CreatedAt           time.Time       `json:"created_at" doc:"When it was created."`
	UpdatedAt           time.Time       `json:"updated_at" doc:"The last change."`
}

func organizationOf(o org.Organization) Organization {
	out := Organization{
		ID: o.ID, Slug: o.Slug, Name: o.Name, RequireSecondFactor: o.Policy.RequireSecondFactor, SignInMethods: o.Policy.Methods, PublicMetadata: o.PublicMetadata,
		Members: o.Members, Owners: o.Owners, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
	if out.SignInMethods == nil {
		out.SignInMethods = []org.Method{}
	}
	return out
}

// OrganizationDetail is an organization, and how whoever asks stands to it.
type OrganizationDetail struct {
	Organization Organization        `json:"organization" doc:"The organization."`
	Membership   *OrganizationMember `json:"membership,omitempty" doc:"The membership of whoever asks; absent for an administrator who has none."`
	Manager      bool                `json:"manager" doc:"Whoever asks may change members, invitations, name, slug and metadata."`
	Owner        bool                `json:"owner" doc:"Whoever asks may also change owners and the policy, and delete the organization."`
}

func standingOf(st membership.Standing) OrganizationDetail {
	out := OrganizationDetail{Organization: organizationOf(st.Organization), Manager: st.Manager, Owner: st.Owner}
	if st.Membership.ID != uuid.Nil {
		m := memberOf(st.Membership)
		out.Membership = &m
	}
	return out
}

// OwnOrganizationPage is a part of the list of somebody's organizations.
type OwnOrganizationPage struct {
	Organizations []OrganizationDetail `json:"organizations" doc:"The oldest first, suspended memberships among them."`
	Next          string               `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

// OrganizationPage is a part of the list of all organizations.
type OrganizationPage struct {
	Organizations []Organization `json:"organizations" doc:"By name."`
	Next          string         `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

type organizationPath struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
}

type organizationOutput struct{ Body Organization }

type createOrganizationInput struct {
	Body struct {
		Name    string    `json:"name" minLength:"1" maxLength:"400" doc:"Its name, up to 100 characters." example:"Acme Ltd"`
		Slug    string    `json:"slug,omitempty" maxLength:"100" doc:"Its name in addresses. Without it, one is made from the name." example:"acme"`
		OwnerID uuid.UUID `json:"owner_id,omitzero" format:"uuid" doc:"The account that owns it. Without it, whoever creates it; of an operator's, nobody yet. Somebody else's only from administrators."`
	} `nameHint:"NewOrganization"`
}

type listOwnOrganizationsInput struct {
	Cursor string `query:"cursor" maxLength:"64" doc:"The next member of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
}

type listOrganizationsInput struct {
	Query  string `query:"query" maxLength:"400" doc:"The beginning of the name."`
	Cursor string `query:"cursor" maxLength:"4096" doc:"The next member of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
}

type updateOrganizationInput struct {
	Organization string `path:"organization" maxLength:"64" doc:"The organization's id or slug."`
	Body         struct {
		Name                *string         `json:"name,omitempty" maxLength:"400" doc:"Another name."`
		Slug                *string         `json:"slug,omitempty" maxLength:"100" doc:"Another slug. Addresses with the old one stop working."`
		RequireSecondFactor *bool           `json:"require_second_factor,omitempty" doc:"Whether a session is active here only with two factors. For owners."`
		SignInMethods       *[]org.Method   `json:"sign_in_methods,omitempty" maxItems:"16" doc:"The ways to sign in that it allows; empty for any. For owners."`
		PublicMetadata      json.RawMessage `json:"public_metadata,omitempty" doc:"The object as it is to be, up to 16 KiB."`
	} `nameHint:"OrganizationChange"`
}

// acts is somebody who acts on organizations: a person or an operator. The application's key stands for no member.
func (who asker) acts() (membership.Actor, error) {
	if p := who.principal; !p.SignedIn() && p.Kind != principal.Operator {
		return membership.Actor{}, errUserNeeded
	}
	return membership.As(who.principal), nil
}

// findOrganization finds an organization by its id or slug, for whoever may see it. No slug reads like an id.
func findOrganization(ctx context.Context, who asker, from OrganizationFinder, name string) (membership.Actor, membership.Standing, error) {
	by, err := who.acts()
	if err != nil {
		return by, membership.Standing{}, err
	}
	if id, ok := organizationID(name); ok {
		st, err := from.Get(ctx, by, id)
		return by, st, err
	}
	st, err := from.GetBySlug(ctx, by, name)
	return by, st, err
}

func organizationID(name string) (uuid.UUID, bool) {
	if len(name) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(name)
	return id, err == nil
}

// organizations is what is done to organizations as a whole.
type organizations struct{ flows Organizations }

// organizationProblems are the statuses that every operation on an organization may be answered with, and those of more.
func organizationProblems(more map[int]string) map[int]string {
	out := map[int]string{
		http.StatusForbidden: "Whoever asks is a member and may not do this, or has to show who they are once more: step_up_required. A gate that refuses answers with its own code and message.",
		http.StatusNotFound:  "There is no such organization for whoever asks, or not what they name in it.",
	}
	for status, when := range more {
		out[status] = when
	}
	return out
}

// Mount adds the operations.
func (d organizations) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/organizations", id: "list-own-organizations", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "The organizations of whoever asks", description: "Page by page.", ok: "A page of organizations.",
	}, d.listOwn)
	register(k, operation{
		method: http.MethodPost, path: "/v1/organizations", id: "create-organization", tag: "organizations", off: off, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Authenticated, maxBody: smallBody,
		summary:     "Create an organization",
		description: "By administrators; by everybody who is signed in where organizations { creation = \"anyone\" } is set. Its owner is its first member, and the session of whoever creates one for themselves turns to it.",
		ok:          "The organization.", problems: map[int]string{
			http.StatusForbidden: "Only administrators create organizations here, or a gate refused the owner.",
			http.StatusNotFound:  "There is no account to own it.",
			http.StatusConflict:  "The slug is taken, whoever creates it owns as many as they may, or the owner's address isn't confirmed.",
		},
	}, d.create)
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/organizations", id: "list-organizations", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List all organizations", description: "By name, page by page.", ok: "A page of organizations.",
	}, d.list)
	register(k, operation{
		method: http.MethodGet, path: "/v1/organizations/{organization}", id: "get-organization", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary: "Show an organization", description: "To its members and to administrators.", ok: "The organization.", problems: organizationProblems(nil),
	}, d.get)
	register(k, operation{
		method: http.MethodPatch, path: "/v1/organizations/{organization}", id: "update-organization", tag: "organizations", off: off,
		limit: ratelimit.General, access: endpoint.Authenticated, maxBody: adminBody, maxValues: 4096,
		summary:     "Change an organization",
		description: "What is left out stays. Name, slug and metadata by those who manage it; what it asks of sessions by its owners, who have shown lately who they are.",
		ok:          "The organization as it is now.", problems: organizationProblems(map[int]string{http.StatusConflict: "Another organization uses the slug."}),
	}, d.update)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/organizations/{organization}", id: "delete-organization", tag: "organizations", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Authenticated,
		summary:     "Delete an organization",
		description: "With its memberships, invitations and domains, at once and for good. Accounts stay. By its owners, who have shown lately who they are.",
		ok:          "It is deleted.", problems: organizationProblems(nil),
	}, d.delete)
}

func (d organizations) listOwn(ctx context.Context, who asker, in *listOwnOrganizationsInput) (*struct{ Body OwnOrganizationPage }, error) {
	page, err := d.flows.Mine(ctx, membership.As(who.principal), in.Cursor, in.Limit)
	if err != nil {
		return nil, inQuery(err)
	}
	out := &struct{ Body OwnOrganizationPage }{OwnOrganizationPage{Organizations: []OrganizationDetail{}, Next: page.Next}}
	for _, st := range page.Standings {
		out.Body.Organizations = append(out.Body.Organizations, standingOf(st))
	}
	return out, nil
}

func (d organizations) create(ctx context.Context, who asker, in *createOrganizationInput) (*organizationOutput, error) {
	by, err := who.acts()
	if err != nil {
		return nil, err
	}
	o, err := d.flows.Create(ctx, by, membership.NewOrganization{Name: in.Body.Name, Slug: in.Body.Slug, Owner: in.Body.OwnerID})
	if err != nil {
		return nil, err
	}
	return &organizationOutput{organizationOf(o)}, nil
}

func (d organizations) list(ctx context.Context, who asker, in *listOrganizationsInput) (*struct{ Body OrganizationPage }, error) {
	page, err := d.flows.List(ctx, membership.As(who.principal), org.Filter{Query: in.Query, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, inQuery(err)
	}
	out := &struct{ Body OrganizationPage }{OrganizationPage{Organizations: []Organization{}, Next: page.Next}}
	for _, o := range page.Organizations {
		out.Body.Organizations = append(out.Body.Organizations, organizationOf(o))
	}
	return out, nil
}

func (d organizations) get(ctx context.Context, who asker, in *organizationPath) (*struct{ Body OrganizationDetail }, error) {
	_, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	return &struct{ Body OrganizationDetail }{standingOf(st)}, nil
}

func (d organizations) update(ctx context.Context, who asker, in *updateOrganizationInput) (*organizationOutput, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	if string(b.PublicMetadata) == "null" {
		return nil, fault.New(fault.Invalid, "invalid_metadata", "The public metadata must be a JSON object; {} empties it.").At("public_metadata")
	}
	o, err := d.flows.Update(ctx, by, st.Organization.ID, org.Change{
		Name: b.Name, Slug: b.Slug, RequireSecondFactor: b.RequireSecondFactor, Methods: b.SignInMethods, PublicMetadata: b.PublicMetadata,
	})
	if err != nil {
		return nil, err
	}
	return &organizationOutput{organizationOf(o)}, nil
}

func (d organizations) delete(ctx context.Context, who asker, in *organizationPath) (*empty, error) {
	by, st, err := findOrganization(ctx, who, d.flows, in.Organization)
	if err != nil {
		return nil, err
	}
	return nil, d.flows.Delete(ctx, by, st.Organization.ID)
}
