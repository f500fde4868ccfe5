package selfservice

import (
	"fmt"

	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
)

// Config of a Service. Both are needed.
type Config struct {
	Kit     *flow.Kit
	Factors *factor.Service
}

// Service is what people do to their own account. Safe for concurrent use.
type Service struct {
	*own
	*passkeys
	*emailChanges
}

// own is what the parts of the Service share, and the ways of an account that are few enough to need no part of their own.
type own struct {
	kit     *flow.Kit
	factors *factor.Service
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Kit == nil || cfg.Factors == nil {
		return nil, fmt.Errorf("selfservice: the kit of the flows and the factors are needed")
	}
	o := &own{kit: cfg.Kit, factors: cfg.Factors}
	return &Service{own: o, passkeys: &passkeys{own: o}, emailChanges: &emailChanges{own: o}}, nil
}

var errLastWay = fault.New(fault.Conflict, "last_way_in", "This is the last way into your account. Add a password or another passkey first.")
