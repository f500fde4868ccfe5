package membership

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
)

// domains are the flows of the domains whose addresses belong to an organization.
type domains struct{ *base }

// Domains lists the domains of an organization, for those who manage it.
func (s *domains) Domains(ctx context.Context, by Actor, id uuid.UUID) ([]org.Domain, error) {
	if _, err := s.may(ctx, s.kit.DB, by, id, manage); err != nil {
		return nil, err
	}
	return s.orgs.Domains(ctx, id)
}

// AddDomain claims a domain and says which TXT record proves it.
func (s *domains) AddDomain(ctx context.Context, by Actor, id uuid.UUID, domain string) (d org.Domain, err error) {
	err = s.change(ctx, by, id, manage, func(ctx context.Context, tx *store.Tx, _ standing) error {
		d, err = s.orgs.ClaimDomain(ctx, tx, by.entry(""), id, domain)
		return err
	})
	return d, err
}

// VerifyDomain looks for the TXT record and, where it is there, notes that the domain is proven.
func (s *domains) VerifyDomain(ctx context.Context, by Actor, id uuid.UUID, domain string) (org.Domain, error) {
	if _, err := s.may(ctx, s.kit.DB, by, id, manage); err != nil {
		return org.Domain{}, err
	}
	d, err := s.orgs.FindDomain(ctx, s.kit.DB, id, domain)
	if err != nil || d.Verified() {
		return d, err
	}
	if err := s.orgs.Published(ctx, d); err != nil {
		return org.Domain{}, err
	}
	err = s.change(ctx, by, id, manage, func(ctx context.Context, tx *store.Tx, _ standing) (err error) {
		d, err = s.orgs.VerifyDomain(ctx, tx, by.entry(""), d)
		return err
	})
	return d, err
}

// RemoveDomain gives a domain up.
func (s *domains) RemoveDomain(ctx context.Context, by Actor, id uuid.UUID, domain string) error {
	return s.change(ctx, by, id, manage, func(ctx context.Context, tx *store.Tx, _ standing) error {
		return s.orgs.RemoveDomain(ctx, tx, by.entry(""), id, domain)
	})
}

func ignore(err, but error) error {
	if errors.Is(err, but) {
		return nil
	}
	return err
}
