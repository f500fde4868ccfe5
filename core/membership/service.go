package membership

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/org"
)

// Creation says who may create organizations.
type Creation string

// Who may create organizations.
const (
	Administrators Creation = "administrators" // of Sigra
	Anyone         Creation = "anyone"         // who is signed in
)

// DefaultMaxOwned is how many organizations one person may own when nothing else is configured.
const DefaultMaxOwned = 10

// Settings of the flows. The zero value means the defaults.
type Settings struct {
	Creation     Creation // Administrators
	ManagerRoles []string // roles that manage an organization beside its owners; nil: "admin"
	MaxOwned     int      // organizations that a person may own before they can't create another; DefaultMaxOwned

	InvitationTTL time.Duration // how long an invitation can be accepted; org.InvitationTTL
}

// Config of a Service.
type Config struct {
	Kit      *flow.Kit
	Attempts *gate.Attempts
	Settings Settings
}

// Service runs the flows: of organizations and their members, and, in types of their own, of invitations and domains. Safe for
// concurrent use.
type Service struct {
	*base
	*invitations
	*domains
}

// base is the flows of organizations and their members, and what the other parts of a Service share.
type base struct {
	kit      *flow.Kit
	orgs     *org.Store
	attempts *gate.Attempts
	settings atomic.Pointer[Settings]
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Kit == nil || cfg.Attempts == nil {
		return nil, errors.New("membership: the kit of the flows and the attempts at gates are needed")
	}
	s := &base{kit: cfg.Kit, orgs: cfg.Kit.Orgs, attempts: cfg.Attempts}
	s.Configure(cfg.Settings)
	return &Service{base: s, invitations: &invitations{s}, domains: &domains{s}}, nil
}

// Configure changes the settings while running.
func (s *base) Configure(set Settings) {
	if set.Creation == "" {
		set.Creation = Administrators
	}
	if set.ManagerRoles == nil {
		set.ManagerRoles = []string{"admin"}
	}
	if set.MaxOwned <= 0 {
		set.MaxOwned = DefaultMaxOwned
	}
	if set.InvitationTTL <= 0 {
		set.InvitationTTL = org.InvitationTTL
	}
	s.orgs.KeepInvitations(set.InvitationTTL)
	s.settings.Store(&set)
}

// Manages reports whether a membership lets its member manage the organization.
func (s *base) Manages(m org.Membership) bool {
	return m.Status == org.Active && (m.Owner || slices.Contains(s.settings.Load().ManagerRoles, m.Role))
}
