package administration

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

// Service is what an administrator does to accounts. Safe for concurrent use.
type Service struct {
	kit     *flow.Kit
	factors *factor.Service
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Kit == nil || cfg.Factors == nil {
		return nil, fmt.Errorf("administration: the kit of the flows and the factors are needed")
	}
	return &Service{kit: cfg.Kit, factors: cfg.Factors}, nil
}

var errDisabled = fault.New(fault.Conflict, "account_disabled", "The account is disabled.")
