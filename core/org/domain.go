package org

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

const (
	// maxDomains is how many domains an organization may claim.
	maxDomains = 100
	// recordName is the label below which the challenge is published, and recordValue what stands before it (draft-ietf-dnsop-domain-verification-techniques §5).
	recordName  = "_sigra-challenge."
	recordValue = "sigra-domain-verification="
	// lookupTimeout is how long the DNS may take.
	lookupTimeout = 5 * time.Second
)

// Domain is a domain that an organization claims, or has proven to be its own.
type Domain struct {
	OrganizationID uuid.UUID
	Name           string // ASCII, lower case
	RecordName     string // of the TXT record
	RecordValue    string
	CreatedAt      time.Time
	VerifiedAt     time.Time // zero: it is only claimed
}

// Verified reports whether the domain is proven.
func (d Domain) Verified() bool { return !d.VerifiedAt.IsZero() }

const domainColumns = `organization_id, domain, challenge, created_at, verified_at`

func scanDomain(row store.Row) (Domain, error) {
	var d Domain
	var challenge string
	var at *time.Time
	err := row.Scan(&d.OrganizationID, &d.Name, &challenge, &d.CreatedAt, &at)
	if errors.Is(err, store.ErrNoRows) {
		return Domain{}, ErrNoDomain
	}
	if err != nil {
		return Domain{}, fmt.Errorf("read domain: %w", err)
	}
	d.RecordName, d.RecordValue, d.VerifiedAt = recordName+d.Name, recordValue+challenge, orZero(at)
	return d, nil
}

var errDomain = fault.New(fault.Invalid, "invalid_domain", "Enter a domain such as example.com.").At("domain")

func parseDomain(s string) (string, error) {
	d, ok := account.ParseDomain(strings.TrimSuffix(strings.TrimSpace(s), "."))
	if !ok || !strings.Contains(d, ".") || net.ParseIP(d) != nil {
		return "", errDomain
	}
	return d, nil
}

// domains are the domains whose addresses belong to an organization.
type domains struct{ *base }

// ClaimDomain notes that an organization says a domain is its own, with the challenge that will prove it. A domain that it
// has claimed already keeps its challenge.
func (s *domains) ClaimDomain(ctx context.Context, tx *store.Tx, by audit.Entry, org uuid.UUID, domain string) (Domain, error) {
	domain, err := parseDomain(domain)
	if err != nil {
		return Domain{}, err
	}
	if _, err := s.lock(ctx, tx, org); err != nil {
		return Domain{}, err
	}
	var many int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM organization_domain WHERE organization_id = $1`, org).Scan(&many); err != nil {
		return Domain{}, fmt.Errorf("claim domain: %w", err)
	}
	if d, err := s.FindDomain(ctx, tx, org, domain); err == nil || !errors.Is(err, ErrNoDomain) {
		return d, err
	}
	if many >= maxDomains {
		return Domain{}, fault.Newf(fault.Conflict, "too_many_domains", "An organization may have at most %d domains.", maxDomains).At("domain")
	}
	var raw [20]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	challenge := strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
	if _, err := tx.Exec(ctx, `INSERT INTO organization_domain (organization_id, domain, challenge, created_at) VALUES ($1, $2, $3, $4)`,
		org, domain, challenge, s.now()); err != nil {
		return Domain{}, fmt.Errorf("claim domain: %w", err)
	}
	if err := s.record(ctx, tx, by, "organization.domain_add", org, map[string]any{"domain": domain}); err != nil {
		return Domain{}, err
	}
	return s.FindDomain(ctx, tx, org, domain)
}

// FindDomain gives one domain of an organization; ErrNoDomain when it has not claimed it.
func (s *domains) FindDomain(ctx context.Context, q store.Querier, org uuid.UUID, domain string) (Domain, error) {
	domain, err := parseDomain(domain)
	if err != nil {
		return Domain{}, ErrNoDomain
	}
	return scanDomain(q.QueryRow(ctx, `SELECT `+domainColumns+` FROM organization_domain WHERE organization_id = $1 AND domain = $2`, org, domain))
}

// Domains lists the domains of an organization by name.
func (s *domains) Domains(ctx context.Context, org uuid.UUID) ([]Domain, error) {
	rows, err := s.db.Query(ctx, `SELECT `+domainColumns+` FROM organization_domain WHERE organization_id = $1 ORDER BY domain`, org)
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	defer rows.Close()
	var out []Domain
	for rows.Next() {
		d, err := scanDomain(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// OwnerOf gives the organization that has proven the domain of an address to be its own; ErrNoDomain when none has. Subdomains
// are domains of their own.
func (s *domains) OwnerOf(ctx context.Context, q store.Querier, email string) (uuid.UUID, error) {
	at := strings.LastIndexByte(email, '@')
	domain, err := parseDomain(email[at+1:])
	if err != nil {
		return uuid.Nil, ErrNoDomain
	}
	d, err := scanDomain(q.QueryRow(ctx, `SELECT `+domainColumns+` FROM organization_domain WHERE domain = $1 AND verified_at IS NOT NULL`, domain))
	return d.OrganizationID, err
}

// Published looks for a domain's challenge in the DNS; it changes nothing, and is not called in a transaction. ErrNotVerified when it
// is not there (yet), a fault of kind Unavailable when the DNS could not be asked.
func (s *domains) Published(ctx context.Context, d Domain) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	records, err := s.resolver.LookupTXT(ctx, d.RecordName+".")
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return ErrNotVerified
	}
	if err != nil {
		return fault.New(fault.Unavailable, "dns_unavailable", "The domain's name servers didn't answer. Try again shortly.").After(10 * time.Second).Because(err)
	}
	for _, r := range records {
		if strings.TrimSpace(r) == d.RecordValue {
			return nil
		}
	}
	return ErrNotVerified
}

// VerifyDomain notes that a domain is proven, after Published found it to be. ErrDomainTaken when another organization has proven it.
func (s *domains) VerifyDomain(ctx context.Context, tx *store.Tx, by audit.Entry, d Domain) (Domain, error) {
	if _, err := s.lock(ctx, tx, d.OrganizationID); err != nil {
		return Domain{}, err
	}
	is, err := s.FindDomain(ctx, tx, d.OrganizationID, d.Name)
	if err != nil || is.Verified() {
		return is, err
	}
	if is.RecordValue != d.RecordValue { // removed and claimed anew meanwhile
		return Domain{}, ErrNotVerified
	}
	n, err := tx.Exec(ctx, `UPDATE organization_domain SET verified_at = $3 WHERE organization_id = $1 AND domain = $2
		AND NOT EXISTS (SELECT 1 FROM organization_domain b WHERE b.domain = $2 AND b.verified_at IS NOT NULL)`, d.OrganizationID, d.Name, s.now())
	if store.IsUnique(err) || err == nil && n == 0 {
		return Domain{}, ErrDomainTaken
	}
	if err != nil {
		return Domain{}, fmt.Errorf("verify domain: %w", err)
	}
	if err := s.record(ctx, tx, by, "organization.domain_verify", d.OrganizationID, map[string]any{"domain": d.Name}); err != nil {
		return Domain{}, err
	}
	return s.FindDomain(ctx, tx, d.OrganizationID, d.Name)
}

// RemoveDomain forgets a domain, proven or not.
func (s *domains) RemoveDomain(ctx context.Context, tx *store.Tx, by audit.Entry, org uuid.UUID, domain string) error {
	d, err := s.FindDomain(ctx, tx, org, domain)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM organization_domain WHERE organization_id = $1 AND domain = $2`, org, d.Name); err != nil {
		return fmt.Errorf("remove domain: %w", err)
	}
	return s.record(ctx, tx, by, "organization.domain_remove", org, map[string]any{"domain": d.Name})
}
