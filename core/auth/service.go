package auth

import (
	"fmt"

	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/membership"
)

// Config of a Service. All are needed.
type Config struct {
	Kit     *flow.Kit
	Factors *factor.Service
	Members *membership.Service
}

// Service is every way to sign in, up and out, one type each around the one machine. Safe for concurrent use.
type Service struct {
	*signUps
	*passwordSignIns
	*secondFactors
	*passkeySignIns
	*magicLinks
	*resets
	*federatedSignIns
	*pluginSignIns
	*stepUps
	*sweeper
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Kit == nil || cfg.Factors == nil || cfg.Members == nil {
		return nil, fmt.Errorf("auth: the kit of the flows, the factors and the memberships are needed")
	}
	m := &machine{kit: cfg.Kit, factors: cfg.Factors, members: cfg.Members}
	up := &signUps{m}
	fed := &federatedSignIns{machine: m, signUps: up}
	s := &Service{
		signUps: up, passwordSignIns: &passwordSignIns{m}, secondFactors: &secondFactors{machine: m}, passkeySignIns: &passkeySignIns{m}, magicLinks: &magicLinks{m},
		resets: &resets{m}, federatedSignIns: fed, pluginSignIns: &pluginSignIns{machine: m, federated: fed}, stepUps: &stepUps{m}, sweeper: &sweeper{m},
	}
	s.TrustDevices(cfg.Kit.Settings.TrustFor)
	return s, nil
}
