package session_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

var operator = audit.Entry{Actor: audit.Ref{Type: "operator"}}

func (w *world) orgs() *org.Store {
	w.t.Helper()
	o, err := org.New(org.Config{DB: w.db, Audit: w.audit})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// organization makes one of which Ada is a member.
func (w *world) organization(role string) (id uuid.UUID) {
	w.t.Helper()
	orgs := w.orgs()
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		o, err := orgs.Create(ctx, tx, operator, org.NewOrganization{Name: "Acme"})
		if err != nil {
			return err
		}
		id = o.ID
		_, err = orgs.Add(ctx, tx, operator, org.NewMember{OrganizationID: id, AccountID: w.ada.ID, Role: role, Via: org.Direct})
		return err
	})
	return id
}

// What ends the place of a session in its organization takes effect at its next request, and the session stays.
func TestResolve_dropsTheOrganization(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		orgs := w.orgs()
		id := w.organization("editor")
		in := w.issue(session.Grant{Method: "password"})
		two := w.issue(session.Grant{AAL: principal.AAL2, AMR: []string{"pwd", "otp"}, Method: "password"})
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, s := range []session.Issued{in, two} {
				if err := w.SetOrganization(ctx, tx, s.Principal.SessionID, id); err != nil {
					return err
				}
			}
			return nil
		})
		want := func(what string, s session.Issued, role string) {
			t.Helper()
			p, err := w.Resolve(t.Context(), s.Token)
			if err != nil || (p.OrganizationID == id) != (role != "") || p.Role != role {
				t.Errorf("%s: organization %v, role %q, %v; want the role %q", what, p.OrganizationID, p.Role, err, role)
			}
		}
		member := func(c org.MemberChange) {
			t.Helper()
			w.tx(func(ctx context.Context, tx *store.Tx) error {
				_, err := orgs.Change(ctx, tx, operator, id, w.ada.ID, c)
				return err
			})
		}
		policy := func(second bool, methods ...org.Method) {
			t.Helper()
			w.tx(func(ctx context.Context, tx *store.Tx) error {
				_, err := orgs.Update(ctx, tx, operator, id, org.Change{RequireSecondFactor: &second, Methods: &methods})
				return err
			})
		}
		active, suspended, owner, role := org.Active, org.Suspended, true, "viewer"

		want("a member", in, "editor")
		member(org.MemberChange{Role: &role})
		want("another role", in, "viewer")
		member(org.MemberChange{Status: &suspended})
		want("suspended", in, "")
		member(org.MemberChange{Status: &active})
		want("resumed", in, "viewer")
		policy(true)
		want("a second factor is required of one factor", in, "")
		want("a second factor is required of two", two, "viewer")
		policy(false, org.MethodPasskey)
		want("another method is required", two, "")
		member(org.MemberChange{Owner: &owner})
		want("an owner with one factor", in, "")
		want("an owner with two", two, "viewer")
		policy(false)
		w.tx(func(ctx context.Context, tx *store.Tx) error { return orgs.Delete(ctx, tx, operator, id) })
		want("a deleted organization", in, "")
	})
}
